"""What the policies are told of a case: all of it from rows of the database, read in the transaction that asks."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from privacy.cases import Step
from privacy.ordinance import Profile
from privacy.policy.entities import CaseFacts, OrdinanceFacts, principal
from privacy.policy.question import Question, Reason, Ref, Value
from privacy.terms import CASE_PURPOSES, Action, Purpose, Role
from server.cases.papers import unsaid
from server.cases.scope import Kept, Scope, kept_of, scope
from server.permit.ask import Asker
from server.permit.ordinance import ordinance_facts
from server.store import camera as cameras
from server.store import camera_duty, case_order, case_paper, case_record, case_step, disaster
from server.store import case as cases
from server.store.camera import Camera
from server.store.case import CaseRow, Window
from server.store.case_order import ExportState, OrderRow
from server.store.case_paper import PaperRow
from server.store.case_record import Certificate, Opening, Reminder
from server.store.case_step import StepRow
from server.store.connection import Connection
from wire import cbor
from wire.entry import MAX_OCTETS

APPROVING: Final = frozenset({Step.APPROVE, Step.EMERGENCY})
NO_RECIPIENT: Final = Reason(
    "recipient",
    "",
    "担当の警察官の公開鍵が登録されていません。封かんする相手がありません。",
    "The officer has registered no public key: there is nobody to seal the footage to.",
)
"""Stands against `APPROVING` while the officer has none."""
_BY: Final = frozenset({Step.PREPARE, Step.CHECK, Step.APPROVE, Step.EMERGENCY, Step.RATIFY})


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A case with all that belongs to it, as it stood in one transaction.

    Attributes:
        kept: of each window.
        exports: the newest of each window that has one.
        copies: every export that the city still holds whole, also one that another has replaced.
        ordinance: what the city's ordinance says, and what the board has opened by now.
        purposes: what each live camera may serve.
        disaster_until_ms: when the declared disaster ends that names all its cameras; None: there is none.
        has_recipient: whether its officer has a key to seal footage to; taken for granted where nobody asked.
    """

    row: CaseRow
    windows: Sequence[Window]
    cameras: Mapping[str, Camera]
    kept: Sequence[Kept]
    papers: Sequence[PaperRow]
    steps: Sequence[StepRow]
    orders: Sequence[OrderRow]
    exports: Sequence[ExportState]
    copies: Sequence[ExportState] = field(default=())
    undertaken_ms: int | None
    openings: Sequence[Opening] = field(default=())
    certificates: Sequence[Certificate] = field(default=())
    reminders: Sequence[Reminder] = field(default=())
    ordinance: OrdinanceFacts
    purposes: Mapping[str, frozenset[Purpose]] = field(default_factory=dict)
    disaster_until_ms: int | None = None
    has_recipient: bool = True

    @property
    def scope(self) -> Scope:
        """What the ordinance counts of it."""
        return scope(self.windows)

    @property
    def is_export_right(self) -> bool:
        """Whether the export of every window is here, whole, with the hash that its gateway signed."""
        whole = {one.camera for one in self.exports if one.state == "whole"}
        return bool(self.windows) and whole == set(range(1, len(self.windows) + 1))

    @property
    def hashes(self) -> tuple[str, ...]:
        """SHA-256, hex, of every export that is whole, sorted."""
        return tuple(sorted(one.sha256.hex() for one in self.exports if one.sha256 is not None))

    def facts(self) -> CaseFacts:
        """Return what the policies are told."""
        row, count = self.row, self.scope
        return CaseFacts(
            id=row.id,
            agency=row.agency_id,
            is_registered=row.is_registered,
            officer=row.officer_id,
            purpose=row.purpose,
            basis=row.basis,
            state=row.state,
            is_emergency=row.is_emergency,
            emergency_at_ms=row.emergency_ms,
            papers=frozenset(one.kind for one in self.papers if one.is_good and not unsaid(one.kind, row)),
            has_offence=bool(row.offence),
            has_occurred=row.has_occurred,
            has_warrant=bool(row.warrant_number),
            has_report=bool(row.report_number),
            missing_kind=row.missing_kind,
            cameras=count.cameras,
            longest_ms=count.longest_ms,
            from_ms=count.from_ms,
            to_ms=count.to_ms,
            last_confirmed_ms=row.last_confirmed_ms,
            is_found=row.found_ms is not None,
            has_reason=bool(row.reason),
            is_kept=bool(self.kept) and all(one in {"all", "frozen"} for one in self.kept),
            is_within_purpose=self._is_within_purpose(),
            disaster_until_ms=self.disaster_until_ms,
            steps_by=tuple(
                (step.step.value, step.role, step.account)
                for step in self.steps
                if step.step in _BY and step.account is not None
            ),
            has_undertaking=self.undertaken_ms is not None,
            is_export_right=self.is_export_right,
            release_until_ms=row.release_until_ms,
            may_download=row.mode == "download",
        )

    def _is_within_purpose(self) -> bool:
        asked = {one.detector for one in self.windows}
        return bool(asked) and all(self.row.purpose in self.purposes.get(one, frozenset()) for one in asked)


@dataclass(frozen=True, slots=True)
class Around:
    """What a case is read against.

    Attributes:
        city: id.
        profile: of its ordinance.
        now_ms: wall time.
    """

    city: str
    profile: Profile
    now_ms: int


async def whole(conn: Connection, row: CaseRow, around: Around) -> Whole:
    """Return a case with all that belongs to it."""
    windows = await cases.windows(conn, row.id)
    known = await cameras.cameras(conn, around.city, {one.detector for one in windows})
    orders = await case_order.given(conn, row.id)
    every = await case_order.exports(conn, row.id)
    exports = [next(of_window) for _, of_window in groupby(every, key=lambda one: one.camera)]
    retention_days = around.profile.number_of("retention_days")
    kept = kept_of(windows, known, retention_days=retention_days, now_ms=around.now_ms)
    ordinance = await ordinance_facts(conn, around.profile)
    return Whole(
        row=row,
        windows=windows,
        cameras=known,
        kept=_with_frozen(windows, kept, orders, exports),
        papers=await case_paper.current(conn, row.id),
        steps=await case_step.taken(conn, row.id),
        orders=orders,
        exports=exports,
        copies=[one for one in every if one.sha256 is not None and one.destroyed_ms is None],
        undertaken_ms=await case_record.undertaken_ms(conn, row.id),
        openings=await case_record.openings(conn, row.id),
        certificates=await case_record.certificates(conn, row.id),
        reminders=await case_record.reminders(conn, row.id),
        ordinance=ordinance,
        purposes=await camera_duty.purposes_of(conn, around.city, served(around.profile, ordinance)),
        disaster_until_ms=await _disaster_until_ms(conn, row, around, known),
    )


def served(profile: Profile, ordinance: OrdinanceFacts) -> frozenset[Purpose]:
    """Return for what footage may be asked in this city: by its ordinance, or because the board opened it."""
    opened = {purpose for purpose in CASE_PURPOSES if f"purpose:{purpose.value}" in ordinance.gates}
    return profile.purposes | opened


async def _disaster_until_ms(conn: Connection, row: CaseRow, around: Around, asked: Collection[str]) -> int | None:
    if row.purpose is not Purpose.DISASTER:
        return None
    return await disaster.until_ms(conn, around.city, asked, now_ms=around.now_ms)


def _with_frozen(
    windows: Sequence[Window], kept: Sequence[Kept], orders: Sequence[OrderRow], exports: Sequence[ExportState]
) -> tuple[Kept, ...]:
    """Return the same, where a gateway has told that it froze a window, or its export is here: frozen."""
    thawed = {order.detector for order in orders if order.kind == "thaw" and order.state == "done"}
    held = {
        order.camera
        for order in orders
        if order.kind == "freeze" and order.state == "done" and order.detector not in thawed and _has_any(order)
    }
    here = {one.camera for one in exports if one.state == "whole"}
    return tuple("frozen" if number in held | here else one for number, one in enumerate(kept, 1)) if windows else ()


def _has_any(order: OrderRow) -> bool:
    """Return whether a gateway froze any footage: an order for a window of which nothing was left is done, too."""
    if order.result is None:
        return False
    told = cbor.loads(order.result, max_octets=MAX_OCTETS)
    return bool(told.get("segments"))


def question(asker: Asker, whole_: Whole, action: Action, context: Mapping[str, Value]) -> Question:
    """Return the question whether `asker` may do `action` to a case.

    Args:
        asker: who asks.
        whole_: the case.
        action: what.
        context: `now`, and what else the action wants to know.
    """
    purpose = {Role.OFFICER: whole_.row.purpose, Role.BOARD: Purpose.BOARD_REVIEW}.get(asker.role, Purpose.CASE_WORK)
    return Question(
        principal=principal(asker.role, asker.account, asker.agency),
        action=action,
        resource=whole_.facts().entity(),
        context={"purpose": Ref("Purpose", purpose.value), "ordinance": whole_.ordinance.record(), **context},
    )
