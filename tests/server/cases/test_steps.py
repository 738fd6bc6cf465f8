import pytest

from privacy.cases import Step
from server.permit.ask import RefusedError
from tests.casework import Hall

pytestmark = pytest.mark.db


async def test_three_people_decide_a_case_and_the_log_has_every_step(hall: Hall) -> None:
    case_id = await hall.approved()
    assert hall.state(case_id) == "approved"
    wanted = ["paper.added", "paper.added", "case.submitted", "case.prepared", "case.checked", "case.approved"]
    assert hall.kinds() == wanted


async def test_a_request_without_its_papers_is_refused_and_the_refusal_is_logged(hall: Hall) -> None:
    case_id = await hall.drafted()
    with pytest.raises(RefusedError) as refused:
        await hall.take("officer", case_id, Step.SUBMIT)
    assert [reason.policy for reason in refused.value.reasons] == ["R02-papers"]
    assert hall.state(case_id) == "draft"
    assert hall.kinds() == ["case.denied"]
