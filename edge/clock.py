"""The gateway's wall clock: what it says, whether the kernel holds it for right, and how far somebody has moved it."""

import ctypes
import sys
import time
from dataclasses import dataclass, field
from typing import Final

_STA_UNSYNC: Final = 0x40
_TIME_ERROR: Final = 5


class _Timex(ctypes.Structure):
    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


@dataclass(frozen=True, slots=True)
class WallClock:
    """Wall time of this machine. Tests put their own in its place."""

    _origin_ms: int = field(default_factory=lambda: _wall_ms() - _monotonic_ms(), repr=False)

    def now_ms(self) -> int:
        """Return the wall time, Unix milliseconds."""
        return _wall_ms()

    def monotonic_ms(self) -> int:
        """Return milliseconds that never jump, from some moment on."""
        return _monotonic_ms()

    def is_synced(self) -> bool:
        """Return whether the kernel holds its clock for synchronised; False where no kernel says so."""
        timex = _adjtimex()
        return timex is not None and not timex.status & _STA_UNSYNC

    def error_ms(self) -> int | None:
        """Return how far off the kernel supposes its clock to be at most; None where no kernel says so."""
        timex = _adjtimex()
        return None if timex is None else max(0, timex.maxerror) // 1_000

    def jumped_ms(self) -> int:
        """Return how far the wall clock was set forward (back: below 0) since this object was made."""
        return self.now_ms() - self.monotonic_ms() - self._origin_ms


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


def _monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def _adjtimex() -> _Timex | None:
    if sys.platform != "linux":
        return None
    timex = _Timex()
    state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex))
    if state < 0:
        return None
    if state == _TIME_ERROR:
        timex.status |= _STA_UNSYNC
    return timex
