"""Exports: a window of footage, cut, marked, signed, stamped and sealed to one recipient, in one file.

Nothing clear is ever on disk. In memory are at most one clip of 96 MB, the same with its mark, what c2pa holds of
both while it signs, and one segment.
"""

import hashlib
import io
import json
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from edge.camera import credential, cut, disk, readme, timestamp
from edge.camera.credential import Device
from edge.camera.cut import Clip, Findings, Window
from edge.camera.parcel import PARTIAL, Parcel, recipient_of
from edge.camera.segment import Segment
from edge.errors import CredentialError, ExportError
from wire import evidence
from wire.evidence import Manifest, Part
from wire.orders import Export

log = logging.getLogger(__name__)

SUFFIX: Final = ".age"
NOTE: Final = ".json"
KEPT_DAYS: Final = 30
"""What nobody fetched is deleted then, as the copies of the city are."""


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
        is_brought: the city has it, and the file is gone from here.
    """

    path: Path
    octets: int
    sha256: bytes
    clips: int
    gaps: int
    is_new: bool = True
    is_brought: bool = False


def sweep(folder: Path, *, now_ms: int) -> int:
    """Remove what a crash left unfinished and what is over its time, and return how many files that were.

    Not while an export is being made: its partial file would be taken away.

    Raises:
        OSError: the disk fails.
    """
    oldest_s = now_ms / 1000 - KEPT_DAYS * 86_400
    files = [path for path in folder.glob("*") if path.suffix == PARTIAL or path.stat().st_mtime < oldest_s]
    for path in files:
        path.unlink(missing_ok=True)
    return len(files)


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
            CredentialError: nobody could verify what this gateway signs now; may be tried again.
        """
        kept = self._kept(order)
        if kept is not None:
            return kept
        recipient = recipient_of(order.recipient)
        window = Window(order.from_ms, order.to_ms)
        wanted = cut.plan(segments, window, order.strands)
        self._check_room(sum(item.octets for item in wanted))
        made_at_ms = self.now_ms()
        self.device.check(made_at_ms)
        with Parcel.sealed(self._path(order.export), recipient, at_ms=made_at_ms) as parcel:
            manifest = self._fill(parcel, order, wanted, made_at_ms)
            # The note goes first: with it alone the export is made again, without it the file would be nobody's.
            parcel.before_naming = lambda: self._note(order, parcel, manifest)
        made = Made(parcel.path, parcel.octets, parcel.sha256, len(manifest.parts), len(manifest.gaps))
        log.info("export.made", extra={"bytes": made.octets, "count": made.clips, "missed": made.gaps})
        return made

    def set_brought(self, export: str) -> None:
        """Note that the city has an export, and remove the sealed file; the same order again makes it no more.

        Raises:
            ExportError: the note cannot be written.
        """
        note = self._path(export, NOTE)
        try:
            disk.replace(note, json.dumps(json.loads(note.read_bytes()) | {"is_brought": True}).encode())
            self._path(export).unlink(missing_ok=True)
        except (OSError, ValueError) as error:
            raise ExportError("the note of an export cannot be written") from error

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

    def _path(self, export: str, suffix: str = SUFFIX) -> Path:
        return self.folder / f"{export}{suffix}"

    def _note(self, order: Export, parcel: Parcel, manifest: Manifest) -> None:
        facts = {
            **_identity(order),
            "octets": parcel.octets,
            "sha256": parcel.sha256.hex(),
            "clips": len(manifest.parts),
            "gaps": len(manifest.gaps),
        }
        disk.replace(self._path(order.export, NOTE), json.dumps(facts).encode())

    def _kept(self, order: Export) -> Made | None:
        """Return the export where it is there already and whole.

        Raises:
            ExportError: there is one of this id that was ordered otherwise.
        """
        path = self._path(order.export)
        try:
            facts = json.loads(self._path(order.export, NOTE).read_bytes())
            is_same = all(facts[name] == value for name, value in _identity(order).items())
            plain = facts["octets"], bytes.fromhex(facts["sha256"]), facts["clips"], facts["gaps"]
            is_brought = facts.get("is_brought") is True
        except (OSError, ValueError, KeyError, TypeError):
            return None  # no note, or one that the disk has spoilt: it is made anew
        if not is_same:
            raise ExportError("an export of this id was ordered with another window, case or recipient")
        if not is_brought and not (path.exists() and _sha256(path) == plain[1]):
            return None
        return Made(path, *plain, is_new=False, is_brought=is_brought)

    def _check_room(self, octets: int) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if shutil.disk_usage(self.folder).free < octets + self.min_free_mb * 1_000_000:
            raise ExportError(f"no room on the disk for {octets // 1_000_000} MB more")


def _put(parcel: Parcel, name: str, clip: Clip, marked: io.BufferedRandom | None) -> Part:
    file = marked or clip.file
    try:
        file.seek(0)  # a mark that failed has read of it
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
