"""Files that outlast a power cut."""

import os
from pathlib import Path
from typing import Final

_MEGABYTE: Final = 1_000_000


def replace(path: Path, data: bytes) -> None:
    """Make `data` the whole of a file in one step, on disk when it returns.

    Raises:
        OSError: the disk is full, read-only or gone; the file is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = path.with_name(f"{path.name}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def remove(*paths: Path) -> None:
    """Take files away for good; they may be gone already.

    Raises:
        OSError: the disk is read-only or gone.
    """
    for path in paths:
        path.unlink(missing_ok=True)
    for folder in {path.parent for path in paths}:
        if folder.is_dir():
            sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder outlast a power cut.

    Raises:
        OSError: the disk is gone.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def free_mb(folder: Path) -> int:
    """Return how much is free for us on the disk of a folder that exists.

    Raises:
        OSError: the disk is gone.
    """
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize // _MEGABYTE
