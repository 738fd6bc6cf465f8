"""Which frames a city has enrolled; everything else is dropped before anything is stored.

A format is written `eid`, `uid:<namespace, 20 hex digits>` or `ibeacon:<UUID>`: rotating ids are accepted as a kind,
static ones only from the city's own namespace, so that nobody's headphones or keys are ever followed.
"""

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from wire.errors import WireError
from wire.frames import EidFrame, EtlmFrame, Frame, TlmFrame, UidFrame

EXAMPLE_CITY: Final = (
    "eid",
    f"uid:{hashlib.sha1(b'mimamori.example', usedforsecurity=False).hexdigest()[:20]}",
    f"ibeacon:{uuid.UUID(bytes=hashlib.sha256(b'mimamori.example/ibeacon').digest()[:16])}",
)
"""What the simulated town has enrolled; a namespace is the SHA-1 of a domain name, as Eddystone-UID recommends."""


class FormatError(WireError):
    """A format is written neither as eid, nor uid:<20 hex digits>, nor ibeacon:<UUID>."""


@dataclass(frozen=True, slots=True)
class Formats:
    """The enrolled formats of one detector.

    Attributes:
        has_eid: Eddystone-EID, sealed or plain.
        namespaces: Eddystone-UID namespaces, 10 octets each.
        uuids: iBeacon proximity UUIDs, 16 octets each.
    """

    has_eid: bool
    namespaces: frozenset[bytes] = frozenset()
    uuids: frozenset[bytes] = frozenset()

    @classmethod
    def parse(cls, formats: Sequence[str]) -> "Formats":
        """Return the formats written as in a configuration file.

        Raises:
            FormatError: unknown format or malformed namespace or UUID, or none at all.
        """
        if not formats:
            raise FormatError("no format is enrolled")
        pairs = [text.partition(":")[::2] for text in formats]
        namespaces = frozenset(_namespace(value) for kind, value in pairs if kind == "uid")
        uuids = frozenset(_uuid(value) for kind, value in pairs if kind == "ibeacon")
        for text, (kind, _) in zip(formats, pairs, strict=True):
            if text != "eid" and kind not in ("uid", "ibeacon"):
                raise FormatError(f"unknown format {text!r}: eid, uid:<namespace> or ibeacon:<UUID>")
        return cls(has_eid="eid" in formats, namespaces=namespaces, uuids=uuids)

    def accepts(self, frame: Frame) -> bool:
        """Return whether the frame is of an enrolled format; telemetry goes with Eddystone tags."""
        if isinstance(frame, EidFrame):
            return self.has_eid
        if isinstance(frame, EtlmFrame | TlmFrame):
            return self.has_eid or bool(self.namespaces)
        if isinstance(frame, UidFrame):
            return frame.namespace in self.namespaces
        return frame.uuid in self.uuids


def _namespace(text: str) -> bytes:
    try:
        octets = bytes.fromhex(text)
    except ValueError as error:
        raise FormatError(f"uid:{text}: not hexadecimal") from error
    if len(octets) != 10:
        raise FormatError(f"uid:{text}: a namespace has 20 hex digits")
    return octets


def _uuid(text: str) -> bytes:
    try:
        return uuid.UUID(text).bytes
    except ValueError as error:
        raise FormatError(f"ibeacon:{text}: not a UUID") from error
