"""Who may take which step with which papers, and what bad input comes to: refused, logged, nothing half-written."""

import asyncio
import dataclasses
import itertools
from datetime import date
from typing import Any

import pytest

from privacy.cases import Step
from privacy.terms import Basis, Purpose, Role
from server.cases import steps
from server.cases.desk import Upload
from server.cases.errors import CaseInputError, UnknownCaseError
from server.cases.steps import Wish
from server.permit.ask import Asker, RefusedError
from server.store.case import Window
from tests.casework import DAY_MS, HOUR_MS, INQUIRY, NOW_MS, WINDOW, Hall, asker, draft, pdf

pytestmark = pytest.mark.db


async def _refused(hall: Hall, name: str, case_id: str, step: Step, **over: Any) -> set[str]:
    """The policies that refuse a step; the refusal is in the log, the case as it was."""
    state, before = hall.state(case_id), len(hall.entries("case.denied"))
    with pytest.raises(RefusedError) as refused:
        await hall.take(name, case_id, step, **over)
    assert (hall.state(case_id), len(hall.entries("case.denied"))) == (state, before + 1)
    return {reason.policy for reason in refused.value.reasons}


async def test_three_people_decide_a_case_and_the_log_has_every_step(hall: Hall) -> None:
    case_id = await hall.approved()
    assert hall.state(case_id) == "approved"
    wanted = ["paper.added", "paper.added", "case.submitted", "case.prepared", "case.checked", "case.approved"]
    assert hall.kinds() == wanted
    facts = hall.entries("case.approved")[0]["facts"]
    said = {"case": "2026-0001", "agency": "kakogawa-ps", "purpose": "crime", "basis": "inquiry", "state": "approved",
            "cameras": 1, "camera_hours": 1, "emergency": False}  # fmt: skip
    assert {name: facts[name] for name in said} == said


async def test_the_log_names_nobody(hall: Hall) -> None:
    await hall.approved()
    bodies = " ".join(str(entry) for entry in hall.entries())
    for personal in ("o-1", "h-1", "officer", "生活安全課長", "窃盗", "第123号"):
        assert f"'{personal}'" not in bodies.replace("'role': 'officer'", "").replace("'officer': '", "")


@pytest.mark.parametrize("kinds", [(), ("inquiry",), ("request",)])
async def test_a_crime_without_both_papers_is_refused(hall: Hall, kinds: tuple[str, ...]) -> None:
    case_id = await hall.drafted()
    await hall.add_papers(case_id, *kinds)
    assert await _refused(hall, "officer", case_id, Step.SUBMIT) == {"R02-papers"}


@pytest.mark.parametrize(
    ("over", "policies"),
    [
        ({"offence": ""}, {"R02-offence"}),
        ({"has_occurred": False}, {"R03-planning"}),
        ({"basis": Basis.ORDINANCE}, {"R02-basis"}),
        ({"purpose": Purpose.SUBJECT_DISCLOSURE}, {"R01-disclosure"}),
    ],
)
async def test_a_request_that_lacks_something_is_refused_by_that_rule(
    hall: Hall, over: dict[str, Any], policies: set[str]
) -> None:
    case_id = await hall.drafted(**over)
    await hall.add_papers(case_id, *(("inquiry", "request") if over.get("offence") != "" else ("inquiry",)))
    if over.get("offence") == "":
        await hall.desk.add_paper(
            asker("officer"), case_id, Upload("request", "r.pdf", pdf("提供依頼書兼誓約書　窃盗"))
        )
    assert await _refused(hall, "officer", case_id, Step.SUBMIT) == policies


async def test_a_paper_that_says_something_else_counts_as_missing(hall: Hall) -> None:
    case_id = await hall.drafted()
    await hall.add_papers(case_id, "request")
    wrong = pdf(*(line.replace("123", "124") for line in INQUIRY))
    row = await hall.desk.add_paper(asker("officer"), case_id, Upload("inquiry", "x.pdf", wrong))
    assert [one["code"] for one in row.findings if one["severity"] == "error"] == ["number"]
    assert await _refused(hall, "officer", case_id, Step.SUBMIT) == {"R02-papers"}
    await hall.add_papers(case_id, "inquiry")
    await hall.take("officer", case_id, Step.SUBMIT)


async def test_a_paper_is_read_again_when_what_is_typed_changes(hall: Hall) -> None:
    case_id = await hall.drafted()
    await hall.add_papers(case_id, "inquiry", "request")
    await hall.desk.update(asker("officer"), case_id, draft(inquiry_number="加古川捜発第999号"), (WINDOW,))
    assert await _refused(hall, "officer", case_id, Step.SUBMIT) == {"R02-papers"}
    await hall.desk.update(asker("officer"), case_id, draft(offence="強盗"), (WINDOW,))
    assert await _refused(hall, "officer", case_id, Step.SUBMIT) == {"R02-papers"}
    await hall.desk.update(asker("officer"), case_id, draft(), (WINDOW,))
    await hall.take("officer", case_id, Step.SUBMIT)


@pytest.mark.parametrize(
    "missing",
    [{"inquiry_number": ""}, {"inquiry_on": None}, {"inquiry_station": ""}, {"inquiry_officer": ""}],
    ids=["number", "date", "station", "officer"],
)
async def test_an_inquiry_counts_only_with_its_number_date_station_and_officer(
    hall: Hall, missing: dict[str, Any]
) -> None:
    case_id = await hall.drafted(**missing)
    await hall.add_papers(case_id, "inquiry", "request")
    assert await _refused(hall, "officer", case_id, Step.SUBMIT) == {"R02-papers"}


async def test_no_paper_is_swapped_after_it_was_checked_also_not_of_what_was_asked_as_an_emergency(hall: Hall) -> None:
    case_id = await hall.submitted(is_emergency=True)
    wrong = Upload("inquiry", "x.pdf", pdf(*INQUIRY, "swapped"))
    for name, step in (("handler", Step.PREPARE), ("supervisor", Step.CHECK), ("manager", Step.APPROVE)):
        await hall.take(name, case_id, step)
        with pytest.raises(UnknownCaseError):
            await hall.desk.add_paper(asker("officer"), case_id, wrong)
        with pytest.raises(UnknownCaseError):
            await hall.desk.update(asker("officer"), case_id, draft(inquiry_number="加古川捜発第999号"), (WINDOW,))


async def test_more_is_asked_than_is_kept(hall: Hall) -> None:
    window = Window("gw-1", NOW_MS - 10 * DAY_MS - 1000, NOW_MS - 10 * DAY_MS + HOUR_MS)
    case_id = await hall.drafted(window)
    await hall.add_papers(case_id, "inquiry", "request")
    assert (await hall.desk.get(asker("officer"), case_id)).kept == ("part",)
    assert await _refused(hall, "officer", case_id, Step.SUBMIT) == {"R11-kept"}


async def test_what_a_gateway_kept_longer_than_the_ordinance_says_is_gone(hall: Hall) -> None:
    hall.sql("UPDATE detector_health SET footage_from_ms = 0")
    days = hall.profile.number_of("retention_days")
    window = Window("gw-1", NOW_MS - days * DAY_MS - HOUR_MS, NOW_MS - days * DAY_MS)
    case_id = await hall.drafted(window)
    await hall.add_papers(case_id, "inquiry", "request")
    assert await _refused(hall, "officer", case_id, Step.SUBMIT) == {"R11-kept"}


async def test_of_a_camera_that_tells_nothing_nothing_is_promised(hall: Hall) -> None:
    hall.sql("UPDATE detector_health SET footage_from_ms = NULL")
    case_id = await hall.drafted()
    await hall.add_papers(case_id, "inquiry", "request")
    assert (await hall.desk.get(asker("officer"), case_id)).kept == ("unknown",)
    assert await _refused(hall, "officer", case_id, Step.SUBMIT) == {"R11-kept"}


async def test_a_camera_serves_only_the_purposes_it_was_set_up_for(hall: Hall) -> None:
    hall.sql("UPDATE camera_live SET purposes = '{disaster}'")
    case_id = await hall.drafted()
    await hall.add_papers(case_id, "inquiry", "request")
    assert await _refused(hall, "officer", case_id, Step.SUBMIT) == {"R01-camera-purpose"}


async def test_a_body_that_is_no_longer_registered_gets_nothing(hall: Hall) -> None:
    case_id = await hall.submitted()
    hall.sql("UPDATE agency SET ended_at = now() WHERE id = 'kakogawa-ps'")
    assert await _refused(hall, "handler", case_id, Step.PREPARE) == {"R18-registered"}


async def test_more_than_the_ceiling_needs_a_reason_also_when_it_is_cut_in_pieces(hall: Hall) -> None:
    pieces = [Window("gw-1", NOW_MS - (20 - n) * HOUR_MS, NOW_MS - (19 - n) * HOUR_MS) for n in range(0, 14, 2)]
    case_id = await hall.drafted(*pieces)
    await hall.add_papers(case_id, "inquiry", "request")
    assert await _refused(hall, "officer", case_id, Step.SUBMIT) == {"R08-hours"}
    with_reason = await hall.submitted(*pieces, reason="逃走経路が長いため")
    assert hall.state(with_reason) == "submitted"


async def test_an_officer_of_another_station_is_refused_as_if_there_were_no_case(hall: Hall) -> None:
    case_id = await hall.submitted()
    with pytest.raises(UnknownCaseError):
        await hall.take("stranger", case_id, Step.WITHDRAW)
    assert hall.entries("case.denied")[0]["facts"]["action"] == "withdrawCase"


async def test_a_colleague_sees_the_case_and_may_not_withdraw_it(hall: Hall) -> None:
    case_id = await hall.submitted()
    assert (await hall.seen(case_id, "colleague")).row.number == "2026-0001"
    await _refused(hall, "colleague", case_id, Step.WITHDRAW)


@pytest.mark.parametrize("name", ["officer", "handler", "supervisor", "board"])
async def test_only_a_manager_approves(hall: Hall, name: str) -> None:
    case_id = await hall.submitted()
    await hall.take("handler", case_id, Step.PREPARE)
    await hall.take("supervisor", case_id, Step.CHECK)
    await _refused(hall, name, case_id, Step.APPROVE)


async def test_nobody_approves_what_he_prepared_whatever_his_role_is_by_now(hall: Hall) -> None:
    case_id = await hall.submitted()
    await hall.take("handler", case_id, Step.PREPARE)
    await hall.take("supervisor", case_id, Step.CHECK)
    hall.sql("UPDATE account SET role = 'manager' WHERE id = 'h-1'")
    with pytest.raises(RefusedError) as refused:
        await steps.take(hall.office, hall.pool, Asker("h-1", Role.MANAGER), case_id, Wish(step=Step.APPROVE))
    assert {reason.policy for reason in refused.value.reasons} == {"R06-approve-other"}


async def test_who_released_in_an_emergency_does_not_ratify(hall: Hall) -> None:
    case_id = await hall.submitted(is_emergency=True)
    await hall.take("supervisor", case_id, Step.EMERGENCY)
    with pytest.raises(RefusedError) as refused:
        await steps.take(hall.office, hall.pool, Asker("s-1", Role.MANAGER), case_id, Wish(step=Step.RATIFY))
    assert "R09-ratify-other" in {reason.policy for reason in refused.value.reasons}


async def test_a_double_click_is_one_step(hall: Hall) -> None:
    case_id = await hall.submitted()
    await asyncio.gather(*(hall.take("handler", case_id, Step.PREPARE) for _ in range(4)))
    assert hall.kinds().count("case.prepared") == 1
    assert "case.denied" not in hall.kinds()


async def test_of_two_who_take_one_step_at_once_one_is_told_no(hall: Hall) -> None:
    case_id = await hall.submitted()
    both = (hall.take("handler", case_id, Step.PREPARE), hall.take("handler2", case_id, Step.PREPARE))
    outcomes = await asyncio.gather(*both, return_exceptions=True)
    assert sorted(type(one).__name__ for one in outcomes) == ["NoneType", "RefusedError"]
    assert hall.kinds().count("case.prepared") == 1


async def test_steps_at_once_take_turns_and_only_one_ends_the_case(hall: Hall) -> None:
    case_id = await hall.submitted()
    rivals = (
        hall.take("handler", case_id, Step.REFUSE, note="対象外"),
        hall.take("officer", case_id, Step.WITHDRAW),
        hall.take("supervisor", case_id, Step.EMERGENCY),
    )
    await asyncio.gather(*rivals, return_exceptions=True)
    taken = hall.sql("SELECT from_state, to_state FROM case_step WHERE case_id = %s ORDER BY ordinal", case_id)
    assert all(before == after for (_, before), (after, _) in itertools.pairwise(taken))
    assert hall.state(case_id) == taken[-1][1]


async def test_a_refusal_needs_a_reason(hall: Hall) -> None:
    case_id = await hall.submitted()
    with pytest.raises(CaseInputError) as wrong:
        await hall.take("handler", case_id, Step.REFUSE, note="  ")
    assert [fault.where for fault in wrong.value.faults] == ["reason"]


@pytest.mark.parametrize("until_ms", [NOW_MS, NOW_MS + 31 * DAY_MS])
async def test_no_approval_outlives_the_citys_copies(hall: Hall, until_ms: int) -> None:
    case_id = await hall.submitted()
    await hall.take("handler", case_id, Step.PREPARE)
    await hall.take("supervisor", case_id, Step.CHECK)
    with pytest.raises(CaseInputError):
        await hall.take("manager", case_id, Step.APPROVE, until_ms=until_ms)


async def test_an_emergencys_papers_come_after_it_with_their_numbers_and_nothing_else_changes(hall: Hall) -> None:
    case_id = await hall.drafted(is_emergency=True, inquiry_number="", inquiry_on=None, inquiry_station="")
    await hall.take("officer", case_id, Step.SUBMIT)
    await hall.take("supervisor", case_id, Step.EMERGENCY)
    whole = await hall.seen(case_id)
    later = draft(is_emergency=True, offence="強盗")
    await hall.desk.update(asker("officer"), case_id, later, (dataclasses.replace(WINDOW, detector="gw-2"),))
    after = await hall.seen(case_id)
    assert (after.row.inquiry_number, after.row.inquiry_on) == ("加古川捜発第123号", date(2026, 11, 25))
    assert (after.row.offence, after.windows) == ("窃盗", whole.windows)


async def test_a_submitted_case_is_no_draft_any_more(hall: Hall) -> None:
    case_id = await hall.submitted()
    with pytest.raises(UnknownCaseError):
        await hall.desk.update(asker("officer"), case_id, draft(), (WINDOW,))
    with pytest.raises(UnknownCaseError):
        await hall.desk.add_paper(asker("officer"), case_id, Upload("inquiry", "x.pdf", pdf(*INQUIRY)))


async def test_papers_lie_sealed_in_the_database(hall: Hall) -> None:
    case_id = await hall.submitted()
    rows = hall.sql("SELECT id, sealed FROM case_paper")
    assert all(b"%PDF" not in bytes(sealed) and "捜査".encode() not in bytes(sealed) for _, sealed in rows)
    _, content = await hall.desk.paper(asker("handler"), case_id, rows[0][0])
    assert content.startswith(b"%PDF")
    assert hall.kinds()[-1] == "paper.viewed"


async def test_numbers_count_on_within_the_year_of_the_city(hall: Hall) -> None:
    hall.now_ms = 1_798_729_199_000  # 2026-12-31T23:59:59 in Japan, still 14:59:59 UTC
    hall.sql("UPDATE detector_health SET footage_from_ms = %s", hall.now_ms - 10 * DAY_MS)
    window = Window("gw-1", hall.now_ms - HOUR_MS, hall.now_ms)
    for _ in range(2):
        await hall.drafted(window, inquiry_on=date(2026, 12, 30))
    hall.now_ms += 1000
    await hall.drafted(window, inquiry_on=date(2026, 12, 30))
    assert [n for (n,) in hall.sql("SELECT number FROM footage_case ORDER BY number")] == [
        "2026-0001",
        "2026-0002",
        "2027-0001",
    ]
