"""Takes what gateways report: verifies, keeps, and closes the orders that it tells the outcome of.

A report is receipted once it is committed. One that does not fit the entry before it is kept and flagged, and nothing
is concluded from it until the missing one has come; one whose number is taken is kept apart. Both are alarms.
"""

import logging
from dataclasses import dataclass
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from server.gate.order_metrics import OrderMetrics
from server.store import gateway_log
from server.store import order as orders
from server.store.connection import Connection
from server.store.gateway_log import Kept, Report, Signature
from server.store.order import Outcome
from wire import cbor, entry, seal, topics
from wire.entry import Entry
from wire.errors import MessageError, SealError, TopicError
from wire.messages import MAX_OCTETS, Receipt
from wire.orders import digest

log = logging.getLogger(__name__)

RECEIVED_PAUSE_MS: Final = 30_000
"""So long after an order was received its outcome is asked for, by sending it again."""
BACK_PAUSE_MS: Final = 1_000
"""A gateway that tells that it is back gets again what it did not receive, unless that is on its way."""
PASSING: Final = frozenset({"stale", "sealed-for-another"})
"""Refusals that the next sending may mend: it is signed anew, and sealed to the key that the gateway has then."""
_OUTCOMES: Final = {"order.done": "done", "order.failed": "failed", "order.refused": "refused"}
_ENVELOPE_OCTETS: Final = 2_048


class _Unbelieved(Exception):  # noqa: N818 - not an error of ours
    """Something that is no report of a gateway of ours.

    Attributes:
        reason: counts it.
        proven: header of one that a gateway of ours did sign.
    """

    def __init__(self, reason: str, proven: seal.Header | None = None) -> None:
        self.reason, self.proven = reason, proven
        super().__init__(reason)


@dataclass(slots=True)
class Reporter:
    """Takes the reports of one city's gateways.

    Args:
        city: id.
        metrics: counts what is taken and what is not.
        receipt_key: signs the receipts.
    """

    city: str
    metrics: OrderMetrics
    receipt_key: ec.EllipticCurvePrivateKey

    async def take(self, conn: Connection, topic: str, payload: bytes, now_ms: int) -> tuple[str, bytes] | None:
        """Return topic and payload of the receipt for a report, once it is committed; None for what is none.

        Raises:
            DatabaseError: nothing was committed; the gateway sends it again.
        """
        try:
            report = await self._opened(conn, topic, payload, now_ms)
        except _Unbelieved as refusal:
            self.metrics.reports.labels(refusal.reason).inc()
            log.warning("report.refused", extra={"reason": refusal.reason})
            return None if refusal.proven is None else self._refusal(refusal.proven, refusal.reason, now_ms)
        async with conn.pipeline(), conn.transaction():
            kept, waiting = await gateway_log.add(conn, report)
            if kept is Kept.NEW or (kept is Kept.AGAIN and not await gateway_log.is_broken(conn, report.place)):
                await self._conclude(conn, report.detector, report.entry, now_ms)
            if kept is Kept.AGAIN or report.entry.kind == "gateway.started":
                await orders.hasten(conn, report.detector, now_ms=now_ms, sent_before_ms=now_ms - BACK_PAUSE_MS)
            if waiting is not None:
                await self._mend(conn, report, waiting, now_ms)
        self._count(kept, report)
        header = seal.peek(payload)
        if kept is Kept.FORKED:
            return self._refusal(header, kept.value, now_ms)
        return self._receipt(header, Receipt(report.epoch, accepted=(report.entry.sequence,)), now_ms)

    async def _opened(self, conn: Connection, topic: str, payload: bytes, now_ms: int) -> Report:
        if len(payload) > entry.MAX_OCTETS + _ENVELOPE_OCTETS:
            raise _Unbelieved("malformed")
        try:
            sender = topics.parse(topic).detector
            envelope = seal.parse(payload)
        except (TopicError, SealError) as error:
            raise _Unbelieved("malformed") from error
        header = envelope.header
        if (header.city, header.detector, header.content) != (self.city, sender, "report"):
            raise _Unbelieved("foreign")
        key = await gateway_log.key(conn, self.city, header.detector)
        if key is None:
            raise _Unbelieved("unknown")
        try:
            envelope.check(_p256(key))
            encoded = envelope.read()
        except SealError as error:
            raise _Unbelieved("forged") from error
        said = _read(encoded, header)
        by = Signature(payload, header.signer_kid, key)
        return Report(header.detector, header.epoch, said, entry.digest(encoded), by, now_ms)

    async def _mend(self, conn: Connection, report: Report, waiting: bytes, now_ms: int) -> None:
        """Look again at the entry after `report`, which was kept before it came."""
        later = Entry.decode(seal.parse(waiting).read())
        if later.previous != report.digest:
            self._alarm(Kept.BROKEN, report.detector, report.epoch, later.sequence)
        else:
            await gateway_log.mend(conn, (report.detector, report.epoch, later.sequence))
            await self._conclude(conn, report.detector, later, now_ms)

    async def _conclude(self, conn: Connection, detector: str, said: Entry, now_ms: int) -> None:
        """Draw from an entry what it says of an order, if it is of one that we gave."""
        sequence = said.body.get("sequence")
        if not said.kind.startswith("order.") or type(sequence) is not int:
            return
        given = await orders.find(conn, detector, sequence)
        reason = str(said.body.get("reason", "")).replace("\0", "")
        if given is None or given.is_settled:
            return
        if said.kind == "order.refused" and reason in PASSING:
            await orders.note(conn, detector, sequence, reason)
        elif said.body.get("order") != _digest_of(given.kind, given.body):
            log.error("order.unlike", extra={"detector": detector, "sequence": sequence, "kind": given.kind})
            self.metrics.alarms.labels("unlike").inc()
        elif said.kind in _OUTCOMES:
            result = cbor.dumps(dict(said.body))
            outcome = Outcome(_OUTCOMES[said.kind], reason, result)
            await orders.settle(conn, detector, sequence, outcome, now_ms=now_ms)
            self.metrics.settled.labels(outcome.state).inc()
        elif said.kind in {"order.received", "order.interrupted"}:
            pause_ms = RECEIVED_PAUSE_MS if said.kind == "order.received" else 0
            await orders.mark_received(conn, detector, sequence, now_ms=now_ms, next_ms=now_ms + pause_ms)

    def _count(self, kept: Kept, report: Report) -> None:
        self.metrics.reports.labels(kept.value).inc()
        if kept in {Kept.BROKEN, Kept.FORKED}:
            self._alarm(kept, *report.place)

    def _alarm(self, kept: Kept, detector: str, epoch: int, sequence: int) -> None:
        self.metrics.alarms.labels(kept.value).inc()
        said = {"detector": detector, "epoch": epoch, "sequence": sequence}
        log.error("report.unchained", extra={**said, "reason": kept.value})

    def _refusal(self, of: seal.Header, reason: str, now_ms: int) -> tuple[str, bytes]:
        return self._receipt(of, Receipt(of.epoch, refused=((of.sequence, reason),)), now_ms)

    def _receipt(self, of: seal.Header, receipt: Receipt, now_ms: int) -> tuple[str, bytes]:
        signed_by = seal.kid(self.receipt_key.public_key())
        header = seal.Header(self.city, of.detector, of.epoch, of.sequence, now_ms, b"", signed_by, "receipt")
        return topics.receipts(self.city, of.detector), seal.sign(receipt.encode(), header, signer=self.receipt_key)


def _read(encoded: bytes, header: seal.Header) -> Entry:
    """Return the entry that a gateway of ours signed; what is none is refused for good, or it would come for ever."""
    try:
        said = Entry.decode(encoded)
    except MessageError as error:
        raise _Unbelieved("malformed", header) from error
    if said.sequence != header.sequence or said.sequence < 1 or "\0" in said.kind:
        raise _Unbelieved("malformed", header)
    return said


def _digest_of(kind: str, body: bytes) -> bytes:
    decoded: dict[str, Any] = cbor.loads(body, max_octets=MAX_OCTETS)
    return digest(kind, decoded)


def _p256(der: bytes) -> ec.EllipticCurvePublicKey:
    try:
        key = load_der_public_key(der)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _Unbelieved("unknown") from error
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise _Unbelieved("unknown")
    return key
