"""What an engine is started from: the newest state in the database, in columns by the rows of `Tags`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from server.core.kernels import clocks as clock_kernels
from server.core.kernels.clocks import ANCHOR_OFFSET, LOST, OFFSET, RATE, WORDS, Clocks
from server.core.kernels.fix import Held
from server.core.kernels.merge import Told
from server.core.kernels.merge import create as create_told
from server.core.places import Presence
from server.core.press import Press
from server.core.tagclock import TagClock


@dataclass(frozen=True, slots=True)
class LastPlaces:
    """Newest places. Columns of the same length.

    Attributes:
        tags: int32, rows in `Tags`, each once.
        lat_e7: int32, WGS 84 in 1e-7 degrees.
        lon_e7: int32.
        at_ms: int64, UTC, last heard.
        accuracy_m: float32.
    """

    tags: NDArray[np.int32]
    lat_e7: NDArray[np.int32]
    lon_e7: NDArray[np.int32]
    at_ms: NDArray[np.int64]
    accuracy_m: NDArray[np.float32]

    @classmethod
    def none(cls) -> Self:
        """Return no place."""
        return cls(*(np.empty(0, kind) for kind in ("i4", "i4", "i4", "i8", "f4")))


@dataclass(frozen=True, slots=True)
class TagClocks:
    """Clocks of all tags, columns by the rows of `Tags`, as `tagclock.TagClock`; 0 in a time: none."""

    offset_ms: NDArray[np.float64]
    rate_ppm: NDArray[np.float64]
    learned_ms: NDArray[np.int64]
    accepted_ms: NDArray[np.int64]
    anchor_ms: NDArray[np.int64]
    anchor_offset_ms: NDArray[np.float64]
    is_lost: NDArray[np.bool_]

    @classmethod
    def of(cls, clocks: Sequence[TagClock]) -> Self:
        """Return the columns of `clocks`."""
        return cls(
            np.array([c.offset_ms for c in clocks], np.float64),
            np.array([c.rate_ppm for c in clocks], np.float64),
            np.array([c.learned_at_ms or 0 for c in clocks], np.int64),
            np.array([c.accepted_beacon_ms or 0 for c in clocks], np.int64),
            np.array([c.anchor_at_ms or 0 for c in clocks], np.int64),
            np.array([c.anchor_offset_ms for c in clocks], np.float64),
            np.array([c.is_lost for c in clocks], np.bool_),
        )

    @classmethod
    def read(cls, clocks: Clocks, tags: NDArray[np.int32]) -> Self:
        """Return what the core knows of the clocks of `tags`, rows in `Tags`."""
        words, floats = clocks.words.reshape(-1, WORDS)[tags], clocks.floats.reshape(-1, WORDS)[tags]
        learned, accepted, anchor = (
            words[:, word] for word in (clock_kernels.LEARNED, clock_kernels.ACCEPTED, clock_kernels.ANCHOR)
        )
        is_lost = words[:, clock_kernels.ABOUT] & LOST != 0
        return cls(floats[:, OFFSET], floats[:, RATE], learned, accepted, anchor, floats[:, ANCHOR_OFFSET], is_lost)

    def clocks(self, exponents: NDArray[np.uint8]) -> Clocks:
        """Return the core's clocks, for tags with these rotation exponents."""
        clocks = clock_kernels.create(exponents)
        words, floats = clocks.words.reshape(-1, WORDS), clocks.floats.reshape(-1, WORDS)
        floats[:, OFFSET], floats[:, RATE] = self.offset_ms, self.rate_ppm
        floats[:, ANCHOR_OFFSET] = self.anchor_offset_ms
        words[:, clock_kernels.LEARNED], words[:, clock_kernels.ACCEPTED] = self.learned_ms, self.accepted_ms
        words[:, clock_kernels.ANCHOR] = self.anchor_ms
        words[:, clock_kernels.ABOUT] |= np.where(self.is_lost, LOST, 0)
        return clocks


@dataclass(frozen=True, slots=True)
class Kept:
    """The state.

    Attributes:
        clocks: of all tags.
        presses: newest presses of the button, by row in `Tags`.
        last: newest places.
        held: rows in `Tags`, and their places too far to reach that wait to be confirmed.
        presences: by ward and place id.
        received_ms: UTC of the arrival up to which the core had gone on; None before the first.
        open: believed sightings, as stored, at least those of the buckets that were open then.
    """

    clocks: TagClocks
    presses: Mapping[int, Press] = field(default_factory=dict)
    last: LastPlaces = field(default_factory=LastPlaces.none)
    held: tuple[NDArray[np.int32], Held] | None = None
    presences: Mapping[tuple[str, str], Presence] = field(default_factory=dict)
    received_ms: int | None = None
    open: Told = field(default_factory=lambda: create_told(0))
