from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from privacy.cases import Step
from privacy.masks import MaskError
from privacy.policy.engine import Engine
from privacy.terms import Purpose, Role
from server.config import ServerConfig
from server.duties import cameras, disasters, gates, masks, oversight
from server.duties.errors import MaskChangeError, NotLiveError, ShutGateError, UnknownAccountError, UnknownCameraError
from server.duties.gates import SOUND, GateNameError
from server.duties.hall import asker_of
from server.orders.issue import CitySigner
from server.permit.ask import RefusedError
from server.permit.ordinance import ordinance_facts
from server.store import camera_duty, disaster
from server.store.board_gate import GateRow
from server.store.camera_duty import Duty, DutyRow
from server.store.connection import connect
from server.store.mask_change import NewChange
from server.store.oversight import Oversight, OversightRow
from tests.db.duties import AREA, DAY, HOUR_MS, NOW_MS, CityHall, city_hall

pytestmark = pytest.mark.db

GATE = GateRow(SOUND, "審議会 令和8年第3号", 49, DAY, DAY)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.load()


@pytest.fixture
async def hall(db: ServerConfig, engine: Engine) -> AsyncIterator[CityHall]:
    async with city_hall(db, engine, "kakogawa") as made:
        yield made


def _policies(caught: pytest.ExceptionInfo[RefusedError]) -> set[str]:
    return {reason.policy for reason in caught.value.reasons}


@pytest.mark.parametrize("lacking", list(Duty))
async def test_a_camera_that_lacks_one_record_does_not_go_live(hall: CityHall, lacking: Duty) -> None:
    await hall.put_on_record(without=lacking)
    await hall.approve_mask()
    with pytest.raises(RefusedError) as caught:
        await cameras.go_live(hall.desk(Role.MANAGER), "gw-1")
    assert _policies(caught) == {"R20-records"}
    assert await cameras.may_go_live(hall.conn, "mimamori", "gw-1") == (lacking.value,)
    assert not await camera_duty.is_live(hall.conn, "gw-1")
    assert hall.kinds()[-1] == "camera.refused"


async def test_a_camera_without_an_approved_mask_does_not_go_live(hall: CityHall) -> None:
    await hall.put_on_record()
    await masks.draw(hall.desk(Role.HANDLER), NewChange("gw-1", AREA, is_bare=False, reason="設置"))
    with pytest.raises(RefusedError) as caught:
        await cameras.go_live(hall.desk(Role.MANAGER), "gw-1")
    assert _policies(caught) == {"R15-no-mask"}


async def test_a_camera_with_everything_goes_live_by_the_manager_alone_and_ends(hall: CityHall) -> None:
    await hall.put_on_record()
    await hall.approve_mask()
    with pytest.raises(RefusedError):
        await cameras.go_live(hall.desk(Role.HANDLER), "gw-1")
    await cameras.go_live(hall.desk(Role.MANAGER), "gw-1", purposes=[Purpose.CRIME])
    assert await camera_duty.is_live(hall.conn, "gw-1")
    allowed = hall.hall.profile.purposes
    assert await camera_duty.purposes_of(hall.conn, "mimamori", allowed) == {"gw-1": frozenset({Purpose.CRIME})}
    assert await cameras.end(hall.desk(Role.SUPERVISOR), "gw-1")
    assert await camera_duty.purposes_of(hall.conn, "mimamori", allowed) == {}
    assert hall.kinds()[-2:] == ["camera.live", "camera.ended"]


@pytest.mark.parametrize("role", [Role.GUARDIAN, Role.OFFICER, Role.PROVIDER, Role.BOARD])
async def test_nobody_outside_city_hall_records_anything_of_a_camera(hall: CityHall, role: Role) -> None:
    with pytest.raises(RefusedError):
        await cameras.record(hall.desk(role), DutyRow("gw-1", Duty.SIGN, DAY, "x"))
    assert hall.sql("SELECT count(*) FROM camera_duty") == [(0,)]
    assert hall.log()[-1]["facts"]["allowed"] is False


async def test_the_database_itself_refuses_a_camera_without_records(hall: CityHall) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="without its records"):
        await camera_duty.go_live(hall.conn, "gw-1", purposes=None, at_ms=NOW_MS, entry=1)


async def test_a_mask_takes_three_people(hall: CityHall) -> None:
    hall.sql("UPDATE account SET role = 'manager' WHERE id = 'handler2'")
    number = await masks.draw(hall.desk(Role.HANDLER), NewChange("gw-1", AREA, is_bare=False, reason="枝"))
    with pytest.raises(MaskChangeError):  # not checked yet
        await masks.take(hall.desk(Role.MANAGER), number, Step.APPROVE)
    for role in (Role.HANDLER, Role.MANAGER, Role.OFFICER):
        with pytest.raises(RefusedError):
            await masks.take(hall.desk(role), number, Step.CHECK)
    await masks.take(hall.desk(Role.SUPERVISOR), number, Step.CHECK)
    with pytest.raises(RefusedError):
        await masks.take(hall.desk(Role.SUPERVISOR), number, Step.APPROVE)
    await masks.take(hall.desk(Role.MANAGER), number, Step.APPROVE)
    assert [kind for kind in hall.kinds() if kind != "mask.refused"] == ["mask.drawn", "mask.checked", "mask.changed"]


async def test_one_person_in_two_roles_is_still_one_person(hall: CityHall) -> None:
    number = await masks.draw(hall.desk(Role.HANDLER), NewChange("gw-1", AREA, is_bare=False, reason="枝"))
    desk = hall.desk(Role.SUPERVISOR)
    same = type(desk.asker)("handler1", Role.SUPERVISOR)
    with pytest.raises(RefusedError) as caught:
        await masks.take(type(desk)(desk.conn, desk.hall, same, desk.now_ms), number, Step.CHECK)
    assert _policies(caught) == {"R15-mask-three"}
    with pytest.raises(psycopg.errors.UniqueViolation):
        await hall.conn.execute(
            """INSERT INTO mask_step
               VALUES (%s, 'check', 'handler1', 'supervisor', now(), (SELECT max(id) FROM audit_entry))""",
            (number,),
        )


async def test_what_was_drawn_stays_and_no_state_is_jumped_to(hall: CityHall) -> None:
    number = await masks.draw(hall.desk(Role.HANDLER), NewChange("gw-1", AREA, is_bare=False, reason="枝"))
    for change in ("polygons = '[]'", "state = 'approved', approved_at = now()", "state = 'checked'"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            hall.sql(f"UPDATE mask_change SET {change} WHERE id = {number}")


async def test_one_change_of_a_camera_at_a_time_and_a_dropped_one_makes_room(hall: CityHall) -> None:
    new = NewChange("gw-1", AREA, is_bare=False, reason="枝")
    number = await masks.draw(hall.desk(Role.HANDLER), new)
    with pytest.raises(MaskChangeError):
        await masks.draw(hall.desk(Role.HANDLER, 2), new)
    await masks.drop(hall.desk(Role.SUPERVISOR), number)
    with pytest.raises(MaskChangeError):
        await masks.drop(hall.desk(Role.SUPERVISOR), number)
    assert await masks.draw(hall.desk(Role.HANDLER), new) > number


async def test_a_drawing_that_is_no_mask_is_refused(hall: CityHall) -> None:
    with pytest.raises(MaskError):
        await masks.draw(hall.desk(Role.HANDLER), NewChange("gw-1", (), is_bare=False, reason="x"))
    assert hall.log() == []


async def test_a_mask_is_ordered_once_of_a_live_camera_alone(hall: CityHall) -> None:
    signer = CitySigner("mimamori", ec.generate_private_key(ec.SECP256R1()))
    async with await connect(hall.config.dsn()) as owner:
        with pytest.raises(NotLiveError) as caught:
            await masks.send(owner, signer, "gw-1", now_ms=NOW_MS)
        assert caught.value.missing == ("sign", "consultation", "notice", "location", "mask")
        await hall.go_live()
        assert await masks.send(owner, signer, "gw-1", now_ms=NOW_MS) == (1, 1)
        with pytest.raises(MaskChangeError):
            await masks.send(owner, signer, "gw-1", now_ms=NOW_MS)
        await hall.approve_mask()
        assert await masks.send(owner, signer, "gw-1", now_ms=NOW_MS) == (2, 2)


@pytest.mark.parametrize(
    "row",
    [
        GateRow(SOUND, "意見", 48, DAY, DAY),
        GateRow(SOUND, "意見", 49, DAY, DAY.replace(year=2027)),
        GateRow(SOUND, "", 49, DAY, DAY),
    ],
)
async def test_a_gate_stays_shut_without_opinion_checklist_and_notice(hall: CityHall, row: GateRow) -> None:
    with pytest.raises(RefusedError) as caught:
        await gates.open_(hall.desk(Role.MANAGER), row)
    assert _policies(caught) == {"R23-gate"}
    assert (await ordinance_facts(hall.conn, hall.hall.profile)).gates == frozenset()


async def test_a_gate_that_is_open_is_told_to_the_policies_until_it_is_shut(hall: CityHall) -> None:
    await hall.put_on_record()
    await hall.approve_mask()
    manager = hall.desk(Role.MANAGER)
    with pytest.raises(RefusedError) as caught:
        await cameras.go_live(manager, "gw-1", gates=[SOUND])
    assert _policies(caught) == {"R23-sensor"}
    with pytest.raises(ShutGateError):
        await gates.opened(manager, SOUND)
    await gates.open_(manager, GATE)
    assert (await ordinance_facts(hall.conn, hall.hall.profile)).gates == {SOUND}
    assert await gates.opened(manager, SOUND) == GATE
    await cameras.go_live(manager, "gw-1", gates=[SOUND])
    await cameras.use_sensor(manager, "gw-1", SOUND)
    await gates.close(manager, SOUND)
    with pytest.raises(RefusedError):
        await cameras.use_sensor(manager, "gw-1", SOUND)
    with pytest.raises(ShutGateError):
        await gates.close(manager, SOUND)


@pytest.mark.parametrize("name", ["sound", "sensor:", "sensor:Sound", "face:all", "ai:" + "x" * 41])
async def test_a_gate_has_one_of_four_kinds_and_a_plain_name(hall: CityHall, name: str) -> None:
    with pytest.raises(GateNameError):
        await gates.open_(hall.desk(Role.MANAGER), GateRow(name, "意見", 49, DAY, DAY))


async def test_a_disaster_names_its_cameras_and_ends_by_itself(hall: CityHall) -> None:
    manager = hall.desk(Role.MANAGER)
    number = await disasters.declare(manager, "洪水", cameras=["gw-1"], hours=72)
    until_ms = NOW_MS + 72 * HOUR_MS
    at = [
        await disaster.until_ms(hall.conn, "mimamori", ["gw-1"], now_ms=ms) for ms in (NOW_MS, until_ms - 1, until_ms)
    ]
    assert at == [until_ms, until_ms, None]
    assert await disaster.until_ms(hall.conn, "mimamori", ["gw-1", "gw-2"], now_ms=NOW_MS) is None
    assert await disaster.until_ms(hall.conn, "mimamori", [], now_ms=NOW_MS) is None
    await disasters.end(manager, number)
    assert await disaster.in_force(hall.conn, "mimamori", now_ms=NOW_MS) == []
    assert hall.kinds() == ["disaster.declared", "disaster.ended"]
    with pytest.raises(disasters.NoDisasterError):
        await disasters.end(manager, number)


@pytest.mark.parametrize(("given", "hours"), [(["gw-1"], 73), ([], 24), (["gw-1"], 0), (["gw-1"], -1)])
async def test_a_disaster_without_cameras_or_end_is_refused(hall: CityHall, given: list[str], hours: int) -> None:
    with pytest.raises(RefusedError) as caught:
        await disasters.declare(hall.desk(Role.MANAGER), "洪水", cameras=given, hours=hours)
    assert _policies(caught) == {"R25-disaster-bounds"}
    with pytest.raises(RefusedError):
        await disasters.declare(hall.desk(Role.SUPERVISOR), "洪水", cameras=["gw-1"], hours=24)
    assert hall.sql("SELECT count(*) FROM disaster") == [(0,)]


async def test_a_complaint_is_counted_in_the_log_and_told_there_to_nobody(hall: CityHall) -> None:
    told = OversightRow(Oversight.BREACH, DAY, "東町三丁目の住人の映像", persons=3)
    await oversight.record(hall.desk(Role.MANAGER), told)
    await oversight.record(hall.desk(Role.BOARD), OversightRow(Oversight.INSPECTION, DAY, "定期", findings=2))
    await oversight.record(hall.desk(Role.MANAGER), OversightRow(Oversight.COMPLAINT, DAY, "電話"))
    assert hall.kinds() == ["breach.found", "inspection.held", "complaint.received"]
    assert hall.log()[0]["facts"]["persons"] == 3
    assert hall.log()[1]["facts"]["findings"] == 2
    assert "三丁目" not in str(hall.log())
    with pytest.raises(RefusedError):
        await oversight.record(hall.desk(Role.HANDLER), told)


async def test_what_is_not_there_is_said(hall: CityHall) -> None:
    with pytest.raises(UnknownCameraError):
        await cameras.go_live(hall.desk(Role.MANAGER), "gw-9")
    with pytest.raises(UnknownCameraError):
        await disasters.declare(hall.desk(Role.MANAGER), "洪水", cameras=["gw-9"], hours=1)
    with pytest.raises(MaskChangeError):
        await masks.take(hall.desk(Role.SUPERVISOR), 99, Step.CHECK)
    assert (await asker_of(hall.conn, "officer1")).agency == "station"
    hall.sql("UPDATE account SET disabled_at = now() WHERE id = 'officer1'")
    with pytest.raises(UnknownAccountError):
        await asker_of(hall.conn, "officer1")


@pytest.mark.parametrize("role", ["ingest", "notify", "gate", "api"])
async def test_no_other_program_writes_or_reads_who_did_what(hall: CityHall, role: str) -> None:
    await hall.approve_mask()
    async with await connect(hall.config.dsn(role)) as conn:
        for statement in (
            "INSERT INTO board_gate VALUES ('sensor:sound', 'x', 1, now(), now(), now(), NULL, 1)",
            "UPDATE camera_live SET purposes = NULL",
            "SELECT account_id FROM mask_step",
            "SELECT summary FROM oversight",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await conn.execute(statement.encode())


def test_the_help_of_every_duty_is_japanese_first() -> None:
    text = (Path(__file__).parents[2] / "server" / "cli_duty.py").read_text("utf-8")
    commands = text.split("@duty_app.command")[1:]
    assert commands
    assert all(command.split('"""')[1][0] > "\u3000" for command in commands)
