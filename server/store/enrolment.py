"""One-time codes, gateways' keys and certificates. Times are wall time."""

from dataclasses import dataclass
from typing import Final

from server.store.connection import Connection, at, ms_of

CHANNEL: Final = "enrolment"
"""NOTIFY tells here `gateway:ID` or `service:ID` whenever a key or a certificate of it was changed or revoked."""


@dataclass(frozen=True, slots=True)
class NewKeys:
    """Keys that a gateway made, as SubjectPublicKeyInfo: to sign (P-256), and to be sealed to (X25519)."""

    detector: str
    public_key: bytes
    seal_key: bytes


@dataclass(frozen=True, slots=True)
class NewCertificate:
    """A certificate to be written down. `serial`: lower-case hex; `key_sha256`: of the SubjectPublicKeyInfo."""

    serial: str
    kind: str
    subject: str
    key_sha256: bytes
    not_before_ms: int
    not_after_ms: int


@dataclass(frozen=True, slots=True)
class KnownKeys:
    """By which keys a gateway may ask for renewal; `previous_key` only while it is believed."""

    public_key: bytes
    previous_key: bytes | None


@dataclass(frozen=True, slots=True)
class GatewayRow:
    """How far a gateway is enrolled.

    Attributes:
        is_enrolled: whether its key was made on the device.
        has_key: whether anything of it is believed.
        code_until_ms: until when a code is good that was not used yet.
        certificate_until_ms: end of the newest certificate in force.
        heard_ms: last heartbeat, town time.
    """

    id: str
    label_ja: str
    label_en: str
    is_enrolled: bool
    has_key: bool
    revoked_ms: int | None
    code_until_ms: int | None
    certificate_until_ms: int | None
    heard_ms: int | None


async def save_code(conn: Connection, detector: str, code_sha256: bytes, *, now_ms: int, until_ms: int) -> None:
    """Write a one-time code for a gateway; the one before is of no use any more."""
    await conn.execute(
        """INSERT INTO enrolment_code (detector_id, code_hash, made_at, expires_at) VALUES (%s, %s, %s, %s)
           ON CONFLICT (detector_id) DO UPDATE SET
               code_hash = excluded.code_hash, made_at = excluded.made_at, expires_at = excluded.expires_at,
               attempts = 0, used_at = NULL, used_key = NULL, used_seal_key = NULL""",
        (detector, code_sha256, at(now_ms), at(until_ms)),
    )


async def enrol(conn: Connection, city: str, new: NewKeys, *, code_sha256: bytes, now_ms: int) -> bool:
    """Return whether the code was right, and the keys are the gateway's now. A wrong code is counted: do commit."""
    return await _said(
        conn,
        "SELECT enrol_gateway(%s, %s, %s, %s, %s, %s)",
        (city, new.detector, code_sha256, new.public_key, new.seal_key, at(now_ms)),
    )


async def rotate(conn: Connection, city: str, new: NewKeys, *, current: bytes, now_ms: int) -> bool:
    """Return whether the keys are the gateway's now: `current` was its key, and it is not revoked."""
    return await _said(
        conn,
        "SELECT rotate_gateway(%s, %s, %s, %s, %s, %s)",
        (city, new.detector, current, new.public_key, new.seal_key, at(now_ms)),
    )


async def _said(conn: Connection, query: str, values: tuple[object, ...]) -> bool:
    row = await (await conn.execute(query.encode(), values)).fetchone()
    return bool(row and row[0])


async def known_keys(conn: Connection, city: str, detector: str, *, now_ms: int) -> KnownKeys | None:
    """Return the keys of a gateway that is enrolled and not revoked."""
    rows = await conn.execute(
        """SELECT public_key, CASE WHEN previous_until > %s THEN previous_key END FROM detector
           WHERE id = %s AND city_id = %s AND enrolled_at IS NOT NULL AND revoked_at IS NULL""",
        (at(now_ms), detector, city),
    )
    row = await rows.fetchone()
    return None if row is None else KnownKeys(*row)


async def save_certificate(conn: Connection, new: NewCertificate, *, now_ms: int) -> None:
    """Write down a certificate before it is handed out."""
    await conn.execute(
        """INSERT INTO certificate (serial, kind, subject, key_sha256, not_before, not_after, issued_at)
           VALUES (%s, %s, %s, %s, %s, %s, %s)""",
        (new.serial, new.kind, new.subject, new.key_sha256, at(new.not_before_ms), at(new.not_after_ms), at(now_ms)),
    )


async def revoke(conn: Connection, city: str, detector: str, *, now_ms: int) -> bool:
    """Revoke a gateway, its certificates and its code; return whether there is one and it was in force."""
    async with conn.transaction():
        done = await conn.execute(
            "UPDATE detector SET revoked_at = %s WHERE id = %s AND city_id = %s AND revoked_at IS NULL",
            (at(now_ms), detector, city),
        )
        await conn.execute(
            """UPDATE certificate SET revoked_at = %s, reason = 'revoked'
               WHERE kind = 'gateway' AND subject = %s AND revoked_at IS NULL""",
            (at(now_ms), detector),
        )
        await conn.execute("DELETE FROM enrolment_code WHERE detector_id = %s", (detector,))
    return done.rowcount == 1


async def restore(conn: Connection, city: str, detector: str) -> bool:
    """Let a revoked gateway be enrolled again; its old keys are forgotten. Return whether there was one."""
    done = await conn.execute(
        """UPDATE detector SET revoked_at = NULL, public_key = NULL, seal_key = NULL, previous_key = NULL,
                               previous_until = NULL, enrolled_at = NULL
           WHERE id = %s AND city_id = %s AND revoked_at IS NOT NULL""",
        (detector, city),
    )
    return done.rowcount == 1


async def gateways(conn: Connection, city: str, *, now_ms: int) -> list[GatewayRow]:
    """Return all detectors that are no phones, by id."""
    rows = await conn.execute(
        """SELECT d.id, d.label_ja, d.label_en, d.enrolled_at IS NOT NULL, d.public_key IS NOT NULL, d.revoked_at,
                  (SELECT c.expires_at FROM enrolment_code AS c
                   WHERE c.detector_id = d.id AND c.used_at IS NULL AND c.expires_at > %(now)s),
                  (SELECT max(c.not_after) FROM certificate AS c
                   WHERE c.kind = 'gateway' AND c.subject = d.id AND c.revoked_at IS NULL AND c.not_after > %(now)s),
                  h.received_at
           FROM detector AS d LEFT JOIN detector_health AS h ON h.detector_id = d.id
           WHERE d.city_id = %(city)s AND d.kind <> 'phone' ORDER BY d.id""",
        {"now": at(now_ms), "city": city},
    )
    return [
        GatewayRow(*row[:5], *(None if moment is None else ms_of(moment) for moment in row[5:]))
        for row in await rows.fetchall()
    ]
