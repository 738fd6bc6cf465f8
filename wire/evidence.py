"""The manifest of exported footage: what was cut from where, by which hashes it is known, and what is missing.

It is JSON in one form only (UTF-8, sorted keys, no spaces), so that the same manifest always has the same hash. The
gateway signs the hashes of all the documents beside the clips (`Attest`); the manifest names those of the clips.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final, Self

from cryptography.hazmat.primitives.asymmetric import ec

from wire import fields as _f
from wire import keys, seal
from wire.errors import MessageError

VERSION: Final = 1
SECOND_MS: Final = 1_000
MANIFEST: Final = "manifest.json"
SIGNATURE: Final = "manifest.cose"
TIMESTAMP: Final = "manifest.tsr"
CERTIFICATES: Final = "certificates.pem"
README_JA: Final = "読んでください.txt"
README_EN: Final = "README.txt"
MAX_DOCUMENT_OCTETS: Final = 32_000_000
"""Six hours are 4 MB of manifest."""
GAP_REASONS: Final = ("not-recorded", "damaged")


@dataclass(frozen=True, slots=True)
class Second:
    """One wall-clock second of a clip.

    Attributes:
        at_ms: when its first picture was taken, Unix milliseconds.
        frames: pictures in it.
        samples_sha256: 32 octets, over its encoded pictures one after the other.
    """

    at_ms: int
    frames: int
    samples_sha256: bytes


@dataclass(frozen=True, slots=True)
class Part:
    """One clip: at most ten minutes of one size and encoding.

    Attributes:
        file: name in the archive.
        sha256: 32 octets, of the whole file.
        from_ms: start of its first second.
        to_ms: end of its last second, not part of it.
        frames: pictures in it.
        mask_versions: of the masks burnt in, ascending.
        seconds: in order.
    """

    file: str
    sha256: bytes
    from_ms: int
    to_ms: int
    frames: int
    mask_versions: tuple[int, ...]
    seconds: tuple[Second, ...]


@dataclass(frozen=True, slots=True)
class Link:
    """One segment that footage was taken from, as a link of the camera's hash chain.

    Attributes:
        id: 16 octets.
        start_ms: its first second.
        end_ms: end of its last second.
        previous: 32 octets, chain value of the segment before.
        chain: 32 octets, its own chain value.
        head_sha256: 32 octets, of its encoded head.
        samples: 32 octets for each of its records, also of those outside the window: the chain is over all of them.
    """

    id: bytes
    start_ms: int
    end_ms: int
    previous: bytes
    chain: bytes
    head_sha256: bytes
    samples: tuple[bytes, ...]

    def computed(self) -> bytes:
        """Return the chain value that the other fields give."""
        return hashlib.sha256(b"".join((self.previous, self.head_sha256, *self.samples))).digest()


@dataclass(frozen=True, slots=True)
class Gap:
    """Seconds of the window of which there is nothing, and why: one of `GAP_REASONS`."""

    from_ms: int
    to_ms: int
    why: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an export says of itself.

    Attributes:
        city: id.
        camera: id of the gateway.
        export: id of the export.
        case: id of the case.
        from_ms: start of the window, a whole second.
        to_ms: its end, not part of it.
        parts: the clips.
        segments: what they were cut from, in the order of the chain.
        gaps: what of the window is missing, in order of time.
        is_clock_synced: whether the clock was held for synchronised in every one of the segments.
        software: name and version.
        made_at_ms: by the gateway's clock.
        authority: URL of the time-stamping authority whose answer lies beside; "" = there is none.
        no_timestamp: why there is none; "" where there is one.
        has_c2pa: whether each clip carries a C2PA mark.
        offset_min: of the ISO times from UTC, minutes.
    """

    city: str
    camera: str
    export: str
    case: str
    from_ms: int
    to_ms: int
    parts: tuple[Part, ...]
    segments: tuple[Link, ...]
    gaps: tuple[Gap, ...]
    is_clock_synced: bool
    software: str
    made_at_ms: int
    authority: str = ""
    no_timestamp: str = ""
    has_c2pa: bool = False
    offset_min: int = 540

    def encode(self) -> bytes:
        """Return the one JSON form of the manifest."""
        return json.dumps(self._table(), ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the manifest in `data`.

        Raises:
            MessageError: malformed, of an unknown version, or not in the one form.
        """
        if len(data) > MAX_DOCUMENT_OCTETS:
            raise MessageError("a manifest is not so long")
        try:
            made = cls._from(json.loads(data))
            encoded = made.encode()
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, OSError, RecursionError) as error:
            raise MessageError("not a manifest") from error
        # One comparison finds unknown fields, numbers of another kind, doubled keys and times that contradict.
        if encoded != data:
            raise MessageError("a manifest in another form than ours")
        return made

    def naming(self, authority: str, absent: str = "") -> Self:
        """Return the manifest with this authority, or with why there is none."""
        return replace(self, authority=authority, no_timestamp=absent)

    @property
    def window_iso(self) -> tuple[str, str]:
        """Return start and end of the window in ISO 8601 with their offset."""
        return _iso(self.from_ms, self.offset_min), _iso(self.to_ms, self.offset_min)

    def _table(self) -> dict[str, Any]:
        plain = ("city", "camera", "export", "case", "software", "made_at_ms")
        from_iso, to_iso = self.window_iso
        return {
            **{name: getattr(self, name) for name in plain},
            "version": VERSION,
            "window": {
                "from_ms": self.from_ms,
                "to_ms": self.to_ms,
                "from": from_iso,
                "to": to_iso,
            },
            "parts": [_part(item) for item in self.parts],
            "segments": [_link(item) for item in self.segments],
            "gaps": [[item.from_ms, item.to_ms, item.why] for item in self.gaps],
            "clock": {"is_synced": self.is_clock_synced},
            "timestamp": {"authority": self.authority} if self.authority else {"absent": self.no_timestamp},
            "c2pa": self.has_c2pa,
        }

    @classmethod
    def _from(cls, table: Mapping[str, Any]) -> Self:
        if table["version"] != VERSION:
            raise ValueError("an unknown version")
        window, stamp = table["window"], table["timestamp"]
        plain = ("city", "camera", "export", "case", "software")
        offset = datetime.fromisoformat(window["from"]).utcoffset()
        return cls(
            **{name: _f.text(table, name) for name in plain},
            from_ms=_f.uint(window, "from_ms"),
            to_ms=_f.uint(window, "to_ms"),
            parts=tuple(_to_part(item) for item in table["parts"]),
            segments=tuple(_to_link(item) for item in table["segments"]),
            gaps=tuple(Gap(int(start), int(end), str(why)) for start, end, why in table["gaps"]),
            is_clock_synced=_f.flag(table["clock"], "is_synced"),
            made_at_ms=_f.uint(table, "made_at_ms"),
            authority=str(stamp.get("authority", "")),
            no_timestamp=str(stamp.get("absent", "")),
            has_c2pa=_f.flag(table, "c2pa"),
            offset_min=round((offset or timedelta()).total_seconds() / 60),
        )


@dataclass(frozen=True, slots=True)
class Attest:
    """What the gateway signs: the SHA-256 of every document beside the clips, by its name in the archive."""

    documents: Mapping[str, bytes]

    @classmethod
    def of(cls, documents: Mapping[str, bytes]) -> Self:
        """Return what to sign for documents of these contents."""
        return cls({name: hashlib.sha256(content).digest() for name, content in documents.items()})

    def encode(self) -> bytes:
        """Return it as CBOR."""
        return _f.dumps({1: dict(sorted(self.documents.items()))})

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return what was signed.

        Raises:
            MessageError: malformed or of an unknown version.
        """
        documents = _f.loads(data).get(1)
        if not isinstance(documents, dict) or not all(isinstance(name, str) for name in documents):
            raise MessageError("an attest names documents")
        return cls({name: _f.octets(documents, name, 32) for name in documents})


def sign(manifest: Manifest, documents: Mapping[str, bytes], *, signer: ec.EllipticCurvePrivateKey) -> bytes:
    """Return manifest.cose: the signature over all documents, the manifest's own octets among them."""
    kid = keys.kid(signer.public_key())
    header = seal.Header(manifest.city, manifest.camera, 0, 0, manifest.made_at_ms, b"", kid, "manifest")
    return seal.sign(Attest.of(documents).encode(), header, signer=signer)


def second_of(at_ms: int) -> int:
    """Return the start of the wall-clock second that a moment lies in."""
    return at_ms // SECOND_MS * SECOND_MS


def gaps_between(seconds: Iterable[int], from_ms: int, to_ms: int) -> tuple[tuple[int, int], ...]:
    """Return the runs of whole seconds from `from_ms` up to `to_ms` that are not among `seconds`."""
    covered = sorted({at for at in map(second_of, seconds) if from_ms <= at < to_ms})
    ends, starts = (from_ms, *(at + SECOND_MS for at in covered)), (*covered, to_ms)
    return tuple((end, start) for end, start in zip(ends, starts, strict=True) if end < start)


def _part(item: Part) -> dict[str, Any]:
    return {
        "file": item.file,
        "sha256": item.sha256.hex(),
        "from_ms": item.from_ms,
        "to_ms": item.to_ms,
        "frames": item.frames,
        "mask_versions": list(item.mask_versions),
        "seconds": [[second.at_ms, second.frames, second.samples_sha256.hex()] for second in item.seconds],
    }


def _to_part(table: Mapping[str, Any]) -> Part:
    return Part(
        file=_f.text(table, "file"),
        sha256=_hash(table["sha256"]),
        from_ms=_f.uint(table, "from_ms"),
        to_ms=_f.uint(table, "to_ms"),
        frames=_f.uint(table, "frames"),
        mask_versions=tuple(int(version) for version in table["mask_versions"]),
        seconds=tuple(Second(int(at), int(frames), _hash(text)) for at, frames, text in table["seconds"]),
    )


def _link(item: Link) -> dict[str, Any]:
    hashes = {name: getattr(item, name).hex() for name in ("id", "previous", "chain", "head_sha256")}
    times = {"start_ms": item.start_ms, "end_ms": item.end_ms}
    return {**hashes, **times, "samples": [sample.hex() for sample in item.samples]}


def _to_link(table: Mapping[str, Any]) -> Link:
    return Link(
        id=bytes.fromhex(table["id"]),
        start_ms=_f.uint(table, "start_ms"),
        end_ms=_f.uint(table, "end_ms"),
        previous=_hash(table["previous"]),
        chain=_hash(table["chain"]),
        head_sha256=_hash(table["head_sha256"]),
        samples=tuple(_hash(text) for text in table["samples"]),
    )


def _hash(text: str) -> bytes:
    octets = bytes.fromhex(text)
    if len(octets) != 32:
        raise ValueError("SHA-256 has 32 octets")
    return octets


def _iso(at_ms: int, offset_min: int) -> str:
    moment = datetime.fromtimestamp(at_ms // SECOND_MS, UTC)
    return moment.astimezone(timezone(timedelta(minutes=offset_min))).isoformat(timespec="seconds")
