"""Every state with every step, out of the state machine itself: what leads on is taken, the rest changes nothing."""

from collections.abc import Awaitable, Callable
from typing import Final

import psycopg
import pytest

from privacy.cases import ENDED, ENTRY_OF, MOVES, State, Step
from privacy.terms import Basis, Purpose, Role
from server.cases import steps
from server.cases.errors import CaseInputError, UnknownCaseError
from server.cases.steps import Wish
from server.clerk.room import CLERK
from server.permit.ask import RefusedError
from server.store.connection import connect
from tests.casework import DAY_MS, HOUR_MS, NOW_MS, WINDOW, Hall, asker

pytestmark = [pytest.mark.db, pytest.mark.timeout(120)]

TAKEN_BY: Final = {
    Step.SUBMIT: "officer",
    Step.PREPARE: "handler",
    Step.CHECK: "supervisor",
    Step.APPROVE: "manager",
    Step.REFUSE: "handler",
    Step.WITHDRAW: "officer",
    Step.EMERGENCY: "supervisor",
    Step.RATIFY: "manager",
    Step.UNDERTAKE: "officer",
    Step.EXTEND: "supervisor",
    Step.RETURN: "officer",
    Step.FEEDBACK: "officer",
    Step.FOUND: "officer",
    Step.CLOSE: "handler",
}
BY_CLERK: Final = frozenset({Step.EXPORTED, Step.LAPSE, Step.REVOKE})
MISSING: Final = {
    "purpose": Purpose.MISSING_PERSON,
    "basis": Basis.ARTICLE_69,
    "report_number": "受理第12号",
    "missing_kind": "vulnerable",
    "last_confirmed_ms": WINDOW.from_ms + HOUR_MS,
    "is_emergency": True,
}


async def _begun(hall: Hall) -> str:
    """A draft of a missing person's case: of all purposes the one that has every step."""
    return await hall.drafted(**MISSING)


async def _submitted(hall: Hall) -> str:
    case_id = await _begun(hall)
    await hall.take("officer", case_id, Step.SUBMIT)
    await hall.work()
    return case_id


async def _prepared(hall: Hall) -> str:
    case_id = await _submitted(hall)
    await hall.take("handler", case_id, Step.PREPARE)
    return case_id


async def _checked(hall: Hall) -> str:
    case_id = await _prepared(hall)
    await hall.take("supervisor", case_id, Step.CHECK)
    return case_id


async def _approved(hall: Hall) -> str:
    case_id = await _submitted(hall)
    await hall.take("supervisor", case_id, Step.EMERGENCY)
    return case_id


async def _ready(hall: Hall) -> str:
    case_id = await _approved(hall)
    await hall.work()
    return case_id


async def _released(hall: Hall) -> str:
    case_id = await _ready(hall)
    await hall.take("officer", case_id, Step.UNDERTAKE)
    return case_id


async def _revoked(hall: Hall) -> str:
    case_id = await _released(hall)
    hall.now_ms += DAY_MS
    await hall.work()
    return case_id


async def _returned(hall: Hall) -> str:
    case_id = await _released(hall)
    await hall.take("officer", case_id, Step.RETURN, hashes=(await hall.seen(case_id)).hashes, method="消去")
    return case_id


async def _closed(hall: Hall) -> str:
    case_id = await _returned(hall)
    await hall.take("handler", case_id, Step.CLOSE)
    return case_id


async def _ended(hall: Hall, name: str, step: Step) -> str:
    case_id = await _submitted(hall)
    await hall.take(name, case_id, step, note="理由")
    return case_id


async def _lapsed(hall: Hall) -> str:
    case_id = await _submitted(hall)
    hall.now_ms += 7 * DAY_MS
    await hall.work()
    return case_id


WAY_TO: Final[dict[State, Callable[[Hall], Awaitable[str]]]] = {
    State.DRAFT: _begun,
    State.SUBMITTED: _submitted,
    State.PREPARED: _prepared,
    State.CHECKED: _checked,
    State.APPROVED: _approved,
    State.READY: _ready,
    State.RELEASED: _released,
    State.REVOKED: _revoked,
    State.RETURNED: _returned,
    State.CLOSED: _closed,
    State.REFUSED: lambda hall: _ended(hall, "handler", Step.REFUSE),
    State.WITHDRAWN: lambda hall: _ended(hall, "officer", Step.WITHDRAW),
    State.LAPSED: _lapsed,
}


def _bring_about(hall: Hall, case_id: str, step: Step) -> None:
    """Let the time come for what happens by time."""
    row = hall.sql("SELECT emergency_at IS NOT NULL FROM footage_case WHERE id = %s", case_id)
    if step is Step.LAPSE:
        hall.now_ms += 7 * DAY_MS
    elif step is Step.REVOKE and row[0][0]:
        hall.now_ms = max(hall.now_ms, NOW_MS + DAY_MS)


async def _try(hall: Hall, case_id: str, step: Step) -> None:
    hashes = (await hall.desk.get(CLERK, case_id)).hashes if hall.state(case_id) != "draft" else ()
    wish = Wish(step=step, note="理由", hashes=hashes, method="消去", feedback="used")
    if step not in BY_CLERK:
        await steps.take(hall.office, hall.pool, asker(TAKEN_BY[step]), case_id, wish)
        return
    async with await connect(hall.config.dsn("clerk")) as conn:
        await steps.take_on(conn, hall.office, CLERK, case_id, wish)


LEADS_ON = [(state, move.step, move.to) for state, moves in MOVES.items() for move in moves]
STAYS = [(state, step) for state in State for step in Step if step not in {move.step for move in MOVES[state]}]


@pytest.mark.parametrize(("state", "step", "to"), LEADS_ON)
async def test_a_step_leads_where_the_machine_says(hall: Hall, state: State, step: Step, to: State) -> None:
    if (state, step) == (State.APPROVED, Step.EXPORTED):
        case_id = await _ready(hall)  # the clerk takes this step as soon as the gateways have done their part
    else:
        case_id = await WAY_TO[state](hall)
        assert hall.state(case_id) == state.value
        _bring_about(hall, case_id, step)
        await _try(hall, case_id, step)
    assert hall.state(case_id) == to.value
    said = [entry["facts"] for entry in hall.entries(ENTRY_OF[step]) if entry["facts"].get("step") == step.value]
    assert [(one["case"], one["state"], one["allowed"]) for one in said] == [("2026-0001", to.value, True)]


@pytest.mark.parametrize("state", list(State))
async def test_what_does_not_lead_on_is_refused_logged_and_changes_nothing(hall: Hall, state: State) -> None:
    case_id = await WAY_TO[state](hall)
    hall.now_ms += 61_000  # a second click within a minute would be no refusal
    for step in [one for where, one in STAYS if where is state]:
        before = len(hall.entries("case.denied"))
        with pytest.raises((RefusedError, UnknownCaseError)):
            await _try(hall, case_id, step)
        assert hall.state(case_id) == state.value, step
        assert len(hall.entries("case.denied")) == before + 1, step


def test_an_ended_case_has_no_step_left() -> None:
    assert {State.CLOSED, State.REFUSED, State.WITHDRAWN, State.LAPSED} == ENDED


async def test_the_database_knows_the_same_machine(hall: Hall) -> None:
    rows = set(hall.sql("SELECT from_state, step, to_state FROM case_move"))
    assert rows == {(state.value, step.value, to.value) for state, step, to in LEADS_ON}


async def test_the_database_lets_no_state_change_without_its_step(hall: Hall) -> None:
    case_id = await _submitted(hall)
    for statement in (
        "UPDATE footage_case SET state = 'prepared' WHERE id = %s",
        "UPDATE footage_case SET state = 'released', release_until = now(), return_by = now() WHERE id = %s",
    ):
        with (
            psycopg.connect(hall.config.dsn("warden"), autocommit=True) as conn,
            pytest.raises(psycopg.errors.IntegrityError),
        ):
            conn.execute(statement.encode(), (case_id,))
    assert hall.state(case_id) == "submitted"


@pytest.mark.parametrize(
    ("role", "values"),
    [
        ("warden", "'prepare', 'submitted', 'prepared', now(), 'handler', 'h-1', (SELECT max(id) FROM audit_entry)"),
        ("warden", "'prepare', 'submitted', 'prepared', now(), 'handler', 'h-1', NULL"),
        ("warden", "'approve', 'submitted', 'approved', now(), 'manager', 'm-1', 1"),
        ("warden", "'lapse', 'submitted', 'lapsed', now(), 'clerk', NULL, 1"),
        ("clerk", "'prepare', 'submitted', 'prepared', now(), 'handler', 'h-1', 1"),
        ("api", "'prepare', 'submitted', 'prepared', now(), 'handler', 'h-1', 1"),
    ],
)
async def test_the_database_takes_no_step_without_an_entry_of_its_own(hall: Hall, role: str, values: str) -> None:
    case_id = await _submitted(hall)
    with psycopg.connect(hall.config.dsn(role), autocommit=True) as conn, pytest.raises(psycopg.Error) as refused:
        conn.execute(
            f"""INSERT INTO case_step (case_id, ordinal, step, from_state, to_state, at, role, account_id, entry_id)
                VALUES ('{case_id}', 99, {values})""".encode()
        )
    assert refused.value.sqlstate in {"23000", "23502", "23503", "23505", "23514", "42501"}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE case_step SET note = 'x'",
        "DELETE FROM case_step",
        "UPDATE footage_case SET offence = '強盗'",
        "UPDATE footage_case SET officer_id = 'o-2'",
        "UPDATE footage_case SET submitted_at = now()",
        "DELETE FROM case_camera",
        "INSERT INTO case_camera SELECT id, 9, 'gw-2', now() - interval '1 h', now() FROM footage_case",
        "DELETE FROM footage_case",
        "UPDATE case_paper SET findings = '[]'",
    ],
)
async def test_what_was_submitted_stays(hall: Hall, statement: str) -> None:
    await _submitted(hall)
    with psycopg.connect(hall.config.dsn("warden"), autocommit=True) as conn, pytest.raises(psycopg.Error) as refused:
        conn.execute(statement.encode())
    assert refused.value.sqlstate in {"23000", "42501"}


@pytest.mark.parametrize(
    "change",
    [
        f"recipient = 'age1{'q' * 58}'",
        "mode = 'view'",
        "approved_until = approved_until + interval '1 h'",
        "approved_at = now()",
        "ratified_at = now()",
        "is_emergency = NOT is_emergency",
        "inquiry_number = '加古川捜発第999号'",
        "warrant_number = '令和8年(る)第1号'",
    ],
)
@pytest.mark.parametrize("is_emergency", [False, True])
async def test_what_was_approved_stays(hall: Hall, change: str, *, is_emergency: bool) -> None:
    case_id = await hall.submitted(is_emergency=is_emergency)
    for name, step in (("handler", Step.PREPARE), ("supervisor", Step.CHECK), ("manager", Step.APPROVE)):
        await hall.take(name, case_id, step, mode="download")
    with (
        psycopg.connect(hall.config.dsn("warden"), autocommit=True) as conn,
        pytest.raises(psycopg.errors.IntegrityConstraintViolation, match=r"stays|no step"),
    ):
        conn.execute(f"UPDATE footage_case SET {change}".encode())


async def test_the_database_takes_no_paper_after_those_there_were_checked(hall: Hall) -> None:
    case_id = await hall.submitted(is_emergency=True)
    write = """INSERT INTO audit_entry (body) SELECT convert_to(jsonb_build_object(
                   'kind', 'paper.added', 'facts', jsonb_build_object('case', number))::text, 'UTF8')
               FROM footage_case RETURNING id"""
    add = """INSERT INTO case_paper
             SELECT md5(p.id), case_id, kind, name, media_type, size_bytes, sha256, findings, sealed,
                    added_at, added_by, %s
             FROM case_paper AS p WHERE kind = 'inquiry' LIMIT 1"""
    with psycopg.connect(hall.config.dsn("warden"), autocommit=True) as conn:
        entry = hall.sql(write)[0]
        with conn.transaction(force_rollback=True):
            conn.execute(add.encode(), entry)
        with pytest.raises(psycopg.errors.IntegrityConstraintViolation, match="not of this paper"):
            conn.execute(add.encode(), hall.sql("SELECT min(id) FROM audit_entry")[0])
        await hall.take("handler", case_id, Step.PREPARE)
        with pytest.raises(psycopg.errors.IntegrityConstraintViolation, match="was checked stays"):
            conn.execute(add.encode(), entry)


@pytest.mark.parametrize("role", ["api", "ingest", "notify", "gate", "ledger"])
async def test_no_other_program_asks_whose_case_an_entry_is_of(hall: Hall, role: str) -> None:
    with psycopg.connect(hall.config.dsn(role)) as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute("SELECT case_entry_fits(1, 'x', '.')")


@pytest.mark.parametrize("role", ["api", "ingest", "notify", "gate", "ledger"])
@pytest.mark.parametrize("table", ["footage_case", "case_paper", "case_camera", "case_step", "case_opening"])
async def test_no_other_program_reads_cases(hall: Hall, role: str, table: str) -> None:
    with psycopg.connect(hall.config.dsn(role)) as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute(f"SELECT 1 FROM {table}".encode())


async def test_a_fault_of_the_input_writes_nothing(hall: Hall) -> None:
    case_id = await _released(hall)
    before = len(hall.kinds())
    with pytest.raises(CaseInputError):
        await hall.take("officer", case_id, Step.RETURN, hashes=("0" * 64,), method="消去")
    assert (hall.state(case_id), len(hall.kinds())) == ("released", before)


def test_every_role_of_the_city_takes_part() -> None:
    assert {asker(name).role for name in TAKEN_BY.values()} == {
        Role.OFFICER,
        Role.HANDLER,
        Role.SUPERVISOR,
        Role.MANAGER,
    }
