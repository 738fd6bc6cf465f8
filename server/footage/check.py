"""Everything about an export that can be checked: the documents, each clip picture by picture, time stamp and mark.

PyAV, c2pa-python and rfc3161-client are loaded here alone; of what they find, wire/verdict.py is the judge.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
import c2pa
import pyrage
import rfc3161_client
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from server.footage.archive import Archive, ArchiveError, EnvelopeError, opened
from server.footage.errors import FootageError
from wire import evidence, verdict
from wire.evidence import Manifest, Part, Second
from wire.verdict import Check, Report

_USAGES: Final = "1.3.6.1.5.5.7.3.4\n1.3.6.1.5.5.7.3.36\n1.3.6.1.4.1.62558.2.1\n"
_EXPIRED: Final = "signingCredential.expired"
_UNTRUSTED: Final = "signingCredential.untrusted"


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom to believe.

    Attributes:
        city: root certificates of the city's authority.
        stamps: root certificates of the time-stamping authority; none = stamps are not checked.
    """

    city: tuple[x509.Certificate, ...]
    stamps: tuple[x509.Certificate, ...] = ()


def examine(
    path: Path, identities: Sequence[pyrage.x25519.Identity], trust: Trust, *, out: Path | None = None
) -> Report:
    """Return what there is to say about a sealed export.

    Args:
        path: of the sealed file.
        identities: secret keys, one of them the recipient's.
        trust: whom to believe.
        out: where to write the members, if every check was passed; None writes nothing.

    Raises:
        FootageError: there is no such file, or `out` cannot be written.
    """
    try:
        with opened(path, identities) as file:
            report = _examine(Archive(file), trust)
            if out is not None and report.is_sound:
                _write(Archive(file), out)
            return report
    except EnvelopeError as error:
        return Report(None, (Check("envelope", "failed", str(error)[:200]),))
    except ArchiveError as error:
        return Report(None, (Check("envelope", "ok"), Check("members", "failed", str(error))))


def certificates_of(path: Path) -> tuple[x509.Certificate, ...]:
    """Return the certificates in a PEM file.

    Raises:
        FootageError: there are none.
    """
    try:
        return tuple(x509.load_pem_x509_certificates(path.read_bytes()))
    except (OSError, ValueError, x509.InvalidVersion) as error:
        raise FootageError(f"{path.name}: no certificates (PEM)") from error


def seconds_of(clip: bytes, from_ms: int) -> list[Second]:
    """Return the seconds that a clip holds, by the times of its pictures; none if it is no video.

    Args:
        clip: an MP4.
        from_ms: wall time at which it begins, Unix milliseconds.
    """
    found: dict[int, list[bytes]] = {}
    try:
        with av.open(io.BytesIO(clip), "r", format="mp4", metadata_errors="replace") as container:
            for packet in container.demux(container.streams.video[0]):
                if packet.pts is not None:
                    at_ms = evidence.second_of(from_ms + round(packet.pts * packet.time_base * 1000))
                    found.setdefault(at_ms, []).append(bytes(packet))
    except (av.FFmpegError, IndexError, ValueError):
        return []
    return [Second(at, len(pictures), hashlib.sha256(b"".join(pictures)).digest()) for at, pictures in found.items()]


def _examine(archive: Archive, trust: Trust) -> Report:
    documents = archive.documents()
    report = verdict.documents(documents, trust.city)
    checks = [Check("envelope", "ok"), *report.checks]
    if report.manifest is not None:
        manifest = report.manifest
        checks.insert(1, verdict.names(archive.names, manifest))
        checks += [check for part in manifest.parts for check in _clip(archive, part, manifest, trust)]
        checks.append(_stamp(documents, manifest, trust))
    return Report(report.manifest, tuple(checks))


def _clip(archive: Archive, part: Part, manifest: Manifest, trust: Trust) -> Iterator[Check]:
    try:
        clip = archive.read(part.file)
    except ArchiveError as error:
        yield Check("clip", "failed", str(error))
        return
    yield verdict.clip(part, hashlib.sha256(clip).digest())
    yield verdict.samples(part, seconds_of(clip, part.from_ms))
    yield _mark(clip, part, trust) if manifest.has_c2pa else Check("c2pa", "unchecked", f"{part.file}: no mark")


def _mark(clip: bytes, part: Part, trust: Trust) -> Check:
    anchors = "".join(root.public_bytes(Encoding.PEM).decode("ascii") for root in trust.city)
    settings = {
        "trust": {"trust_config": _USAGES, "trust_anchors": anchors},
        "verify": {"ocsp_fetch": False, "remote_manifest_fetch": False},
    }
    try:
        with c2pa.Context.from_dict(settings) as context:
            read = json.loads(c2pa.Reader("video/mp4", io.BytesIO(clip), context=context).json())
    except c2pa.C2paError as error:
        return Check("c2pa", "failed", f"{part.file}: {str(error)[:100]}")
    faults = {str(status.get("code")) for status in read.get("validation_status", [])}
    if read.get("validation_state") == "Trusted" and not faults:
        return Check("c2pa", "ok", part.file)
    if _EXPIRED in faults and faults <= {_EXPIRED, _UNTRUSTED}:
        # Gateways' certificates are short-lived, and the mark bears no time of its own, so that its chain is not looked
        # at any more. The signed manifest has a time, and names this very file.
        return Check("c2pa", "unchecked", f"{part.file}: the certificate has ended since")
    return Check("c2pa", "failed", f"{part.file}: {', '.join(sorted(faults))[:150]}")


def _stamp(documents: dict[str, bytes], manifest: Manifest, trust: Trust) -> Check:
    if not manifest.authority:
        return Check("timestamp", "unchecked", f"none: {manifest.no_timestamp}")
    if not trust.stamps:
        return Check("timestamp", "unchecked", "no certificate of the authority is given")
    try:
        leaf = x509.load_pem_x509_certificates(documents.get(evidence.CERTIFICATES, b""))[0]
        answer = rfc3161_client.decode_timestamp_response(documents.get(evidence.TIMESTAMP, b""))
        builder = rfc3161_client.VerifierBuilder()
        for root in dict.fromkeys(trust.stamps):
            builder = builder.add_root_certificate(root)
        builder.build().verify_message(answer, documents[evidence.MANIFEST])
    except (rfc3161_client.VerificationError, ValueError, x509.InvalidVersion) as error:
        return Check("timestamp", "failed", str(error)[:150])
    stamped = answer.tst_info.gen_time
    if not leaf.not_valid_before_utc <= stamped <= leaf.not_valid_after_utc:
        # Whoever holds a key beyond its time, as a thief does, can write any time into a manifest, but into no stamp.
        return Check("timestamp", "failed", f"{stamped:%Y-%m-%dT%H:%M:%SZ}: the certificate was not in force")
    late_s = round(stamped.timestamp() - manifest.made_at_ms / 1000)
    told = f"{stamped:%Y-%m-%dT%H:%M:%SZ}, {late_s:+d} s from the gateway's clock, {manifest.authority}"
    return Check("timestamp", "ok", told)


def _write(archive: Archive, out: Path) -> None:
    # The names were found to be those of the manifest, and that is signed; still none of them may leave the folder.
    if any(Path(name).name != name for name in archive.names):
        raise ArchiveError("a name that is a path")
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in archive.names:
            partial = out / f"{name}.partial"
            partial.write_bytes(archive.read(name))
            partial.replace(out / name)
    except OSError as error:
        raise FootageError(f"{out}: {error.strerror}") from error
