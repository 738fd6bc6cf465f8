"""Whether exported footage is what a gateway of the city recorded: each check by its name, for whoever got it.

Pure: octets and certificates in, a report out. What needs a video library or a time-stamping one (the samples in the
clips, the time stamp) is found out elsewhere and judged here by hashes.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import verification

from wire import evidence, seal
from wire.errors import MessageError, WireError
from wire.evidence import Attest, Link, Manifest, Part, Second

Outcome = Literal["ok", "failed", "unchecked"]
TEXTS: Final[Mapping[str, tuple[str, str]]] = {
    "envelope": ("受取人の鍵で開き、途中で変えられていない", "opens with the recipient's key, unchanged on the way"),
    "members": ("書庫の中身に過不足がない", "the archive holds what it should and nothing else"),
    "manifest": ("目録が読める", "the manifest can be read"),
    "certificate": ("署名した機器は市の認証局が認めたもの", "the signing device is certified by the city"),
    "signature": ("目録は機器の鍵で署名されている", "the manifest is signed by the device"),
    "documents": ("添付の文書は署名のとおり", "the documents are those that were signed"),
    "clip": ("映像ファイルの SHA-256 が目録と一致する", "the clip's SHA-256 is that of the manifest"),
    "samples": ("映像の一秒ごとの SHA-256 が目録と一致する", "the SHA-256 of each second is that of the manifest"),
    "seconds": ("一秒ごとの記録は区間の記録に含まれる", "each second is among those of its segment"),
    "chain": ("区間のハッシュ連鎖を計算し直して一致する", "the hash chain of each segment computes to what it says"),
    "continuity": ("区間がつながり、途切れは目録にある", "segments follow each other, breaks are stated gaps"),
    "coverage": ("求めた時間が、目録の欠落を除きすべてある", "the whole window is there but for the stated gaps"),
    "timestamp": ("時刻認証局の証明がある", "a time-stamping authority confirms when it was made"),
    "c2pa": ("C2PA の来歴情報が正しい", "the C2PA mark is valid"),
}
"""What each check says when it is passed, in Japanese and English."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Attributes:
        name: one of `TEXTS`.
        outcome: "unchecked" where what it needs is not there, and nothing says that it should be.
        found: what was found, in English; a file name, a time, a reason.
    """

    name: str
    outcome: Outcome
    found: str = ""

    @property
    def text(self) -> tuple[str, str]:
        """What the check is about, in Japanese and English."""
        return TEXTS[self.name]


@dataclass(frozen=True, slots=True)
class Report:
    """All checks of one export. `manifest` is None where none could be read."""

    manifest: Manifest | None
    checks: tuple[Check, ...]

    @property
    def is_sound(self) -> bool:
        """Whether no check failed."""
        return all(check.outcome != "failed" for check in self.checks)

    @property
    def failed(self) -> tuple[str, ...]:
        """The names of the checks that failed."""
        return tuple(check.name for check in self.checks if check.outcome == "failed")


def documents(members: Mapping[str, bytes], authorities: Sequence[x509.Certificate]) -> Report:
    """Return what the documents of an export say, without its clips.

    Args:
        members: by name, the content of every member but the clips.
        authorities: the city's root certificates.
    """
    try:
        manifest = Manifest.decode(members.get(evidence.MANIFEST, b""))
    except MessageError as error:
        return Report(None, (Check("manifest", "failed", str(error)),))
    checks = [Check("manifest", "ok"), *_signed(members, manifest, authorities), *record(manifest)]
    return Report(manifest, tuple(checks))


def names(members: Iterable[str], manifest: Manifest) -> Check:
    """Return whether an archive with these members is that of the manifest."""
    wanted = [evidence.MANIFEST, evidence.SIGNATURE, evidence.CERTIFICATES, evidence.README_JA, evidence.README_EN]
    wanted += [part.file for part in manifest.parts]
    wanted += [evidence.TIMESTAMP] if manifest.authority else []
    found = sorted(members)
    if found == sorted(wanted):
        return Check("members", "ok")
    strays = sorted(set(found) ^ set(wanted)) or ["a name stands twice"]
    return Check("members", "failed", ", ".join(strays)[:200])


def clip(part: Part, sha256: bytes) -> Check:
    """Return whether a clip of this SHA-256 is that of the manifest."""
    return Check("clip", "ok" if sha256 == part.sha256 else "failed", part.file)


def samples(part: Part, found: Sequence[Second]) -> Check:
    """Return whether a clip's pictures are those of the manifest.

    Args:
        part: of the manifest.
        found: the seconds that are in the clip.
    """
    if tuple(found) == part.seconds:
        return Check("samples", "ok", part.file)
    wrong = next((one for one, other in zip(part.seconds, found, strict=False) if one != other), None)
    place = f"second {wrong.at_ms}" if wrong else f"{len(found)} seconds, not {len(part.seconds)}"
    return Check("samples", "failed", f"{part.file}: {place}")


def record(manifest: Manifest) -> list[Check]:
    """Return whether what a manifest says agrees with itself: chain, continuity, seconds, coverage."""
    return [
        _judge("chain", (item.id.hex() for item in manifest.segments if item.chain != item.computed())),
        _judge("continuity", _breaks(manifest)),
        _judge("seconds", _strays(manifest)),
        _judge("coverage", _uncovered(manifest)),
    ]


def _signed(members: Mapping[str, bytes], manifest: Manifest, authorities: Sequence[x509.Certificate]) -> list[Check]:
    try:
        chain = x509.load_pem_x509_certificates(members.get(evidence.CERTIFICATES, b""))
        verified = _leaf_key(chain, manifest, authorities)
    except (ValueError, x509.InvalidVersion, verification.VerificationError, x509.ExtensionNotFound) as error:
        return [Check("certificate", "failed", str(error)[:200]), Check("signature", "failed", "no key to check with")]
    try:
        header, payload = seal.verify(members.get(evidence.SIGNATURE, b""), verifier=verified)
        attest = Attest.decode(payload)
    except WireError as error:
        return [Check("certificate", "ok"), Check("signature", "failed", str(error))]
    meant = (manifest.city, manifest.camera, manifest.made_at_ms, "manifest")
    if (header.city, header.detector, header.sealed_at_ms, header.content) != meant:
        return [Check("certificate", "ok"), Check("signature", "failed", "signed for something else")]
    beside = {name: content for name, content in members.items() if name != evidence.SIGNATURE}
    told, found = attest.documents, Attest.of(beside).documents
    strays = (name for name in sorted({*told, *found}) if told.get(name) != found.get(name))
    return [Check("certificate", "ok"), Check("signature", "ok"), _judge("documents", strays)]


def _leaf_key(
    chain: Sequence[x509.Certificate], manifest: Manifest, authorities: Sequence[x509.Certificate]
) -> ec.EllipticCurvePublicKey:
    """Return the key of the gateway's certificate, verified at the time at which the export was made.

    Raises:
        VerificationError: not of this city's authority, or not in force then.
        ValueError: of another gateway, or with another kind of key.
    """
    made_at = dt.datetime.fromtimestamp(manifest.made_at_ms / 1000, dt.UTC)
    builder = verification.PolicyBuilder().store(verification.Store(list(authorities))).time(made_at)
    leaf, *others = chain
    builder.build_client_verifier().verify(leaf, others)
    alternatives = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    urn = f"urn:mimamori:{manifest.city}:gateway:{manifest.camera}"
    if alternatives.get_values_for_type(x509.UniformResourceIdentifier) != [urn]:
        raise ValueError("a certificate of another device")
    key = leaf.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise ValueError("a certificate with another kind of key")  # noqa: TRY004 - of what was sent, not of a caller
    return key


def _judge(name: str, faults: Iterable[str]) -> Check:
    found = list(faults)
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return Check(name, "failed" if found else "ok", ", ".join(found[:3])[:200] + more)


def _breaks(manifest: Manifest) -> Iterable[str]:
    for one, other in pairwise(manifest.segments):
        # Footage between the two is missing: then a gap says so, from where the first one ended.
        stated = any(gap.from_ms <= max(one.end_ms, manifest.from_ms) < gap.to_ms for gap in manifest.gaps)
        if other.previous != one.chain and not stated:
            yield f"after {one.id.hex()}"


def _strays(manifest: Manifest) -> Iterable[str]:
    recorded: dict[bytes, list[Link]] = {}
    for link in manifest.segments:
        for sample in link.samples:
            recorded.setdefault(sample, []).append(link)
    for part in manifest.parts:
        starts = [evidence.second_of(second.at_ms) for second in part.seconds]
        if not starts or any(one >= other for one, other in pairwise(starts)):
            yield f"{part.file}: seconds out of order"
            continue
        told = (starts[0], starts[-1] + evidence.SECOND_MS, sum(second.frames for second in part.seconds))
        if told != (part.from_ms, part.to_ms, part.frames):
            yield f"{part.file}: other times or pictures than its seconds have"
        for second in part.seconds:
            links = recorded.get(second.samples_sha256, ())
            if not any(evidence.second_of(link.start_ms) <= second.at_ms < link.end_ms for link in links):
                yield f"second {second.at_ms}"


def _uncovered(manifest: Manifest) -> Iterable[str]:
    seconds = [second.at_ms for part in manifest.parts for second in part.seconds]
    if any(not manifest.from_ms <= evidence.second_of(at) < manifest.to_ms for at in seconds):
        yield "footage from outside the window"
    missing = evidence.gaps_between(seconds, manifest.from_ms, manifest.to_ms)
    stated: list[tuple[int, int]] = []
    for gap in manifest.gaps:
        if gap.why not in evidence.GAP_REASONS:
            yield f"gap at {gap.from_ms}: {gap.why}"
        joins = bool(stated) and stated[-1][1] == gap.from_ms
        stated[len(stated) - joins :] = [(stated[-1][0] if joins else gap.from_ms, gap.to_ms)]
    if tuple(stated) != missing:
        yield f"missing {list(missing)[:2]}, stated {stated[:2]}"


__all__ = ["TEXTS", "Check", "Report", "clip", "documents", "names", "record", "samples"]
