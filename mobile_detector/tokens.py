"""In whose name a phone speaks. Today: its own key, and the envelope that gateways use.

This is the seam for uploads that cannot be joined to a phone: what replaces `OwnKey` signs with one-time tokens that
the city issued blindly. Everything else here knows only `Name`.
"""

from dataclasses import dataclass
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric import ec

from wire import seal
from wire.clock import Clock
from wire.errors import SealError
from wire.keys import CityBundle, kid
from wire.messages import Heartbeat, Receipt


class Name(Protocol):
    """Signs and seals for the city, and knows the city's answers."""

    def seal_batch(self, payload: bytes, epoch: int, sequence: int) -> bytes:
        """Return a batch in its envelope, which only the city can open."""

    def sign_heartbeat(self, heartbeat: Heartbeat) -> bytes:
        """Return a heartbeat in its envelope."""

    def open_receipt(self, data: bytes) -> Receipt:
        """Return a receipt that the city gave to us.

        Raises:
            WireError: it is not from the city, not for us, or not a receipt.
        """


@dataclass(frozen=True, slots=True)
class OwnKey:
    """The phone's own P-256 key, enrolled with the city."""

    city: CityBundle
    detector: str
    key: ec.EllipticCurvePrivateKey
    clock: Clock

    def seal_batch(self, payload: bytes, epoch: int, sequence: int) -> bytes:
        """Return a batch in its envelope, which only the city can open."""
        header = self._header("sightings", epoch, sequence, recipient_kid=kid(self.city.seal_key))
        return seal.seal(payload, header, signer=self.key, recipient=self.city.seal_key)

    def sign_heartbeat(self, heartbeat: Heartbeat) -> bytes:
        """Return a heartbeat in its envelope."""
        header = self._header("heartbeat", heartbeat.epoch, 0, recipient_kid=b"")
        return seal.sign(heartbeat.encode(), header, signer=self.key)

    def open_receipt(self, data: bytes) -> Receipt:
        """Return a receipt that the city gave to us.

        Raises:
            WireError: it is not from the city, not for us, or not a receipt.
        """
        header, payload = seal.verify(data, verifier=self.city.receipt_key)
        if (header.content, header.city, header.detector) != ("receipt", self.city.city, self.detector):
            raise SealError("not a receipt for us")
        return Receipt.decode(payload)

    def _header(self, content: str, epoch: int, sequence: int, *, recipient_kid: bytes) -> seal.Header:
        return seal.Header(
            city=self.city.city,
            detector=self.detector,
            epoch=epoch,
            sequence=sequence,
            sealed_at_ms=self.clock.now_ms(),
            recipient_kid=recipient_kid,
            signer_kid=kid(self.key.public_key()),
            content=content,
        )
