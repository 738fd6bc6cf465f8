"""Receipts: what detectors may delete, under the city's signature, once it is committed."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric import ec

from server.ingest.open import Refused
from server.store.batch import Key
from wire import seal
from wire.messages import MAX_SETTLED, Receipt
from wire.topics import receipts

_Item = TypeVar("_Item")


@dataclass(slots=True)
class _Settled:
    accepted: set[int] = field(default_factory=set)
    refused: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs receipts for a city.

    Args:
        city: id.
        key: P-256; detectors know its public half from `city.json`.
    """

    city: str
    key: ec.EllipticCurvePrivateKey

    def sign(self, accepted: Iterable[Key], refused: Iterable[Refused], now_ms: int) -> list[tuple[str, bytes]]:
        """Return topics and payloads: one receipt for each detector and epoch, more where one would be too large.

        Args:
            accepted: committed batches, now or before.
            refused: those without proof of their sender get no receipt.
            now_ms: UTC.
        """
        settled: dict[tuple[str, int], _Settled] = {}
        for detector, epoch, sequence in accepted:
            settled.setdefault((detector, epoch), _Settled()).accepted.add(sequence)
        for refusal in refused:
            if refusal.proven is not None:
                header = refusal.proven
                one = settled.setdefault((refusal.detector, header.epoch), _Settled())
                one.refused[header.sequence] = refusal.reason
        return [
            (receipts(self.city, detector), self._sign(detector, receipt, now_ms))
            for (detector, epoch), one in settled.items()
            for receipt in _receipts(epoch, one)
        ]

    def _sign(self, detector: str, receipt: Receipt, now_ms: int) -> bytes:
        header = seal.Header(
            city=self.city,
            detector=detector,
            epoch=receipt.epoch,
            sequence=max((*receipt.accepted, *(number for number, _ in receipt.refused))),
            sealed_at_ms=now_ms,
            recipient_kid=b"",
            signer_kid=seal.kid(self.key.public_key()),
            content="receipt",
        )
        return seal.sign(receipt.encode(), header, signer=self.key)


def _receipts(epoch: int, settled: _Settled) -> list[Receipt]:
    accepted = sorted(settled.accepted)
    refused = sorted((number, reason) for number, reason in settled.refused.items() if number not in settled.accepted)
    made = [Receipt(epoch, tuple(part)) for part in _parts(accepted)]
    return made + [Receipt(epoch, refused=tuple(part)) for part in _parts(refused)]


def _parts(items: list[_Item]) -> list[list[_Item]]:
    return [items[start : start + MAX_SETTLED] for start in range(0, len(items), MAX_SETTLED)]
