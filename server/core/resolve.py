"""Whose sightings these are, what the tags say of themselves, and which of them to believe."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from server.core.flags import Flag
from server.core.ids import Ids
from server.core.kernels import clocks as clock_kernels
from server.core.kernels.aes import Aes
from server.core.kernels.clocks import Clocks, Rows
from server.core.kernels.engine import Engine
from server.core.rows import KIND_EID, Heard
from server.core.tags import Tags
from wire import status

_NONE: Final = np.empty(0, np.int32)


@dataclass(frozen=True, slots=True)
class Resolved:
    """What was found out about n rows of `Heard`.

    Attributes:
        tags: int32, row in `Tags`, -1: none of ours.
        flags: int16, `Flag` bits.
        battery_dv: int16, -1: not told.
        learnt: int32, rows in `Tags` whose clock was learnt, ascending, each once.
    """

    tags: NDArray[np.int32]
    flags: NDArray[np.int16]
    battery_dv: NDArray[np.int16]
    learnt: NDArray[np.int32]


class Resolver:
    """Recognises tags and keeps their clocks.

    Args:
        tags: all enrolled tags.
        clocks: of all of them; changed.
        table: whose table of ids to keep.
        load_aes: makes what opens statuses and derives ids.
    """

    def __init__(self, tags: Tags, clocks: Clocks, table: Engine, load_aes: Callable[[], Aes]) -> None:
        self._tags, self.clocks = tags, clocks
        self._aes = load_aes()
        self.ids = Ids(tags, clocks, table, self._aes, load_aes())
        self._mac_keys, self._enc_keys = self._aes.status_keys(tags.keys)

    def close(self) -> None:
        """Let the background go."""
        self.ids.close()

    def resolve(self, heard: Heard, now_ms: int) -> Resolved:
        """Return whose rows these are; learns the tags' clocks on the way.

        Args:
            heard: rows in any order.
            now_ms: UTC, up to when all has arrived.
        """
        self.ids.go_on(now_ms)
        tags, quanta = self.ids.find(heard.kinds, heard.ids, heard.last_ms, now_ms)
        n = len(heard)
        flags, battery_dv, learnt = np.zeros(n, np.int16), np.full(n, -1, np.int16), np.empty(n, np.int32)
        flags[(heard.kinds > 1) & (tags >= 0)] = Flag.STATIC_ID
        bodies = self._open(np.where(heard.kinds == KIND_EID, tags, -1).astype(np.int32), heard.ids, heard.sealed)
        rows = Rows(tags, quanta, heard.kinds, bodies, heard.last_ms, heard.clock_error_ms)
        count = clock_kernels.judge(self.clocks, rows, flags, battery_dv, learnt)
        found = self._find_again(heard, rows, flags, battery_dv)
        if len(found):
            self.ids.found_again(found, now_ms)
        every = np.unique(np.concatenate([learnt[:count], found]))
        if count:
            self.ids.learned(every, now_ms)
        return Resolved(tags, flags, battery_dv, every)

    def _open(self, tags: NDArray[np.int32], ids: NDArray[np.uint64], sealed: NDArray[np.uint8]) -> NDArray[np.int32]:
        bodies = np.empty(len(ids), np.int32)
        self._aes.open_statuses(
            self._mac_keys, self._enc_keys, tags, ids.view(np.int64), np.ascontiguousarray(sealed), bodies
        )
        return bodies

    def _find_again(
        self, heard: Heard, rows: Rows, flags: NDArray[np.int16], battery_dv: NDArray[np.int16]
    ) -> NDArray[np.int32]:
        """Recognise tags that lost their clock and say so; write into `rows.tags` and return whose clock was set."""
        unknown = np.flatnonzero((rows.tags < 0) & (heard.kinds == KIND_EID))
        if not len(unknown):
            return _NONE
        tags, quanta = self.ids.find_lost(heard.ids[unknown])
        maybe = np.flatnonzero(tags >= 0)
        if not len(maybe):
            return _NONE
        which = unknown[maybe]
        bodies = self._open(tags[maybe], heard.ids[which], heard.sealed[which])
        says_so = (bodies >= 0) & (bodies >> 8 & status.CLOCK_LOST != 0)
        which, bodies = which[says_so], bodies[says_so]
        found = Rows(
            tags[maybe][says_so], quanta[maybe][says_so], heard.kinds[which], bodies, heard.last_ms[which],
            heard.clock_error_ms[which],
        )  # fmt: skip
        found_flags, found_dv = flags[which], battery_dv[which]
        clock_kernels.find_again(self.clocks, found, found_flags, found_dv)
        flags[which], battery_dv[which], rows.tags[which] = found_flags, found_dv, found.tags
        return found.tags
