"""For everybody: the yearly report and the ledgers. Public, cacheable, without a session.

Source: docs/ORDINANCE.md, rules 20 and 21.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Path, Request, Response

from server.api import problems
from server.api.schemas import ReportYears
from server.reports.as_html import STYLE_HASH
from server.reports.desk import ReportDesk, Sheet
from server.reports.ledgers import Ledger
from server.reports.rendering import MEDIA_TYPES, Format

router = APIRouter(prefix="/api/v1", tags=["public"])

CACHED: Final = "public, max-age=60"
PUBLIC: Final = (problems.INVALID, problems.NOT_FOUND, problems.UNAVAILABLE, problems.INTERNAL)
_CSP: Final = "; ".join(
    (
        "default-src 'none'",
        f"style-src '{STYLE_HASH}'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""A report is a page that needs its own style and nothing else."""
_FILES: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "the file; the same log gives the same octets",
        "content": {
            kind.split(";", 1)[0]: {"schema": {"type": "object" if form is Format.JSON else "string"}}
            for form, kind in MEDIA_TYPES.items()
        },
    },
    304: {"description": "unchanged since `If-None-Match`"},
    **problems.documented(*PUBLIC),
}
IfNoneMatch = Annotated[str | None, Header()]


async def _desk(request: Request) -> ReportDesk:
    desk: ReportDesk = request.app.state.reports
    return desk


DeskNow = Annotated[ReportDesk, Depends(_desk)]


@router.get(
    "/reports",
    summary="報告書の一覧 / Years with a report",
    responses=problems.documented(problems.UNAVAILABLE, problems.INTERNAL),
)
async def get_reports(desk: DeskNow, response: Response) -> ReportYears:
    """The fiscal years of the log, newest first; the newest is not over."""
    response.headers["cache-control"] = CACHED
    return ReportYears(years=await desk.years())


@router.get("/reports/{year}.{form}", summary="年次報告書 / Yearly report", response_class=Response, responses=_FILES)
async def get_report(
    desk: DeskNow,
    year: Annotated[int, Path(ge=2000, le=2999, description="fiscal year, by its April", examples=[2026])],
    form: Format,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """What the city did in a fiscal year, computed from the audit log alone."""
    return sheet(await desk.annual(year, form), form, if_none_match)


@router.get("/ledgers/{ledger}.{form}", summary="台帳 / Ledgers", response_class=Response, responses=_FILES)
async def get_ledger(desk: DeskNow, ledger: Ledger, form: Format, if_none_match: IfNoneMatch = None) -> Response:
    """Cameras, equipment, and what was provided with small numbers merged."""
    return sheet(await desk.ledger(ledger, form), form, if_none_match)


def sheet(made: Sheet, form: Format, if_none_match: str | None) -> Response:
    """Return a file, or that it has not changed."""
    headers = {"etag": made.etag, "cache-control": CACHED, "content-disposition": f'inline; filename="{made.name}"'}
    if form is Format.HTML:
        headers["content-security-policy"] = _CSP
    if if_none_match == made.etag:
        return Response(status_code=304, headers=headers)
    return Response(made.octets, media_type=MEDIA_TYPES[form], headers=headers)
