"""Reads a registry file into the database: all of it or nothing, and again as often as one likes."""

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from privacy.terms import Role
from privacy.transparency.record import Record
from server.accounts.codes import hash_code, is_code_of, normalise_login
from server.accounts.desk import Deed, note_registered
from server.config import ServerConfig
from server.registry import kek as keys
from server.registry.errors import RegistryError
from server.registry.schema import Guardian, Registry, Tag, parse, parse_text
from server.store import audit
from server.store import registry as store
from server.store.accounts import NewAgency
from server.store.connection import Connection, connect


@dataclass(frozen=True, slots=True)
class Imported:
    """How much a file held."""

    detectors: int
    tags: int
    wards: int
    guardians: int
    accounts: int
    places: int
    watches: int

    def __str__(self) -> str:
        return (
            f"見守り機 detectors {self.detectors}, タグ tags {self.tags}, 見守られる人 wards {self.wards}, "
            f"保護者 guardians {self.guardians}, 担当者 accounts {self.accounts}, "
            f"場所 places {self.places}, 通知 watches {self.watches}"
        )


def import_file(config: ServerConfig, file: Path) -> Imported:
    """Import a registry file, and the `map.geojson` beside it if there is one.

    Raises:
        RegistryError: the file cannot be read or is wrong; the message says where.
        KeysError: no key-encryption key.
    """
    try:
        registry = parse_text(file.read_bytes())
        map_file = file.with_name("map.geojson")
        town_map = map_file.read_bytes() if map_file.is_file() else None
    except OSError as error:
        raise RegistryError(f"cannot read {file.name}: {error.strerror}") from error
    if registry.city.id != config.city.id:
        raise RegistryError(f"city.id: this server is {config.city.id}'s")
    kek = keys.load(config.keys_dir / "kek.bin")
    return asyncio.run(_connect_and_save(config.keeper_dsn(), registry, kek, town_map=town_map))


async def import_registry(conn: Connection, data: Any, kek: bytes, *, town_map: bytes | None = None) -> Imported:  # noqa: ANN401 - decoded JSON
    """Write decoded JSON of a registry in one transaction. What is there is updated, nothing is deleted.

    Args:
        conn: of the owner.
        data: see `schema.Registry`.
        kek: wraps the tags' keys.
        town_map: GeoJSON, UTF-8.

    Raises:
        RegistryError: a field is wrong; the message says which.
    """
    return await save(conn, parse(data), kek, town_map=town_map)


async def save(conn: Connection, registry: Registry, kek: bytes, *, town_map: bytes | None = None) -> Imported:
    """Write a parsed registry; see `import_registry`."""
    if town_map is not None:
        _check_map(town_map)
    known = await store.code_hashes(conn, [guardian.id for guardian in registry.guardians])
    hashes = await asyncio.to_thread(_code_hashes, registry.guardians, known)
    city = registry.city
    async with conn.transaction():
        await store.allow_swaps(conn)
        await store.save_city(conn, store.CityRow(city.id, city.name_ja, city.name_en, city.tz))
        await store.save_detectors(
            conn,
            [
                store.NewDetector(
                    d.id, city.id, d.kind, d.label_ja, d.label_en, d.lat_deg, d.lon_deg, d.accuracy_m, d.public_key_der
                )
                for d in registry.detectors
            ],
        )
        await store.save_tags(conn, [_tag(tag, city.id, kek) for tag in registry.tags])
        await store.save_wards(
            conn, [store.NewWard(w.id, city.id, w.name_ja, w.name_en, w.tag) for w in registry.wards]
        )
        await _save_people(conn, registry, hashes)
        await _save_offices(conn, registry)
        await _save_places(conn, registry)
        if town_map is not None:
            await store.save_map(conn, city.id, town_map)
    return Imported(
        len(registry.detectors),
        len(registry.tags),
        len(registry.wards),
        len(registry.guardians),
        len(registry.accounts),
        len(registry.places),
        len(registry.watches),
    )


async def _connect_and_save(dsn: str, registry: Registry, kek: bytes, *, town_map: bytes | None) -> Imported:
    conn = await connect(dsn)
    try:
        return await save(conn, registry, kek, town_map=town_map)
    finally:
        await conn.close()


async def _save_people(conn: Connection, registry: Registry, hashes: dict[str, str]) -> None:
    people = registry.guardians
    rows = [
        store.NewGuardian(g.id, normalise_login(g.login), hashes[g.id], g.name_ja, g.name_en, g.email, g.language)
        for g in people
    ]
    await store.save_guardians(conn, rows)
    await store.save_guardianships(conn, [(g.id, ward) for g in people for ward in g.wards])
    pushes = [(g.id, g.push.endpoint, g.push.p256dh, g.push.auth) for g in people if g.push is not None]
    await store.save_subscriptions(conn, pushes)


async def _save_offices(conn: Connection, registry: Registry) -> None:
    city = registry.city.id
    deed = Deed(Role.CLERK, None, time.time_ns() // 1_000_000)
    agencies = [
        NewAgency(id=a.id, city_id=city, kind=a.kind, name_ja=a.name_ja, name_en=a.name_en, legal_basis=a.legal_basis)
        for a in registry.agencies
    ]
    for new in await store.save_agencies(conn, agencies):
        await note_registered(conn, deed, new)
    accounts = [
        store.NewOffice(a.id, normalise_login(a.id), a.role, a.name_ja, a.name_en, a.language, a.agency, a.ward)
        for a in registry.accounts
    ]
    await store.save_accounts(conn, accounts)
    facts = {"guardians": len(registry.guardians), "accounts": len(accounts), "agencies": len(agencies)}
    await audit.append(conn, Record("registry.imported", deed.now_ms, deed.role, facts))


async def _save_places(conn: Connection, registry: Registry) -> None:
    places = [
        store.NewPlace(p.id, registry.city.id, p.name_ja, p.name_en, p.kind, p.lat_deg, p.lon_deg, p.radius_m, p.ward)
        for p in registry.places
    ]
    await store.save_places(conn, places)
    watches = [store.NewWatch(w.ward, w.place, w.arrive, w.leave, w.dwell_s) for w in registry.watches]
    await store.save_watches(conn, watches)


def _tag(tag: Tag, city: str, kek: bytes) -> store.NewTag:
    wrapped = None if tag.identity_key is None else keys.wrap(kek, bytes.fromhex(tag.identity_key))
    static_id = None if tag.static_id is None else bytes.fromhex(tag.static_id)
    return store.NewTag(tag.id, city, tag.kind, wrapped, static_id, tag.rotation_exponent, tag.clock_offset_ms)


def _code_hashes(guardians: tuple[Guardian, ...], known: dict[str, str | None]) -> dict[str, str]:
    """Return a hash for each guardian, the known one where the code is the same. Argon2 lets threads run beside it."""

    def hash_of(guardian: Guardian) -> str:
        phc = known.get(guardian.id)
        return phc if phc is not None and is_code_of(phc, guardian.code) else hash_code(guardian.code)

    with ThreadPoolExecutor(4) as pool:
        return dict(zip((g.id for g in guardians), pool.map(hash_of, guardians), strict=True))


def _check_map(town_map: bytes) -> None:
    try:
        kind = json.loads(town_map)["type"]
    except (ValueError, KeyError, TypeError) as error:
        raise RegistryError("map.geojson: not GeoJSON") from error
    if kind != "FeatureCollection":
        raise RegistryError("map.geojson: not a FeatureCollection")
