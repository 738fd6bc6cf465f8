"""The twenty-five rules of docs/ORDINANCE.md, each for each of the seven cities: what is allowed, and what is not.

Policies, state machine and profile are asked here. What only the database can show is in tests/db/test_rules_db.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

import pytest

from privacy import masks
from privacy.cases import FROZEN, State, Step, StepError, after
from privacy.masks import Mask, MaskError
from privacy.ordinance import SHIPPED, Profile, load
from privacy.ordinance_terms import REPORT_FIELDS
from privacy.policy import resources
from privacy.policy.engine import Engine
from privacy.policy.entities import CaseFacts, ward
from privacy.policy.question import Entity, Moment, Question, Ref, Value
from privacy.retention import DataClass, schedule_of
from privacy.terms import CASE_PURPOSES, Action, Basis, Purpose, Role
from privacy.transparency.record import Record, seal
from privacy.transparency.tree import Frontier, leaf_hash
from tests.privacy.policy.questions import (
    BOARD,
    CLERK,
    CRIME,
    DISASTER,
    DISCLOSURE,
    EMERGENCY,
    HANDLER,
    HOUR_MS,
    MANAGER,
    MISSING,
    MOTHER,
    NOW_MS,
    OFFICER,
    ON_WARRANT,
    PUBLIC,
    RELEASED,
    SHOP,
    SUPERVISOR,
    TAG_BY_CONSENT,
    TAG_BY_WARRANT,
    THREE,
    TRAFFIC,
    VOLUNTEER,
    WARD,
)  # fmt: skip

ASKED: Final = {facts.purpose: facts for facts in (CRIME, MISSING, TRAFFIC, DISASTER, DISCLOSURE)}
DAY_MS: Final = 24 * HOUR_MS


@dataclass(frozen=True)
class Town:
    """One city: its profile before the policies."""

    profile: Profile
    engine: Engine

    def ask(
        self, asker: Entity, action: Action, resource: Entity, purpose: Purpose, *, others: tuple[Entity, ...] = (),
        gates: Iterable[str] = (), **more: Value,
    ) -> set[str]:  # fmt: skip
        """Return the policies that forbid it; nothing: it is allowed."""
        context: dict[str, Value] = {
            "purpose": Ref("Purpose", purpose.value),
            "now": Moment(NOW_MS),
            "ordinance": self.profile.facts(gates).record(),
            **more,
        }
        decision = self.engine.decide(Question(asker, action, resource, context, others))
        return set() if decision.allowed else {reason.policy for reason in decision.reasons}

    def case(self, asker: Entity, action: Action, facts: CaseFacts, **more: Value) -> set[str]:
        """Return what forbids a step of a case, asked for the purpose that fits who asks."""
        purpose = {"Officer": facts.purpose, "BoardMember": Purpose.BOARD_REVIEW}.get(asker.ref.type, Purpose.CASE_WORK)
        return self.ask(asker, action, facts.entity(), purpose, **more)  # type: ignore[arg-type]

    def submit(self, facts: CaseFacts) -> set[str]:
        return self.case(OFFICER, Action.SUBMIT_CASE, facts)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.load()


@pytest.fixture(params=SHIPPED)
def town(request: pytest.FixtureRequest, engine: Engine) -> Town:
    return Town(load(request.param), engine)


def _step(step: Step) -> Ref:
    return Ref("Step", step.value)


def test_rule_01_only_a_purpose_of_the_ordinance_is_served(town: Town) -> None:
    for purpose in CASE_PURPOSES:
        forbidden = town.submit(ASKED[purpose])
        assert forbidden == (set() if purpose in town.profile.purposes else {"R01-ordinance-purpose"}), purpose
    monitoring = replace(CRIME, purpose=Purpose.CASE_WORK)
    assert "R01-closed-list" in town.submit(monitoring)
    assert "R01-camera-purpose" in town.submit(replace(CRIME, is_within_purpose=False))


def test_rule_02_a_crime_needs_inquiry_request_and_a_named_offence_that_occurred(town: Town) -> None:
    papers = town.profile.papers(Purpose.CRIME)
    assert papers == {"inquiry", "request"}
    assert town.submit(replace(CRIME, papers=papers)) == set()
    for paper in papers:
        assert town.submit(replace(CRIME, papers=papers - {paper})) == {"R02-papers"}
    assert town.submit(replace(CRIME, has_offence=False)) == {"R02-offence"}
    assert town.submit(replace(CRIME, basis=Basis.ARTICLE_69)) == {"R02-basis"}


def test_rule_03_a_planned_offence_needs_a_warrant(town: Town) -> None:
    assert town.profile.flag("planning_stage_needs_warrant")
    assert "R03-planning" in town.submit(replace(CRIME, has_occurred=False))
    assert town.submit(ON_WARRANT) == set()
    assert "R03-planning" in town.submit(replace(ON_WARRANT, has_warrant=False))


def test_rule_04_a_warrant_overrides_the_purposes_and_nothing_else(town: Town) -> None:
    on_warrant = replace(
        TRAFFIC, basis=Basis.WARRANT, has_warrant=True, papers=frozenset({"inquiry", "request", "warrant"})
    )
    assert town.submit(on_warrant) == set()
    assert "R04-warrant" in town.submit(replace(on_warrant, papers=on_warrant.papers - {"warrant"}))
    assert town.submit(replace(on_warrant, cameras=0)) == {"R08-explicit"}
    ready = replace(on_warrant, state=State.READY, steps_by=THREE, is_export_right=False)
    assert "R14-hash" in town.case(OFFICER, Action.SIGN_UNDERTAKING, ready)


def test_rule_05_a_missing_person_needs_a_report_a_kind_and_a_window_that_starts_late(town: Town) -> None:
    lead_ms = town.profile.number_of("lead_hours") * HOUR_MS
    assert town.profile.papers(Purpose.MISSING_PERSON) == frozenset()
    earliest = replace(MISSING, papers=frozenset(), last_confirmed_ms=MISSING.from_ms + lead_ms)
    assert town.submit(earliest) == set()
    assert town.submit(replace(earliest, last_confirmed_ms=MISSING.from_ms + lead_ms + 1)) == {"R05-window"}
    assert town.submit(replace(earliest, has_report=False)) == {"R05-report"}
    assert "R05-kind" in town.submit(replace(earliest, missing_kind=""))
    assert town.submit(replace(earliest, basis=Basis.INQUIRY)) == {"R05-basis"}
    assert "R05-found" in town.submit(replace(earliest, is_found=True))
    assert after(State.PREPARED, Step.FOUND) is State.WITHDRAWN


def test_rule_06_three_people_in_three_roles_and_never_police_or_contractors(town: Town) -> None:
    steps = ((Action.PREPARE_CASE, State.SUBMITTED, HANDLER), (Action.CHECK_CASE, State.PREPARED, SUPERVISOR),
             (Action.APPROVE_CASE, State.CHECKED, MANAGER))  # fmt: skip
    for number, (action, state, who) in enumerate(steps):
        facts = replace(CRIME, state=state, steps_by=THREE[:number])
        assert town.case(who, action, facts) == set()
        for other in (OFFICER, SHOP, MOTHER, VOLUNTEER, BOARD):
            assert town.case(other, action, facts)
    again = replace(CRIME, state=State.CHECKED, steps_by=((Step.PREPARE, Role.HANDLER, "c"), *THREE[1:2]))
    assert town.case(MANAGER, Action.APPROVE_CASE, again)
    assert set(town.profile.titles) == {Role.HANDLER, Role.SUPERVISOR, Role.MANAGER}


def test_rule_07_nothing_is_opened_without_an_approved_instruction_and_nothing_is_live(town: Town) -> None:
    approved = replace(CRIME, state=State.APPROVED, steps_by=THREE)
    assert town.case(HANDLER, Action.EXPORT_FOOTAGE, approved) == set()
    for state in (State.DRAFT, State.SUBMITTED, State.PREPARED, State.CHECKED, State.REFUSED):
        assert town.case(HANDLER, Action.EXPORT_FOOTAGE, replace(CRIME, state=state, steps_by=THREE))
    for who in (HANDLER, SUPERVISOR, MANAGER, BOARD, SHOP, MOTHER):
        assert town.case(who, Action.VIEW_FOOTAGE, RELEASED)
    assert not [action for action in Action if "live" in action.value.lower() and action is not Action.GO_LIVE]
    assert not [action for action in Action if "browse" in action.value.lower()]


def test_rule_08_explicit_cameras_and_a_reason_above_the_ceiling(town: Town) -> None:
    most, hours = town.profile.number_of("scope_caps.cameras"), town.profile.number_of("scope_caps.hours")
    assert town.submit(replace(CRIME, cameras=most, longest_ms=hours * HOUR_MS)) == set()
    assert town.submit(replace(CRIME, cameras=most + 1)) == {"R08-cameras"}
    assert town.submit(replace(CRIME, longest_ms=hours * HOUR_MS + 1)) == {"R08-hours"}
    assert town.submit(replace(CRIME, cameras=most + 1, longest_ms=99 * HOUR_MS, has_reason=True)) == set()
    assert town.submit(replace(CRIME, cameras=0)) == {"R08-explicit"}
    board = town.profile.number_of("scope_caps.board_cameras")
    for cameras, obligations in ((board, set()), (board + 1, {"board_sample"})):
        facts = replace(CRIME, state=State.CHECKED, steps_by=THREE[:2], cameras=cameras, has_reason=True)
        context: dict[str, Value] = {"purpose": Ref("Purpose", "case_work"), "now": Moment(NOW_MS),
                                     "ordinance": town.profile.facts().record()}  # fmt: skip
        decision = town.engine.decide(Question(MANAGER, Action.APPROVE_CASE, facts.entity(), context))
        assert (decision.allowed, set(decision.obligations)) == (True, obligations)


def test_rule_09_one_may_release_in_an_emergency_and_it_ends_unless_it_is_ratified(town: Town) -> None:
    hours = town.profile.number_of("emergency_hours")
    asked = replace(CRIME, state=State.SUBMITTED, is_emergency=True, papers=frozenset())
    assert town.case(SUPERVISOR, Action.RELEASE_EMERGENCY, asked) == set()
    for who in (HANDLER, MANAGER, OFFICER):
        assert town.case(who, Action.RELEASE_EMERGENCY, asked)
    running = replace(EMERGENCY, state=State.RELEASED, has_undertaking=True, is_export_right=True,
                      release_until_ms=NOW_MS + DAY_MS, may_download=True)  # fmt: skip
    in_time = replace(running, emergency_at_ms=NOW_MS - hours * HOUR_MS + 1)
    assert town.case(OFFICER, Action.VIEW_FOOTAGE, in_time) == set()
    late = replace(running, emergency_at_ms=NOW_MS - hours * HOUR_MS)
    assert "R09-clock" in town.case(OFFICER, Action.VIEW_FOOTAGE, late)
    assert town.case(CLERK, Action.END_CASE, late, step=_step(Step.REVOKE)) == set()
    assert town.case(CLERK, Action.END_CASE, in_time, step=_step(Step.REVOKE))
    with_papers = replace(in_time, papers=town.profile.papers(Purpose.CRIME))
    assert town.case(MANAGER, Action.RATIFY_CASE, with_papers) == set()
    assert "R02-papers" in town.case(MANAGER, Action.RATIFY_CASE, in_time)


def test_rule_10_what_is_submitted_is_frozen_not_seen_and_lapses(town: Town) -> None:
    assert 1 <= town.profile.number_of("freeze_days") <= 7
    assert after(State.DRAFT, Step.SUBMIT) is State.SUBMITTED
    assert State.SUBMITTED in FROZEN
    submitted = replace(CRIME, state=State.SUBMITTED)
    for who in (OFFICER, HANDLER, SUPERVISOR, MANAGER):
        assert town.case(who, Action.VIEW_FOOTAGE, submitted)
    assert town.case(CLERK, Action.END_CASE, submitted, step=_step(Step.LAPSE)) == set()
    for step in (Step.REFUSE, Step.LAPSE):
        assert after(State.SUBMITTED, step) not in FROZEN


def test_rule_11_what_is_past_its_limit_is_gone_and_nobody_extends(town: Town) -> None:
    days = town.profile.number_of("retention_days")
    assert days == {"tennoji": 7}.get(town.profile.name, 14)
    assert schedule_of(town.profile).limits[DataClass.FOOTAGE].keep_ms == days * DAY_MS
    assert town.submit(replace(CRIME, is_kept=True)) == set()
    assert town.submit(replace(CRIME, is_kept=False)) == {"R11-kept"}
    assert not [action for action in Action if "retention" in action.value.lower() or ("extend" in action.value.lower()
                and action is not Action.EXTEND_RETURN)]  # fmt: skip


def test_rule_12_copies_of_the_city_have_a_limit(town: Town) -> None:
    days = town.profile.number_of("copy_days")
    assert days <= 30
    schedule = schedule_of(town.profile)
    before_ms = schedule.before_ms(DataClass.COPY, now_ms=NOW_MS, town_ms=0)
    assert before_ms == NOW_MS - days * DAY_MS
    assert before_ms != schedule.before_ms(DataClass.COPY, now_ms=NOW_MS + 1, town_ms=0)


def test_rule_13_a_release_is_for_one_officer_in_one_mode_until_it_expires(town: Town) -> None:
    assert town.case(OFFICER, Action.VIEW_FOOTAGE, RELEASED) == set()
    assert town.case(OFFICER, Action.DOWNLOAD_FOOTAGE, RELEASED) == set()
    view_only = replace(RELEASED, may_download=False)
    assert town.case(OFFICER, Action.VIEW_FOOTAGE, view_only) == set()
    assert town.case(OFFICER, Action.DOWNLOAD_FOOTAGE, view_only) == {"R13-view-only"}
    assert "R13-expiry" in town.case(OFFICER, Action.VIEW_FOOTAGE, replace(RELEASED, release_until_ms=NOW_MS))
    assert "R13-named-officer" in town.case(OFFICER, Action.VIEW_FOOTAGE, replace(RELEASED, officer="kato"))
    assert town.profile.number_of("release_hours") > 0


def test_rule_14_only_what_has_the_hash_of_its_manifest_is_released(town: Town) -> None:
    ready = replace(CRIME, state=State.READY, steps_by=THREE, is_export_right=True)
    assert town.case(OFFICER, Action.SIGN_UNDERTAKING, ready) == set()
    assert "R14-hash" in town.case(OFFICER, Action.SIGN_UNDERTAKING, replace(ready, is_export_right=False))


def test_rule_15_no_mask_no_recording_and_a_change_takes_three_people(town: Town) -> None:
    def go_live(*, has_mask: bool) -> set[str]:
        camera = resources.camera("gw-1", has_mask=has_mask, records=("sign", "consultation", "notice"), gates=())
        return town.ask(MANAGER, Action.GO_LIVE, camera, Purpose.DEVICE_MAINTENANCE)

    assert go_live(has_mask=True) == set()
    assert go_live(has_mask=False) == {"R15-no-mask"}
    with pytest.raises(MaskError):
        Mask("gw-1", 1, (), NOW_MS)
    assert masks.Mask("gw-1", 1, (), NOW_MS, is_bare=True).is_bare
    for number, (step, who) in enumerate(((Step.PREPARE, HANDLER), (Step.CHECK, SUPERVISOR), (Step.APPROVE, MANAGER))):
        by = {done: account for done, _, account in THREE[:number]}
        change = resources.mask_change("gw-1", by)
        assert town.ask(who, Action.CHANGE_MASK, change, Purpose.DEVICE_MAINTENANCE, step=_step(step)) == set()
        assert town.ask(OFFICER, Action.CHANGE_MASK, change, Purpose.DEVICE_MAINTENANCE, step=_step(step))
    twice = resources.mask_change("gw-1", {Step.PREPARE: "c", Step.CHECK: "b"})
    assert town.ask(MANAGER, Action.CHANGE_MASK, twice, Purpose.DEVICE_MAINTENANCE, step=_step(Step.APPROVE)) == {
        "R15-mask-three"
    }


def test_rule_16_an_undertaking_comes_before_the_release(town: Town) -> None:
    assert town.case(OFFICER, Action.VIEW_FOOTAGE, RELEASED) == set()
    assert "R16-undertaking" in town.case(OFFICER, Action.VIEW_FOOTAGE, replace(RELEASED, has_undertaking=False))
    assert after(State.READY, Step.UNDERTAKE) is State.RELEASED
    with pytest.raises(StepError):
        after(State.APPROVED, Step.UNDERTAKE)


def test_rule_17_the_return_is_certified_and_an_extension_has_a_reason(town: Town) -> None:
    assert town.profile.number_of("return_days") > 0
    assert town.case(OFFICER, Action.CERTIFY_RETURN, RELEASED) == set()
    assert town.case(HANDLER, Action.CERTIFY_RETURN, RELEASED)
    later = Moment(NOW_MS + DAY_MS)
    assert town.case(SUPERVISOR, Action.EXTEND_RETURN, RELEASED, hasReason=True, until=later) == set()
    assert town.case(SUPERVISOR, Action.EXTEND_RETURN, RELEASED, hasReason=False, until=later) == {"R17-reason"}
    assert town.case(OFFICER, Action.EXTEND_RETURN, RELEASED, hasReason=True, until=later)


def test_rule_18_an_unregistered_body_gets_nothing(town: Town) -> None:
    assert "R18-registered" in town.submit(replace(CRIME, is_registered=False))
    assert "R18-registered" in town.case(OFFICER, Action.VIEW_FOOTAGE, replace(RELEASED, is_registered=False))
    for has_basis, forbidden in ((True, set()), (False, {"R18-basis"})):
        body = resources.agency("station", has_basis=has_basis)
        assert town.ask(MANAGER, Action.REGISTER_AGENCY, body, Purpose.CASE_WORK) == forbidden


def test_rule_19_one_entry_changed_gives_another_tree_and_the_board_alone_reads_it(town: Town) -> None:
    bodies = [seal(Record("case.submitted", NOW_MS + n, Role.OFFICER, {"case": f"2026-{n:04}"})).body for n in range(5)]

    def root_of(entries: list[bytes]) -> bytes:
        frontier = Frontier()
        for entry in entries:
            list(frontier.append(leaf_hash(entry)))
        return frontier.head().root

    changed = [*bodies[:2], bodies[2].replace(b"0002", b"0009"), *bodies[3:]]
    roots = {root_of(entries) for entries in (bodies, changed, bodies[:-1], bodies[::-1])}
    assert len(roots) == 4
    assert town.ask(BOARD, Action.READ_AUDIT, resources.AUDIT_LOG, Purpose.BOARD_REVIEW) == set()
    for who in (MANAGER, OFFICER, MOTHER, PUBLIC):
        assert town.ask(who, Action.READ_AUDIT, resources.AUDIT_LOG, Purpose.BOARD_REVIEW)


@pytest.mark.parametrize("lacking", ["sign", "consultation", "notice"])
def test_rule_20_a_camera_without_a_record_does_not_go_live(town: Town, lacking: str) -> None:
    records = {"sign", "consultation", "notice"}

    def go_live(known: set[str]) -> set[str]:
        camera = resources.camera("gw-1", has_mask=True, records=known, gates=())
        return town.ask(MANAGER, Action.GO_LIVE, camera, Purpose.DEVICE_MAINTENANCE)

    assert go_live(records) == set()
    assert go_live(records - {lacking}) == {"R20-records"}


def test_rule_21_the_report_has_its_fields_and_is_public_once_it_is_published(town: Town) -> None:
    assert set(town.profile.words("report_fields")) == set(REPORT_FIELDS)
    published, draft = (resources.report("2026", is_published=is_out) for is_out in (True, False))
    purpose = Purpose.OPEN_STATISTICS
    assert town.ask(PUBLIC, Action.VIEW_REPORT, published, purpose) == set()
    assert town.ask(PUBLIC, Action.VIEW_REPORT, draft, purpose)
    assert town.ask(BOARD, Action.VIEW_REPORT, draft, Purpose.BOARD_REVIEW) == set()


def test_rule_22_the_officer_answers_whether_it_was_used(town: Town) -> None:
    assert town.profile.number_of("feedback_days") == 90
    returned = replace(RELEASED, state=State.RETURNED)
    assert town.case(OFFICER, Action.ANSWER_FEEDBACK, returned) == set()
    assert town.case(HANDLER, Action.ANSWER_FEEDBACK, returned)
    assert town.case(OFFICER, Action.ANSWER_FEEDBACK, replace(CRIME, state=State.SUBMITTED))
    assert after(State.RETURNED, Step.FEEDBACK) is State.RETURNED


def test_rule_23_a_sensor_function_purpose_or_recipient_waits_for_the_board(town: Town) -> None:
    assert town.profile.gated == {"purpose", "sensor", "ai_function", "recipient_class"}
    records = ("sign", "consultation", "notice")
    for gate in ("sensor:sound", "ai:running"):
        camera = resources.camera("gw-1", has_mask=True, records=records, gates=(gate,))
        assert town.ask(MANAGER, Action.GO_LIVE, camera, Purpose.DEVICE_MAINTENANCE) == {"R23-sensor"}
        assert town.ask(MANAGER, Action.GO_LIVE, camera, Purpose.DEVICE_MAINTENANCE, gates=(gate,)) == set()
    hospital = resources.agency("hospital", has_basis=True, gate_name="recipient:hospital")
    assert town.ask(MANAGER, Action.REGISTER_AGENCY, hospital, Purpose.CASE_WORK) == {"R23-recipient"}
    gates = ("recipient:hospital", "purpose:traffic_accident")
    assert town.ask(MANAGER, Action.REGISTER_AGENCY, hospital, Purpose.CASE_WORK, gates=gates) == set()
    assert town.case(OFFICER, Action.SUBMIT_CASE, TRAFFIC, gates=gates) == set()  # type: ignore[arg-type]
    whole = {"has_opinion": True, "has_checklist": True}
    for lacking in (*whole, ""):
        said = {**whole, lacking: False} if lacking else whole
        gate_row = resources.gate("sensor:sound", notice_on_ms=NOW_MS, **said)
        assert bool(town.ask(MANAGER, Action.OPEN_GATE, gate_row, Purpose.CASE_WORK)) == bool(lacking)
    without_notice = resources.gate("sensor:sound", has_opinion=True, has_checklist=True, notice_on_ms=None)
    assert town.ask(MANAGER, Action.OPEN_GATE, without_notice, Purpose.CASE_WORK) == {"R23-gate"}


def test_rule_24_footage_gives_no_tag_history_and_an_inquiry_alone_neither(town: Town) -> None:
    def history(facts: CaseFacts) -> set[str]:
        case = Ref("Case", facts.id)
        return town.ask(OFFICER, Action.VIEW_TAG_HISTORY, WARD, facts.purpose, others=(facts.entity(),), case=case)

    assert history(TAG_BY_CONSENT) == set()
    assert history(TAG_BY_WARRANT) == set()
    assert "R24-named-ward" in history(RELEASED)
    assert "R24-consent-or-warrant" in history(replace(RELEASED, tag_ward="ward"))
    assert "R24-consent-or-warrant" in history(replace(TAG_BY_CONSENT, papers=frozenset({"report"})))
    words = {action.value.lower() for action in Action}
    assert not [word for word in words if "face" in word or "search" in word or "person" in word]


def test_rule_25_a_look_up_has_a_reason_and_a_disaster_ends_by_itself(town: Town) -> None:
    hours = town.profile.number_of("disaster_hours")
    assert hours <= 72
    ask = {"hasReason": True, "reference": "相談-12"}
    assert town.ask(HANDLER, Action.LOOK_UP_WARD, WARD, Purpose.FAMILY_SUPPORT, **ask) == set()  # type: ignore[arg-type]
    for lacking in ask:
        rest = {name: value for name, value in ask.items() if name != lacking}
        assert town.ask(HANDLER, Action.LOOK_UP_WARD, WARD, Purpose.FAMILY_SUPPORT, **rest) == {  # type: ignore[arg-type]
            "R25-reason"
        }
    for who in (HANDLER, SUPERVISOR, MANAGER, SHOP):
        assert town.ask(who, Action.VIEW_PLACE, WARD, Purpose.FAMILY_SUPPORT)
    assert town.ask(OFFICER, Action.LOOK_UP_WARD, ward("w", guardians=(), barred=()), Purpose.FAMILY_SUPPORT)
    for cameras, span_h, is_right in ((1, hours, True), (1, hours + 1, False), (0, hours, False), (1, 0, False)):
        declared = resources.disaster("d", cameras=cameras, until_ms=NOW_MS + span_h * HOUR_MS)
        forbidden = town.ask(MANAGER, Action.DECLARE_DISASTER, declared, Purpose.DISASTER)
        assert forbidden == (set() if is_right else {"R25-disaster-bounds"})
    over = replace(DISASTER, disaster_until_ms=NOW_MS)
    assert "R25-disaster" in town.submit(over)


def test_every_rule_has_its_test() -> None:
    named = [name for name in globals() if name.startswith("test_rule_")]
    assert [name.split("_")[2] for name in named] == [f"{number:02}" for number in range(1, 26)]
