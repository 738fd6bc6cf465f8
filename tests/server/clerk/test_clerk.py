"""What the clerk orders and what it does by time, in a real database; gateways are played, their files are real."""

import asyncio
import dataclasses

import psycopg
import pytest

from privacy.cases import Step
from server.permit.ask import RefusedError
from server.store import order as orders
from server.store.connection import connect
from server.store.order import Outcome
from tests.casework import DAY_MS, HOUR_MS, NOW_MS, RECIPIENT, WINDOW, Hall

pytestmark = pytest.mark.db


def _orders(hall: Hall) -> list[tuple[str, str]]:
    return [(str(d), str(k)) for d, k in hall.sql("SELECT detector_id, kind FROM gateway_order ORDER BY 1, sequence")]


async def test_what_is_submitted_is_frozen_at_once_and_only_once(hall: Hall) -> None:
    case_id = await hall.submitted()
    for _ in range(3):
        await hall.look()
    assert _orders(hall) == [("gw-1", "freeze")]
    assert (await hall.seen(case_id)).kept == ("all",)
    assert await hall.obey() == ["freeze"]
    assert (await hall.seen(case_id)).kept == ("frozen",)
    assert hall.entries("order.issued")[0]["facts"]["case"] == "2026-0001"


async def test_a_draft_freezes_nothing(hall: Hall) -> None:
    await hall.drafted()
    await hall.look()
    assert _orders(hall) == []


async def test_what_is_frozen_stays_when_its_days_at_the_edge_are_over(hall: Hall) -> None:
    case_id = await hall.submitted()
    await hall.work()
    hall.now_ms += 6 * DAY_MS
    hall.sql("UPDATE detector_health SET footage_from_ms = %s", hall.now_ms)
    for name, step in (("handler", Step.PREPARE), ("supervisor", Step.CHECK), ("manager", Step.APPROVE)):
        await hall.take(name, case_id, step)
    await hall.work()
    assert hall.state(case_id) == "ready"


async def test_an_approved_case_is_exported_to_the_officers_key_and_ready_when_all_is_whole(hall: Hall) -> None:
    case_id = await hall.approved(WINDOW, dataclasses.replace(WINDOW, detector="gw-2"))
    await hall.work()
    assert hall.state(case_id) == "ready"
    assert {recipient for (recipient,) in hall.sql("SELECT recipient FROM export")} == {RECIPIENT}
    assert _orders(hall) == [("gw-1", "freeze"), ("gw-1", "export"), ("gw-2", "freeze"), ("gw-2", "export")]
    kinds = hall.kinds()
    assert kinds.index("case.approved") < kinds.index("order.issued") < kinds.index("case.exported")


async def test_a_key_that_is_changed_after_the_approval_gets_nothing(hall: Hall) -> None:
    await hall.approved()
    hall.sql("UPDATE account SET recipient = %s WHERE id = 'o-1'", "age1" + "q" * 58)
    await hall.work()
    assert hall.sql("SELECT recipient FROM export") == [(RECIPIENT,)]


async def test_without_a_key_of_the_officer_nothing_is_approved(hall: Hall) -> None:
    hall.sql("UPDATE account SET recipient = NULL, recipient_set_at = NULL")
    with pytest.raises(RefusedError) as refused:
        await hall.approved()
    assert [reason.policy for reason in refused.value.reasons] == ["recipient"]
    assert hall.entries("case.denied")[0]["facts"]["blocked"] == "recipient"


async def test_a_file_that_is_not_what_its_gateway_signed_makes_no_case_ready(hall: Hall) -> None:
    case_id = await hall.approved()
    await hall.look()
    await hall.obey()
    await hall.look()
    assert await hall.obey(told=bytes(32)) == ["export"]
    await hall.look()
    assert hall.state(case_id) == "approved"
    assert "case.exported" not in hall.kinds()


async def test_a_file_that_was_changed_on_disk_makes_no_case_ready(hall: Hall) -> None:
    case_id = await hall.approved()
    await hall.look()
    await hall.obey()
    await hall.look()
    await hall.obey()
    for file in hall.folder.glob("*.age"):
        file.write_bytes(b"sealee")
    await hall.look()
    assert hall.state(case_id) == "approved"


async def test_nobody_decides_and_the_case_lapses_and_its_window_is_let_go(hall: Hall) -> None:
    case_id = await hall.submitted()
    await hall.work()
    hall.now_ms = NOW_MS + 7 * DAY_MS - 1
    await hall.work()
    assert hall.state(case_id) == "submitted"
    assert [one.kind for one in (await hall.seen(case_id)).reminders] == ["undecided"]
    hall.now_ms += 1
    await hall.work()
    assert hall.state(case_id) == "lapsed"
    assert _orders(hall)[-1] == ("gw-1", "thaw")
    assert hall.entries("case.lapsed")[0]["role"] == "clerk"


@pytest.mark.parametrize(("name", "step"), [("handler", Step.REFUSE), ("officer", Step.WITHDRAW)])
async def test_a_case_that_is_refused_or_withdrawn_lets_its_windows_go(hall: Hall, name: str, step: Step) -> None:
    case_id = await hall.submitted()
    await hall.work()
    await hall.take(name, case_id, step, note="目的外のため")
    await hall.work()
    assert _orders(hall) == [("gw-1", "freeze"), ("gw-1", "thaw")]
    await hall.look()
    assert len(_orders(hall)) == 2


async def _hurried(hall: Hall) -> str:
    case_id = await hall.drafted(is_emergency=True)
    await hall.take("officer", case_id, Step.SUBMIT)
    await hall.take("supervisor", case_id, Step.EMERGENCY)
    await hall.work()
    await hall.take("officer", case_id, Step.UNDERTAKE)
    return case_id


async def test_an_emergency_is_revoked_when_nobody_else_ratifies_it_in_time(hall: Hall) -> None:
    case_id = await _hurried(hall)
    hall.now_ms = NOW_MS + 24 * HOUR_MS - 1
    await hall.work()
    assert hall.state(case_id) == "released"
    hall.now_ms += 1
    await hall.work()
    whole = await hall.seen(case_id)
    assert (whole.row.state.value, whole.row.release_until_ms) == ("revoked", hall.now_ms)
    assert {"destroy", "board"} <= {one.kind for one in whole.reminders if one.settled_ms is None}
    assert list(hall.folder.glob("*.age")) == []
    assert [one.kind for one in whole.certificates] == ["copy"]


async def test_an_emergency_with_papers_and_a_second_approval_goes_on(hall: Hall) -> None:
    case_id = await _hurried(hall)
    with pytest.raises(RefusedError) as refused:
        await hall.take("manager", case_id, Step.RATIFY)
    assert "R02-papers" in {reason.policy for reason in refused.value.reasons}
    await hall.add_papers(case_id, "inquiry", "request")
    await hall.take("manager", case_id, Step.RATIFY)
    hall.now_ms = NOW_MS + 25 * HOUR_MS
    await hall.work()
    assert hall.state(case_id) == "released"


async def test_the_citys_copies_are_destroyed_on_their_day_with_a_certificate(hall: Hall) -> None:
    case_id = await hall.released()
    (file,) = hall.folder.glob("*.age")
    hall.now_ms = NOW_MS + 30 * DAY_MS - 1
    await hall.work()
    assert file.exists()
    hall.now_ms += 1
    await hall.work()
    assert not file.exists()
    whole = await hall.seen(case_id)
    (certificate,) = [one for one in whole.certificates if one.kind == "copy"]
    assert certificate.hashes == whole.hashes
    assert len(hall.entries("copy.destroyed")) == 1


async def test_a_copy_that_came_although_its_order_failed_is_destroyed_with_the_others(hall: Hall) -> None:
    case_id = await hall.approved()
    await hall.look()
    await hall.obey()
    await hall.look()
    await hall.obey()
    hall.sql("UPDATE gateway_order SET state = 'failed' WHERE kind = 'export'")
    hall.now_ms += HOUR_MS
    await hall.work()
    assert hall.state(case_id) == "ready"
    assert hall.sql("SELECT count(*) FROM export WHERE state = 'whole'") == [(2,)]
    hall.now_ms += 30 * DAY_MS
    await hall.work()
    assert list(hall.folder.iterdir()) == []
    assert hall.sql("SELECT count(*) FROM export WHERE destroyed_at IS NULL") == [(0,)]


async def test_killed_after_the_file_was_deleted_the_clerk_certifies_at_the_next_look(hall: Hall) -> None:
    case_id = await hall.released()
    for file in hall.folder.glob("*.age"):
        file.unlink()
    hall.now_ms = NOW_MS + 30 * DAY_MS
    await hall.work()
    assert [one.kind for one in (await hall.seen(case_id)).certificates] == ["copy"]


async def test_a_return_that_is_late_is_reminded_of_marked_and_closed_in_the_end(hall: Hall) -> None:
    case_id = await hall.released()
    days = hall.profile.number_of("return_days")
    hall.now_ms = NOW_MS + (days - 3) * DAY_MS
    await hall.work()
    assert "unreturned" in {one.kind for one in (await hall.seen(case_id)).reminders}
    hall.now_ms = NOW_MS + days * DAY_MS + 1
    await hall.work()
    whole = await hall.seen(case_id)
    assert whole.row.overdue_ms == hall.now_ms
    assert len(hall.entries("case.overdue")) == 1
    await hall.take("officer", case_id, Step.RETURN, hashes=whole.hashes, method="消去")
    await hall.take("officer", case_id, Step.FEEDBACK, feedback="used")
    hall.now_ms = NOW_MS + 100 * DAY_MS
    await hall.work()
    whole = await hall.seen(case_id)
    assert whole.row.state.value == "closed"
    assert [one for one in whole.reminders if one.settled_ms is None] == []


async def test_an_extension_needs_a_reason_and_moves_the_day(hall: Hall) -> None:
    case_id = await hall.released()
    later_ms = hall.now_ms + 10 * DAY_MS
    await hall.take("supervisor", case_id, Step.EXTEND, note="公判のため", return_by_ms=later_ms)
    assert (await hall.seen(case_id)).row.return_by_ms == later_ms


async def test_an_answer_that_does_not_come_is_marked_and_keeps_no_case_open(hall: Hall) -> None:
    case_id = await hall.released()
    await hall.take("officer", case_id, Step.RETURN, hashes=(await hall.seen(case_id)).hashes, method="消去")
    hall.now_ms = NOW_MS + 90 * DAY_MS + 1
    await hall.work()
    whole = await hall.seen(case_id)
    assert (whole.row.state.value, whole.row.feedback, whole.row.feedback_missing_ms) == ("closed", None, hall.now_ms)
    assert "case.unanswered" in hall.kinds()


async def test_a_gateway_that_has_nothing_left_is_told_to_city_hall(hall: Hall) -> None:
    case_id = await hall.approved()
    await hall.look()
    assert await hall.obey(segments=0) == ["freeze"]
    await hall.look()
    whole = await hall.seen(case_id)
    assert whole.row.state.value == "approved"
    assert [one.kind for one in whole.reminders] == ["export_failed"]
    assert _orders(hall) == [("gw-1", "freeze")]


async def test_a_gateway_that_refuses_is_asked_again_later_and_not_for_ever(hall: Hall) -> None:
    case_id = await hall.submitted()
    for _ in range(12):
        await hall.look()
        async with await connect(hall.config.dsn("gate")) as conn:
            for (sequence,) in hall.sql("SELECT sequence FROM gateway_order WHERE state = 'pending'"):
                await orders.settle(conn, "gw-1", sequence, Outcome("refused", "no-camera"), now_ms=hall.now_ms)
        hall.now_ms += 10 * 60_000
    await hall.look()
    assert len(_orders(hall)) == 5
    assert [one.kind for one in (await hall.seen(case_id)).reminders] == ["export_failed"]


async def test_one_case_that_cannot_be_helped_keeps_no_other_waiting(hall: Hall) -> None:
    await hall.submitted()
    hall.sql("UPDATE detector SET revoked_at = now() WHERE id = 'gw-1'")
    await hall.submitted(dataclasses.replace(WINDOW, detector="gw-2"))
    await hall.look()
    assert _orders(hall) == [("gw-2", "freeze")]
    assert hall.metrics.stuck._value.get() == 1


@pytest.mark.parametrize("table", ["audit_entry", "gateway_order", "case_order"])
async def test_cut_off_between_any_two_rows_nothing_is_there_and_the_next_look_does_it(hall: Hall, table: str) -> None:
    await hall.submitted()
    before = hall.kinds()
    columns = "(detector_id, sequence, kind, body, issued_at, next_send_at)" if table == "gateway_order" else ""
    hall.sql(f"REVOKE INSERT {columns} ON {table} FROM clerk")
    await hall.look()
    assert (hall.kinds(), _orders(hall), hall.sql("SELECT 1 FROM case_order")) == (before, [], [])
    assert hall.metrics.stuck._value.get() == 1
    hall.sql(f"GRANT INSERT ON {table} TO clerk")
    await hall.look()
    assert _orders(hall) == [("gw-1", "freeze")]
    assert hall.kinds() == [*before, "order.issued"]


async def test_an_export_is_cut_off_whole(hall: Hall) -> None:
    await hall.approved()
    await hall.look()
    await hall.obey()
    hall.sql("REVOKE INSERT ON case_order FROM clerk")
    await hall.look()
    assert hall.sql("SELECT 1 FROM export") == []
    hall.sql("GRANT INSERT ON case_order TO clerk")
    await hall.work()
    assert len(hall.sql("SELECT 1 FROM export")) == 1


async def test_two_clerks_at_once_give_each_order_once(hall: Hall) -> None:
    for _ in range(3):
        await hall.submitted()
    await asyncio.gather(hall.look(), hall.look(), hall.look())
    assert _orders(hall) == [("gw-1", "freeze")] * 3


@pytest.mark.parametrize(
    "statement",
    [
        """INSERT INTO gateway_order (detector_id, sequence, kind, body, issued_at, next_send_at)
           VALUES ('gw-1', 9, 'export', '', now(), now())""",
        """INSERT INTO case_order (detector_id, sequence, case_id, camera, kind, at, entry_id)
           SELECT 'gw-1', 1, id, 1, 'freeze', now(), (SELECT max(id) FROM audit_entry) FROM footage_case""",
        "UPDATE footage_case SET recipient = 'age1'",
        "UPDATE footage_case SET approved_until = 'infinity'",
        "SELECT sealed FROM case_paper",
        "UPDATE gateway_order SET body = ''",
        "DELETE FROM case_step",
        "UPDATE export SET recipient = 'age1'",
    ],
)
async def test_the_clerk_orders_for_cases_alone_and_rewrites_nothing(hall: Hall, statement: str) -> None:
    await hall.submitted()
    with (
        psycopg.connect(hall.config.dsn("clerk"), autocommit=True) as conn,
        pytest.raises(psycopg.Error) as refused,
        conn.transaction(),  # some of it is refused at its end
    ):
        conn.execute(statement.encode())
    assert refused.value.sqlstate in {"42501", "23000", "23503"}


async def test_no_export_is_ordered_of_a_case_that_nobody_approved(hall: Hall) -> None:
    await hall.submitted()
    await hall.look()
    with psycopg.connect(hall.config.dsn("clerk")) as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute(
            """WITH o AS (INSERT INTO gateway_order (detector_id, sequence, kind, body, issued_at, next_send_at)
                          VALUES ('gw-1', 2, 'export', '', now(), now())),
                    e AS (INSERT INTO export (id, detector_id, case_id, from_at, to_at, recipient)
                          VALUES ('x', 'gw-1', '2026-0001', now() - interval '1 h', now(), 'age1'))
               INSERT INTO case_order (detector_id, sequence, case_id, camera, kind, export_id, at, entry_id)
               SELECT 'gw-1', 2, id, 1, 'export', 'x', now(), (SELECT max(id) FROM audit_entry) FROM footage_case"""
        )
