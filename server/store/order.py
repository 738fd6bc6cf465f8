"""What the city orders of its gateways: numbered for each, sent until its outcome is known."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from psycopg.rows import class_row, tuple_row

from server.store.connection import Connection, at
from server.store.errors import UnknownDetectorError
from wire import cbor, orders
from wire.messages import MAX_OCTETS, MAX_REASON, Order

_QUIET_S: Final = 10.0
"""After so long without a word the connection is tried: a half-open one would be silent for ever."""
_OPEN: Final = "('pending', 'sent')"
_MS: Final = "(extract(epoch FROM {}) * 1000)::bigint"


@dataclass(frozen=True, slots=True)
class DueOrder:
    """An order that is to be sent now.

    Attributes:
        detector: id of the gateway.
        sequence: of the order.
        kind: see wire/orders.py.
        body: CBOR, without keys of footage.
        attempts: how often it was sent.
        seal_key: X25519, SubjectPublicKeyInfo DER, of the gateway; None: it has told none.
    """

    detector: str
    sequence: int
    kind: str
    body: bytes
    attempts: int
    seal_key: bytes | None


@dataclass(frozen=True, slots=True)
class GatewayOrder:
    """An order and what became of it.

    Attributes:
        body: CBOR, without keys of footage.
        state: "pending", "sent", "done", "refused" or "failed".
        is_received: whether the gateway's log says that it has it.
        reason: of a refusal or failure; of one that may still pass, too.
        result: CBOR, the body of the entry that ended it; None: there is none.
        settled_at_ms: Unix milliseconds.
    """

    detector: str
    sequence: int
    kind: str
    body: bytes
    issued_at_ms: int
    state: str
    attempts: int
    is_received: bool
    reason: str
    result: bytes | None
    settled_at_ms: int | None

    @property
    def is_settled(self) -> bool:
        """Whether the outcome is known."""
        return self.settled_at_ms is not None


_COLUMNS: Final = f"""detector_id AS detector, sequence, kind, body, {_MS.format("issued_at")} AS issued_at_ms, state,
    attempts, received_at IS NOT NULL AS is_received, reason, result, {_MS.format("settled_at")} AS settled_at_ms"""


async def add(conn: Connection, *, detector: str, kind: str, body: Mapping[str, Any], now_ms: int) -> int:
    """Return the sequence of a new order; the gate sends it as soon as this is committed.

    Args:
        conn: of the owner.
        detector: id of the gateway.
        kind: see wire/orders.py.
        body: of that kind. Keys of footage in it are left out: the gate adds them.
        now_ms: wall time.

    Raises:
        MessageError: of a kind that we do not know, or the body is not of that kind.
        UnknownDetectorError: there is no such gateway, or it is revoked.
    """
    kept = cbor.dumps({key: value for key, value in body.items() if key != orders.STRANDS})
    orders.read(Order(1, now_ms, kind, cbor.loads(kept, max_octets=MAX_OCTETS)))
    async with conn.transaction():
        await lock(conn, detector)
        known = await conn.execute("SELECT 1 FROM detector WHERE id = %s AND revoked_at IS NULL", (detector,))
        if await known.fetchone() is None:
            raise UnknownDetectorError(f"there is no gateway {detector}, or it is revoked")
        cursor = await conn.execute(
            """INSERT INTO gateway_order (detector_id, sequence, kind, body, issued_at, next_send_at)
               SELECT %(detector)s, 1 + coalesce(max(sequence), 0), %(kind)s, %(body)s, %(now)s, %(now)s
               FROM gateway_order WHERE detector_id = %(detector)s
               RETURNING sequence""",
            {"detector": detector, "kind": kind, "body": kept, "now": at(now_ms)},
        )
        return int((await cursor.fetchone() or (0,))[0])


async def lock(conn: Connection, detector: str) -> None:
    """Keep others from giving orders to a gateway until the transaction ends: two at once would take one number."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('gateway_order/' || %s, 0))", (detector,))


async def due(conn: Connection, *, city: str, now_ms: int, limit: int = 100) -> list[DueOrder]:
    """Return what is to be sent now, one after the other for each gateway.

    A gateway refuses an order behind one that it has, so the next one waits until this one has been received.
    """
    async with conn.cursor(row_factory=class_row(DueOrder)) as cursor:
        await cursor.execute(
            f"""SELECT o.detector_id AS detector, o.sequence, o.kind, o.body, o.attempts, d.seal_key
                FROM gateway_order AS o JOIN detector AS d ON d.id = o.detector_id
                WHERE o.state IN {_OPEN} AND o.next_send_at <= %(now)s
                    AND d.city_id = %(city)s AND d.revoked_at IS NULL
                    AND NOT EXISTS (
                        SELECT FROM gateway_order AS e
                        WHERE e.detector_id = o.detector_id AND e.sequence < o.sequence
                            AND e.state IN {_OPEN} AND e.received_at IS NULL
                    )
                ORDER BY o.next_send_at, o.detector_id, o.sequence
                LIMIT %(limit)s""",  # noqa: S608 - constants of ours
            {"now": at(now_ms), "city": city, "limit": limit},
        )
        return await cursor.fetchall()


async def mark_sent(conn: Connection, order: DueOrder, *, now_ms: int, next_ms: int) -> None:
    """Remember that an order is on its way, and when it is to be sent again if nothing is heard."""
    await conn.execute(
        f"""UPDATE gateway_order SET state = 'sent', attempts = attempts + 1, sent_at = %s, next_send_at = %s
            WHERE detector_id = %s AND sequence = %s AND state IN {_OPEN}""",  # noqa: S608 - a constant of ours
        (at(now_ms), at(next_ms), order.detector, order.sequence),
    )


async def mark_received(conn: Connection, detector: str, sequence: int, *, now_ms: int, next_ms: int) -> None:
    """Remember that the gateway has the order; its outcome is asked for at `next_ms`."""
    await conn.execute(
        f"""UPDATE gateway_order SET received_at = coalesce(received_at, %s), next_send_at = %s, reason = ''
            WHERE detector_id = %s AND sequence = %s AND state IN {_OPEN}""",  # noqa: S608 - a constant of ours
        (at(now_ms), at(next_ms), detector, sequence),
    )


async def hasten(conn: Connection, detector: str, *, now_ms: int, sent_before_ms: int) -> None:
    """Send now what was last sent before `sent_before_ms` and has not been received: the gateway has just come back."""
    await conn.execute(
        f"""UPDATE gateway_order SET next_send_at = %(now)s
            WHERE detector_id = %(detector)s AND state IN {_OPEN} AND received_at IS NULL
                AND sent_at < %(before)s AND next_send_at > %(now)s""",  # noqa: S608 - a constant of ours
        {"detector": detector, "now": at(now_ms), "before": at(sent_before_ms)},
    )


async def note(conn: Connection, detector: str, sequence: int, reason: str) -> None:
    """Write beside an open order why the gateway does not take it yet."""
    await conn.execute(
        f"""UPDATE gateway_order SET reason = %s
            WHERE detector_id = %s AND sequence = %s AND state IN {_OPEN}""",  # noqa: S608 - a constant of ours
        (reason[:MAX_REASON], detector, sequence),
    )


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an order ended.

    Attributes:
        state: "done", "refused" or "failed".
        reason: why not done.
        result: CBOR of the entry that says so; None: it was never sent.
    """

    state: str
    reason: str = ""
    result: bytes | None = None


async def settle(conn: Connection, detector: str, sequence: int, outcome: Outcome, *, now_ms: int) -> bool:
    """Write down how an order ended; return whether it was open until now."""
    cursor = await conn.execute(
        f"""UPDATE gateway_order SET state = %s, reason = %s, result = %s, settled_at = %s
            WHERE detector_id = %s AND sequence = %s AND state IN {_OPEN}""",  # noqa: S608 - a constant of ours
        (outcome.state, outcome.reason[:MAX_REASON], outcome.result, at(now_ms), detector, sequence),
    )
    return cursor.rowcount == 1


async def find(conn: Connection, detector: str, sequence: int) -> GatewayOrder | None:
    """Return one order, None if there is none."""
    found = await _orders(conn, "detector_id = %s AND sequence = %s ORDER BY sequence", (detector, sequence))
    return found[0] if found else None


async def of_kinds(conn: Connection, detector: str, *kinds: str) -> list[GatewayOrder]:
    """Return a gateway's orders of some kinds, oldest first."""
    return await _orders(conn, "detector_id = %s AND kind = ANY(%s) ORDER BY sequence", (detector, list(kinds)))


async def newest(conn: Connection, detector: str | None, limit: int) -> list[GatewayOrder]:
    """Return the newest orders of one gateway or of all, newest first."""
    return await _orders(
        conn,
        "%s::text IS NULL OR detector_id = %s ORDER BY issued_at DESC, detector_id, sequence DESC LIMIT %s",
        (detector, detector, limit),
    )


async def changes(conn: Connection) -> AsyncGenerator[str]:
    """Yield "" at first, then the id of a gateway whenever an order of it was given or settled; ends by an error only.

    Raises:
        DatabaseError: the database went away, or the connection is half open.
    """
    await conn.execute("LISTEN gateway_order")
    yield ""
    while True:
        async for notice in conn.notifies(timeout=_QUIET_S):
            yield notice.payload
        async with conn.cursor(row_factory=tuple_row) as cursor:
            await cursor.execute("SELECT 1")
        yield ""


async def _orders(conn: Connection, condition: str, values: tuple[object, ...]) -> list[GatewayOrder]:
    async with conn.cursor(row_factory=class_row(GatewayOrder)) as cursor:
        await cursor.execute(f"SELECT {_COLUMNS} FROM gateway_order WHERE {condition}".encode(), values)  # noqa: S608 - ours
        return await cursor.fetchall()
