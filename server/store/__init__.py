"""The database: migrations, and the only SQL of the server, one module a noun."""
