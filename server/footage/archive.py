"""The sealed file opened: what is in it, within bounds, whoever made it."""

from __future__ import annotations

import contextlib
import os
import struct
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Final

import pyrage

from server.footage.errors import FootageError
from wire import evidence

MAX_CLIP_OCTETS: Final = 400_000_000
"""Gateways end a clip at 96 MB of pictures."""
MAX_MEMBERS: Final = 1_000
IN_MEMORY_OCTETS: Final = 256_000_000
"""A larger file is opened into a temporary one without a name, on the machine of whoever opens it."""
CLIP: Final = ".mp4"
# What zipfile raises over octets that somebody made up: all of this was met.
_DAMAGE: Final = (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError, ValueError, struct.error)


class ArchiveError(Exception):
    """What was sealed is no export of ours."""


class EnvelopeError(Exception):
    """It does not open with this key, or was changed on the way."""


class Archive:
    """The members of an export."""

    def __init__(self, file: IO[bytes]) -> None:
        """Read the list of members.

        Raises:
            ArchiveError: there is none, or not as gateways write it.
        """
        try:
            self._zip = zipfile.ZipFile(file)
            octets = file.seek(0, os.SEEK_END)
        except _DAMAGE as error:
            raise ArchiveError("no archive") from error
        members = self._zip.infolist()
        if len(members) > MAX_MEMBERS or any(item.compress_type != zipfile.ZIP_STORED for item in members):
            raise ArchiveError("an archive of another kind")
        if sum(item.file_size for item in members) > octets:
            raise ArchiveError("members that lie over each other")  # a thousand could share the same 32 MB

    @property
    def names(self) -> list[str]:
        """The names of all members; one may stand twice."""
        return [item.filename for item in self._zip.infolist()]

    def documents(self) -> dict[str, bytes]:
        """Return all members but the clips.

        Raises:
            ArchiveError: one is damaged or too large.
        """
        return {name: self.read(name, evidence.MAX_DOCUMENT_OCTETS) for name in self.names if not name.endswith(CLIP)}

    def read(self, name: str, most: int = MAX_CLIP_OCTETS) -> bytes:
        """Return one member.

        Raises:
            ArchiveError: it is not there, damaged or too large.
        """
        try:
            if self._zip.getinfo(name).file_size > most:
                raise ArchiveError(f"{name} is too large")
            return self._zip.read(name)
        except (KeyError, *_DAMAGE) as error:
            raise ArchiveError(f"{name} cannot be read") from error


@contextlib.contextmanager
def opened(path: Path, identities: Sequence[pyrage.x25519.Identity]) -> Iterator[IO[bytes]]:
    """Give the content of a sealed file, which is gone at the end.

    Raises:
        FootageError: there is no such file.
        EnvelopeError: not sealed to any of `identities`, or one bit of it was changed.
    """
    with contextlib.ExitStack() as stack:
        target = stack.enter_context(tempfile.SpooledTemporaryFile(IN_MEMORY_OCTETS))
        try:
            file = stack.enter_context(path.open("rb"))
        except OSError as error:
            raise FootageError(f"{path.name}: {error.strerror}") from error
        try:
            pyrage.decrypt_io(file, target, identities)
        except (pyrage.DecryptError, OSError) as error:
            raise EnvelopeError(str(error)) from error
        target.seek(0)
        yield target


def identities_of(path: Path) -> list[pyrage.x25519.Identity]:
    """Return the secret keys in a file as `age-keygen` writes it.

    Raises:
        FootageError: there is none.
    """
    try:
        lines = [line.strip() for line in path.read_text("ascii").splitlines()]
        keys = [pyrage.x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")]
    except (OSError, ValueError, pyrage.IdentityError) as error:
        raise FootageError(f"{path.name}: no key of age (AGE-SECRET-KEY-1…)") from error
    if not keys:
        raise FootageError(f"{path.name}: no key of age (AGE-SECRET-KEY-1…)")
    return keys
