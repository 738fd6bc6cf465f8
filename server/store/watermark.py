"""Up to which arrival the core has gone on: what came later has to be gone through again after a stop."""

from server.store.connection import Connection


async def save(conn: Connection, received_ms: int) -> None:
    """Write the arrival stamp, UTC milliseconds, in the transaction of what the core made of all until then."""
    await conn.execute(
        """INSERT INTO core_watermark (received_at_ms) VALUES (%s)
           ON CONFLICT (is_only) DO UPDATE SET received_at_ms = excluded.received_at_ms""",
        (received_ms,),
    )


async def load(conn: Connection) -> int | None:
    """Return the arrival stamp; None before the first one."""
    row = await (await conn.execute("SELECT received_at_ms FROM core_watermark")).fetchone()
    return None if row is None else int(row[0])
