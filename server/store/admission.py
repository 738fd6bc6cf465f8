"""Who may connect to the broker now: certificates that the city issued and has not taken back. Read by the gate."""

from collections.abc import AsyncGenerator, Collection
from dataclasses import dataclass
from typing import Final

from psycopg.rows import tuple_row

from server.store.connection import Connection
from wire.retry import stop_if_cancelled

_QUIET_S: Final = 10.0
"""After so long without a word the connection is tried: a half-open one would be silent for ever."""

_STANDINGS: Final = """
SELECT c.serial, c.kind, c.subject, c.key_sha256,
    c.revoked_at IS NULL AND c.not_before <= now() AND c.not_after > now()
    AND (c.kind <> 'gateway' OR (d.revoked_at IS NULL AND coalesce(sha256(d.public_key) = c.key_sha256, false)))
FROM certificate AS c LEFT JOIN detector AS d ON c.kind = 'gateway' AND d.id = c.subject
WHERE c.serial = ANY(%(serials)s)
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the list says of one certificate.

    Attributes:
        kind: of the holder, "gateway" or "service".
        holder: a detector's id, a program's name.
        key_sha256: of the key that it was issued for, SubjectPublicKeyInfo.
        is_good: in force, not taken back, and nor is the detector, whose key it is of: api may write certificates down
            for whatever key, but no gateway's key without a code that the city made.
    """

    kind: str
    holder: str
    key_sha256: bytes
    is_good: bool


async def standings(conn: Connection, serials: Collection[str]) -> dict[str, Standing]:
    """Return what the list says of the certificates with these numbers; those that are not on it are left out.

    Raises:
        DatabaseError: the database is away.
    """
    async with conn.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(_STANDINGS, {"serials": list(serials)})
        return {row[0]: Standing(*row[1:]) for row in await cursor.fetchall()}


async def changes(conn: Connection) -> AsyncGenerator[None]:
    """Yield once at first, then whenever somebody loses or changes what lets it in; ends only by an error.

    Raises:
        DatabaseError: the database went away, or the connection is half open.
    """
    await conn.execute("LISTEN enrolment")
    yield  # what was taken back before LISTEN took hold is found by looking
    while True:
        async for _ in conn.notifies(timeout=_QUIET_S):
            yield
        stop_if_cancelled()  # which `notifies` may have swallowed
        await conn.execute("SELECT 1")
