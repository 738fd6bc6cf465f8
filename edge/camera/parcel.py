"""The one file that leaves: a ZIP of stored members, sealed to the recipient (age) as it is written.

Nothing of it is on disk in clear. It stands under a partial name until it is whole.
"""

import contextlib
import hashlib
import os
import shutil
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, Self

import pyrage

from edge.camera.disk import sync_folder
from edge.errors import ExportError

PARTIAL: Final = ".partial"
_CHUNK: Final = 1 << 20


def recipient_of(text: str) -> pyrage.x25519.Recipient:
    """Return the recipient in "age1…".

    Raises:
        ExportError: there is none in it.
    """
    try:
        return pyrage.x25519.Recipient.from_str(text)
    except pyrage.RecipientError as error:
        raise ExportError("the recipient is no age recipient (age1…)") from error


class Parcel:
    """The file while members are put into it.

    Attributes:
        path: its final name.
        octets: of the sealed file.
        sha256: of the sealed file, once it is whole.
        before_naming: called when the file is whole and on disk, before it gets its name.
    """

    def __init__(self, path: Path, at_ms: int) -> None:
        self.path, self.octets, self.sha256 = path, 0, b""
        self.before_naming: Callable[[], object] = lambda: None
        self._date = time.gmtime(at_ms / 1000)[:6]
        self._zip: zipfile.ZipFile
        self._digest = hashlib.sha256()

    @classmethod
    @contextlib.contextmanager
    def sealed(cls, path: Path, recipient: pyrage.x25519.Recipient, *, at_ms: int) -> Iterator[Self]:
        """Give a parcel to fill; at the end it is whole under `path`, or nothing is left of it.

        Raises:
            ExportError: the disk took no more.
        """
        parcel, partial = cls(path, at_ms), path.with_name(path.name + PARTIAL)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb", buffering=0) as file:
                with parcel._sealing(file, recipient):
                    yield parcel
                os.fsync(file.fileno())
            parcel.before_naming()
            partial.replace(path)
            sync_folder(path.parent)
        except (OSError, pyrage.EncryptError) as error:
            raise ExportError(f"the export cannot be written: {error}") from error
        finally:
            partial.unlink(missing_ok=True)

    def put(self, name: str, content: BinaryIO | bytes) -> None:
        """Add a member."""
        member = zipfile.ZipInfo(name, self._date)
        member.external_attr = 0o600 << 16
        with self._zip.open(member, "w") as target:
            if isinstance(content, bytes):
                target.write(content)
            else:
                shutil.copyfileobj(content, target, _CHUNK)

    @contextlib.contextmanager
    def _sealing(self, file: BinaryIO, recipient: pyrage.x25519.Recipient) -> Iterator[None]:
        """Let a thread seal what is written into a pipe: age takes a reader, ZIP wants a writer."""
        failed: list[BaseException] = []
        out, into = os.pipe()

        def seal() -> None:
            with os.fdopen(out, "rb", buffering=_CHUNK) as reader:
                try:
                    pyrage.encrypt_io(reader, self._Counted(self, file), [recipient])
                except Exception as error:  # noqa: BLE001 - raised below, in the thread that waits
                    failed.append(error)

        thread = threading.Thread(target=seal, name="seal")
        thread.start()
        try:
            with os.fdopen(into, "wb", buffering=_CHUNK) as writer, zipfile.ZipFile(writer, "w") as self._zip:
                yield
        except BrokenPipeError:
            if not failed:
                raise
        finally:
            thread.join()
        if failed:
            raise failed[0]
        self.sha256 = self._digest.digest()

    class _Counted:
        """What age writes into: the file, counted and hashed on the way."""

        def __init__(self, parcel: "Parcel", file: BinaryIO) -> None:
            self._parcel, self._file = parcel, file

        def write(self, data: bytes) -> int:
            """Write all of `data`."""
            view = memoryview(data)
            while view:
                view = view[self._file.write(view) :]
            self._parcel.octets += len(data)
            self._parcel._digest.update(data)  # noqa: SLF001 - a part of it
            return len(data)

        def flush(self) -> None:
            """Nothing is held back."""
