"""The rules of the ordinance: no socket, no clock, no framework."""
