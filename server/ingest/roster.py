"""The registry as ingest holds it in memory: detectors with their keys, the core's view of tags and places."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from numpy.typing import NDArray

from server.core.engine import City, Station, grace_ms
from server.core.fences import Fence
from server.core.flags import SUSPICIOUS
from server.core.kept import Kept, LastPlaces, TagClocks
from server.core.kernels.fix import Held
from server.core.kernels.merge import Told
from server.core.places import Presence
from server.core.press import Press
from server.core.rows import KIND_IBEACON, KIND_UID
from server.core.suppress import BUCKET_MS
from server.core.tags import Tag, Tags
from server.registry.kek import unwrap
from server.store import fix, held, presence, sighting, watermark
from server.store import roster as store
from server.store.connection import Connection
from server.store.roster import DetectorRow, TagRow
from wire import keys

log = logging.getLogger(__name__)

_STATIC_KINDS = {"uid": KIND_UID, "ibeacon": KIND_IBEACON}
_DEFAULT_ACCURACY_M = 10.0
_NEVER_MS: Final = 253_370_764_800_000  # the year 9999


@dataclass(frozen=True, slots=True)
class Detector:
    """One enrolled detector.

    Attributes:
        key: signs all that it says.
        kid: of `key`.
        previous: what it signed with before its last rotation; batches that waited are still believed under it.
    """

    id: str
    index: int
    key: ec.EllipticCurvePublicKey
    kid: bytes
    is_revoked: bool
    previous: "PreviousKey | None" = None


@dataclass(frozen=True, slots=True)
class PreviousKey:
    """A signing key that was rotated away. `until_ms`: wall time."""

    key: ec.EllipticCurvePublicKey
    kid: bytes
    until_ms: int


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


async def load(conn: Connection, city: str, kek: bytes, *, speed: float = 1.0) -> tuple[Roster, Kept]:
    """Return the registry of a city and the state that the database holds for it.

    Args:
        conn: of the role ingest.
        city: id.
        kek: opens the tags' keys.
        speed: of the town's clock.

    Raises:
        KeysError: the tags' keys are wrapped under another key.
        DatabaseError: no database.
    """
    version = await store.version(conn)
    detectors = await store.detectors(conn, city)
    tags = await store.tags(conn, city)
    log.info("ingest.loading", extra={"detectors": len(detectors), "tags": len(tags)})
    fences: dict[str, list[Fence]] = {}
    for row in await store.fences(conn, city):
        fence = Fence(row.ward, row.place, row.lat_deg, row.lon_deg, row.radius_m, row.dwell_s * 1000)
        fences.setdefault(row.ward, []).append(fence)
    about = City(
        Tags.of([_tag(row, kek) for row in tags]),
        {row.index: _station(row) for row in detectors},
        fences,
        grace_ms(speed),
    )
    known = {row.id: _detector(row, row.public_key) for row in detectors if row.public_key is not None}
    log.info("ingest.loading", extra={"watches": sum(map(len, fences.values()))})
    return Roster(version, known, about, tuple(row.id for row in tags)), await _kept(conn, tags, about)


async def _kept(conn: Connection, rows: Sequence[TagRow], city: City) -> Kept:
    """Return the state of a city's tags, which are the `rows` of the database."""
    tags = city.tags
    carried = {ward: row for row, ward in enumerate(tags.wards.tolist()) if ward is not None}
    received_ms = await watermark.load(conn)
    return Kept(
        _clocks(rows),
        {
            number: Press(row.sos_from_ms, row.sos_until_ms)
            for number, row in enumerate(rows)
            if row.sos_from_ms is not None and row.sos_until_ms is not None
        },
        await _last(conn, carried),
        await _held(conn, carried),
        await _presences(conn),
        received_ms,
        await _open(conn, city, received_ms),
    )


async def _last(conn: Connection, carried: Mapping[str, int]) -> LastPlaces:
    found = await fix.load_last(conn)
    tags, which = _rows(found.wards, carried)
    return LastPlaces(
        tags,
        np.floor(found.lat_deg[which] * 1e7 + 0.5).astype(np.int32),
        np.floor(found.lon_deg[which] * 1e7 + 0.5).astype(np.int32),
        found.heard_ms[which],
        found.accuracy_m[which],
    )


async def _held(conn: Connection, carried: Mapping[str, int]) -> tuple[NDArray[np.int32], Held]:
    found = await held.load(conn)
    tags, which = _rows(found.wards, carried)
    columns = (found.lat_e7, found.lon_e7, found.at_ms, found.since_ms, found.accuracy_m, found.hits)
    return tags, Held._make(column[which] for column in columns)


async def _presences(conn: Connection) -> dict[tuple[str, str], Presence]:
    found = await presence.load(conn)
    columns = (found.is_inside, found.since_ms, found.candidate_since_ms, found.candidate_last_ms, found.candidate_hits)
    how = zip(*(column.tolist() for column in columns), strict=True)
    return {
        (ward, place): Presence(is_inside, since_ms, first_ms or None, last_ms or None, hits)
        for ward, place, (is_inside, since_ms, first_ms, last_ms, hits) in zip(
            found.wards, found.places, how, strict=True
        )
    }


async def _open(conn: Connection, city: City, received_ms: int | None) -> Told:
    """Return the believed sightings of the buckets that were open."""
    first_ms = 0 if received_ms is None else (received_ms - city.grace_ms) // BUCKET_MS * BUCKET_MS
    rows = await sighting.recent(conn, first_ms if received_ms is not None else _NEVER_MS)
    owners = city.tags.rows_of(rows.tag_index)
    told = Told(
        owners,
        rows.detector_index,
        rows.first_at,
        rows.ts,
        rows.count,
        rows.rssi_best_dbm,
        rows.rssi_mean_dbm,
        rows.flags,
        rows.battery_dv,
        rows.lat_deg,
        rows.lon_deg,
        rows.accuracy_m,
    )
    return told.take((owners >= 0) & (rows.flags & SUSPICIOUS == 0))


def _rows(wards: Sequence[str], carried: Mapping[str, int]) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    """Return the rows of the tags of `wards`, and which of `wards` carry one."""
    rows = np.array([carried.get(ward, -1) for ward in wards], np.int32)
    which = np.flatnonzero(rows >= 0)
    return rows[which], which


def _detector(row: DetectorRow, public_key: bytes) -> Detector:
    key = _key(public_key)
    previous = None
    if row.previous_key is not None and row.previous_until_ms is not None:
        old = _key(row.previous_key)
        previous = PreviousKey(old, keys.kid(old), row.previous_until_ms)
    return Detector(row.id, row.index, key, keys.kid(key), row.is_revoked, previous)


def _key(der: bytes) -> ec.EllipticCurvePublicKey:
    key = serialization.load_der_public_key(der)
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise TypeError("a detector's key that is not on a curve: the registry lets none in")
    return key


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


def _clocks(rows: Sequence[TagRow]) -> TagClocks:
    return TagClocks(
        np.array([row.provisioned_offset_ms if row.offset_ms is None else row.offset_ms for row in rows], np.float64),
        np.array([row.rate_ppm for row in rows], np.float64),
        np.array([row.learned_at_ms or 0 for row in rows], np.int64),
        np.array([row.accepted_beacon_ms or 0 for row in rows], np.int64),
        np.array([row.anchor_ms or 0 for row in rows], np.int64),
        np.array([row.anchor_offset_ms for row in rows], np.float64),
        np.array([row.is_lost for row in rows], np.bool_),
    )
