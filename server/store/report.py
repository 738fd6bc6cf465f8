"""What reports and ledgers are made of: the entries that have a place in the log, and the city's devices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from server.store.connection import Connection, ms_of

_MANY: Final = 2_000
_DAY: Final = "(SELECT to_char(done_on, 'YYYY-MM-DD') FROM camera_duty WHERE detector_id = d.id AND kind = '{}')"


@dataclass(frozen=True, slots=True)
class Camera:
    """A fixed device and what is on record of it; days as YYYY-MM-DD, None: not on record.

    Attributes:
        id: of the gateway.
        label_ja: name; `label_en` the same.
        place: as the ledger has it; "" where none is on record.
        lat_deg: -90 to 90; `lon_deg`: -180 to 180.
        sign_on: there is a sign since; `consulted_on`: residents were heard; `noticed_on`: public notice.
        live_ms: UTC ms; None: it is not live.
        purposes: of P1 to P5; None: all of the ordinance.
    """

    id: str
    label_ja: str
    label_en: str
    place: str
    lat_deg: float
    lon_deg: float
    sign_on: str | None
    consulted_on: str | None
    noticed_on: str | None
    live_ms: int | None
    purposes: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Device:
    """A device of the city.

    Attributes:
        id: of the gateway; `kind`: "fixed" or "vehicle".
        label_ja: name; `label_en` the same.
        enrolled_ms: UTC ms; None: not yet.
        is_revoked: it is out of use.
        masked_ms: when its mask was changed last; None: never.
    """

    id: str
    kind: str
    label_ja: str
    label_en: str
    enrolled_ms: int | None
    is_revoked: bool
    masked_ms: int | None


async def head_note(conn: Connection) -> tuple[int, str] | None:
    """Return size and signed checkpoint of the log; None before the first."""
    row = await (await conn.execute("SELECT size, note FROM log_head()")).fetchone()
    return None if row is None else (int(row[0]), str(row[1]))


async def bodies(conn: Connection, size: int, marks: Sequence[bytes]) -> list[bytes]:
    """Return those of the first `size` entries of the log that have one of `marks` in them, in the order of the log."""
    async with conn.transaction(), conn.cursor(name="report", binary=True) as cursor:
        cursor.itersize = _MANY
        await cursor.execute("SELECT body FROM log_entries(%s, %s) AS body", (size, list(marks)))
        return [bytes(row[0]) async for row in cursor]


async def cameras(conn: Connection, city: str) -> list[Camera]:
    """Return the fixed devices in use, by id."""
    rows = await conn.execute(
        f"""SELECT d.id, d.label_ja, d.label_en, d.lat_deg, d.lon_deg, {_DAY.format("sign")},
                   {_DAY.format("consultation")}, {_DAY.format("notice")}, l.live_at, l.purposes,
                   (SELECT reference FROM camera_duty WHERE detector_id = d.id AND kind = 'location')
            FROM detector AS d LEFT JOIN camera_live AS l ON l.detector_id = d.id AND l.ended_at IS NULL
            WHERE d.city_id = %s AND d.kind = 'fixed' AND d.revoked_at IS NULL ORDER BY d.id""".encode(),  # noqa: S608 - constants of this module
        (city,),
    )
    return [
        Camera(
            id=row[0],
            label_ja=row[1],
            label_en=row[2],
            place=row[10] or "",
            lat_deg=row[3],
            lon_deg=row[4],
            sign_on=row[5],
            consulted_on=row[6],
            noticed_on=row[7],
            live_ms=None if row[8] is None else ms_of(row[8]),
            purposes=None if row[9] is None else tuple(row[9]),
        )
        for row in await rows.fetchall()
    ]


async def devices(conn: Connection, city: str) -> list[Device]:
    """Return the city's devices, by id; volunteers' phones are not the city's."""
    rows = await conn.execute(
        """SELECT d.id, d.kind, d.label_ja, d.label_en, d.enrolled_at, d.revoked_at IS NOT NULL, mask_changed_at(d.id)
           FROM detector AS d WHERE d.city_id = %s AND d.kind <> 'phone' ORDER BY d.id""",
        (city,),
    )
    return [
        Device(
            id=row[0],
            kind=row[1],
            label_ja=row[2],
            label_en=row[3],
            enrolled_ms=None if row[4] is None else ms_of(row[4]),
            is_revoked=row[5],
            masked_ms=None if row[6] is None else ms_of(row[6]),
        )
        for row in await rows.fetchall()
    ]


async def ends(conn: Connection) -> list[bytes]:
    """Return the first and the newest entry of the log; nothing before the first."""
    rows = await conn.execute("SELECT body FROM log_ends() AS body")
    return [bytes(row[0]) for row in await rows.fetchall()]
