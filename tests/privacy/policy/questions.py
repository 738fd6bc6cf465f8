"""Questions to the policies that are all allowed: one for each action and each path that leads to a yes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from privacy.cases import State, Step
from privacy.policy import entities, resources
from privacy.policy.entities import CaseFacts, OrdinanceFacts
from privacy.policy.question import Entity, Moment, Question, Ref, Value
from privacy.terms import Action, Basis, Purpose, Role

HOUR_MS: Final = 3_600_000
NOW_MS: Final = 1_767_225_600_000
RULES: Final = OrdinanceFacts(
    purposes=frozenset(
        {Purpose.CRIME.value, Purpose.MISSING_PERSON.value, Purpose.DISASTER.value, Purpose.SUBJECT_DISCLOSURE.value}
    ),
    max_cameras=10,
    max_hours=6,
    board_cameras=50,
    lead_hours=3,
    planning_needs_warrant=True,
    emergency_hours=24,
    disaster_hours=72,
    gates=frozenset({"sensor:sound", "recipient:hospital", "purpose:traffic_accident"}),
)
WARD: Final = entities.ward(
    "ward", guardians=("mother", "father"), barred=("father",), self_account="child", provider="tagshop"
)
THREE: Final = (
    (Step.PREPARE, Role.HANDLER, "a"),
    (Step.CHECK, Role.SUPERVISOR, "b"),
    (Step.APPROVE, Role.MANAGER, "c"),
)
CRIME: Final = CaseFacts(
    id="case",
    agency="station",
    is_registered=True,
    officer="officer",
    purpose=Purpose.CRIME,
    basis=Basis.INQUIRY,
    state=State.DRAFT,
    papers=frozenset({"inquiry", "request"}),
    has_offence=True,
    has_occurred=True,
    cameras=2,
    longest_ms=2 * HOUR_MS,
    from_ms=NOW_MS - 5 * HOUR_MS,
    to_ms=NOW_MS - 3 * HOUR_MS,
)
"""P1 with all its papers, in draft."""
MISSING: Final = replace(
    CRIME,
    purpose=Purpose.MISSING_PERSON,
    basis=Basis.ARTICLE_69,
    papers=frozenset({"report"}),
    has_report=True,
    missing_kind="child",
    last_confirmed_ms=CRIME.from_ms + 3 * HOUR_MS,
    has_offence=False,
    has_occurred=False,
)
TRAFFIC: Final = replace(CRIME, purpose=Purpose.TRAFFIC_ACCIDENT, has_offence=False, has_occurred=False)
DISASTER: Final = replace(
    CRIME,
    purpose=Purpose.DISASTER,
    basis=Basis.ORDINANCE,
    papers=frozenset({"request"}),
    disaster_until_ms=NOW_MS + HOUR_MS,
)
DISCLOSURE: Final = replace(
    CRIME, purpose=Purpose.SUBJECT_DISCLOSURE, basis=Basis.ARTICLE_76, papers=frozenset({"disclosure"})
)
ON_WARRANT: Final = replace(
    CRIME,
    basis=Basis.WARRANT,
    has_warrant=True,
    has_occurred=False,
    papers=frozenset({"inquiry", "request", "warrant"}),
)
RELEASED: Final = replace(
    CRIME,
    state=State.RELEASED,
    steps_by=THREE,
    has_undertaking=True,
    is_export_right=True,
    release_until_ms=NOW_MS + HOUR_MS,
    may_download=True,
)
EMERGENCY: Final = replace(
    CRIME,
    is_emergency=True,
    emergency_at_ms=NOW_MS - 23 * HOUR_MS,
    papers=frozenset(),
    steps_by=((Step.EMERGENCY, Role.SUPERVISOR, "b"),),
)
TAG_BY_CONSENT: Final = replace(
    MISSING,
    state=State.RELEASED,
    steps_by=THREE,
    has_undertaking=True,
    release_until_ms=NOW_MS + HOUR_MS,
    papers=frozenset({"report", "consent"}),
    tag_ward="ward",
)
TAG_BY_WARRANT: Final = replace(
    RELEASED,
    basis=Basis.WARRANT,
    has_warrant=True,
    papers=frozenset({"inquiry", "request", "warrant"}),
    tag_ward="ward",
)

OFFICER: Final = entities.principal(Role.OFFICER, "officer", "station")
MOTHER: Final = entities.principal(Role.GUARDIAN, "mother")
CHILD: Final = entities.principal(Role.WATCHED, "child")
HANDLER: Final = entities.principal(Role.HANDLER, "a")
SUPERVISOR: Final = entities.principal(Role.SUPERVISOR, "b")
MANAGER: Final = entities.principal(Role.MANAGER, "c")
SHOP: Final = entities.principal(Role.PROVIDER, "shop-1", "tagshop")
BOARD: Final = entities.principal(Role.BOARD, "board-1")
PUBLIC: Final = entities.principal(Role.PUBLIC, "public")
VOLUNTEER: Final = entities.principal(Role.VOLUNTEER, "walker")
CLERK: Final = entities.principal(Role.CLERK, "clerk")
ASKERS: Final = (
    OFFICER,
    MOTHER,
    CHILD,
    HANDLER,
    SUPERVISOR,
    MANAGER,
    SHOP,
    BOARD,
    PUBLIC,
    VOLUNTEER,
    CLERK,
    entities.principal(Role.OFFICER, "officer", "other-station"),
    entities.principal(Role.OFFICER, "colleague", "station"),
    entities.principal(Role.GUARDIAN, "father"),
    entities.principal(Role.GUARDIAN, "stranger"),
    entities.principal(Role.WATCHED, "other-child"),
    entities.principal(Role.SUPERVISOR, "a"),  # one person with two roles
    entities.principal(Role.MANAGER, "a"),
    entities.principal(Role.MANAGER, "b"),
    entities.principal(Role.HANDLER, "b"),
    entities.principal(Role.PROVIDER, "rival-1", "rival"),
    entities.principal(Role.VOLUNTEER, "runner"),
)
"""Everybody who asks: one of each role who may, and those who come close."""


def context(purpose: Purpose, **more: Value) -> dict[str, Value]:
    """Return the context of a question."""
    return {"purpose": Ref("Purpose", purpose.value), "now": Moment(NOW_MS), "ordinance": RULES.record(), **more}


def of_case(asker: Entity, action: Action, facts: CaseFacts, **more: Value) -> Question:
    """Return a question about a case, for the purpose that fits who asks."""
    purposes = {"Officer": facts.purpose, "BoardMember": Purpose.BOARD_REVIEW}
    return Question(asker, action, facts.entity(), context(purposes.get(asker.ref.type, Purpose.CASE_WORK), **more))


def of_ward(asker: Entity, action: Action, purpose: Purpose, **more: Value) -> Question:
    """Return a question about the ward."""
    return Question(asker, action, WARD, context(purpose, **more))


def tag_history(facts: CaseFacts) -> Question:
    """Return the officer's question for the ward's tag history under a case."""
    asked = context(facts.purpose, case=Ref("Case", facts.id))
    return Question(OFFICER, Action.VIEW_TAG_HISTORY, WARD, asked, (facts.entity(),))


def _step(step: Step) -> Ref:
    return Ref("Step", step.value)


def _steps(facts: CaseFacts) -> Iterator[tuple[str, Question]]:
    """Give the questions of a case's way from draft to return, as its own papers allow them."""
    name = facts.purpose.value
    yield f"submit {name}", of_case(OFFICER, Action.SUBMIT_CASE, facts)
    yield f"prepare {name}", of_case(HANDLER, Action.PREPARE_CASE, replace(facts, state=State.SUBMITTED))
    prepared = replace(facts, state=State.PREPARED, steps_by=THREE[:1])
    yield f"check {name}", of_case(SUPERVISOR, Action.CHECK_CASE, prepared)
    checked = replace(facts, state=State.CHECKED, steps_by=THREE[:2])
    yield f"approve {name}", of_case(MANAGER, Action.APPROVE_CASE, checked)
    approved = replace(facts, state=State.APPROVED, steps_by=THREE)
    yield f"export {name}", of_case(CLERK, Action.EXPORT_FOOTAGE, approved)
    ready = replace(approved, state=State.READY, is_export_right=True)
    yield f"sign {name}", of_case(OFFICER, Action.SIGN_UNDERTAKING, ready)
    released = replace(
        ready, state=State.RELEASED, has_undertaking=True, release_until_ms=NOW_MS + 1, may_download=True
    )
    yield f"view {name}", of_case(OFFICER, Action.VIEW_FOOTAGE, released)
    yield f"download {name}", of_case(OFFICER, Action.DOWNLOAD_FOOTAGE, released)


def _emergency() -> Iterator[tuple[str, Question]]:
    """Give the questions of a case in an emergency, without its papers until it is ratified."""
    for facts in (CRIME, MISSING, TRAFFIC, DISASTER):
        asked = replace(facts, is_emergency=True, has_report=False, papers=frozenset[str]())
        yield from _hurried(asked, replace(asked, has_report=True, papers=facts.papers))
    late = replace(EMERGENCY, state=State.RELEASED, emergency_at_ms=NOW_MS - 24 * HOUR_MS)
    yield "revoke", of_case(CLERK, Action.END_CASE, late, step=_step(Step.REVOKE))
    approved = replace(RELEASED, is_emergency=True)
    yield "view an emergency that was approved by three", of_case(OFFICER, Action.VIEW_FOOTAGE, approved)


def _hurried(asked: CaseFacts, with_papers: CaseFacts) -> Iterator[tuple[str, Question]]:
    name = asked.purpose.value
    yield f"submit {name} in an emergency", of_case(OFFICER, Action.SUBMIT_CASE, asked)
    yield f"release {name}", of_case(SUPERVISOR, Action.RELEASE_EMERGENCY, replace(asked, state=State.SUBMITTED))
    running = replace(
        asked,
        state=State.APPROVED,
        emergency_at_ms=NOW_MS - 23 * HOUR_MS,
        steps_by=((Step.EMERGENCY, Role.SUPERVISOR, "b"),),
    )
    yield f"export {name} in an emergency", of_case(HANDLER, Action.EXPORT_FOOTAGE, running)
    ready = replace(running, state=State.READY, is_export_right=True)
    yield f"sign {name} in an emergency", of_case(OFFICER, Action.SIGN_UNDERTAKING, ready)
    released = replace(
        ready, state=State.RELEASED, has_undertaking=True, release_until_ms=NOW_MS + 1, may_download=True
    )
    for action in (Action.VIEW_FOOTAGE, Action.DOWNLOAD_FOOTAGE):
        yield f"{action} of {name} in an emergency", of_case(OFFICER, action, released)
    took = (*released.steps_by, (Step.RATIFY, Role.MANAGER, "c"))
    ratified = replace(released, emergency_at_ms=NOW_MS - 99 * HOUR_MS, steps_by=took)
    yield f"view {name} once ratified", of_case(OFFICER, Action.VIEW_FOOTAGE, ratified)
    papered = replace(released, papers=with_papers.papers, has_report=True)
    yield f"ratify {name}", of_case(MANAGER, Action.RATIFY_CASE, papered)


def _ends() -> Iterator[tuple[str, Question]]:
    missing = replace(MISSING, state=State.PREPARED)
    for asker in (OFFICER, HANDLER, SUPERVISOR, MANAGER, CLERK):
        yield f"found, says {asker.ref.type}", of_case(asker, Action.END_CASE, missing, step=_step(Step.FOUND))
    yield "lapse", of_case(CLERK, Action.END_CASE, replace(CRIME, state=State.CHECKED), step=_step(Step.LAPSE))
    for asker in (HANDLER, CLERK):
        returned = replace(RELEASED, state=State.RETURNED)
        yield f"close, by {asker.ref.type}", of_case(asker, Action.END_CASE, returned, step=_step(Step.CLOSE))
    yield "certify", of_case(OFFICER, Action.CERTIFY_RETURN, RELEASED)
    yield "certify what was revoked", of_case(OFFICER, Action.CERTIFY_RETURN, replace(EMERGENCY, state=State.REVOKED))
    yield "answer", of_case(OFFICER, Action.ANSWER_FEEDBACK, replace(RELEASED, state=State.RETURNED))
    yield "withdraw", of_case(OFFICER, Action.WITHDRAW_CASE, replace(CRIME, state=State.READY))
    later: dict[str, Value] = {"hasReason": True, "until": Moment(NOW_MS + 1)}
    for asker in (SUPERVISOR, MANAGER):
        yield f"extend, by {asker.ref.type}", of_case(asker, Action.EXTEND_RETURN, RELEASED, **later)
    for asker in (HANDLER, SUPERVISOR, MANAGER):
        yield f"refuse, by {asker.ref.type}", of_case(asker, Action.REFUSE_CASE, replace(CRIME, state=State.CHECKED))
    for asker in (OFFICER, HANDLER, SUPERVISOR, MANAGER, BOARD, CLERK):
        yield f"read a case, {asker.ref.type}", of_case(asker, Action.VIEW_CASE, replace(CRIME, state=State.SUBMITTED))
    yield "read one's own draft", of_case(OFFICER, Action.VIEW_CASE, CRIME)


def _more_cases() -> Iterator[tuple[str, Question]]:
    for facts in (CRIME, MISSING, TRAFFIC, DISASTER, DISCLOSURE):
        yield from _steps(facts)
    for name, question in _steps(replace(ON_WARRANT, is_within_purpose=False)):
        yield f"{name}, on a warrant", question
    unlisted = replace(ON_WARRANT, purpose=Purpose.TRAFFIC_ACCIDENT)
    rules = {**RULES.record(), "purposes": frozenset[Ref](), "gates": frozenset[str]()}
    yield "traffic on a warrant, purpose not listed", of_case(OFFICER, Action.SUBMIT_CASE, unlisted, ordinance=rules)
    lenient = {**RULES.record(), "planningNeedsWarrant": False}
    planned = replace(CRIME, has_occurred=False)
    yield "planned, where that needs no warrant", of_case(OFFICER, Action.SUBMIT_CASE, planned, ordinance=lenient)
    large = replace(CRIME, state=State.CHECKED, steps_by=THREE[:2], cameras=51, has_reason=True)
    yield "approve more cameras than the board's", of_case(MANAGER, Action.APPROVE_CASE, large)
    yield (
        "submit the most there may be",
        of_case(OFFICER, Action.SUBMIT_CASE, replace(CRIME, cameras=10, longest_ms=6 * HOUR_MS)),
    )


def _others() -> Iterator[tuple[str, Question]]:
    seen = (Action.VIEW_WARD, Action.VIEW_PLACE, Action.VIEW_TRACK, Action.VIEW_EVENTS, Action.VIEW_LOOK_UPS)
    for action in seen:
        yield f"{action}, mother", of_ward(MOTHER, action, Purpose.FAMILY_WATCH)
        yield f"{action}, child", of_ward(CHILD, action, Purpose.OWN_RECORD)
    asked: dict[str, Value] = {"reference": "S-12", "hasReason": True}
    for asker in (HANDLER, SUPERVISOR, MANAGER, SHOP):
        yield f"look up, {asker.ref.type}", of_ward(asker, Action.LOOK_UP_WARD, Purpose.FAMILY_SUPPORT, **asked)
    held: dict[str, Value] = {"hasReason": True, "until": Moment(NOW_MS + 1), "by": Ref("Account", "a")}
    yield "hold", of_ward(MANAGER, Action.HOLD_LOOK_UP, Purpose.FAMILY_SUPPORT, **held)
    yield "tag history by consent", tag_history(TAG_BY_CONSENT)
    yield "tag history by warrant", tag_history(TAG_BY_WARRANT)
    keep = context(Purpose.DEVICE_MAINTENANCE)
    for asker in (HANDLER, SUPERVISOR, MANAGER, SHOP):
        yield f"devices, {asker.ref.type}", Question(asker, Action.VIEW_DEVICES, resources.device("d", "tagshop"), keep)
    yield "all devices", Question(HANDLER, Action.VIEW_DEVICES, resources.CITY, keep)
    first, second = {Step.PREPARE: "a"}, {Step.PREPARE: "a", Step.CHECK: "b"}
    for asker, step, taken in (
        (HANDLER, Step.PREPARE, {}),
        (SUPERVISOR, Step.CHECK, first),
        (MANAGER, Step.APPROVE, second),
    ):
        change = resources.mask_change("cam", taken)
        yield f"mask, {step}", Question(asker, Action.CHANGE_MASK, change, {**keep, "step": _step(step)})
    records = ("sign", "consultation", "notice")
    camera = resources.camera("cam", has_mask=True, records=records, gates=("sensor:sound",))
    yield "go live", Question(MANAGER, Action.GO_LIVE, camera, keep)
    work = context(Purpose.CASE_WORK)
    gate = resources.gate("sensor:flow", has_opinion=True, has_checklist=True, notice_on_ms=NOW_MS)
    yield "open a gate", Question(MANAGER, Action.OPEN_GATE, gate, work)
    station = resources.agency("new-station", has_basis=True)
    yield "register a station", Question(MANAGER, Action.REGISTER_AGENCY, station, work)
    hospital = resources.agency("hospital", has_basis=True, gate_name="recipient:hospital")
    yield "register a hospital", Question(MANAGER, Action.REGISTER_AGENCY, hospital, work)
    quake = resources.disaster("quake", cameras=1, until_ms=NOW_MS + 72 * HOUR_MS)
    yield "declare", Question(MANAGER, Action.DECLARE_DISASTER, quake, context(Purpose.DISASTER))
    counted = context(Purpose.OPEN_STATISTICS)
    yield "statistic", Question(PUBLIC, Action.VIEW_STATISTIC, resources.statistic("s", k=10, is_noised=True), counted)
    yield "report", Question(PUBLIC, Action.VIEW_REPORT, resources.report("r", is_published=True), counted)
    draft = resources.report("r", is_published=False)
    review = context(Purpose.BOARD_REVIEW)
    yield "report before publication, board", Question(BOARD, Action.VIEW_REPORT, draft, review)
    yield "report before publication, manager", Question(MANAGER, Action.VIEW_REPORT, draft, work)
    yield "audit", Question(BOARD, Action.READ_AUDIT, resources.AUDIT_LOG, review)
    own = context(Purpose.OWN_RECORD)
    yield "receipts", Question(VOLUNTEER, Action.VIEW_RECEIPTS, resources.receipt("walker"), own)


def _accounts() -> Iterator[tuple[str, Question]]:
    care = context(Purpose.ACCOUNT_CARE)
    other = Entity(entities.person_ref("newcomer"))
    for asker in (MANAGER, CLERK):
        yield f"manage an account, {asker.ref.type}", Question(asker, Action.MANAGE_ACCOUNT, other, care)
    home = entities.household("home", owners=("mother", "father"), barred=("father",))
    yield "invite", Question(MOTHER, Action.INVITE_GUARDIAN, home, {**care, "fresh": True})
    for asker in (HANDLER, SUPERVISOR, MANAGER):
        yield f"enter a measure, {asker.ref.type}", Question(asker, Action.ENTER_MEASURE, WARD, care)
    for asker in (SUPERVISOR, MANAGER):
        entered = entities.measure("m", entered_by="a")
        yield f"confirm a measure, {asker.ref.type}", Question(asker, Action.CONFIRM_MEASURE, entered, care)
        ending = entities.measure("m", entered_by="a", end_asked_by="d")
        yield f"lift a measure, {asker.ref.type}", Question(asker, Action.END_MEASURE, ending, care)
    yield (
        "ask for a measure's end",
        Question(SUPERVISOR, Action.END_MEASURE, entities.measure("m", entered_by="b"), care),
    )


ALLOWED: Final[Mapping[str, Question]] = dict([*_more_cases(), *_emergency(), *_ends(), *_others(), *_accounts()])
"""Questions that are all allowed, by name: every policy that permits, on every path."""


def _refused() -> Iterator[tuple[str, Question]]:
    for facts in (CRIME, MISSING, TRAFFIC):
        bare = replace(facts, is_emergency=True, has_report=False, papers=frozenset[str]())
        for name, question in _steps(bare):
            if question.action in {Action.PREPARE_CASE, Action.CHECK_CASE, Action.APPROVE_CASE}:
                yield f"{name} without papers", question
        running = replace(
            bare,
            state=State.RELEASED,
            emergency_at_ms=NOW_MS - HOUR_MS,
            steps_by=((Step.EMERGENCY, Role.SUPERVISOR, "b"),),
        )
        yield f"ratify {facts.purpose.value} without papers", of_case(MANAGER, Action.RATIFY_CASE, running)
    for name, question in _steps(replace(MISSING, is_found=True)):
        yield f"{name} who was found", question
    oneself = Entity(entities.person_ref("c"))
    yield "manage oneself", Question(MANAGER, Action.MANAGE_ACCOUNT, oneself, context(Purpose.ACCOUNT_CARE))
    for action in (Action.SIGN_UNDERTAKING, Action.VIEW_FOOTAGE, Action.DOWNLOAD_FOOTAGE):
        yield f"{action} undecided", of_case(OFFICER, action, replace(RELEASED, steps_by=()))


REFUSED: Final[Mapping[str, Question]] = dict(_refused())
"""Questions that are all refused, and lie where a single change of one that is allowed does not reach."""
