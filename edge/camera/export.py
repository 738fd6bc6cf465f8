"""Exports: a window of footage, cut, marked, signed, stamped and sealed to one recipient, in one file.

Nothing clear is ever on disk. In memory are at most one clip of 128 MB, the same with its mark, and one segment.
"""

import hashlib
import io
import json
import logging
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from edge.camera import credential, cut, readme, timestamp
from edge.camera.credential import Device
from edge.camera.cut import Clip, Findings, Window
from edge.camera.disk import sync_folder
from edge.camera.parcel import PARTIAL, Parcel, recipient_of
from edge.camera.segment import Segment
from edge.errors import CredentialError, ExportError
from wire import evidence
from wire.evidence import Manifest, Part
from wire.orders import Export

log = logging.getLogger(__name__)

SUFFIX: Final = ".age"
NOTE: Final = ".json"
_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Made:
    """An export that is whole.

    Attributes:
        path: of the sealed file.
        octets: of it.
        sha256: 32 octets, of it.
        clips: how many.
        gaps: how many runs of seconds are missing.
        is_new: False where it was there already.
    """

    path: Path
    octets: int
    sha256: bytes
    clips: int
    gaps: int
    is_new: bool = True


@dataclass(frozen=True, slots=True)
class Exporter:
    """Makes exports in one folder, one at a time.

    Attributes:
        folder: of the state directory; holds sealed files and notes about them.
        device: who signs.
        authority: who stamps; None = nobody.
        client: asks the authority.
        now_ms: the wall clock.
        min_free_mb: an export leaves the recorder and the outbox so much room.
    """

    folder: Path
    device: Device
    authority: timestamp.Authority | None
    client: httpx.Client
    now_ms: Callable[[], int]
    min_free_mb: int = 700

    def make(self, order: Export, segments: Sequence[Segment]) -> Made:
        """Return the export that is ordered; the same order again gives the same file.

        Args:
            order: its strands hold the key of every segment of the window.
            segments: of the ring; those outside the window are passed over.

        Raises:
            ExportError: it cannot be made as it is ordered: nothing recorded, a key missing, no recipient, no room.
        """
        kept = self._kept(order)
        if kept is not None:
            return kept
        recipient = recipient_of(order.recipient)
        window = Window(order.from_ms, order.to_ms)
        wanted = cut.plan(segments, window, order.strands)
        self._check_room(sum(item.octets for item in wanted))
        made_at_ms = self.now_ms()
        with Parcel.sealed(self._path(order.export), recipient, at_ms=made_at_ms) as parcel:
            manifest = self._fill(parcel, order, wanted, made_at_ms)
            # The note goes first: with it alone the export is made again, without it the file would be nobody's.
            parcel.before_naming = lambda: self._note(order, parcel, manifest)
        made = Made(parcel.path, parcel.octets, parcel.sha256, len(manifest.parts), len(manifest.gaps))
        log.info("export.made", extra={"bytes": made.octets, "count": made.clips, "missed": made.gaps})
        return made

    def sweep(self) -> int:
        """Remove what a crash left unfinished, and return how many files that were; for the start of the program."""
        partial = list(self.folder.glob(f"*{PARTIAL}"))
        for path in partial:
            path.unlink(missing_ok=True)
        return len(partial)

    def remove(self, export: str) -> None:
        """Remove a sealed file, once the city has it; its note stays, so that what was done can be told."""
        self._path(export).unlink(missing_ok=True)

    def _fill(self, parcel: Parcel, order: Export, wanted: Sequence[Segment], made_at_ms: int) -> Manifest:
        found, parts, window = Findings(), list[Part](), Window(order.from_ms, order.to_ms)
        has_c2pa = True
        for clip in cut.cut(wanted, window, order.strands, found):
            with clip.file:
                name = f"clip-{len(parts) + 1:03}.mp4"
                marked = self._marked(clip, name, order) if has_c2pa else None
                has_c2pa = marked is not None
                parts.append(_put(parcel, name, clip, marked))
        if not parts:
            raise ExportError("no segment of this window opens with the keys of the order")
        manifest = Manifest(
            city=self.device.city,
            camera=self.device.camera,
            export=order.export,
            case=order.case,
            from_ms=order.from_ms,
            to_ms=order.to_ms,
            parts=tuple(parts),
            segments=tuple(found.links),
            gaps=found.gaps(window),
            is_clock_synced=not found.unsynced,
            software=self.device.software,
            made_at_ms=made_at_ms,
            has_c2pa=has_c2pa,
        )
        return self._attest(parcel, manifest)

    def _marked(self, clip: Clip, name: str, order: Export) -> io.BufferedRandom | None:
        try:
            return credential.mark(clip, name, order, self.device)
        except CredentialError as error:
            # The signed manifest is the evidence; it says that there is no mark, and whoever checks reads it there.
            log.warning("export.unmarked", extra={"error": type(error).__name__, "reason": str(error)})
            return None

    def _attest(self, parcel: Parcel, manifest: Manifest) -> Manifest:
        """Put the documents into the parcel, signed, and return the manifest as it stands there."""
        manifest, stamp = self._stamped(manifest)
        documents = {
            evidence.MANIFEST: manifest.encode(),
            evidence.CERTIFICATES: self.device.chain_pem,
            **readme.texts(manifest),
            **({evidence.TIMESTAMP: stamp.answer} if stamp.answer else {}),
        }
        documents[evidence.SIGNATURE] = evidence.sign(manifest, documents, signer=self.device.key)
        for name, content in documents.items():
            parcel.put(name, content)
        return manifest

    def _stamped(self, manifest: Manifest) -> tuple[Manifest, timestamp.Stamp]:
        """Return the manifest naming its authority with that one's stamp, or naming why there is none."""
        naming = manifest.naming(self.authority.url if self.authority else "")
        stamp = timestamp.ask(self.authority, naming.encode(), self.client)
        if stamp.answer:
            return naming, stamp
        log.warning("export.unstamped", extra={"reason": stamp.absent})
        return manifest.naming("", stamp.absent), stamp

    def _path(self, export: str) -> Path:
        return self.folder / f"{export}{SUFFIX}"

    def _note(self, order: Export, parcel: Parcel, manifest: Manifest) -> None:
        facts = {
            **_identity(order),
            "octets": parcel.octets,
            "sha256": parcel.sha256.hex(),
            "clips": len(manifest.parts),
            "gaps": len(manifest.gaps),
        }
        path = self.folder / f"{order.export}{NOTE}"
        partial = path.with_name(path.name + PARTIAL)
        with partial.open("w", encoding="utf-8") as file:
            json.dump(facts, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        sync_folder(self.folder)

    def _kept(self, order: Export) -> Made | None:
        """Return the export where it is there already and whole.

        Raises:
            ExportError: there is one of this id that was ordered otherwise.
        """
        path, note = self._path(order.export), self.folder / f"{order.export}{NOTE}"
        try:
            facts = json.loads(note.read_text("utf-8"))
        except (OSError, ValueError):
            return None
        if {name: facts.get(name) for name in _identity(order)} != _identity(order):
            raise ExportError("an export of this id was ordered with another window, case or recipient")
        if not path.exists() or path.stat().st_size != facts["octets"] or _sha256(path).hex() != facts["sha256"]:
            return None
        sha256 = bytes.fromhex(facts["sha256"])
        return Made(path, facts["octets"], sha256, facts["clips"], facts["gaps"], is_new=False)

    def _check_room(self, octets: int) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if shutil.disk_usage(self.folder).free < octets + self.min_free_mb * 1_000_000:
            raise ExportError(f"no room on the disk for {octets // 1_000_000} MB more")


def _put(parcel: Parcel, name: str, clip: Clip, marked: io.BufferedRandom | None) -> Part:
    file = marked or clip.file
    try:
        digest = hashlib.file_digest(file, "sha256").digest()
        file.seek(0)
        parcel.put(name, file)
    finally:
        file.close()
    return Part(name, digest, clip.from_ms, clip.to_ms, clip.frames, clip.mask_versions, clip.seconds)


def _identity(order: Export) -> Mapping[str, object]:
    return {"case": order.case, "from_ms": order.from_ms, "to_ms": order.to_ms, "recipient": order.recipient}


def _sha256(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
