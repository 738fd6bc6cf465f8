"""Takes steps of cases: facts, question, decision, state, rows and log entry in one transaction, one case at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from privacy.cases import ACTION_OF, ENTRY_OF, State, Step, StepError, after
from privacy.policy.question import Decision, Moment, Reason, Value
from privacy.terms import Action, Role
from privacy.transparency.record import Fact
from server.cases.errors import CaseInputError, Fault, UnknownCaseError
from server.cases.facts import APPROVING, NO_RECIPIENT, Whole
from server.cases.office import Office, context_of, logged
from server.permit.ask import Asker, RefusedError, ask, ask_entry
from server.store import case as cases
from server.store import case_record, case_step
from server.store.case_record import Certificate
from server.store.case_step import NewStep
from server.store.connection import Connection, at
from server.store.pool import Pool

_AGAIN_MS: Final = 60_000
"""Who sends the same step twice within a minute clicked twice."""
_HOUR_MS: Final = 3_600_000
_NO_STEP: Final = Reason(
    "state", "", "この段階では、この手続はできません。", "This step does not lead on from the state the case is in."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A step that somebody wants to take, and what goes with it.

    Attributes:
        note: for whoever reads the case; of a refusal or an extension its reason.
        mode: of an approval: what the officer may do.
        until_ms: of an approval: until when at most it may be opened; None: as long as copies live.
        return_by_ms: of an undertaking or an extension.
        hashes: of a return: SHA-256, hex, of what was returned or destroyed.
        method: of a return: how.
        feedback: the answer.
    """

    step: Step
    note: str = ""
    mode: Literal["view", "download"] = "view"
    until_ms: int | None = None
    return_by_ms: int | None = None
    hashes: tuple[str, ...] = ()
    method: str = ""
    feedback: Literal["used", "not_used", "not_relevant"] | None = None


@dataclass(frozen=True, slots=True)
class _Taking:
    """A step while it is taken."""

    office: Office
    whole: Whole
    asker: Asker
    wish: Wish
    now_ms: int
    recipient: str | None

    @property
    def return_by_ms(self) -> int:
        return self.wish.return_by_ms or self.now_ms + self.office.days_ms("return_days")

    @property
    def approved_until_ms(self) -> int:
        return self.wish.until_ms or self.now_ms + self.office.days_ms("copy_days")


async def take(office: Office, pool: Pool, asker: Asker, case_id: str, wish: Wish) -> None:
    """Take a step; the same one again by the same person within a minute changes nothing.

    Raises:
        UnknownCaseError: there is no such case, or it is not the asker's to see.
        RefusedError: a rule speaks against it; the refusal is in the log.
        CaseInputError: what goes with it does not fit.
    """
    async with pool.connection() as conn:
        await take_on(conn, office, asker, case_id, wish)


async def take_on(conn: Connection, office: Office, asker: Asker, case_id: str, wish: Wish) -> None:
    """Take a step on a connection of the role `warden`, or of `clerk` for what the system itself does; see `take`."""
    async with conn.transaction():
        refused = await _take(conn, office, asker, case_id, wish)
    if refused is not None:  # not inside: the entry of the refusal is committed
        raise refused


async def _take(
    conn: Connection, office: Office, asker: Asker, case_id: str, wish: Wish
) -> RefusedError | UnknownCaseError | None:
    now_ms = office.now_ms()
    row = await cases.find(conn, case_id, is_locked=True)
    if row is None:
        return UnknownCaseError()
    whole = await office.whole(conn, row, now_ms)
    recipient = await cases.recipient_of(conn, row.officer_id) if wish.step in APPROVING else None
    taking = _Taking(office, whole, asker, wish, now_ms, recipient)
    if not office.decide(asker, whole, Action.VIEW_CASE, {"now": Moment(now_ms)}).allowed:
        await _asked(conn, taking, _state_after(taking))
        return UnknownCaseError()
    if _is_again(taking):
        return None
    if faults := tuple(_faults(taking)):
        raise CaseInputError(faults)
    return await _decided(conn, taking)


async def _decided(conn: Connection, taking: _Taking) -> RefusedError | None:
    state = _state_after(taking)
    stands = (*((_NO_STEP,) if state is None else ()), *_missing(taking))
    if stands:
        decision = await _denied(conn, taking, stands)
        return RefusedError((*decision.reasons, *stands) if not decision.allowed else stands)
    decision, entry = await _asked(conn, taking, state)
    if not decision.allowed:
        return RefusedError(decision.reasons)
    assert state is not None  # noqa: S101 - what stands against it was told above
    await _write(conn, taking, state, entry)
    return None


async def _asked(conn: Connection, taking: _Taking, state: State | None) -> tuple[Decision, int]:
    wish, office = taking.wish, taking.office
    question = office.question(taking.asker, taking.whole, ACTION_OF[wish.step], _context(taking))
    said = logged(taking.whole, ENTRY_OF[wish.step], taking.now_ms, state=state, more=_facts(taking))
    return await ask_entry(conn, office.engine, taking.asker, question, said)


async def _denied(conn: Connection, taking: _Taking, stands: tuple[Reason, ...]) -> Decision:
    """Write down that a step was refused by what stands against it besides the policies; return what those say."""
    office = taking.office
    question = office.question(taking.asker, taking.whole, ACTION_OF[taking.wish.step], _context(taking))
    blocked = ",".join(reason.policy for reason in stands)
    more: dict[str, Fact] = {"step": taking.wish.step.value, "blocked": blocked}
    said = logged(taking.whole, "case.denied", taking.now_ms, more=more)
    return await ask(conn, office.engine, taking.asker, question, said)


def _context(taking: _Taking) -> dict[str, Value]:
    wish = taking.wish
    until_ms = taking.return_by_ms if wish.step is Step.EXTEND else None
    return context_of(wish.step, taking.now_ms, has_reason=bool(wish.note), until_ms=until_ms)


def _facts(taking: _Taking) -> dict[str, Fact]:
    wish = taking.wish
    said: dict[str, Fact] = {"step": wish.step.value}
    if wish.step in APPROVING:
        said["mode"] = wish.mode
    if wish.step is Step.FEEDBACK and wish.feedback:
        said["feedback"] = wish.feedback
    if wish.step is Step.RETURN:
        said["overdue"] = taking.whole.row.overdue_ms is not None
    return said


def _state_after(taking: _Taking) -> State | None:
    try:
        return after(taking.whole.row.state, taking.wish.step)
    except StepError:
        return None


def _is_again(taking: _Taking) -> bool:
    wish, row, state = taking.wish, taking.whole.row, _state_after(taking)
    mine = [one for one in taking.whole.steps if one.step is wish.step and one.account == taking.asker.account]
    if not mine or taking.now_ms - mine[-1].at_ms > _AGAIN_MS:
        return False
    if state is not row.state:
        return state is None
    return {
        Step.EXTEND: wish.return_by_ms == row.return_by_ms,
        Step.FEEDBACK: wish.feedback == row.feedback,
    }.get(wish.step, True)


def _missing(taking: _Taking) -> Iterator[Reason]:
    if taking.wish.step in APPROVING and taking.recipient is None:
        yield NO_RECIPIENT


def _faults(taking: _Taking) -> Iterator[Fault]:
    wish, now_ms = taking.wish, taking.now_ms
    if wish.step in {Step.REFUSE, Step.EXTEND} and not wish.note.strip():
        yield Fault("reason", "missing", "理由を書いてください。", "A reason is needed.")
    if wish.step in APPROVING and not now_ms < taking.approved_until_ms <= now_ms + taking.office.days_ms("copy_days"):
        yield Fault("until_ms", "range", "期限が範囲の外です。", "The time to open it is out of range.")
    if wish.step in {Step.UNDERTAKE, Step.EXTEND}:
        longest_ms = now_ms + taking.office.days_ms("return_days")
        if not now_ms < taking.return_by_ms <= longest_ms:
            yield Fault("return_by_ms", "range", "返却期限が範囲の外です。", "The day of return is out of range.")
    if wish.step is Step.RETURN:
        if not 1 <= len(wish.method.strip()) <= 200:
            yield Fault("method", "missing", "返却・消去の方法を書いてください。", "Say how it was done.")
        if tuple(sorted(set(wish.hashes))) != tuple(sorted(set(taking.whole.hashes))):
            yield Fault(
                "hashes",
                "different",
                "提供されたファイルのハッシュと一致しません。",
                "These are not the hashes of the files that were released.",
            )
    if wish.step is Step.FEEDBACK and wish.feedback is None:
        yield Fault("feedback", "missing", "利用結果を選んでください。", "Choose an answer.")


async def _write(conn: Connection, taking: _Taking, state: State, entry: int) -> None:
    row, wish = taking.whole.row, taking.wish
    new = NewStep(
        case=row.id,
        step=wish.step,
        before=row.state,
        after=state,
        at_ms=taking.now_ms,
        role=taking.asker.role,
        account=None if taking.asker.role is Role.CLERK else taking.asker.account,
        entry=entry,
        note=wish.note.strip(),
    )
    columns = _COLUMNS[wish.step](taking) if wish.step in _COLUMNS else {}
    await case_step.take(conn, new, columns)
    if wish.step is Step.UNDERTAKE:
        await case_record.undertake(conn, row.id, taking.asker.account, at_ms=taking.now_ms, entry=entry)
    if wish.step is Step.RETURN:
        certificate = Certificate("return", taking.now_ms, wish.method.strip(), taking.whole.hashes)
        await case_record.certify(conn, row.id, certificate, account=taking.asker.account, entry=entry)


def _submitted(taking: _Taking) -> dict[str, object]:
    until_ms = taking.now_ms + taking.office.days_ms("freeze_days")
    return {"submitted_at": at(taking.now_ms), "freeze_until": at(until_ms)}


def _approved(taking: _Taking) -> dict[str, object]:
    return {
        "approved_at": at(taking.now_ms),
        "approved_until": at(taking.approved_until_ms),
        "mode": taking.wish.mode,
        "recipient": taking.recipient,
    }


def _hastened(taking: _Taking) -> dict[str, object]:
    return {**_approved(taking), "is_emergency": True, "emergency_at": at(taking.now_ms)}


def _undertaken(taking: _Taking) -> dict[str, object]:
    open_ms = taking.office.profile.number_of("release_hours") * _HOUR_MS
    until_ms = min(taking.now_ms + open_ms, taking.whole.row.approved_until_ms or taking.now_ms)
    return {"release_until": at(until_ms), "return_by": at(taking.return_by_ms)}


def _revoked(taking: _Taking) -> dict[str, object]:
    released = {} if taking.whole.row.release_until_ms is None else {"release_until": at(taking.now_ms)}
    return {"demanded_at": at(taking.now_ms), **released}


_COLUMNS: Final[dict[Step, Callable[[_Taking], dict[str, object]]]] = {
    Step.SUBMIT: _submitted,
    Step.APPROVE: _approved,
    Step.EMERGENCY: _hastened,
    Step.UNDERTAKE: _undertaken,
    Step.EXPORTED: lambda taking: {"exported_at": at(taking.now_ms)},
    Step.REVOKE: _revoked,
    Step.RATIFY: lambda taking: {"ratified_at": at(taking.now_ms)},
    Step.FOUND: lambda taking: {"found_at": at(taking.now_ms)},
    Step.FEEDBACK: lambda taking: {"feedback": taking.wish.feedback},
    Step.EXTEND: lambda taking: {"return_by": at(taking.return_by_ms), "overdue_at": None},
}
