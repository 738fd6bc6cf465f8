"""What sightings mean: whose tag, which place, which arrivals. Pure: no clock, no socket, no database.

This is the plain version: readable, and the oracle for a faster one behind the same functions. Time comes from the
data and from the batch's arrival stamp, so that a replay gives the same rows.
"""
