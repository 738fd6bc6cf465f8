"""Writes the registry. What is there is updated; what is no longer named stays, for its history refers to it."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass

from server.store.accounts import NewAgency
from server.store.connection import Connection, connect


@dataclass(frozen=True, slots=True)
class CityRow:
    """A city."""

    id: str
    name_ja: str
    name_en: str
    tz: str


@dataclass(frozen=True, slots=True)
class NewDetector:
    """A detector to register. `public_key`: P-256, SubjectPublicKeyInfo DER; None leaves what is there."""

    id: str
    city: str
    kind: str
    label_ja: str
    label_en: str
    lat_deg: float | None
    lon_deg: float | None
    accuracy_m: float | None
    public_key: bytes | None


@dataclass(frozen=True, slots=True, repr=False)
class NewTag:
    """A tag to enrol."""

    id: str
    city: str
    kind: str
    wrapped_key: bytes | None
    static_id: bytes | None
    rotation_exponent: int
    clock_offset_ms: int

    @property
    def shard(self) -> int:
        """hash(id) mod 256: the cut between servers, one day."""
        return hashlib.sha256(self.id.encode()).digest()[0]


@dataclass(frozen=True, slots=True)
class NewWard:
    """A ward and the tag that is carried."""

    id: str
    city: str
    name_ja: str
    name_en: str
    tag: str | None


@dataclass(frozen=True, slots=True, repr=False)
class NewGuardian:
    """A guardian. `code_hash`: Argon2id."""

    id: str
    login: str
    code_hash: str
    name_ja: str
    name_en: str
    email: str | None
    language: str


@dataclass(frozen=True, slots=True)
class NewOffice:
    """An account that is no guardian's."""

    id: str
    login: str
    role: str
    name_ja: str
    name_en: str
    language: str
    agency: str | None
    ward: str | None


@dataclass(frozen=True, slots=True)
class NewPlace:
    """A place."""

    id: str
    city: str
    name_ja: str
    name_en: str
    kind: str
    lat_deg: float
    lon_deg: float
    radius_m: float
    ward: str | None


@dataclass(frozen=True, slots=True)
class NewWatch:
    """What a family wants to hear of."""

    ward: str
    place: str
    arrive: bool
    leave: bool
    dwell_s: int


async def allow_swaps(conn: Connection) -> None:
    """Let rows of this transaction pass on what is unique, as two logins that change hands: its end is what counts."""
    await conn.execute("SET CONSTRAINTS tag_static_id, account_login_key DEFERRED")


async def save_city(conn: Connection, city: CityRow) -> None:
    """Write a city."""
    await conn.execute(
        """INSERT INTO city (id, name_ja, name_en, tz) VALUES (%s, %s, %s, %s)
           ON CONFLICT (id) DO UPDATE SET name_ja = excluded.name_ja, name_en = excluded.name_en, tz = excluded.tz""",
        astuple(city),
    )


async def save_detectors(conn: Connection, detectors: Sequence[NewDetector]) -> None:
    """Write detectors. A revoked one stays revoked, and a key that a device made itself is not the file's to change."""
    async with conn.cursor() as cursor:
        await cursor.executemany(
            """INSERT INTO detector
               (id, city_id, kind, label_ja, label_en, lat_deg, lon_deg, accuracy_m, public_key)
               VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
               ON CONFLICT (id) DO UPDATE SET
                   city_id = excluded.city_id, kind = excluded.kind, label_ja = excluded.label_ja,
                   label_en = excluded.label_en, lat_deg = excluded.lat_deg, lon_deg = excluded.lon_deg,
                   accuracy_m = excluded.accuracy_m,
                   public_key = CASE WHEN detector.enrolled_at IS NULL
                                     THEN coalesce(excluded.public_key, detector.public_key)
                                     ELSE detector.public_key END""",
            [astuple(detector) for detector in detectors],
        )


async def save_tags(conn: Connection, tags: Sequence[NewTag]) -> None:
    """Write tags. Where the key or the provisioned clock is another one, what was learnt of the clock is forgotten."""
    async with conn.cursor() as cursor:
        await cursor.executemany(
            """DELETE FROM tag_state USING tag AS t WHERE tag_id = t.id AND t.id = %s
               AND (t.wrapped_key IS DISTINCT FROM %s OR t.clock_offset_ms <> %s)""",
            [(tag.id, tag.wrapped_key, tag.clock_offset_ms) for tag in tags],
        )
        await cursor.executemany(
            """INSERT INTO tag
               (id, city_id, kind, wrapped_key, static_id, rotation_exponent, clock_offset_ms, shard)
               VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
               ON CONFLICT (id) DO UPDATE SET
                   city_id = excluded.city_id, kind = excluded.kind, wrapped_key = excluded.wrapped_key,
                   static_id = excluded.static_id, rotation_exponent = excluded.rotation_exponent,
                   clock_offset_ms = excluded.clock_offset_ms""",
            [(*astuple(tag), tag.shard) for tag in tags],
        )


async def save_wards(conn: Connection, wards: Sequence[NewWard]) -> None:
    """Write wards. A tag that changes hands is first taken from whoever has it."""
    tags = [ward.tag for ward in wards if ward.tag is not None]
    ids = [ward.id for ward in wards if ward.tag is not None]
    await conn.execute(
        """UPDATE ward SET tag_id = NULL FROM unnest(%s::text[], %s::text[]) AS new (id, tag_id)
           WHERE ward.tag_id = new.tag_id AND ward.id <> new.id""",
        (ids, tags),
    )
    async with conn.cursor() as cursor:
        await cursor.executemany(
            """INSERT INTO ward (id, city_id, name_ja, name_en, tag_id) VALUES (%s, %s, %s, %s, %s)
               ON CONFLICT (id) DO UPDATE SET
                   city_id = excluded.city_id, name_ja = excluded.name_ja, name_en = excluded.name_en,
                   tag_id = excluded.tag_id""",
            [astuple(ward) for ward in wards],
        )


async def list_wards(dsn: str) -> list[NewWard]:
    """Return all wards as they are kept, by id."""
    conn = await connect(dsn)
    try:
        rows = await conn.execute("SELECT id, city_id, name_ja, name_en, tag_id FROM ward ORDER BY id")
        return [NewWard(*row) for row in await rows.fetchall()]
    finally:
        await conn.close()


async def code_hashes(conn: Connection, ids: Sequence[str]) -> dict[str, str | None]:
    """Return the code hashes of those guardians that are there; None: signs in otherwise."""
    rows = await conn.execute("SELECT id, code_hash FROM account WHERE id = ANY(%s)", (list(ids),))
    return {row[0]: row[1] for row in await rows.fetchall()}


async def save_guardians(conn: Connection, guardians: Sequence[NewGuardian]) -> None:
    """Write guardians; the language that one has chosen stays."""
    async with conn.cursor() as cursor:
        await cursor.executemany(
            """INSERT INTO account (id, login, code_hash, name_ja, name_en, email, language)
               VALUES (%s, %s, %s, %s, %s, %s, %s)
               ON CONFLICT (id) DO UPDATE SET
                   login = excluded.login, code_hash = excluded.code_hash, name_ja = excluded.name_ja,
                   name_en = excluded.name_en, email = excluded.email""",
            [astuple(guardian) for guardian in guardians],
        )


async def save_agencies(conn: Connection, agencies: Sequence[NewAgency]) -> list[NewAgency]:
    """Write agencies, and return those that were not there; one whose registration was ended stays ended."""
    async with conn.cursor() as cursor:
        await cursor.execute("SELECT id FROM agency WHERE id = ANY (%s)", ([agency.id for agency in agencies],))
        known = {row[0] for row in await cursor.fetchall()}
        await cursor.executemany(
            """INSERT INTO agency (id, city_id, kind, name_ja, name_en, legal_basis) VALUES (%s, %s, %s, %s, %s, %s)
               ON CONFLICT (id) DO UPDATE SET
                   name_ja = excluded.name_ja, name_en = excluded.name_en, legal_basis = excluded.legal_basis""",
            [astuple(agency) for agency in agencies],
        )
    return [agency for agency in agencies if agency.id not in known]


async def save_accounts(conn: Connection, accounts: Sequence[NewOffice]) -> None:
    """Write accounts that are no guardians'; of one that is there only the names change: never its role or agency."""
    async with conn.cursor() as cursor:
        await cursor.executemany(
            """INSERT INTO account (id, login, role, name_ja, name_en, language, agency_id, ward_id)
               VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
               ON CONFLICT (id) DO UPDATE SET name_ja = excluded.name_ja, name_en = excluded.name_en""",
            [astuple(account) for account in accounts],
        )


async def save_guardianships(conn: Connection, pairs: Sequence[tuple[str, str]]) -> None:
    """Put (guardian, ward) pairs in force; one that was ended stays ended."""
    async with conn.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO guardianship (guardian_id, ward_id) VALUES (%s, %s) ON CONFLICT DO NOTHING", pairs
        )


async def save_subscriptions(conn: Connection, rows: Iterable[tuple[str, str, str, str]]) -> None:
    """Write push subscriptions: guardian, endpoint, p256dh, auth."""
    async with conn.cursor() as cursor:
        await cursor.executemany(
            """INSERT INTO push_subscription (guardian_id, endpoint, p256dh, auth) VALUES (%s, %s, %s, %s)
               ON CONFLICT (endpoint) DO UPDATE SET
                   guardian_id = excluded.guardian_id, p256dh = excluded.p256dh, auth = excluded.auth""",
            list(rows),
        )


async def save_places(conn: Connection, places: Sequence[NewPlace]) -> None:
    """Write places."""
    async with conn.cursor() as cursor:
        await cursor.executemany(
            """INSERT INTO place (id, city_id, name_ja, name_en, kind, lat_deg, lon_deg, radius_m, ward_id)
               VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
               ON CONFLICT (id) DO UPDATE SET
                   city_id = excluded.city_id, name_ja = excluded.name_ja, name_en = excluded.name_en,
                   kind = excluded.kind, lat_deg = excluded.lat_deg, lon_deg = excluded.lon_deg,
                   radius_m = excluded.radius_m, ward_id = excluded.ward_id""",
            [astuple(place) for place in places],
        )


async def save_watches(conn: Connection, watches: Sequence[NewWatch]) -> None:
    """Write watches."""
    async with conn.cursor() as cursor:
        await cursor.executemany(
            """INSERT INTO watch (ward_id, place_id, arrive, leave, dwell_s) VALUES (%s, %s, %s, %s, %s)
               ON CONFLICT (ward_id, place_id) DO UPDATE SET
                   arrive = excluded.arrive, leave = excluded.leave, dwell_s = excluded.dwell_s""",
            [astuple(watch) for watch in watches],
        )


async def save_map(conn: Connection, city: str, geojson: bytes) -> None:
    """Write the map of a city: GeoJSON, UTF-8, served as it is."""
    await conn.execute(
        """INSERT INTO town_map (city_id, geojson) VALUES (%s, %s)
           ON CONFLICT (city_id) DO UPDATE SET geojson = excluded.geojson, updated_at = now()""",
        (city, geojson),
    )
