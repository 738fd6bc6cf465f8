"""What the machine says of itself: temperature, disk, memory, processor; None where it does not say."""

import os
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_THERMAL: Final = Path("/sys/class/thermal")
_PROCESSOR_ZONES: Final = ("cpu", "soc", "x86_pkg", "coretemp", "acpitz")
_MEMORY: Final = Path("/proc/self/statm")
_MB: Final = 1_000_000


def disk_free_mb(directory: Path) -> int | None:
    """Return what may still be written to the volume of a directory; None if there is no such directory."""
    try:
        return shutil.disk_usage(directory).free // _MB
    except OSError:
        return None


def temp_cdeg(thermal: Path = _THERMAL) -> int | None:
    """Return the temperature of the processor, hundredths of a degree Celsius: the hottest of its zones."""
    found = {zone: value for zone in sorted(thermal.glob("thermal_zone*")) if (value := _zone_cdeg(zone)) is not None}
    ours = [value for zone, value in found.items() if _kind(zone).startswith(_PROCESSOR_ZONES)]
    return max(ours or found.values(), default=None)


def _zone_cdeg(zone: Path) -> int | None:
    try:
        return int((zone / "temp").read_text(encoding="ascii")) // 10
    except (OSError, ValueError):  # a sensor that is off refuses to be read
        return None


def _kind(zone: Path) -> str:
    try:
        return (zone / "type").read_text(encoding="ascii", errors="replace").lower()
    except OSError:
        return ""


def rss_mb(memory: Path = _MEMORY) -> int | None:
    """Return the resident memory of this program."""
    try:
        pages = int(memory.read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") // _MB


@dataclass(slots=True)
class Processor:
    """How much of one core this program takes, all its threads together."""

    _wall_s: float = field(default_factory=time.monotonic)
    _busy_s: float = field(default_factory=time.process_time)

    def permille(self, wall_s: float, busy_s: float) -> int | None:
        """Return thousandths of one core since the last call; None if no time has passed.

        Args:
            wall_s: time.monotonic() now.
            busy_s: time.process_time() now.
        """
        passed_s, spent_s = wall_s - self._wall_s, busy_s - self._busy_s
        if passed_s <= 0:
            return None
        self._wall_s, self._busy_s = wall_s, busy_s
        return max(0, round(1000 * spent_s / passed_s))
