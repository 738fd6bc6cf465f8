"""From a row to an order as it is sent: signed by the city, and sealed to the gateway where it carries keys."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from server.config import ServerConfig
from server.errors import ServerError
from server.store import order as orders
from server.store.connection import Connection
from server.store.order import DueOrder, GatewayOrder
from wire import cbor, seal, strand
from wire.entry import MAX_OCTETS as MAX_ENTRY_OCTETS
from wire.errors import SealError
from wire.keys import kid, load_seal_key, load_signing_key
from wire.messages import MAX_OCTETS, Order
from wire.orders import STRANDS

ORDER_KEY: Final = "order.pem"
FOOTAGE_KEY: Final = "footage.pem"


class UnfitOrderError(ServerError):
    """An order cannot be sent, and trying again does not help.

    Attributes:
        reason: a short word, for the order's row.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Dispatcher:
    """Signs the orders of a city.

    Attributes:
        city: id.
        order_key: gateways know its public half from `city.json`.
        footage_key: opens the keys of footage; None where it is kept elsewhere, and nothing can be exported.
    """

    city: str
    order_key: ec.EllipticCurvePrivateKey = field(repr=False)
    footage_key: X25519PrivateKey | None = field(repr=False)

    @classmethod
    def of(cls, config: ServerConfig) -> Self:
        """Return the dispatcher with the city's keys.

        Raises:
            KeyFileError: a key file is missing or holds another kind of key.
        """
        footage = config.keys_dir / FOOTAGE_KEY
        return cls(config.city.id, load_signing_key(config.keys_dir / ORDER_KEY), _footage_key(footage))

    async def envelope(self, conn: Connection, order: DueOrder, now_ms: int) -> bytes:
        """Return an order as it is sent now.

        Raises:
            UnfitOrderError: it is of footage that this case has not frozen, or there is no key to open or seal with.
        """
        body: dict[str, Any] = cbor.loads(order.body, max_octets=MAX_OCTETS)
        if order.kind != "export":
            return self._signed(order, body, now_ms)
        if order.seal_key is None:
            raise UnfitOrderError("no-seal-key")
        if self.footage_key is None:
            raise UnfitOrderError("no-footage-key")
        past = await orders.of_kinds(conn, order.detector, "freeze", "thaw")
        wrapped = wrapped_strands(past, body, now_ms)
        opened = _opened(order.detector, wrapped, self.footage_key)
        return self._sealed(order, {**body, STRANDS: opened}, now_ms, recipient=_seal_key(order.seal_key))

    def _signed(self, order: DueOrder, body: Mapping[str, Any], now_ms: int) -> bytes:
        payload = Order(order.sequence, now_ms, order.kind, body).encode()
        return seal.sign(payload, self._header(order, now_ms, b""), signer=self.order_key)

    def _sealed(self, order: DueOrder, body: Mapping[str, Any], now_ms: int, *, recipient: X25519PublicKey) -> bytes:
        payload = Order(order.sequence, now_ms, order.kind, body).encode()
        header = self._header(order, now_ms, kid(recipient))
        return seal.seal(payload, header, signer=self.order_key, recipient=recipient)

    def _header(self, order: DueOrder, now_ms: int, sealed_to: bytes) -> seal.Header:
        signed_by = kid(self.order_key.public_key())
        return seal.Header(self.city, order.detector, 0, order.sequence, now_ms, sealed_to, signed_by, "order")


def wrapped_strands(past: Iterable[GatewayOrder], export: Mapping[str, Any], now_ms: int) -> dict[bytes, bytes]:
    """Return the wrapped keys of the footage that an export may show: of its case's frozen windows that it touches.

    Args:
        past: freezes and thaws of the gateway, oldest first.
        export: body of the order.
        now_ms: wall time; a freeze that has ended opens nothing.

    Raises:
        UnfitOrderError: the export's window is not frozen for its case, all of it.
    """
    frozen: list[tuple[int, int, bytes]] = []
    for order in past:
        body = cbor.loads(order.body, max_octets=MAX_OCTETS)
        if body.get("case") != export["case"]:
            continue
        if order.kind == "thaw":
            frozen.clear()
        elif order.state == "done" and order.result is not None and body["until_ms"] > now_ms:
            frozen.append((body["from_ms"], body["to_ms"], order.result))
    touched = sorted(one for one in frozen if one[0] < export["to_ms"] and one[1] > export["from_ms"])
    reached_ms = export["from_ms"]
    for from_ms, to_ms, _ in touched:
        if from_ms <= reached_ms:
            reached_ms = max(reached_ms, to_ms)
    if reached_ms < export["to_ms"]:
        raise UnfitOrderError("not-frozen")
    return {name: wrapped for _, _, result in touched for name, wrapped in _told_strands(result)}


def _told_strands(result: bytes) -> list[tuple[bytes, bytes]]:
    """Return ids and wrapped keys that a gateway told of a frozen window."""
    told = cbor.loads(result, max_octets=MAX_ENTRY_OCTETS).get(STRANDS, [])
    if not isinstance(told, list) or not all(_is_strand(one) for one in told):
        raise UnfitOrderError("strands-malformed")
    return [(name, wrapped) for name, wrapped in told]


def _is_strand(one: object) -> bool:
    return isinstance(one, list) and len(one) == 2 and all(isinstance(part, bytes) for part in one)


def _opened(camera: str, wrapped: Mapping[bytes, bytes], key: X25519PrivateKey) -> dict[bytes, bytes]:
    try:
        return {name: strand.unwrap(camera, name, sealed, key) for name, sealed in wrapped.items()}
    except SealError as error:
        raise UnfitOrderError("strands-unreadable") from error


def _seal_key(der: bytes) -> X25519PublicKey:
    try:
        key = load_der_public_key(der)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UnfitOrderError("no-seal-key") from error
    if not isinstance(key, X25519PublicKey):
        raise UnfitOrderError("no-seal-key")
    return key


def _footage_key(file: Path) -> X25519PrivateKey | None:
    return load_seal_key(file) if file.exists() else None
