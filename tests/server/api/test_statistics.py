"""Published statistics over HTTP."""

import csv
import datetime as dt
import io

import httpx
import pytest
from fastapi import FastAPI

from privacy.anonymity import Cell, Disclosure
from server.config import ServerConfig
from server.statistics.sheets import REASON_JA
from server.store import statistic
from server.store.connection import connect
from server.store.statistic import ReleaseRow

pytestmark = pytest.mark.db
DAY = dt.date(2026, 11, 24)
MESH = 52341607
SHOWN = {Cell(MESH, 7): 61, Cell(MESH, 8): 40}


async def _publish(town: ServerConfig, day: dt.date, cells: dict[Cell, int]) -> None:
    """Write a release as the clerk does; how it comes about, other tests show."""
    rule = Disclosure()
    row = ReleaseRow(day, (7, 8), rule, rule.threshold, len(cells), 4 - len(cells), 1_795_600_000_000)
    conn = await connect(town.dsn("clerk"))
    async with conn, conn.transaction():
        await statistic.take(conn, day, rule)
        done = await conn.execute("INSERT INTO audit_entry (body) VALUES ('{}') RETURNING id")
        entry = await done.fetchone()
        assert entry is not None
        await statistic.save(conn, row, cells, entry=entry[0])


async def _get(app: FastAPI, path: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=app.state.url, timeout=20) as client:
        return await client.get(f"/api/v1{path}")


async def test_before_the_first_day_there_is_nothing(app: FastAPI) -> None:
    answer = await _get(app, "/statistics/releases")
    assert answer.json()["releases"] == []
    assert answer.json()["licence"] == "CC BY 4.0"
    assert (await _get(app, "/statistics/2026-11-24.csv")).status_code == 404


async def test_the_sheet_says_how_its_numbers_were_made(town: ServerConfig, app: FastAPI) -> None:
    await _publish(town, DAY, SHOWN)
    answer = await _get(app, "/statistics/2026-11-24.csv")
    heads, *rows = csv.reader(io.StringIO(answer.content.decode("utf-8-sig"), newline=""))
    assert heads[7] == "人数(雑音付き、k=10以上・ε=1・δ=1e-05・公表の下限34)"
    assert [(row[1], row[2], row[7]) for row in rows] == [("7", str(MESH), "61"), ("8", str(MESH), "40")]
    assert "immutable" in answer.headers["cache-control"]
    assert "set-cookie" not in answer.headers


async def test_the_map_has_a_square_for_each_cell(town: ServerConfig, app: FastAPI) -> None:
    await _publish(town, DAY, SHOWN)
    answer = await _get(app, "/statistics/2026-11-24.geojson")
    assert answer.headers["content-type"] == "application/geo+json"
    read = answer.json()
    told = read["metadata"]
    assert (told["k"], told["epsilon"], told["delta"], told["threshold"]) == (10, 1.0, 1e-5, 34)
    assert [one["properties"] for one in read["features"]] == [
        {"mesh": str(MESH), "hour": 7, "people": 61},
        {"mesh": str(MESH), "hour": 8, "people": 40},
    ]
    [ring] = read["features"][0]["geometry"]["coordinates"]
    assert ring[0] == ring[-1] == [134.8375, 34.75]


async def test_a_day_of_few_people_says_why_it_is_empty(town: ServerConfig, app: FastAPI) -> None:
    await _publish(town, DAY, {})
    [release] = (await _get(app, "/statistics/releases")).json()["releases"]
    assert release["reason_ja"] == REASON_JA
    assert (await _get(app, "/statistics/2026-11-24.geojson")).json()["features"] == []
    assert (await _get(app, "/statistics/2026-11-24.csv")).content.count(b"\r\n") == 1


async def test_days_are_listed_newest_first(town: ServerConfig, app: FastAPI) -> None:
    for day in (DAY, DAY + dt.timedelta(days=1)):
        await _publish(town, day, SHOWN)
    releases = (await _get(app, "/statistics/releases?limit=1")).json()["releases"]
    assert [one["day"] for one in releases] == ["2026-11-25"]


async def test_what_does_not_exist_is_a_problem(app: FastAPI) -> None:
    for path in ("/statistics/yesterday.csv", "/statistics/2026-11-24.exe", "/statistics/releases?limit=0"):
        assert (await _get(app, path)).status_code == 422, path
