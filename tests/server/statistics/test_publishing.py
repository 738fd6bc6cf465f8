"""Counting and publishing in the database, as the role of the clerk."""

import datetime as dt
import json
from dataclasses import replace

import jismesh.utils as ju
import psycopg
import pytest

from privacy.anonymity import BudgetSpentError, Cell
from privacy.policy.question import Decision, Question, Reason
from server.config import ServerConfig
from server.permit.ask import RefusedError
from server.statistics.publishing import Press, count, publish, work
from server.store import statistic as store
from server.store.connection import Connection
from tests.server.statistics.conftest import CORNER, OTHER, Town, at_ms

DAY = dt.date(2026, 11, 24)
MESH, OTHER_MESH = 52341607, 52341617
WALL_MS = at_ms("2026-11-25T03:00")


class Refusing:
    """Policies that allow nothing."""

    def decide(self, question: Question) -> Decision:
        del question
        return Decision(allowed=False, reasons=(Reason("S02-crowd", "規則", "不可", "no"),), policy_set="0" * 64)


async def _count(clerk: Connection, press: Press, when: str) -> int:
    return await count(clerk, press, town_ms=at_ms(when))


def test_the_mesh_is_the_one_of_the_standard(town: Town) -> None:
    points = [(20.4001 + n * 0.0137137 % 25, 122.9001 + n * 0.0171713 % 30) for n in range(4000)]
    rows = town.sql(
        "SELECT jis_mesh(a, b) FROM unnest(%s::float8[], %s::float8[]) AS p (a, b)",
        *map(list, zip(*points, strict=True)),
    )
    assert [row[0] for row in rows] == [int(ju.to_meshcode(lat, lon, 3)) for lat, lon in points]


async def test_a_person_is_counted_once_in_each_part_of_the_day(town: Town, clerk: Connection, press: Press) -> None:
    wards = town.people(3)
    for when, place in (
        ("T07:10", CORNER),
        ("T07:50", OTHER),
        ("T08:10", OTHER),
        ("T15:30", OTHER),
        ("T16:30", CORNER),
    ):
        town.heard(wards, f"2026-11-24{when}", place)
        await _count(clerk, press, f"2026-11-24T{int(when[1:3]) + 2:02}:00")
    assert town.counts() == {(7, MESH): 3, (15, OTHER_MESH): 3}


async def test_an_hour_is_counted_once_whatever_comes_late(town: Town, clerk: Connection, press: Press) -> None:
    town.heard(town.people(2), "2026-11-24T07:10")
    assert await _count(clerk, press, "2026-11-24T08:30") == 2  # from six on, too
    town.heard(town.people(5), "2026-11-24T07:20")
    assert await _count(clerk, press, "2026-11-24T08:40") == 0
    assert town.counts() == {(7, MESH): 2}


async def test_where_the_city_has_no_detector_nobody_is_counted(town: Town, clerk: Connection, press: Press) -> None:
    town.heard(town.people(50), "2026-11-24T07:10", (34.90, 134.90))
    await _count(clerk, press, "2026-11-24T08:30")
    assert town.counts() == {}


async def test_nights_are_not_counted(town: Town, clerk: Connection, press: Press) -> None:
    town.heard(town.people(5), "2026-11-24T05:30")
    assert await _count(clerk, press, "2026-11-24T06:40") == 0
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        await store.count_hour(clerk, at_ms("2026-11-24T05:00"))


async def test_the_clerk_sees_neither_places_nor_what_is_pending(town: Town, clerk: Connection, press: Press) -> None:
    town.heard(town.people(2), "2026-11-24T07:10")
    await _count(clerk, press, "2026-11-24T08:30")
    for query in ("* FROM fix", "* FROM statistic_count", "* FROM statistic_seen", "salt FROM statistic_day"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await clerk.execute(f"SELECT {query}".encode())


async def test_a_crowd_is_published_with_noise_the_next_day(town: Town, clerk: Connection, press: Press) -> None:
    town.heard(town.people(300), "2026-11-24T07:10")
    town.heard(town.people(9), "2026-11-24T07:20", OTHER)
    await _count(clerk, press, "2026-11-24T08:30")
    assert await work(clerk, press, town_ms=at_ms("2026-11-24T23:59"), wall_ms=WALL_MS) == []
    [row] = await work(clerk, press, town_ms=at_ms("2026-11-25T00:00"), wall_ms=WALL_MS)
    found = await store.release(clerk, DAY)
    assert found is not None
    assert found[0] == row
    assert set(found[1]) == {Cell(MESH, 7)}
    assert abs(found[1][Cell(MESH, 7)] - 300) < 60
    assert (row.released, row.suppressed) == (1, 3)  # two hours, two meshes
    assert await work(clerk, press, town_ms=at_ms("2026-11-26T00:00"), wall_ms=WALL_MS) == []


async def test_what_told_people_apart_is_gone_with_the_release(town: Town, clerk: Connection, press: Press) -> None:
    town.heard(town.people(12), "2026-11-24T07:10")
    await _count(clerk, press, "2026-11-24T08:30")
    await work(clerk, press, town_ms=at_ms("2026-11-25T00:00"), wall_ms=WALL_MS)
    for table in ("statistic_day", "statistic_seen", "statistic_count"):
        assert town.sql(f"SELECT count(*) FROM {table}") == [(0,)]


async def test_a_day_is_published_once_also_after_an_erasure(town: Town, clerk: Connection, press: Press) -> None:
    wards = town.people(100)
    town.heard(wards, "2026-11-24T07:10")
    await _count(clerk, press, "2026-11-24T08:30")
    [pending] = await store.pending(clerk, dt.date(2026, 11, 25))
    await publish(clerk, pending, press, wall_ms=WALL_MS)
    before = await store.release(clerk, DAY)
    town.sql("DELETE FROM ward WHERE id = %s", wards[0])
    with pytest.raises(BudgetSpentError):
        await publish(clerk, pending, press, wall_ms=WALL_MS)
    assert await _count(clerk, press, "2026-11-24T08:40") == 0
    assert await store.count_hour(clerk, at_ms("2026-11-24T09:00")) is False
    assert await store.release(clerk, DAY) == before


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE statistic_cell SET people = people + 1",
        "DELETE FROM statistic_cell",
        "TRUNCATE statistic_cell",
        "UPDATE statistic_release SET released = 0",
        "DELETE FROM statistic_release",
        "DELETE FROM statistic_budget",
        "UPDATE statistic_budget SET epsilon = 0.1",
        "DELETE FROM statistic_hour",
        "INSERT INTO statistic_cell VALUES ('2026-11-24', 7, 52341617, 90)",
        "INSERT INTO statistic_budget (day, epsilon) VALUES ('2026-11-24', 0.5)",
        "INSERT INTO statistic_budget (day, epsilon) VALUES ('2026-11-30', 1.5)",
    ],
)
async def test_nobody_changes_what_was_published_not_even_the_owner(
    town: Town, clerk: Connection, press: Press, statement: str
) -> None:
    town.heard(town.people(100), "2026-11-24T07:10")
    await _count(clerk, press, "2026-11-24T08:30")
    await work(clerk, press, town_ms=at_ms("2026-11-25T00:00"), wall_ms=WALL_MS)
    with pytest.raises(psycopg.DatabaseError):
        town.sql(statement)


async def test_a_small_crowd_is_published_as_nothing(town: Town, clerk: Connection, press: Press) -> None:
    town.heard(town.people(9), "2026-11-24T07:10")
    await _count(clerk, press, "2026-11-24T08:30")
    [row] = await work(clerk, press, town_ms=at_ms("2026-11-25T00:00"), wall_ms=WALL_MS)
    assert (row.released, row.suppressed) == (0, 4)


async def test_what_the_policies_refuse_is_not_published_and_gone(town: Town, clerk: Connection, press: Press) -> None:
    town.heard(town.people(100), "2026-11-24T07:10")
    await _count(clerk, press, "2026-11-24T08:30")
    [pending] = await store.pending(clerk, dt.date(2026, 11, 25))
    with pytest.raises(RefusedError):
        await publish(clerk, pending, replace(press, engine=Refusing()), wall_ms=WALL_MS)
    assert await store.release(clerk, DAY) is None
    assert town.counts() == {}
    assert [_kind(body) for body in _bodies(town)] == ["statistic.refused"]


async def test_the_log_says_what_was_published_and_of_nobody(town: Town, clerk: Connection, press: Press) -> None:
    town.heard(town.people(100), "2026-11-24T07:10")
    await _count(clerk, press, "2026-11-24T08:30")
    await work(clerk, press, town_ms=at_ms("2026-11-25T00:00"), wall_ms=WALL_MS)
    [body] = _bodies(town)
    facts = json.loads(body)["facts"]
    assert (facts["epsilon"], facts["k"], facts["released"], facts["suppressed"]) == ("1", 10, 1, 3)
    assert facts["policies"] == "S01-statistic"
    assert set(facts) == {
        "action", "allowed", "day", "delta", "epsilon", "hours", "k", "policies", "policy_set", "purpose", "released",
        "suppressed", "threshold",
    }  # fmt: skip


async def test_the_api_reads_what_was_published_and_no_more(db: ServerConfig) -> None:
    with psycopg.connect(db.dsn("api"), autocommit=True) as conn:
        assert conn.execute("SELECT count(*) FROM statistic_cell").fetchall() == [(0,)]
        for query in ("* FROM statistic_day", "* FROM statistic_count", "statistic_take('2026-11-24', 0.5)"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                conn.execute(f"SELECT {query}".encode())


def _bodies(town: Town) -> list[bytes]:
    return [bytes(row[0]) for row in town.sql("SELECT body FROM audit_entry ORDER BY id")]


def _kind(body: bytes) -> str:
    return str(json.loads(body)["kind"])
