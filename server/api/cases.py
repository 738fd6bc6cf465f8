"""Requests for footage: written, decided, opened, returned. Every answer is in the audit log before it is given.

A case that is not the asker's to see is answered as one that does not exist.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Annotated, Final
from urllib.parse import unquote

from fastapi import APIRouter, Header, Path, Query, Request
from fastapi.responses import Response, StreamingResponse

from privacy.cases import State, Step
from privacy.terms import Basis, Purpose, Role
from server.api import problems
from server.api.access import SIGNED_IN, AskerNow, Parts, PartsNow
from server.api.schemas_cases import CaseBody, CaseList, CaseShown, Mode, PaperKind, PaperShown, StateName, StepBody
from server.api.show_case import show_case, show_paper, show_short
from server.cases import release, steps
from server.cases.desk import Upload
from server.cases.errors import CaseInputError, CopyMissingError, PaperSizeError, PaperTypeError, UnknownCaseError
from server.cases.fields import basis_of
from server.cases.steps import Wish
from server.footage.exports import FOLDER
from server.permit.ask import Asker, RefusedError
from server.store.case import Draft, Page, Window

router = APIRouter(prefix="/api/v1/cases", tags=["cases"])
_COMMON: Final = (*SIGNED_IN, problems.NOT_FOUND, problems.INVALID)
_WRITING: Final = (
    *_COMMON,
    problems.CROSS_SITE,
    problems.MALFORMED,
    problems.TOO_LARGE,
    problems.REFUSED_BY_RULE,
)
MEDIA_TYPES: Final = ("application/pdf", "image/png", "image/jpeg")
_PAPER: Final = {kind: {"schema": {"type": "string", "contentMediaType": kind}} for kind in MEDIA_TYPES}
CaseId = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$", examples=["0123456789abcdef0123456789abcdef"])]
PaperId = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$")]
ExportId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
_CITY: Final = frozenset({Role.HANDLER, Role.SUPERVISOR, Role.MANAGER, Role.BOARD})


@router.get("", summary="提供依頼の一覧 / Requests for footage", responses=problems.documented(*_COMMON))
async def get_cases(
    parts: PartsNow,
    asker: AskerNow,
    state: Annotated[list[StateName] | None, Query(description="of these states alone")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    before: Annotated[str, Query(pattern=r"^([0-9]{4}-[0-9]{4,9})?$", description="`next` of the page before")] = "",
) -> CaseList:
    """The cases of the asker's agency, or all that were submitted for those who decide; the newest first."""
    page = Page(
        agency=None if asker.role in _CITY else asker.agency,
        with_drafts_of=asker.account,
        states=tuple(State(one) for one in state or ()),
        before=before,
        limit=limit,
    )
    found, following = await parts.cases.listed(asker, page)
    return CaseList(cases=[show_short(one, parts.cases.office, asker) for one in found], next=following)


@router.post("", status_code=201, summary="依頼を書く / Write a request", responses=problems.documented(*_WRITING))
async def post_case(parts: PartsNow, asker: AskerNow, body: CaseBody) -> CaseShown:
    """A new draft; nobody but its officer sees it until it is submitted."""
    with _told():
        whole = await parts.cases.create(asker, _draft(body), _windows(body))
    return show_case(whole, parts.cases.office, asker)


@router.get("/{case_id}", summary="依頼 / A request", responses=problems.documented(*_COMMON))
async def get_case(parts: PartsNow, asker: AskerNow, case_id: CaseId) -> CaseShown:
    """A case with its papers, steps and deadlines, and what the asker may do now."""
    with _told():
        return await _shown(parts, asker, case_id)


@router.put("/{case_id}", summary="依頼を直す / Change a draft", responses=problems.documented(*_WRITING))
async def put_case(parts: PartsNow, asker: AskerNow, case_id: CaseId, body: CaseBody) -> CaseShown:
    """A draft with new content; of an emergency not yet ratified, what its papers say."""
    with _told():
        whole = await parts.cases.update(asker, case_id, _draft(body), _windows(body))
    return show_case(whole, parts.cases.office, asker)


@router.put(
    "/{case_id}/papers/{paper}",
    summary="書類を出す / Add a paper",
    openapi_extra={"requestBody": {"required": True, "content": _PAPER}},
    responses=problems.documented(*_WRITING, problems.WRONG_TYPE),
)
async def put_paper(  # noqa: PLR0913, PLR0917 - FastAPI's way
    parts: PartsNow,
    asker: AskerNow,
    request: Request,
    case_id: CaseId,
    kind: Annotated[PaperKind, Path(alias="paper")],
    x_file_name: Annotated[str, Header(max_length=1000, description="percent-encoded")] = "",
) -> PaperShown:
    """Keep a paper sealed, with what the machine found in it; one with an error counts as missing."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() not in MEDIA_TYPES:
        raise problems.ProblemError(problems.WRONG_TYPE)
    upload = Upload(kind, unquote(x_file_name, errors="replace"), await request.body())
    with _told():
        return show_paper(await parts.cases.add_paper(asker, case_id, upload))


@router.get(
    "/{case_id}/papers/{paper}",
    summary="書類を読む / Read a paper",
    responses={200: {"content": _PAPER}, **problems.documented(*_COMMON)},
    response_class=Response,
)
async def get_paper(parts: PartsNow, asker: AskerNow, case_id: CaseId, paper: PaperId) -> Response:
    """The octets of a paper as they were uploaded; the log says who read it."""
    with _told():
        row, content = await parts.cases.paper(asker, case_id, paper)
    return Response(content, media_type=row.media_type, headers={"content-disposition": "inline"})


@router.post("/{case_id}/steps", summary="手続を進める / Take a step", responses=problems.documented(*_WRITING))
async def post_step(parts: PartsNow, asker: AskerNow, case_id: CaseId, body: StepBody) -> CaseShown:
    """The case after the step. The same step again by the same person within a minute changes nothing."""
    wish = Wish(
        step=Step(body.step),
        note=body.reason or body.note,
        mode=body.mode,
        until_ms=body.until_ms,
        return_by_ms=body.return_by_ms,
        hashes=tuple(body.hashes),
        method=body.method,
        feedback=body.feedback,
    )
    with _told():
        await steps.take(parts.cases.office, parts.warden, asker, case_id, wish)
        return await _shown(parts, asker, case_id)


@router.get(
    "/{case_id}/exports/{export}",
    summary="映像を受け取る / Open footage",
    responses={
        200: {"content": {"application/age": {"schema": {"type": "string", "format": "binary"}}}},
        **problems.documented(*_COMMON, problems.REFUSED_BY_RULE, problems.COPY_GONE),
    },
    response_class=StreamingResponse,
)
async def get_case_export(
    parts: PartsNow, asker: AskerNow, case_id: CaseId, export: ExportId, mode: Mode = "view"
) -> StreamingResponse:
    """An export sealed to the officer's key. Each is an opening: the log has it before the first octet leaves."""
    folder = parts.config.state_dir / FOLDER
    with _told():
        wanted = release.Request(case_id, export, mode)
        sealed = await release.open_export(parts.cases.office, parts.warden, folder, asker, wanted)
    disposition = "inline" if mode == "view" else f'attachment; filename="{sealed.name}"'
    headers = {"content-disposition": disposition, "content-length": str(sealed.size_bytes), "x-sha256": sealed.sha256}
    return StreamingResponse(release.stream(sealed.path), media_type="application/age", headers=headers)


async def _shown(parts: Parts, asker: Asker, case_id: str) -> CaseShown:
    return show_case(await parts.cases.get(asker, case_id), parts.cases.office, asker)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Turn what the services raise into the API's problems."""
    try:
        yield
    except UnknownCaseError:
        raise problems.ProblemError(problems.NOT_FOUND) from None
    except RefusedError as error:
        reasons = [{"policy": one.policy, "article": one.article, "ja": one.ja, "en": one.en} for one in error.reasons]
        raise problems.ProblemError(problems.REFUSED_BY_RULE, reasons=reasons) from None
    except CaseInputError as error:
        errors = [{"where": one.where, "what": one.what, "ja": one.ja, "en": one.en} for one in error.faults]
        raise problems.ProblemError(problems.INVALID, errors=errors) from None
    except PaperTypeError:
        raise problems.ProblemError(problems.WRONG_TYPE) from None
    except PaperSizeError:
        raise problems.ProblemError(problems.TOO_LARGE) from None
    except CopyMissingError:
        raise problems.ProblemError(problems.COPY_GONE) from None


def _draft(body: CaseBody) -> Draft:
    purpose, inquiry = Purpose(body.purpose), body.inquiry
    has_warrant = bool(body.warrant_number.strip())
    return Draft(
        purpose=purpose,
        basis=Basis(body.basis) if body.basis else basis_of(purpose, has_warrant=has_warrant),
        is_emergency=body.is_emergency,
        offence=body.offence,
        has_occurred=body.has_occurred,
        inquiry_number=inquiry.number if inquiry else "",
        inquiry_on=inquiry.dated_on if inquiry else None,
        inquiry_station=inquiry.station if inquiry else "",
        inquiry_officer=inquiry.officer if inquiry else "",
        warrant_number=body.warrant_number,
        report_number=body.report_number,
        missing_kind=body.missing_kind,
        last_confirmed_ms=body.last_confirmed_ms,
        reason=body.reason,
        note=body.note,
    )


def _windows(body: CaseBody) -> tuple[Window, ...]:
    return tuple(Window(one.id, one.from_ms, one.to_ms) for one in body.cameras)
