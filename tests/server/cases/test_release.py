"""Opening released footage: by its officer, until it ends, as approved, each time in the log before the first octet."""

from typing import Literal

import psycopg
import pytest

from privacy.cases import Step
from privacy.terms import Basis, Purpose
from server.cases import release
from server.cases.errors import CopyMissingError, UnknownCaseError
from server.cases.release import Request, Sealed
from server.permit.ask import RefusedError
from tests.casework import DAY_MS, HOUR_MS, WINDOW, Hall, asker

pytestmark = pytest.mark.db


async def _open(hall: Hall, case_id: str, name: str = "officer", mode: Literal["view", "download"] = "view") -> Sealed:
    ((export,),) = hall.sql("SELECT id FROM export")
    return await release.open_export(hall.office, hall.pool, hall.folder, asker(name), Request(case_id, export, mode))


async def _policies(hall: Hall, case_id: str, name: str = "officer", mode: Literal["view", "download"] = "view") -> str:
    with pytest.raises(RefusedError) as refused:
        await _open(hall, case_id, name, mode)
    return ",".join(reason.policy for reason in refused.value.reasons)


async def test_the_named_officer_opens_and_each_opening_is_logged(hall: Hall) -> None:
    case_id = await hall.released()
    sealed = await _open(hall, case_id)
    assert b"".join([piece async for piece in release.stream(sealed.path)]) == b"sealed"
    await _open(hall, case_id, mode="download")
    assert [entry["kind"] for entry in hall.entries("footage.%")] == ["footage.viewed", "footage.downloaded"]
    assert [one.mode for one in (await hall.seen(case_id)).openings] == ["view", "download"]


@pytest.mark.parametrize("name", ["colleague", "handler", "supervisor", "manager", "board"])
async def test_nobody_else_opens_it(hall: Hall, name: str) -> None:
    case_id = await hall.released()
    assert "R13-named-officer" in await _policies(hall, case_id, name)
    assert [entry["facts"]["allowed"] for entry in hall.entries("case.denied")] == [False]


async def test_to_a_stranger_there_is_no_such_case(hall: Hall) -> None:
    case_id = await hall.released()
    with pytest.raises(UnknownCaseError):
        await _open(hall, case_id, "stranger")


async def test_to_a_stranger_there_is_no_such_case_also_when_its_copies_are_gone(hall: Hall) -> None:
    case_id = await hall.released()
    hall.sql("UPDATE export SET destroyed_at = now()")
    with pytest.raises(UnknownCaseError):
        await _open(hall, case_id, "stranger")
    with pytest.raises(CopyMissingError):
        await _open(hall, case_id)


async def test_what_was_approved_for_viewing_is_not_downloaded(hall: Hall) -> None:
    case_id = await hall.released(mode="view")
    assert await _policies(hall, case_id, mode="download") == "R13-view-only"
    await _open(hall, case_id)


async def test_a_release_ends(hall: Hall) -> None:
    case_id = await hall.released()
    hall.now_ms += hall.profile.number_of("release_hours") * HOUR_MS
    assert await _policies(hall, case_id) == "R13-expiry"


async def test_a_release_ends_when_the_emergency_is_not_ratified_also_before_the_clerk_looks(hall: Hall) -> None:
    case_id = await hall.drafted(is_emergency=True)
    await hall.take("officer", case_id, Step.SUBMIT)
    await hall.take("supervisor", case_id, Step.EMERGENCY)
    await hall.work()
    await hall.take("officer", case_id, Step.UNDERTAKE)
    await _open(hall, case_id)
    hall.now_ms += DAY_MS
    assert await _policies(hall, case_id) == "R09-clock"


async def test_before_the_undertaking_nothing_is_opened(hall: Hall) -> None:
    case_id = await hall.approved()
    await hall.work()
    assert "R16-undertaking" in await _policies(hall, case_id)


async def test_a_copy_that_was_changed_is_given_to_nobody(hall: Hall) -> None:
    case_id = await hall.released()
    for file in hall.folder.glob("*.age"):
        file.write_bytes(b"sealee")
    with pytest.raises(CopyMissingError):
        await _open(hall, case_id)


async def test_if_the_log_cannot_be_written_nothing_is_opened(hall: Hall) -> None:
    case_id = await hall.released()
    hall.sql("REVOKE INSERT ON audit_entry FROM warden")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await _open(hall, case_id)
    assert hall.sql("SELECT count(*) FROM case_opening") == [(0,)]


async def test_a_person_that_was_found_ends_the_release(hall: Hall) -> None:
    case_id = await hall.drafted(
        purpose=Purpose.MISSING_PERSON,
        basis=Basis.ARTICLE_69,
        report_number="受理第12号",
        missing_kind="vulnerable",
        last_confirmed_ms=WINDOW.from_ms + HOUR_MS,
    )
    await hall.take("officer", case_id, Step.SUBMIT)
    await hall.take("supervisor", case_id, Step.EMERGENCY)
    await hall.work()
    await hall.take("officer", case_id, Step.UNDERTAKE)
    await hall.take("officer", case_id, Step.FOUND)
    assert "R05-found" in await _policies(hall, case_id)
    await hall.work()
    assert (await hall.seen(case_id)).row.release_until_ms == hall.now_ms
