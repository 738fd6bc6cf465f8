"""Logs of child processes: appended to, and begun anew at a start once they have grown large."""

from pathlib import Path
from typing import IO, Final

MAX_OCTETS: Final = 20_000_000
"""A log that is larger when its program starts becomes `<name>.1`, in place of the one before."""


def open_log(file: Path) -> IO[bytes]:
    """Return `file` open for appending; its directory is made, 0700."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if file.exists() and file.stat().st_size > MAX_OCTETS:
        file.replace(file.with_name(f"{file.name}.1"))
    return file.open("ab")
