"""The commands of `mimamori duty`: what the ordinance wants of the city itself, recorded by whoever answers for it.

Nobody signs in at the server's own command line: the operator says for whom he acts, the policies decide whether that
account may, and the log says that it came this way.
"""

import asyncio
import datetime as dt
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from server import config as configuration
from server.cli_database import DEFAULT, ConfigFile, embedded_database
from server.cli_orders import drawing_in, now_ms

if TYPE_CHECKING:
    from server.duties.hall import Desk

duty_app = typer.Typer(
    no_args_is_help=True, help="市の義務。Duties of the city: cameras' records, masks, the board's gates, disasters."
)

As = Annotated[str, typer.Option("--as", metavar="ACCOUNT", help="Id of the account that answers for it.")]
Camera = Annotated[str, typer.Argument(metavar="DETECTOR", help="Id of the camera's gateway.")]
Change = Annotated[int, typer.Argument(metavar="CHANGE", help="Number of the change, as `mask-draw` said.")]
Day = Annotated[str, typer.Option(metavar="DATE", help="Day, such as 2026-11-26.")]


@duty_app.command()
def record(  # noqa: PLR0913 - each is one option of the command line
    detector: Camera,
    kind: Annotated[str, typer.Argument(help="sign 標示, consultation 住民の意見, notice 公告, location 設置場所.")],
    *,
    on: Day,
    reference: Annotated[str, typer.Option(help="Paper or page; of a location: the place as the ledger has it.")],
    as_: As,
    config: ConfigFile = DEFAULT,
) -> None:
    """カメラの記録を残す。Record what was done for a camera before it goes live."""
    from server.duties import cameras  # noqa: PLC0415 - a command loads what it needs
    from server.store.camera_duty import Duty, DutyRow  # noqa: PLC0415 - as above

    row = DutyRow(detector, _one_of(Duty, kind), _day(on), reference)
    _at_desk(config, as_, lambda desk: cameras.record(desk, row))
    typer.echo(f"{detector}: 記録しました({kind})。Recorded: {kind}")


@duty_app.command()
def live(
    detector: Camera,
    *,
    as_: As,
    gate: Annotated[list[str] | None, typer.Option(help="Sensor or AI function it uses: sensor:sound.")] = None,
    purpose: Annotated[list[str] | None, typer.Option(help="What it may serve; without it, all purposes.")] = None,
    config: ConfigFile = DEFAULT,
) -> None:
    """カメラの運用を始める。Let a camera go live: all its records must be there, and a mask that three approved."""
    from privacy.terms import Purpose  # noqa: PLC0415 - a command loads what it needs
    from server.duties import cameras  # noqa: PLC0415 - as above

    purposes = [_one_of(Purpose, one) for one in purpose] if purpose else None
    _at_desk(config, as_, lambda desk: cameras.go_live(desk, detector, purposes=purposes, gates=gate or ()))
    typer.echo(f"{detector}: 運用を開始しました。Live")


@duty_app.command()
def end(detector: Camera, *, as_: As, config: ConfigFile = DEFAULT) -> None:
    """カメラの運用を終える。Let a camera be live no longer."""
    from server.duties import cameras  # noqa: PLC0415 - a command loads what it needs

    was_live = _at_desk(config, as_, lambda desk: cameras.end(desk, detector))
    typer.echo(f"{detector}: {'運用を終了しました。Ended' if was_live else '運用していません。It was not live'}")


@duty_app.command()
def missing(detector: Camera, *, config: ConfigFile = DEFAULT) -> None:
    """運用開始に足りないもの。Say what a camera lacks to go live; exit code 1 when anything is missing."""
    from server.duties import cameras  # noqa: PLC0415 - a command loads what it needs
    from server.store.connection import connect  # noqa: PLC0415 - as above

    settings = configuration.load(config)

    async def look() -> tuple[str, ...]:
        async with await connect(settings.dsn("warden")) as conn:
            return await cameras.may_go_live(conn, settings.city.id, detector)

    with embedded_database(settings):
        lacking = asyncio.run(look())
    typer.echo(f"{detector}: {', '.join(lacking) or 'すべてそろっています。Nothing is missing'}")
    if lacking:
        raise typer.Exit(1)


@duty_app.command("mask-draw")
def mask_draw(
    detector: Camera,
    file: Annotated[Path, typer.Argument(help='JSON: [[[x, y], …], …], shares of the picture; {"bare": true}: none.')],
    *,
    reason: Annotated[str, typer.Option(help="Why.")],
    as_: As,
    config: ConfigFile = DEFAULT,
) -> None:
    """マスクの変更を起案する。Draw a change of a mask (取扱者)."""
    from server.duties import masks  # noqa: PLC0415 - a command loads what it needs
    from server.store.mask_change import NewChange  # noqa: PLC0415 - as above

    drawing = drawing_in(file)
    new = NewChange(detector, drawing.polygons, drawing.is_bare, reason)
    number = _at_desk(config, as_, lambda desk: masks.draw(desk, new))
    typer.echo(f"{detector}: 変更{number}を起案しました。Change {number} is drawn")


@duty_app.command("mask-check")
def mask_check(change: Change, *, as_: As, config: ConfigFile = DEFAULT) -> None:
    """マスクの変更を審査する。Check a change of a mask (取扱責任者)."""
    _step(config, as_, change, "check")
    typer.echo(f"変更{change}を審査しました。Change {change} is checked")


@duty_app.command("mask-approve")
def mask_approve(change: Change, *, as_: As, config: ConfigFile = DEFAULT) -> None:
    """マスクの変更を承認する。Approve a change of a mask (管理責任者); `mimamori order mask` then sends it."""
    _step(config, as_, change, "approve")
    typer.echo(f"変更{change}を承認しました。Change {change} is approved")


@duty_app.command("mask-drop")
def mask_drop(change: Change, *, as_: As, config: ConfigFile = DEFAULT) -> None:
    """マスクの変更を取りやめる。Give a change of a mask up."""
    from server.duties import masks  # noqa: PLC0415 - a command loads what it needs

    _at_desk(config, as_, lambda desk: masks.drop(desk, change))
    typer.echo(f"変更{change}を取りやめました。Change {change} is dropped")


@duty_app.command("gate-open")
def gate_open(  # noqa: PLR0913 - each is one option of the command line
    gate: Annotated[str, typer.Argument(help="purpose:…, sensor:sound, ai:…, recipient:….")],
    *,
    opinion: Annotated[str, typer.Option(help="Of the board, as it is cited.")],
    checklist_items: Annotated[int, typer.Option(help="How many items were answered.")],
    checklist_on: Day,
    notice_on: Day,
    as_: As,
    config: ConfigFile = DEFAULT,
) -> None:
    """審議会を経たものを開く。Open what the board gave its opinion on."""
    from server.duties import gates  # noqa: PLC0415 - a command loads what it needs
    from server.store.board_gate import GateRow  # noqa: PLC0415 - as above

    row = GateRow(gate, opinion, checklist_items, _day(checklist_on), _day(notice_on))
    _at_desk(config, as_, lambda desk: gates.open_(desk, row))
    typer.echo(f"{gate}: 開きました。Open")


@duty_app.command("gate-close")
def gate_close(
    gate: Annotated[str, typer.Argument(help="As `gate-list` names it.")], *, as_: As, config: ConfigFile = DEFAULT
) -> None:
    """開いたものを閉じる。Shut a gate."""
    from server.duties import gates  # noqa: PLC0415 - a command loads what it needs

    _at_desk(config, as_, lambda desk: gates.close(desk, gate))
    typer.echo(f"{gate}: 閉じました。Shut")


@duty_app.command("gate-list")
def gate_list(*, config: ConfigFile = DEFAULT) -> None:
    """開いているものの一覧。List what the board has opened, one JSON object a line."""
    from server.store import board_gate  # noqa: PLC0415 - a command loads what it needs
    from server.store.connection import connect  # noqa: PLC0415 - as above

    settings = configuration.load(config)

    async def look() -> list[board_gate.GateRow]:
        async with await connect(settings.dsn("warden")) as conn:
            return await board_gate.opened(conn)

    with embedded_database(settings):
        for one in asyncio.run(look()):
            facts = {"gate": one.id, "opinion": one.opinion, "notice_on": one.notice_on.isoformat()}
            typer.echo(json.dumps(facts, ensure_ascii=False))


@duty_app.command()
def disaster(
    cameras: Annotated[list[str], typer.Argument(metavar="DETECTOR…", help="Cameras whose footage may be asked for.")],
    *,
    reason: Annotated[str, typer.Option(help="What happened.")],
    hours: Annotated[int, typer.Option(help="How long; it ends by itself.")],
    as_: As,
    config: ConfigFile = DEFAULT,
) -> None:
    """災害を宣言する。Declare a disaster (管理責任者)."""
    from server.duties import disasters  # noqa: PLC0415 - a command loads what it needs

    number = _at_desk(config, as_, lambda desk: disasters.declare(desk, reason, cameras=cameras, hours=hours))
    typer.echo(f"災害{number}を宣言しました。{hours}時間で終わります。Disaster {number} ends in {hours} h")


@duty_app.command("disaster-end")
def disaster_end(number: int, *, as_: As, config: ConfigFile = DEFAULT) -> None:
    """災害を終える。End a disaster before its time."""
    from server.duties import disasters  # noqa: PLC0415 - a command loads what it needs

    _at_desk(config, as_, lambda desk: disasters.end(desk, number))
    typer.echo(f"災害{number}を終えました。Disaster {number} is over")


@duty_app.command()
def note(  # noqa: PLR0913 - each is one option of the command line
    kind: Annotated[str, typer.Argument(help="complaint 苦情, inspection 点検・監査, breach 漏えい等.")],
    *,
    on: Day,
    summary: Annotated[str, typer.Option(help="For city hall alone; not in the log.")],
    findings: Annotated[int, typer.Option(min=0, help="Of an inspection.")] = 0,
    persons: Annotated[int, typer.Option(min=0, help="Concerned by a breach.")] = 0,
    as_: As,
    config: ConfigFile = DEFAULT,
) -> None:
    """苦情・点検・漏えい等を記録する。Write down a complaint, an inspection or a breach, for the annual report."""
    from server.duties import oversight  # noqa: PLC0415 - a command loads what it needs
    from server.store.oversight import Oversight, OversightRow  # noqa: PLC0415 - as above

    row = OversightRow(_one_of(Oversight, kind), _day(on), summary, findings, persons)
    _at_desk(config, as_, lambda desk: oversight.record(desk, row))
    typer.echo(f"記録しました({kind})。Recorded: {kind}")


def _step(config: Path, account: str, change: int, name: str) -> None:
    from privacy.cases import Step  # noqa: PLC0415 - a command loads what it needs
    from server.duties import masks  # noqa: PLC0415 - as above

    _at_desk(config, account, lambda desk: masks.take(desk, change, Step(name)))


def _at_desk(config: Path, account: str, do: Callable[["Desk"], Awaitable[Any]]) -> Any:  # noqa: ANN401 - what `do` returns
    """Do something on behalf of an account; a refusal is printed rule by rule, exit code 1."""
    from server.duties import command  # noqa: PLC0415 - a command loads what it needs
    from server.permit.ask import RefusedError  # noqa: PLC0415 - as above

    settings = configuration.load(config)
    with embedded_database(settings):
        try:
            return asyncio.run(command.carried(settings, account, do, now_ms=now_ms()))
        except RefusedError as error:
            for reason in error.reasons:
                typer.echo(f"{reason.article}: {reason.ja}{reason.en} [{reason.policy}]", err=True)
            raise typer.Exit(1) from error


def _day(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text}: 日付ではありません。Not a day; write 2026-11-26") from error


def _one_of(kinds: Any, text: str) -> Any:  # noqa: ANN401 - a StrEnum and its member
    try:
        return kinds(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text}: {', '.join(kinds)} のどれか。One of {', '.join(kinds)}") from error
