"""The commands of `mimamori case`: requests for footage, for city hall without a browser.

Nobody signs in at the server's own command line: the operator says for whom he reads, the policies decide whether that
account may, and the log has every look.
"""

import asyncio
import datetime as dt
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

from server import config as configuration
from server.cli_database import DEFAULT, ConfigFile, embedded_database
from server.cli_orders import now_ms
from server.errors import ServerError

if TYPE_CHECKING:
    from server.cases.desk import CaseDesk
    from server.cases.facts import Whole
    from server.permit.ask import Asker

case_app = typer.Typer(no_args_is_help=True, help="映像の提供依頼。Requests for footage: list, show, what falls due.")

As = Annotated[str, typer.Option("--as", metavar="ACCOUNT", help="Id of the account that reads.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="How many cases at most, the newest first.")]
_PAGE: Final = 100
_Found = TypeVar("_Found")
STATES: Final = {
    "draft": "下書き",
    "submitted": "提出済み",
    "prepared": "確認済み",
    "checked": "審査済み",
    "approved": "承認済み",
    "ready": "引渡し可",
    "released": "引渡し済み",
    "returned": "返却済み",
    "closed": "終了",
    "refused": "拒否",
    "withdrawn": "取下げ",
    "lapsed": "失効",
    "revoked": "取消し",
}
DEADLINES: Final = {
    "freeze": ("保全の期限", "undecided, it lapses"),
    "ratify": ("追認の期限", "unratified, it is revoked"),
    "release": ("閲覧の期限", "the release ends"),
    "return": ("返却の期限", "return or destruction"),
    "copy": ("市の写しの期限", "the city's copies are destroyed"),
    "feedback": ("回答の期限", "answer whether it was of use"),
}


@case_app.command("list")
def case_list(
    *,
    as_: As,
    state: Annotated[list[str] | None, typer.Option(help="Of these states alone.")] = None,
    limit: Limit = 20,
    as_json: AsJson = False,
    config: ConfigFile = DEFAULT,
) -> None:
    """依頼の一覧。List requests that were submitted, the newest first."""
    from rich.console import Console  # noqa: PLC0415 - a command loads what it needs
    from rich.table import Table  # noqa: PLC0415 - as above

    found = _at_desk(config, as_, lambda desk, asker: _listed(desk, asker, state or [], limit))
    if as_json:
        typer.echo(json.dumps([_short(one) for one in found], ensure_ascii=False))
        return
    table = Table("番号 Case", "状態 State", "目的 Purpose", "機関 Agency", "台数 Cameras", "提出 Submitted")
    for one in found:
        row = one.row
        shown = f"{STATES[row.state.value]} {row.state.value}"
        submitted = "" if row.submitted_ms is None else _when(row.submitted_ms)
        cameras = str(one.scope.cameras)
        table.add_row(row.number, shown, row.purpose.value, f"{row.agency_ja} {row.agency_en}", cameras, submitted)
    Console().print(table)


@case_app.command("show")
def case_show(
    number: Annotated[str, typer.Argument(metavar="NUMBER", help="Such as 2026-0001.")],
    *,
    as_: As,
    config: ConfigFile = DEFAULT,
) -> None:
    """一件を見る。Show one request with its papers, steps and deadlines, as JSON."""
    from server.api.show_case import show_case  # noqa: PLC0415 - a command loads what it needs

    async def look(desk: "CaseDesk", asker: "Asker") -> str:
        whole = await desk.by_number(asker, number)
        return show_case(whole, desk.office, asker).model_dump_json(by_alias=True, indent=2)

    typer.echo(_at_desk(config, as_, look))


@case_app.command("deadlines")
def case_deadlines(*, as_: As, limit: Limit = 1_000, as_json: AsJson = False, config: ConfigFile = DEFAULT) -> None:
    """期限の一覧。List what falls due and what somebody should look at, the next first."""
    from rich.console import Console  # noqa: PLC0415 - a command loads what it needs
    from rich.table import Table  # noqa: PLC0415 - as above

    from server.cases import view  # noqa: PLC0415 - as above

    async def look(desk: "CaseDesk", asker: "Asker") -> list[tuple[int, str, str, bool]]:
        rows = []
        for one in await _listed(desk, asker, [], limit):
            due = [(dead.at_ms, one.row.number, dead.kind, False) for dead in view.deadlines(one, desk.office)]
            told = [(item.at_ms, one.row.number, item.kind, True) for item in one.reminders if item.settled_ms is None]
            rows += [*due, *told]
        return sorted(rows)

    rows = _at_desk(config, as_, look)
    if as_json:
        keys = ("at_ms", "case", "kind", "is_reminder")
        typer.echo(json.dumps([dict(zip(keys, row, strict=True)) for row in rows]))
        return
    table = Table("時刻 When", "番号 Case", "期限 What falls due")
    for at_ms, number, kind, is_reminder in rows:
        japanese, english = DEADLINES.get(kind, ("要確認", kind))
        words = f"要確認 look at this: {kind}" if is_reminder else f"{japanese} {english}"
        table.add_row(_when(at_ms), number, words)
    Console().print(table)


async def _listed(desk: "CaseDesk", asker: "Asker", states: list[str], limit: int) -> "list[Whole]":
    from privacy.cases import State  # noqa: PLC0415 - a command loads what it needs
    from server.store.case import Page  # noqa: PLC0415 - as above

    if unknown := sorted(set(states) - set(STATES)):
        raise ServerError(f"{', '.join(unknown)}: 状態の名前ではありません。No such state; one of {', '.join(STATES)}")
    wanted, before = tuple(map(State, states)), ""
    found: list[Whole] = []
    while len(found) < limit:
        page = Page(agency=asker.agency, states=wanted, before=before, limit=min(_PAGE, limit - len(found)))
        more, before = await desk.listed(asker, page)
        found += more
        if not before:
            break
    return found


def _at_desk(config: Path, account: str, look: Callable[["CaseDesk", "Asker"], Awaitable[_Found]]) -> _Found:
    """Read on behalf of an account; the papers stay sealed."""
    from server.cases.desk import CaseDesk  # noqa: PLC0415 - a command loads what it needs
    from server.cases.errors import UnknownCaseError  # noqa: PLC0415 - as above
    from server.cases.office import Office  # noqa: PLC0415 - as above
    from server.duties.hall import asker_of  # noqa: PLC0415 - as above
    from server.store.pool import make_pool  # noqa: PLC0415 - as above

    settings = configuration.load(config)

    async def run() -> _Found:
        async with make_pool(settings.dsn("warden"), max_size=1) as pool:
            async with pool.connection() as conn:
                asker = await asker_of(conn, account)
            return await look(CaseDesk(Office.of(settings, now_ms), pool), asker)

    with embedded_database(settings):
        try:
            return asyncio.run(run())
        except UnknownCaseError as error:
            raise ServerError(
                "この依頼はないか、見られません。There is no such case, or not for this account"
            ) from error


def _short(one: "Whole") -> dict[str, Any]:
    row = one.row
    return {
        "number": row.number,
        "state": row.state.value,
        "purpose": row.purpose.value,
        "agency": row.agency_id,
        "is_emergency": row.is_emergency,
        "cameras": one.scope.cameras,
        "submitted_at_ms": row.submitted_ms,
    }


def _when(at_ms: int) -> str:
    """Return a moment in the machine's zone, to the minute."""
    return dt.datetime.fromtimestamp(at_ms / 1000).astimezone().isoformat(" ", "minutes")
