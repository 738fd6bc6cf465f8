"""Bits that a stored sighting carries: what was found out about it. Kept for good: never give a bit another meaning."""

from enum import IntFlag


class Flag(IntFlag):
    """What is known of one row."""

    STATIC_ID = 1 << 0  # a legacy tag whose id never changes
    SEALED = 1 << 1  # carried a status that is authentic and of its time
    SOS = 1 << 2
    MOVING = 1 << 3
    CLOCK_LOST = 1 << 4
    FORGED = 1 << 5  # right id, but the status beside it is not the tag's
    REPLAYED = 1 << 6  # authentic, but not of its time
    STRIPPED = 1 << 7  # without status, from a tag that has shown one
    CLOCK_CORRECTED = 1 << 8  # the detector's clock was wrong; times are shifted
    LATE = 1 << 9  # came long after it was heard
    FAR = 1 << 10  # heard elsewhere at the same time by others


SUSPICIOUS = Flag.FORGED | Flag.REPLAYED | Flag.STRIPPED
"""Rows with one of these are kept and counted, but move nobody and call nobody."""
