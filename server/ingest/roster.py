"""The registry as ingest holds it in memory: detectors with their keys, the core's view of tags and places."""

from dataclasses import dataclass

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from server.core.engine import City, Kept, Station
from server.core.fences import Fence
from server.core.press import Press
from server.core.rows import KIND_IBEACON, KIND_UID
from server.core.tagclock import TagClock
from server.core.tags import Tag, Tags
from server.registry.kek import unwrap
from server.store import fix, presence
from server.store import roster as store
from server.store.connection import Connection
from server.store.roster import DetectorRow, TagRow

_STATIC_KINDS = {"uid": KIND_UID, "ibeacon": KIND_IBEACON}
_DEFAULT_ACCURACY_M = 10.0


@dataclass(frozen=True, slots=True)
class Detector:
    """One enrolled detector."""

    id: str
    index: int
    key: ec.EllipticCurvePublicKey
    is_revoked: bool


@dataclass(frozen=True, slots=True)
class Roster:
    """Everything that is enrolled in a city, of one version.

    Attributes:
        version: as in the database.
        detectors: by id.
        city: tags, stations and fences for the core.
        tag_ids: by row in `city.tags`.
    """

    version: int
    detectors: dict[str, Detector]
    city: City
    tag_ids: tuple[str, ...]


async def load(conn: Connection, city: str, kek: bytes) -> tuple[Roster, Kept]:
    """Return the registry of a city and the state that the database holds for it.

    Raises:
        KeysError: the tags' keys are wrapped under another key.
        DatabaseError: no database.
    """
    version = await store.version(conn)
    detectors = await store.detectors(conn, city)
    tags = await store.tags(conn, city)
    fences: dict[str, list[Fence]] = {}
    for row in await store.fences(conn, city):
        fence = Fence(row.ward, row.place, row.lat_deg, row.lon_deg, row.radius_m, row.dwell_s * 1000)
        fences.setdefault(row.ward, []).append(fence)
    about = City(
        Tags.of([_tag(row, kek) for row in tags]),
        {row.index: _station(row) for row in detectors},
        fences,
    )
    kept = Kept(
        [_clock(row) for row in tags],
        {
            number: Press(row.sos_from_ms, row.sos_until_ms)
            for number, row in enumerate(tags)
            if row.sos_from_ms is not None and row.sos_until_ms is not None
        },
        await fix.tracks(conn),
        await presence.load(conn),
    )
    known = {row.id: _detector(row) for row in detectors}
    return Roster(version, known, about, tuple(row.id for row in tags)), kept


def _detector(row: DetectorRow) -> Detector:
    key = serialization.load_der_public_key(row.public_key)
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise TypeError("a detector's key that is not on a curve: the registry lets none in")
    return Detector(row.id, row.index, key, row.is_revoked)


def _station(row: DetectorRow) -> Station:
    is_fixed = row.kind == "fixed"
    accuracy_m = _DEFAULT_ACCURACY_M if row.accuracy_m is None else row.accuracy_m
    return Station(row.kind, row.lat_deg if is_fixed else None, row.lon_deg if is_fixed else None, accuracy_m)


def _tag(row: TagRow, kek: bytes) -> Tag:
    return Tag(
        row.index,
        row.ward,
        None if row.wrapped_key is None else unwrap(kek, row.wrapped_key),
        row.rotation_exponent,
        static_id=None if row.static_id is None else int.from_bytes(row.static_id, "little"),
        static_kind=_STATIC_KINDS.get(row.kind, 0),
        shard=row.shard,
    )


def _clock(row: TagRow) -> TagClock:
    offset_ms = float(row.provisioned_offset_ms) if row.offset_ms is None else row.offset_ms
    return TagClock(
        offset_ms,
        row.rate_ppm,
        learned_at_ms=row.learned_at_ms,
        accepted_beacon_ms=row.accepted_beacon_ms,
        is_lost=row.is_lost,
    )
