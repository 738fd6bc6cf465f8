"""What the demonstration is asked for, and where it keeps things."""

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_LONGEST_SOCKET_DIR: Final = 80
"""Octets; leaves room for the sockets' names below the 107 of sun_path, see unix(7)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """The command line.

    Attributes:
        state_dir: absolute; all state lies below it.
        speed: town seconds in one second.
        port: of the web app; 0 takes a free one.
        duration_s: stop after so many seconds from `ready`; 0 runs until a signal.
        seed: of the town, used the first time only.
        headless: plain lines even in a terminal.
        has_camera: a gateway films the street.
    """

    state_dir: Path
    speed: float = 1.0
    port: int = 8780
    duration_s: float = 0.0
    seed: int = 7
    headless: bool = False
    has_camera: bool = True

    @property
    def config_file(self) -> Path:
        """The server's configuration."""
        return self.state_dir / "mimamori.toml"

    @property
    def town_dir(self) -> Path:
        """What the simulator made: registry, map, configurations and keys of the detectors."""
        return self.state_dir / "town"

    @property
    def log_dir(self) -> Path:
        """One log a part."""
        return self.state_dir / "log"

    @property
    def air_dir(self) -> Path:
        """Where the sockets of the simulated air are; below /tmp when the state directory's path is too long."""
        inside = self.state_dir / "run"
        if len(os.fsencode(inside)) <= _LONGEST_SOCKET_DIR:
            return inside
        digest = hashlib.sha256(os.fsencode(self.state_dir)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"mimamori-air-{digest}"
