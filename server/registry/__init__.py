"""Who and what is enrolled in a city: read from a file, kept in the database with tags' keys wrapped."""
