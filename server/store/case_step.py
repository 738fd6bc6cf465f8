"""Steps of cases: each with its entry in the log, in one transaction with the change of state that it explains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from privacy.cases import State, Step
from privacy.terms import Role
from server.store import case as cases
from server.store.connection import Connection, at, ms_of


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """A step that was taken.

    Attributes:
        account: who took it; None: the system itself.
        name_ja: of the account; "" of the system.
        note: what was written with it.
    """

    step: Step
    before: State
    after: State
    at_ms: int
    role: Role
    account: str | None
    name_ja: str
    name_en: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewStep:
    """A step that is taken now.

    Attributes:
        entry: id of its entry in the log, of this transaction.
    """

    case: str
    step: Step
    before: State
    after: State
    at_ms: int
    role: Role
    account: str | None
    entry: int
    note: str = ""


async def take(conn: Connection, new: NewStep, columns: Mapping[str, object]) -> None:
    """Write a step down and put the case into its new state, in a transaction of the caller's that holds its lock.

    Args:
        conn: of the role `warden` or `clerk`.
        new: the step.
        columns: of the case that it sets besides.

    Raises:
        DatabaseError: the entry is not of this case, the step does not lead on, or a person takes a second role.
    """
    await conn.execute(
        """INSERT INTO case_step (case_id, ordinal, step, from_state, to_state, at, role, account_id, note, entry_id)
           SELECT %(case)s, 1 + coalesce(max(ordinal), 0), %(step)s, %(before)s, %(after)s, %(at)s, %(role)s,
                  %(account)s, %(note)s, %(entry)s
           FROM case_step WHERE case_id = %(case)s""",
        {
            "case": new.case,
            "step": new.step.value,
            "before": new.before.value,
            "after": new.after.value,
            "at": at(new.at_ms),
            "role": new.role.value,
            "account": new.account,
            "note": new.note,
            "entry": new.entry,
        },
    )
    moved = {"state": new.after.value} if new.after is not new.before else {}
    await cases.change(conn, new.case, {**columns, **moved})


async def taken(conn: Connection, case_id: str) -> list[StepRow]:
    """Return the steps of a case, the first one first."""
    cursor = await conn.execute(
        """SELECT s.step, s.from_state, s.to_state, s.at, s.role, s.account_id, coalesce(a.name_ja, ''),
                  coalesce(a.name_en, ''), s.note
           FROM case_step AS s LEFT JOIN account AS a ON a.id = s.account_id WHERE s.case_id = %s ORDER BY s.ordinal""",
        (case_id,),
    )
    return [
        StepRow(
            step=Step(row[0]),
            before=State(row[1]),
            after=State(row[2]),
            at_ms=ms_of(row[3]),
            role=Role(row[4]),
            account=row[5],
            name_ja=row[6],
            name_en=row[7],
            note=row[8],
        )
        for row in await cursor.fetchall()
    ]
