"""The schedule with a moved clock: nothing older than its limit is left in any table, and nothing younger is gone."""

import hashlib
import itertools
import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql
from psycopg.types.json import Jsonb

from privacy.ordinance import load
from privacy.retention import SCHEDULE, DataClass, Limit, Schedule, schedule_of
from server.config import ServerConfig
from server.retention.certificate import digest_of
from server.retention.run import run
from server.store import expiry
from server.store.connection import Connection, at, connect
from server.store.expiry import APART, GOES_WITH, KEPT, TARGETS
from tests.db.duties import PEOPLE

pytestmark = [pytest.mark.db, pytest.mark.timeout(180)]

NOW_MS: Final = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp()) * 1000
"""Years ago, since the database keeps cases for a year by its own clock, whatever the clerk's says."""
TOWN_MS: Final = NOW_MS + 40 * 86_400_000
"""The town's clock may be ahead."""
DAY_MS: Final = 86_400_000
OFFSETS: Final = (-400 * DAY_MS, -DAY_MS, -1, 0, 1, DAY_MS)
SINGLE: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "notice": ("created_at", {"channel": "mail", "target": ""}),
    "event": ("at", {"kind": "sos"}),
    "fix": ("at", {}),
    "ward_hour": ("hour_at", {}),
    "doubtful_fix": ("at", {}),
    "last_place": ("heard_at", {}),
    "held_place": ("at", {}),
    "batch": ("received_at", {}),
    "dead_letter": ("received_at", {}),
    "session": ("expires_at", {}),
    "challenge": ("expires_at", {"kind": "oidc"}),
    "enrolment_card": ("expires_at", {}),
    "enrolment_code": ("expires_at", {}),
    "household_news": ("at", {"kind": "joined"}),
    "protective_measure": ("until", {"since": at(0), "asked_until": datetime.max.replace(tzinfo=UTC)}),
    "look_up_hold": ("until_at", {"asked_at": None, "reason": "x"}),
    "export": ("created_at", {"to_at": datetime.max.replace(tzinfo=UTC)}),
    "gateway_order": ("settled_at", {"detector_id": "gw-1", "kind": "thaw", "state": "done"}),
    "gateway_log": ("received_at", {}),
    "gateway_fork": ("received_at", {}),
    "certificate": ("not_after", {"kind": "gateway"}),
    "mask_change": ("prepared_at", {"detector_id": "gw-1", "reason": "x", "state": "dropped"}),
    "disaster": ("until_at", {"declared_at": None}),
    "oversight": ("recorded_at", {"kind": "complaint"}),
    "audit_opening": ("made_at", {"salt": b"x" * 16}),
    "retention_run": ("at", {}),
}
"""Of each table the time that counts, and values that its checks want."""
OF_CASES: Final = (
    "case_reminder", "case_certificate", "case_opening", "case_undertaking", "case_order", "case_camera", "case_step",
    "footage_case",
)  # fmt: skip


class Shelf:
    """Puts rows into tables as they might have come to lie there, past all triggers, and looks what is left."""

    def __init__(self, conn: psycopg.Connection[tuple[Any, ...]]) -> None:
        self.conn = conn
        self._numbers = itertools.count(1)
        self._columns: dict[str, list[tuple[Any, ...]]] = {}
        conn.execute("SET session_replication_role = replica")
        conn.execute("SET timezone = 'UTC'")

    def put(self, table: str, **values: Any) -> None:
        """Insert a row; what must be there and is not given is made up."""
        n = next(self._numbers)
        made = {name: _made_up(kind, n) for name, kind in self._needed(table) if name not in values}
        row = {**made, **values}
        columns, blanks = sql.SQL(",").join(map(sql.Identifier, row)), sql.SQL(",").join(sql.Placeholder() * len(row))
        query = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(sql.Identifier(table), columns, blanks)
        self.conn.execute(query, list(row.values()))

    def times(self, table: str, column: str) -> list[int]:
        rows = self.conn.execute(sql.SQL("SELECT {} FROM {}").format(sql.Identifier(column), sql.Identifier(table)))
        return sorted(round(row[0].timestamp() * 1000) for row in rows if row[0] is not None)

    def count(self, table: str) -> int:
        row = self.conn.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))).fetchone()
        assert row is not None
        return int(row[0])

    def clear(self) -> None:
        for table in {target.table for target in TARGETS}:
            self.conn.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))

    def put_case(self, ended_ms: int, *, state: str = "closed") -> str:
        """Insert a case whose last step was then, with a row of everything that belongs to a case; return its id."""
        n = next(self._numbers)
        case, when = f"{n:032x}", at(ended_ms)
        self.put("footage_case", id=case, number=f"2014-{n:05}", state=state, purpose="crime", basis="inquiry",
                 created_at=at(ended_ms - DAY_MS), submitted_at=when, freeze_until=when, approved_at=when, mode="view",
                 approved_until=when, recipient=f"age1{'q' * 58}")  # fmt: skip
        self.put("case_step", case_id=case, at=when, step="close", role="clerk", ordinal=1)
        self.put("case_camera", case_id=case, number=1, from_at=when, to_at=at(ended_ms + 1))
        self.put("case_order", case_id=case, kind="thaw", at=when)
        self.put("case_undertaking", case_id=case)
        self.put("case_opening", case_id=case, mode="view")
        self.put("case_certificate", case_id=case, kind="copy", method="x")
        self.put("case_reminder", case_id=case, kind="feedback")
        return case

    def put_paper(self, case: str) -> None:
        n = next(self._numbers)
        self.put("case_paper", id=f"{n:032x}", case_id=case, kind="inquiry", media_type="application/pdf")

    def _needed(self, table: str) -> list[tuple[Any, ...]]:
        if table not in self._columns:
            self._columns[table] = self._look_up(table)
        return self._columns[table]

    def _look_up(self, table: str) -> list[tuple[Any, ...]]:
        return self.conn.execute(
            """SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'public'
               AND table_name = %s AND is_nullable = 'NO' AND column_default IS NULL AND is_identity = 'NO'
               AND is_generated = 'NEVER'""",
            (table,),
        ).fetchall()


def _made_up(kind: str, n: int) -> Any:
    made: dict[str, Any] = {
        "text": f"x{n}",
        "bytea": hashlib.sha256(str(n).encode()).digest(),
        "boolean": False,
        "timestamp with time zone": at(n * 1000),
        "date": at(0).date(),
        "jsonb": Jsonb({}),
        "uuid": uuid.UUID(int=n),
        "ARRAY": ["x"],
    }
    return made.get(kind, n)


@pytest.fixture
async def clerk(db: ServerConfig) -> AsyncIterator[Connection]:
    async with await connect(db.dsn("clerk")) as conn:
        yield conn


@pytest.fixture
def shelf(db: ServerConfig) -> Iterator[Shelf]:
    with psycopg.connect(db.dsn(), autocommit=True) as owner:
        owner.execute(PEOPLE.encode())
        yield Shelf(owner)


def _boundary_ms(data: DataClass) -> int:
    return Schedule("x").before_ms(data, now_ms=NOW_MS, town_ms=TOWN_MS)


def _fill(shelf: Shelf, offsets: list[int]) -> None:
    """Put rows of every class around its limit."""
    for target in TARGETS:
        if target.table in SINGLE:
            column, values = SINGLE[target.table]
            for offset in offsets:
                when = _boundary_ms(target.data) + offset
                begun: dict[str, Any] = {name: at(when - 1) for name in ("declared_at", "asked_at") if name in values}
                shelf.put(target.table, **(values | begun | {column: at(when)}))
    shelf.put("gateway_order", detector_id="gw-1", kind="thaw", sequence=10**9)
    for offset in offsets:
        shelf.put_case(_boundary_ms(DataClass.CASE) + offset)
        shelf.put_paper(shelf.put_case(_boundary_ms(DataClass.CASE_PAPER) + offset, state="refused"))
        n = next(shelf._numbers)
        draft, made = f"{n:032x}", at(_boundary_ms(DataClass.DRAFT) + offset)
        shelf.put("footage_case", id=draft, number=f"2014-{n:05}", purpose="crime", basis="inquiry", created_at=made)
        shelf.put(
            "case_camera", case_id=draft, number=1, from_at=made, to_at=at(_boundary_ms(DataClass.DRAFT) + offset + 1)
        )


def test_every_table_of_the_schema_has_a_limit_or_a_reason(shelf: Shelf) -> None:
    rows = shelf.conn.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
    )
    limited = {target.table for target in TARGETS} | set(APART)
    assert {row[0] for row in rows} == limited | set(GOES_WITH) | set(KEPT)
    assert limited.isdisjoint(KEPT)
    assert set(KEPT).isdisjoint(GOES_WITH)
    assert set(GOES_WITH.values()) <= limited
    assert all(KEPT.values())


def test_every_class_has_a_table_or_is_deleted_elsewhere() -> None:
    by_tables = {target.data for target in TARGETS}
    # Footage lies at the gateway, copies are files that the clerk destroys with a certificate of each case.
    assert set(DataClass) - by_tables == {DataClass.SIGHTING, DataClass.FOOTAGE, DataClass.COPY, DataClass.TOKEN}
    assert {target.table for target in TARGETS} == {*SINGLE, *OF_CASES, "case_paper", "statistic_day"}


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(more=st.lists(st.integers(-3000 * DAY_MS, 30 * DAY_MS), max_size=6))
async def test_nothing_older_than_its_limit_is_left_and_nothing_younger_is_gone(
    clerk: Connection, shelf: Shelf, more: list[int]
) -> None:
    shelf.clear()
    offsets = [*OFFSETS, *sorted(set(more) - set(OFFSETS))]
    _fill(shelf, offsets)
    certificate = await run(clerk, Schedule("x"), NOW_MS, town_ms=TOWN_MS)
    young = sorted(offset for offset in offsets if offset >= 0)
    for target in TARGETS:
        if target.table not in SINGLE or target.table == "retention_run":
            continue
        left = [ms - _boundary_ms(target.data) for ms in shelf.times(target.table, SINGLE[target.table][0])
                if ms > 10**11]  # fmt: skip
        assert left == young, target.table
    later_ms = _boundary_ms(DataClass.CASE_PAPER) - _boundary_ms(DataClass.CASE)
    cases = len(young) + sum(offset + later_ms >= 0 for offset in offsets)  # those whose papers went first are there
    assert shelf.count("case_paper") == len(young)
    assert {table: shelf.count(table) for table in OF_CASES} == {
        **dict.fromkeys(OF_CASES, cases), "case_camera": cases + len(young), "footage_case": cases + len(young)
    }  # fmt: skip
    assert certificate.left == 0
    assert certificate.deleted > 0
    again = await run(clerk, Schedule("x"), NOW_MS, town_ms=TOWN_MS)
    assert (again.deleted, again.left) == (0, 0)


async def test_a_run_leaves_a_certificate_that_the_log_names(clerk: Connection, shelf: Shelf) -> None:
    shelf.put("event", kind="sos", at=at(_boundary_ms(DataClass.EVENT) - 1))
    certificate = await run(clerk, schedule_of(load("kobe")), NOW_MS, town_ms=TOWN_MS)
    kept = await expiry.newest(clerk)
    assert kept is not None
    body, sha256 = kept
    assert digest_of(body) == sha256 == certificate.digest()
    assert (body["profile"], body["classes"]["event"]["tables"]["event"]) == ("kobe", {"deleted": 1, "left": 0})
    assert set(body["classes"]) == {data.value for data in DataClass} - {"footage"}
    row = shelf.conn.execute(
        """SELECT convert_from(body, 'UTF8')::jsonb FROM audit_entry WHERE id = (SELECT entry_id FROM retention_run)"""
    ).fetchone()
    assert row is not None
    entry = row[0]
    assert (entry["kind"], entry["role"], entry["committed"]) == ("retention.run", "clerk", {})
    assert entry["facts"] == {"deleted": 1, "deleted_event": 1, "left": 0, "sha256": sha256.hex()}
    body["classes"]["event"]["tables"]["event"]["deleted"] = 0
    assert digest_of(body) != sha256


async def test_a_run_that_fails_deletes_nothing_and_leaves_no_entry(clerk: Connection, shelf: Shelf) -> None:
    shelf.put("event", kind="sos", at=at(_boundary_ms(DataClass.EVENT) - 1))
    shelf.conn.execute("REVOKE INSERT ON retention_run FROM clerk")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await run(clerk, Schedule("x"), NOW_MS, town_ms=TOWN_MS)
    assert (shelf.count("event"), shelf.count("audit_entry"), shelf.count("retention_run")) == (1, 0, 0)


async def test_a_limit_of_the_city_replaces_ours_and_a_copy_beyond_it_is_named(clerk: Connection, shelf: Shelf) -> None:
    schedule = schedule_of(load("kobe"))
    assert schedule.limits[DataClass.COPY] == Limit(30 * DAY_MS, SCHEDULE[DataClass.COPY].reason)
    assert schedule_of(load("tennoji")).limits[DataClass.FOOTAGE].keep_ms == 7 * DAY_MS
    whole = {"state": "whole", "to_at": at(NOW_MS), "created_at": at(NOW_MS), "size_bytes": 1, "parts": 1,
             "sha256": b"x" * 32, "begun_at": at(NOW_MS)}  # fmt: skip
    for days in (29, 31):
        shelf.put("export", **whole, settled_at=at(NOW_MS - days * DAY_MS))
    shelf.put("export", **whole, settled_at=at(NOW_MS - 99 * DAY_MS), destroyed_at=at(NOW_MS))
    certificate = await run(clerk, schedule, NOW_MS)
    assert certificate.classes["copy"].tables["export"].left == 1
    assert certificate.left == 1


async def test_counts_of_people_without_noise_go_with_their_day(clerk: Connection, shelf: Shelf) -> None:
    boundary = at(NOW_MS - SCHEDULE[DataClass.STATISTIC].keep_ms).date()
    for days in (-1, 0, 1):
        shelf.put("statistic_day", day=boundary + timedelta(days=days), meshes=[1])
    certificate = await run(clerk, Schedule("x"), NOW_MS)
    assert certificate.by_class["statistic"] == 1
    assert shelf.count("statistic_day") == 2
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await clerk.execute("SELECT salt FROM statistic_day")


async def test_days_of_sightings_go_as_a_whole_and_none_older_is_left(clerk: Connection, shelf: Shelf) -> None:
    first = at(NOW_MS - 10 * DAY_MS).date()
    shelf.conn.execute("SELECT sighting_prepare(%s, %s)", (first, at(NOW_MS).date()))
    for days in range(10):
        shelf.put("sighting", ts=at(NOW_MS - days * DAY_MS))
    shelf.put("sighting", ts=at(NOW_MS - 4000 * DAY_MS))  # of no partition
    certificate = await run(clerk, Schedule("x"), NOW_MS)
    assert certificate.classes["sighting"].tables["sighting"].left == 0
    assert shelf.times("sighting", "ts") == [NOW_MS - days * DAY_MS for days in (3, 2, 1, 0)]


async def test_tokens_that_have_ended_go_and_no_other(clerk: Connection, shelf: Shelf) -> None:
    for offset in (-DAY_MS, -1, 0, 1):
        when = at(NOW_MS + offset)
        shelf.put("purpose_token", from_at=at(0), to_at=at(1), expires_at=when, issued_at=at(NOW_MS + offset - 1))
    certificate = await run(clerk, Schedule("x"), NOW_MS)
    assert shelf.times("purpose_token", "expires_at") == [NOW_MS, NOW_MS + 1]
    assert certificate.by_class["token"] == 2
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await clerk.execute("DELETE FROM purpose_token")


@pytest.mark.parametrize("table", [*OF_CASES, "case_paper"])
async def test_the_clerk_cannot_delete_of_a_case_that_is_not_over(clerk: Connection, shelf: Shelf, table: str) -> None:
    last_week_ms = round(datetime.now(UTC).timestamp() * 1000) - 7 * DAY_MS
    shelf.put_paper(shelf.put_case(last_week_ms))
    shelf.put_paper(shelf.put_case(NOW_MS, state="returned"))
    with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.IntegrityConstraintViolation)):
        await clerk.execute(f"DELETE FROM {table}")
    assert shelf.count(table) == 2


@pytest.mark.parametrize(
    "query",
    [
        "SELECT value FROM audit_opening",
        "SELECT salt FROM audit_opening",
        "SELECT lat_deg FROM fix",
        "SELECT ward_id FROM event",
        "SELECT sealed FROM ward_hour",
        "SELECT ts FROM sighting",
        "SELECT account_id FROM session",
        "SELECT account_id FROM protective_measure",
        "SELECT summary FROM oversight",
        "DELETE FROM audit_entry",
        "DELETE FROM ward",
        "DELETE FROM account",
        "DELETE FROM board_gate",
        "UPDATE retention_run SET at = now()",
        "UPDATE event SET at = now()",
    ],
)
async def test_the_clerk_sees_times_and_deletes_and_no_more(clerk: Connection, query: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await clerk.execute(query.encode())
