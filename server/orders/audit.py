"""Verifies the city's copy of a gateway's log from nothing but the signed reports: signatures, numbers, chain."""

from dataclasses import dataclass
from itertools import groupby
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from server.store import gateway_log
from server.store.connection import Connection
from server.store.gateway_log import Logged
from wire import entry, seal
from wire.errors import SealError
from wire.keys import kid

_P256: Final = ec.EllipticCurvePublicKey


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, for people."""

    japanese: str
    english: str


@dataclass(frozen=True, slots=True)
class Auditor:
    """Verifies reports of one gateway.

    Attributes:
        city: id.
        detector: id.
        keys: by their ids, all that the gateway ever signed reports with.
    """

    city: str
    detector: str
    keys: dict[bytes, ec.EllipticCurvePublicKey]

    def faults(self, epoch: int, entries: list[Logged]) -> list[Fault]:
        """Return what is wrong with the entries of an epoch, which are in order."""
        encoded = [self._encoded(epoch, one) for one in entries]
        unproven = [one.sequence for one, octets in zip(entries, encoded, strict=True) if not octets]
        found = [
            Fault(
                f"期{epoch:08x}の{sequence}番は署名が合いません", f"epoch {epoch:08x}: entry {sequence} is not signed"
            )
            for sequence in unproven
        ]
        broken = entry.first_fault(encoded)
        if broken is not None:
            found.append(Fault(f"期{epoch:08x}の{broken}番で切れています", f"epoch {epoch:08x} is broken at {broken}"))
        return found

    def _encoded(self, epoch: int, one: Logged) -> bytes:
        """Return an entry as the gateway signed it, nothing where it did not."""
        try:
            envelope = seal.parse(one.signed)
            header = envelope.header
            key = self.keys.get(header.signer_kid)
            is_ours = (header.city, header.detector, header.content) == (self.city, self.detector, "report")
            if key is None or not is_ours or (header.epoch, header.sequence) != (epoch, one.sequence):
                return b""
            envelope.check(key)
            return envelope.read()
        except SealError:
            return b""


async def faults(conn: Connection, city: str, detector: str) -> list[Fault]:
    """Return all that is wrong with the copy of a gateway's log; nothing is wrong with one that is empty."""
    known = await gateway_log.known_keys(conn, detector)
    keys = {name: key for name, der in known.items() if isinstance(key := load_der_public_key(der), _P256)}
    auditor = Auditor(city, detector, {name: key for name, key in keys.items() if kid(key) == name})
    entries = await gateway_log.whole(conn, detector)
    found = [
        fault
        for epoch, ones in groupby(entries, key=lambda one: one.epoch)
        for fault in auditor.faults(epoch, list(ones))
    ]
    if apart := await gateway_log.forks(conn, detector):
        found.append(Fault(f"同じ番号の別の記録が{apart}件", f"{apart} entries came with the number of another one"))
    return found
