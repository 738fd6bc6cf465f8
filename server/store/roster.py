"""The registry as ingest reads it: detectors, tags with their state, fences."""

from dataclasses import dataclass

from server.store.connection import Connection, ms_of
from server.store.errors import StaleRosterError


@dataclass(frozen=True, slots=True)
class DetectorRow:
    """One detector of the registry.

    Attributes:
        public_key: P-256, SubjectPublicKeyInfo DER; None: not enrolled yet.
        previous_key: likewise, before its last rotation; None where there is none.
        previous_until_ms: wall time until which that one is believed.
    """

    id: str
    index: int
    kind: str
    lat_deg: float | None
    lon_deg: float | None
    accuracy_m: float | None
    public_key: bytes | None
    is_revoked: bool
    previous_key: bytes | None
    previous_until_ms: int | None


@dataclass(frozen=True, slots=True, repr=False)
class TagRow:
    """One enrolled tag and what has been learnt of it. `wrapped_key` is of no use without the key-encryption key."""

    id: str
    index: int
    kind: str
    wrapped_key: bytes | None
    static_id: bytes | None
    rotation_exponent: int
    provisioned_offset_ms: int
    shard: int
    ward: str | None
    offset_ms: float | None
    rate_ppm: float
    learned_at_ms: int | None
    accepted_beacon_ms: int | None
    anchor_ms: int | None
    anchor_offset_ms: float
    is_lost: bool
    sos_from_ms: int | None
    sos_until_ms: int | None


@dataclass(frozen=True, slots=True)
class FenceRow:
    """One place watched for a ward."""

    ward: str
    place: str
    lat_deg: float
    lon_deg: float
    radius_m: float
    dwell_s: int


async def version(conn: Connection) -> int:
    """Return a number that grows with every change of the registry."""
    row = await (await conn.execute("SELECT version FROM registry_version")).fetchone()
    return int(row[0]) if row else 0


async def check(conn: Connection, known: int) -> None:
    """Make sure that the registry is still the one of version `known`.

    Raises:
        StaleRosterError: it has changed.
    """
    if await version(conn) != known:
        raise StaleRosterError


async def detectors(conn: Connection, city: str) -> list[DetectorRow]:
    """Return all detectors of a city, revoked ones too."""
    rows = await conn.execute(
        """SELECT id, index, kind, lat_deg, lon_deg, accuracy_m, public_key, revoked_at IS NOT NULL,
                  previous_key, previous_until
           FROM detector WHERE city_id = %s""",
        (city,),
    )
    return [DetectorRow(*(*row[:9], _ms(row[9]))) for row in await rows.fetchall()]


async def tags(conn: Connection, city: str) -> list[TagRow]:
    """Return all tags of a city."""
    rows = await conn.execute(
        """SELECT t.id, t.index, t.kind, t.wrapped_key, t.static_id, t.rotation_exponent, t.clock_offset_ms, t.shard,
                  w.id, s.clock_offset_ms, coalesce(s.clock_rate_ppm, 0), s.learned_at, s.accepted_beacon_ms,
                  s.anchor_at, coalesce(s.anchor_offset_ms, 0), coalesce(s.clock_lost, false), s.sos_from, s.sos_until
           FROM tag AS t LEFT JOIN ward AS w ON w.tag_id = t.id LEFT JOIN tag_state AS s ON s.tag_id = t.id
           WHERE t.city_id = %s ORDER BY t.index""",
        (city,),
    )
    return [
        TagRow(*(*row[:11], _ms(row[11]), row[12], _ms(row[13]), *row[14:16], _ms(row[16]), _ms(row[17])))
        for row in await rows.fetchall()
    ]


async def fences(conn: Connection, city: str) -> list[FenceRow]:
    """Return what is watched in a city."""
    rows = await conn.execute(
        """SELECT h.ward_id, p.id, p.lat_deg, p.lon_deg, p.radius_m, h.dwell_s
           FROM watch AS h JOIN place AS p ON p.id = h.place_id
           WHERE p.city_id = %s ORDER BY h.ward_id, p.id""",
        (city,),
    )
    return [FenceRow(*row) for row in await rows.fetchall()]


def _ms(moment: object) -> int | None:
    return None if moment is None else ms_of(moment)  # type: ignore[arg-type]  # a timestamptz column
