"""Push subscriptions of guardians' browsers (W3C Push API)."""

from __future__ import annotations

from server.store.connection import Connection

MAX_PER_GUARDIAN = 10


async def put(conn: Connection, guardian_id: str, *, endpoint: str, p256dh: str, auth: str) -> None:
    """Store a subscription; a known endpoint changes hands, a guardian's oldest go beyond `MAX_PER_GUARDIAN`.

    An endpoint is a browser's: when someone else signs in there, the notices of whoever was there before must stop.
    """
    async with conn.transaction():
        await conn.execute(
            """
            INSERT INTO push_subscription (guardian_id, endpoint, p256dh, auth)
            VALUES (%(guardian_id)s, %(endpoint)s, %(p256dh)s, %(auth)s)
            ON CONFLICT (endpoint) DO UPDATE
            SET guardian_id = excluded.guardian_id, p256dh = excluded.p256dh, auth = excluded.auth, created_at = now()
            """,
            {"guardian_id": guardian_id, "endpoint": endpoint, "p256dh": p256dh, "auth": auth},
        )
        await conn.execute(
            """
            DELETE FROM push_subscription WHERE id IN (
                SELECT id FROM push_subscription WHERE guardian_id = %s ORDER BY created_at DESC, id DESC OFFSET %s)
            """,
            (guardian_id, MAX_PER_GUARDIAN),
        )


async def delete(conn: Connection, guardian_id: str, endpoint: str) -> None:
    """Forget a guardian's subscription; another guardian's stays, and nothing tells the difference."""
    await conn.execute(
        "DELETE FROM push_subscription WHERE guardian_id = %s AND endpoint = %s", (guardian_id, endpoint)
    )
