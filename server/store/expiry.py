"""What the schedule deletes: of each class the tables and the time by which a row's age is told. And what it keeps.

Every table of the schema is in `TARGETS`, is in `GOES_WITH` a row of one that is, or in `KEPT` with the reason.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from privacy.retention import DataClass
from server.store import sighting
from server.store.connection import Connection, at

_LOCK: Final = int.from_bytes(b"schedule", "big") & 0x7FFF_FFFF_FFFF_FFFF


@dataclass(frozen=True, slots=True)
class Target:
    """A table whose rows have a limit.

    Attributes:
        data: class whose limit it is.
        table: name.
        expired: condition of a row that is too old; `%(before)s` is the moment before which nothing may be.
    """

    data: DataClass
    table: str
    expired: str


_OVER: Final = "state IN ('closed', 'refused', 'withdrawn', 'lapsed')"
_ENDED: Final = f"""SELECT id FROM footage_case AS f WHERE f.{_OVER} AND coalesce(
    (SELECT max(s.at) FROM case_step AS s WHERE s.case_id = f.id), f.created_at) < %(before)s"""  # noqa: S608 - constants of ours
_DRAFTS: Final = "SELECT id FROM footage_case WHERE state = 'draft' AND created_at < %(before)s"
# Masks and settings stay, and the newest of all: the next one is numbered after them.
_OLD_ORDER: Final = """settled_at < %(before)s AND kind NOT IN ('mask', 'configure')
    AND NOT EXISTS (SELECT FROM case_order AS c WHERE c.detector_id = t.detector_id AND c.sequence = t.sequence)
    AND EXISTS (SELECT FROM gateway_order AS n WHERE n.detector_id = t.detector_id AND n.sequence > t.sequence)"""
_OLD_EPOCH: Final = """NOT EXISTS (SELECT FROM gateway_log AS n
    WHERE n.detector_id = t.detector_id AND n.epoch = t.epoch AND n.received_at >= %(before)s)"""
_OLD_MASK: Final = """prepared_at < %(before)s AND (state = 'dropped' OR EXISTS (
    SELECT FROM mask_change AS n WHERE n.detector_id = t.detector_id AND n.state = 'approved' AND n.id > t.id))"""

TARGETS: Final = (
    Target(DataClass.NOTICE, "notice", "created_at < %(before)s"),
    Target(DataClass.EVENT, "event", "at < %(before)s"),
    Target(DataClass.FIX, "fix", "at < %(before)s"),
    Target(DataClass.FIX, "ward_hour", "hour_at < %(before)s"),
    Target(DataClass.DOUBTFUL_FIX, "doubtful_fix", "at < %(before)s"),
    Target(DataClass.LAST_PLACE, "last_place", "heard_at < %(before)s"),
    Target(DataClass.HELD_PLACE, "held_place", "at < %(before)s"),
    Target(DataClass.BATCH, "batch", "received_at < %(before)s"),
    Target(DataClass.DEAD_LETTER, "dead_letter", "received_at < %(before)s"),
    Target(DataClass.STATISTIC, "statistic_day", "day < (%(before)s AT TIME ZONE 'UTC')::date"),
    Target(DataClass.SESSION, "session", "expires_at < %(before)s"),
    Target(DataClass.CHALLENGE, "challenge", "expires_at < %(before)s"),
    Target(DataClass.CARD, "enrolment_card", "expires_at < %(before)s"),
    Target(DataClass.CARD, "enrolment_code", "expires_at < %(before)s"),
    Target(DataClass.NEWS, "household_news", "at < %(before)s"),
    Target(DataClass.MEASURE, "protective_measure", "until < %(before)s"),
    Target(DataClass.HOLD, "look_up_hold", "until_at < %(before)s"),
    # What happened to a case goes in an order in which nothing is left that points at what is gone.
    Target(DataClass.DRAFT, "case_camera", f"case_id IN ({_DRAFTS})"),
    Target(DataClass.DRAFT, "case_paper", f"case_id IN ({_DRAFTS})"),
    Target(DataClass.CASE_PAPER, "case_paper", f"case_id IN ({_ENDED})"),
    Target(DataClass.CASE, "case_reminder", f"case_id IN ({_ENDED})"),
    Target(DataClass.CASE, "case_certificate", f"case_id IN ({_ENDED})"),
    Target(DataClass.CASE, "case_opening", f"case_id IN ({_ENDED})"),
    Target(DataClass.CASE, "case_undertaking", f"case_id IN ({_ENDED})"),
    Target(DataClass.CASE, "case_order", f"case_id IN ({_ENDED})"),
    Target(DataClass.CASE, "case_camera", f"case_id IN ({_ENDED})"),
    Target(DataClass.CASE, "case_step", f"case_id IN ({_ENDED})"),
    Target(DataClass.CASE, "footage_case", f"id IN ({_ENDED})"),
    Target(DataClass.DRAFT, "footage_case", f"id IN ({_DRAFTS})"),
    Target(
        DataClass.EXPORT,
        "export",
        "created_at < %(before)s AND NOT EXISTS (SELECT FROM case_order AS c WHERE c.export_id = t.id)",
    ),
    Target(DataClass.ORDER, "gateway_order", _OLD_ORDER),
    Target(DataClass.GATEWAY_LOG, "gateway_log", _OLD_EPOCH),
    Target(DataClass.GATEWAY_LOG, "gateway_fork", "received_at < %(before)s"),
    Target(DataClass.CERTIFICATE, "certificate", "not_after < %(before)s"),
    Target(DataClass.MASK_CHANGE, "mask_change", _OLD_MASK),
    Target(DataClass.DISASTER, "disaster", "until_at < %(before)s"),
    Target(DataClass.OVERSIGHT, "oversight", "recorded_at < %(before)s"),
    Target(DataClass.OPENING, "audit_opening", "made_at < %(before)s"),
    Target(DataClass.RETENTION_RUN, "retention_run", "at < %(before)s"),
)
"""In the order in which they are worked off. Sightings go by whole partitions, tokens by a function of the keeper's,
footage by the gateway itself."""

APART: Final = ("sighting", "purpose_token")
"""Tables with a limit that nobody but their keepers may touch."""

GOES_WITH: Final[Mapping[str, str]] = {
    "case_camera": "footage_case",
    "disaster_camera": "disaster",
    "export_part": "export",
    "mask_step": "mask_change",
    "purpose_token_ward": "purpose_token",
    "purpose_token_case": "purpose_token",
    "sighting_default": "sighting",
    "statistic_count": "statistic_day",
    "statistic_seen": "statistic_day",
}
"""Tables whose rows go when the row goes that they belong to."""

_REGISTRY: Final = "the registry: as long as it is served; `mimamori ward erase` takes out what was learnt"
_ACCOUNT: Final = "of an account: as long as there is one"
_LOG: Final = "the log is append-only; what names a person in it is audit_opening, which goes"
_PUBLISHED: Final = "published, and stays as it was published"
_NOW: Final = "what is now, one row each; no history"
KEPT: Final[Mapping[str, str]] = {
    "city": _REGISTRY,
    "town_map": _REGISTRY,
    "detector": _REGISTRY,
    "tag": _REGISTRY,
    "ward": _REGISTRY,
    "guardianship": _REGISTRY,
    "place": _REGISTRY,
    "watch": _REGISTRY,
    "agency": "the public register of recipient bodies",
    "account": _ACCOUNT,
    "access_version": "how often relations changed, so that an old token opens nothing",
    "push_subscription": _ACCOUNT,
    "passkey": _ACCOUNT,
    "identity": _ACCOUNT,
    "household": _ACCOUNT,
    "household_ward": _ACCOUNT,
    "household_member": _ACCOUNT,
    "detector_health": _NOW,
    "tag_state": _NOW,
    "presence": _NOW,
    "core_watermark": _NOW,
    "registry_version": _NOW,
    "gateway_key": "without it no signature of a gateway's log can be checked",
    "camera_duty": "the public ledger of cameras",
    "camera_live": "the public ledger of cameras",
    "board_gate": "what the board has opened and on what",
    "audit_entry": _LOG,
    "audit_leaf": _LOG,
    "audit_tile": _LOG,
    "audit_head": _LOG,
    "audit_checkpoint": _LOG,
    "audit_pending": _NOW,
    "audit_witness": _NOW,
    "statistic_hour": "which hours were counted, so that none is counted twice",
    "statistic_budget": _PUBLISHED,
    "statistic_release": _PUBLISHED,
    "statistic_cell": _PUBLISHED,
    "case_move": "the state machine",
    "case_counter": "the last number of each year",
    "schema_migration": "what was applied of the schema",
}
"""Tables that no time empties, and why."""


@dataclass(frozen=True, slots=True)
class Deleted:
    """What became of one table.

    Attributes:
        deleted: rows that went now.
        left: rows that are too old and are still there: 0, or something is wrong.
    """

    deleted: int
    left: int


async def begin(conn: Connection) -> None:
    """Wait until no other run is under way; none begins until this transaction ends."""
    await conn.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))


async def delete(conn: Connection, target: Target, *, before_ms: int) -> Deleted:
    """Delete what is too old of a table."""
    values = {"before": at(before_ms)}
    done = await conn.execute(f"DELETE FROM {target.table} AS t WHERE {target.expired}".encode(), values)  # noqa: S608 - constants of ours
    found = await conn.execute(f"SELECT count(*) FROM {target.table} AS t WHERE {target.expired}".encode(), values)  # noqa: S608 - as above
    return Deleted(done.rowcount, int((await found.fetchone() or (0,))[0]))


async def expire_sightings(conn: Connection, *, town_ms: int, keep_ms: int) -> tuple[Deleted, int]:
    """Drop the days of sightings that are over; return what went, and before when nothing is."""
    first = sighting.first_kept_day(town_ms, keep_ms)
    before_ms = sighting.day_start_ms(first)
    dropped = await sighting.expire(conn, first)
    found = await conn.execute("SELECT sighting_left(%s)", (at(before_ms),))
    return Deleted(dropped, int((await found.fetchone() or (0,))[0])), before_ms


async def expire_tokens(conn: Connection, *, before_ms: int) -> Deleted:
    """Delete the purpose tokens that have ended."""
    found = await conn.execute("SELECT gone, remaining FROM purpose_token_expire(%s)", (at(before_ms),))
    row = await found.fetchone()
    assert row is not None  # noqa: S101 - a function gives one row or raises
    return Deleted(*row)


async def overdue_copies(conn: Connection, *, before_ms: int) -> int:
    """Return how many copies of footage the city still holds that it should have destroyed by now."""
    found = await conn.execute(
        "SELECT count(*) FROM export WHERE state = 'whole' AND destroyed_at IS NULL AND settled_at < %s",
        (at(before_ms),),
    )
    return int((await found.fetchone() or (0,))[0])


async def save(conn: Connection, certificate: Mapping[str, Any], *, at_ms: int, sha256: bytes, entry: int) -> None:
    """Keep the certificate of a run."""
    await conn.execute(
        "INSERT INTO retention_run (at, certificate, sha256, entry_id) VALUES (%s, %s, %s, %s)",
        (at(at_ms), json.dumps(certificate), sha256, entry),
    )


async def newest(conn: Connection) -> tuple[dict[str, Any], bytes] | None:
    """Return the newest certificate with its SHA-256, None before the first run."""
    found = await conn.execute("SELECT certificate, sha256 FROM retention_run ORDER BY id DESC LIMIT 1")
    row = await found.fetchone()
    return None if row is None else (row[0], bytes(row[1]))
