"""A simulated tag, radio and town, with sources for every number."""
