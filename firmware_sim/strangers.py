"""Radio that is not ours: shops' Eddystone-URL beacons, other people's EID beacons, phones. All to be dropped."""

import hashlib
from typing import Final

import numpy as np

from firmware_sim.geometry import Floats, Ints
from firmware_sim.tag import Advert

SHOPS: Final = 6
FOREIGN_EIDS: Final = 4
PHONES: Final = 10
INTERVAL_MS: Final = 1_285.0
"""The longest of the intervals that Apple's accessory guidelines advise."""
_ROTATION_MS: Final = 900_000
_FLAGS_EDDYSTONE = bytes.fromhex("0201060303aafe")


class Strangers:
    """Foreign advertisers: first the shops (they stand still), then EID beacons and phones (carried by people).

    Args:
        seed: the town's.
        start_ms: Unix milliseconds of the first step.
        rng: draws phases.
    """

    def __init__(self, seed: int, start_ms: int, rng: np.random.Generator) -> None:
        self.count = SHOPS + FOREIGN_EIDS + PHONES
        self._key = hashlib.sha256(f"mimamori-sim/strangers/{seed}".encode()).digest()
        self._next_ms: Floats = start_ms + rng.uniform(0, INTERVAL_MS, self.count)

    def events(self, end_ms: float, rng: np.random.Generator) -> tuple[Ints, Floats]:
        """Who advertises before `end_ms`, and when; steps are shorter than `INTERVAL_MS`, so each at most once."""
        due = np.flatnonzero(self._next_ms < end_ms)
        at_ms = self._next_ms[due]
        self._next_ms[due] += INTERVAL_MS + rng.uniform(0, 10, due.size)
        return due, at_ms

    def skip(self, skip_ms: float) -> None:
        """Put every timer off."""
        self._next_ms += skip_ms

    def advert(self, number: int, at_ms: float) -> Advert:
        """What that stranger sends: addresses and ids change every 15 minutes, but for the shops'."""
        quantum = 0 if number < SHOPS else int(at_ms) // _ROTATION_MS
        noise = hashlib.blake2b(b"%d/%d" % (number, quantum), key=self._key, digest_size=16).digest()
        if number < SHOPS:
            url = b"\x10\xf6\x03shop-%d.example" % number
            data = _FLAGS_EDDYSTONE + bytes((len(url) + 3, 0x16, 0xAA, 0xFE)) + url
            return Advert(bytes((noise[0] | 0xC0,)) + noise[1:6], data)
        if number < SHOPS + FOREIGN_EIDS:
            data = _FLAGS_EDDYSTONE + bytes.fromhex("0d16aafe30ee") + noise[6:14]
            return Advert(bytes((noise[0] & 0x3F,)) + noise[1:6], data)
        data = bytes.fromhex("02011a0aff4c001005") + noise[6:11]
        return Advert(bytes((noise[0] & 0x3F | 0x40,)) + noise[1:6], data)
