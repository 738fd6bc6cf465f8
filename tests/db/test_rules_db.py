"""Rules of docs/ORDINANCE.md that live in the database and in files, each for each of the seven cities.

The clock is moved, gateways are acted out: what they really delete and export is in tests/edge and tests/system.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from privacy.cases import Step
from privacy.ordinance import SHIPPED, load
from privacy.policy.engine import Engine
from privacy.retention import DataClass, schedule_of
from privacy.terms import Action, Role
from privacy.transparency.tree import Frontier, leaf_hash
from server.cases.errors import UnknownCaseError
from server.cases.release import Request, open_export
from server.config import ServerConfig
from server.duties import cameras, disasters
from server.duties.footage import RetentionError, check_retention
from server.permit.ask import RefusedError
from server.permit.permits import Permits, PermitSettings, wish
from server.reports.annual import Asked, annual
from server.reports.rendering import Format, rendered
from server.reports.rules import ReportRules, fiscal_year
from server.reports.tables import Text
from server.retention.run import run
from server.store import camera_duty, disaster
from server.store.camera_duty import Duty
from server.store.case import Window
from server.store.connection import connect
from server.store.grant import holding
from server.store.pool import make_pool
from tests import casework
from tests.casework import DAY_MS, HOUR_MS, NOW_MS, Hall, asker
from tests.db.duties import CityHall, city_hall
from tests.granting import open_session

pytestmark = [pytest.mark.db, pytest.mark.timeout(120)]


_API = Path(__file__).parents[2] / "server" / "api"
_ROUTE = re.compile(r"""(?:\.(?:get|post|put|delete|patch)\(|prefix=)\s*f?"([^"]*)\"""")


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.load()


@pytest.fixture(params=SHIPPED)
async def hall(request: pytest.FixtureRequest, db: ServerConfig, engine: Engine) -> AsyncIterator[Hall]:
    """A city that is asked for footage, with the ordinance of one of the seven."""
    async with casework.hall(db) as made:
        yield replace(made, profile=load(request.param), engine=engine)


@pytest.fixture(params=SHIPPED)
async def city(request: pytest.FixtureRequest, db: ServerConfig, engine: Engine) -> AsyncIterator[CityHall]:
    """A city hall with its own duties, likewise."""
    async with city_hall(db, engine, request.param) as made:
        yield made


async def test_rule_07_without_an_approved_instruction_no_gateway_is_told_to_export(hall: Hall) -> None:
    case_id = await hall.submitted()
    await hall.look()
    assert await hall.obey() == ["freeze"]
    await hall.look()
    assert await hall.obey() == []
    for name, step in (("handler", Step.PREPARE), ("supervisor", Step.CHECK)):
        await hall.take(name, case_id, step)
        await hall.look()
        assert await hall.obey() == []
    await hall.take("manager", case_id, Step.APPROVE, mode="view")
    await hall.look()
    assert await hall.obey() == ["export"]


async def test_rule_11_a_window_older_than_the_limit_is_refused_and_a_frozen_one_stays(hall: Hall) -> None:
    days = hall.profile.number_of("retention_days")
    hall.sql("UPDATE detector_health SET footage_from_ms = %s", NOW_MS - 90 * DAY_MS)
    edge_ms = NOW_MS - days * DAY_MS
    gone = await hall.drafted(Window("gw-1", edge_ms - HOUR_MS, edge_ms + HOUR_MS))
    await hall.add_papers(gone, "inquiry", "request")
    with pytest.raises(RefusedError) as caught:
        await hall.take("officer", gone, Step.SUBMIT)
    assert "R11-kept" in {reason.policy for reason in caught.value.reasons}
    kept = await hall.submitted(Window("gw-2", edge_ms + HOUR_MS, edge_ms + 2 * HOUR_MS))
    await hall.look()
    await hall.obey()
    hall.now_ms += 2 * HOUR_MS
    assert (await hall.seen(kept)).kept == ("frozen",)
    assert check_retention(hall.profile, days) == days
    with pytest.raises(RetentionError):
        check_retention(hall.profile, days + 1)


async def test_rule_12_the_citys_copy_is_destroyed_on_its_day_with_a_certificate(hall: Hall) -> None:
    days = hall.profile.number_of("copy_days")
    case_id = await hall.released()
    (file,) = hall.folder.glob("*.age")
    schedule = schedule_of(hall.profile)
    hall.now_ms = NOW_MS + days * DAY_MS - 1
    await hall.work()
    assert file.exists()
    async with await connect(hall.config.dsn("clerk")) as clerk:
        late = await run(clerk, schedule, NOW_MS + days * DAY_MS + HOUR_MS)
        assert late.classes[DataClass.COPY.value].tables["export"].left == 1
        hall.now_ms += 1
        await hall.work()
        assert not file.exists()
        done = await run(clerk, schedule, NOW_MS + days * DAY_MS + HOUR_MS)
        assert done.classes[DataClass.COPY.value].tables["export"].left == 0
    whole = await hall.seen(case_id)
    (certificate,) = [one for one in whole.certificates if one.kind == "copy"]
    assert (certificate.hashes, certificate.at_ms) == (whole.hashes, hall.now_ms)
    assert certificate.method


async def test_rule_13_each_opening_is_the_named_officers_logged_and_ends(hall: Hall) -> None:
    case_id = await hall.released(mode="view")
    export = (await hall.seen(case_id)).exports[0].id

    async def opened(name: str, mode: str) -> str:
        request = Request(case_id, export, mode)  # type: ignore[arg-type]
        return (await open_export(hall.office, hall.pool, hall.folder, asker(name), request)).sha256

    assert await opened("officer", "view") == hashlib.sha256(b"sealed").hexdigest()
    assert len(hall.entries("footage.viewed")) == 1
    with pytest.raises(RefusedError) as caught:
        await opened("officer", "download")
    assert {reason.policy for reason in caught.value.reasons} == {"R13-view-only"}
    with pytest.raises((RefusedError, UnknownCaseError)):
        await opened("colleague", "view")
    with pytest.raises(UnknownCaseError):
        await opened("stranger", "view")
    hall.now_ms += hall.profile.number_of("release_hours") * HOUR_MS + 1
    with pytest.raises(RefusedError) as caught:
        await opened("officer", "view")
    assert "R13-expiry" in {reason.policy for reason in caught.value.reasons}
    assert len(hall.entries("footage.viewed")) == 1


async def test_rule_14_a_file_that_is_not_what_the_gateway_signed_is_not_released(hall: Hall) -> None:
    case_id = await hall.approved()
    await hall.look()
    await hall.obey()
    await hall.look()
    assert await hall.obey() == ["export"]
    (file,) = hall.folder.glob("*.age")
    right = file.read_bytes()
    file.write_bytes(right[:-1] + b"?")
    await hall.look()
    assert hall.state(case_id) == "approved"
    file.write_bytes(right)
    await hall.look()
    assert hall.state(case_id) == "ready"


async def test_rule_19_every_step_has_its_entry_and_no_entry_can_be_changed_unseen(hall: Hall) -> None:
    with pytest.raises(RefusedError):
        await hall.take("officer", await hall.drafted(), Step.SUBMIT)
    await hall.approved()
    kinds = hall.kinds()
    assert [kind for kind in kinds if kind.startswith("case.") and kind != "case.drafted"] == [
        "case.denied", "case.submitted", "case.prepared", "case.checked", "case.approved"
    ]  # fmt: skip
    before = _root(hall)
    for statement in ("UPDATE audit_entry SET body = '{}'", "DELETE FROM audit_entry", "TRUNCATE audit_entry CASCADE"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            hall.sql(statement)
    assert _root(hall) == before
    with psycopg.connect(hall.config.dsn(), autocommit=True) as insider:  # who may do everything in the database
        insider.execute("SET session_replication_role = replica")
        insider.execute("UPDATE audit_entry SET body = body || ' ' WHERE id = (SELECT max(id) FROM audit_entry)")
    assert _root(hall) != before


def _root(hall: Hall) -> bytes:
    frontier = Frontier()
    for (body,) in hall.sql("SELECT body FROM audit_entry ORDER BY id"):
        list(frontier.append(leaf_hash(bytes(body))))
    return frontier.head().root


async def test_rule_20_a_camera_goes_live_with_all_its_records_and_with_none_missing(city: CityHall) -> None:
    await city.put_on_record(without=Duty.NOTICE)
    await city.approve_mask()
    with pytest.raises(RefusedError):
        await cameras.go_live(city.desk(Role.MANAGER), "gw-1")
    assert not await camera_duty.is_live(city.conn, "gw-1")
    await city.put_on_record()
    await cameras.go_live(city.desk(Role.MANAGER), "gw-1")
    assert await camera_duty.is_live(city.conn, "gw-1")
    assert city.kinds().count("camera.live") == 1


async def test_rule_21_the_report_computed_again_from_the_log_is_the_same_file(hall: Hall) -> None:
    await hall.released()
    with pytest.raises(RefusedError):
        await hall.take("officer", await hall.drafted(), Step.SUBMIT)
    rules = ReportRules.of(hall.profile, Text("市", "City"))
    asked = Asked(fiscal_year(NOW_MS), rules)

    def files(bodies: list[bytes]) -> list[bytes]:
        return [rendered(annual(bodies, asked), form) for form in Format]

    bodies = [bytes(row[0]) for row in hall.sql("SELECT body FROM audit_entry ORDER BY id")]
    bodies = [body for body in bodies if b'"v"' in body]  # not what the fixture made up
    assert files(bodies) == files(bodies)
    without = [body for body in bodies if b"case.submitted" not in body]
    assert len(without) < len(bodies)
    assert files(without) != files(bodies)


async def test_rule_24_a_case_of_footage_opens_no_tag_and_no_route_joins_them(hall: Hall) -> None:
    await hall.released()
    hall.sql("INSERT INTO ward (id, city_id, name_ja, name_en) VALUES ('w-1', 'mimamori', 'ゆい', 'Yui')")
    hall.sql("INSERT INTO guardianship (guardian_id, ward_id) VALUES ('g-1', 'w-1')")
    settings = PermitSettings(hall.profile.facts(), hall.config.clock, lambda: hall.now_ms)
    permits = Permits(hall.pool, hall.engine, settings)
    for action in (Action.VIEW_PLACE, Action.VIEW_TRACK, Action.VIEW_EVENTS):
        officer = replace(asker("officer"), session=await open_session(hall.config, "o-1"))
        with pytest.raises(RefusedError):
            await permits.of(officer, wish(action, "w-1"))
        guardian = replace(asker("guardian"), session=await open_session(hall.config, "g-1"))
        assert (await permits.of(guardian, wish(action, "w-1"))).wards == ("w-1",)
    paths = " ".join(_ROUTE.findall("".join(file.read_text("utf-8") for file in _API.glob("*.py"))))
    assert {"/cases", "/place", "{case_id}"} <= set(re.findall(r"/place|/cases|\{case_id\}", paths))
    assert not [word for word in ("face", "search", "person", "recognition") if word in paths]
    functions = hall.sql("SELECT prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace")
    views = hall.sql("SELECT definition FROM pg_views WHERE schemaname = 'public'")
    sources = [str(row[0]).lower() for row in (*functions, *views)]
    assert any("sighting" in source for source in sources)
    assert not [source for source in sources if "sighting" in source and ("footage" in source or "export" in source)]


async def test_rule_25_no_token_no_row_and_a_disaster_is_over_when_its_time_is(city: CityHall) -> None:
    city.sql("INSERT INTO ward (id, city_id, name_ja, name_en) VALUES ('w-1', 'mimamori', 'ゆい', 'Yui')")
    city.sql("INSERT INTO event (ward_id, kind, at, received_at) VALUES ('w-1', 'sos', now(), now())")
    city.sql("INSERT INTO guardianship (guardian_id, ward_id) VALUES ('guardian1', 'w-1')")
    settings = PermitSettings(city.hall.profile.facts(), city.config.clock, lambda: city.now_ms)
    async with make_pool(city.config.dsn("api"), max_size=1) as api, make_pool(city.config.dsn("warden")) as warden:
        async with api.connection() as conn:
            rows = await (await conn.execute("SELECT id FROM event")).fetchall()
        assert rows == []
        permits = Permits(warden, city.hall.engine, settings)
        mother = replace(city.desk(Role.GUARDIAN).asker, session=await open_session(city.config, "guardian1"))
        grant = await permits.of(mother, wish(Action.VIEW_EVENTS, "w-1"))
        async with holding(api, [grant]) as held:
            rows = await (await held.conn.execute("SELECT ward_id FROM event")).fetchall()
        assert rows == [("w-1",)]
    hours = city.hall.profile.number_of("disaster_hours")
    with pytest.raises(RefusedError):
        await disasters.declare(city.desk(Role.MANAGER), "洪水", cameras=["gw-1"], hours=hours + 1)
    await disasters.declare(city.desk(Role.MANAGER), "洪水", cameras=["gw-1"], hours=hours)
    until_ms = city.now_ms + hours * HOUR_MS
    for now_ms, end_ms in ((until_ms - 1, until_ms), (until_ms, None)):
        assert await disaster.until_ms(city.conn, "mimamori", ["gw-1"], now_ms=now_ms) == end_ms
