"""The server: ingest, store, notices, HTTP API and web app."""
