"""The commands of `mimamori order`, and `mimamori gateway log`: what the city orders, and what gateways say of it."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from server import config as configuration
from server.cli_database import DEFAULT, ConfigFile, embedded_database
from server.cli_gateways import gateway_app
from server.errors import ServerError

if TYPE_CHECKING:
    from server.store.connection import Connection
    from server.store.gateway_log import Logged
    from server.store.order import GatewayOrder
    from wire.orders import Command

order_app = typer.Typer(no_args_is_help=True, help="命令。Orders to gateways, and what became of each.")

Detector = Annotated[str, typer.Argument(metavar="DETECTOR", help="Id of the gateway.")]
Case = Annotated[str, typer.Option(help="Id of the case.")]
Wait = Annotated[float, typer.Option(min=0, max=3_600, help="Seconds to wait for the outcome.")]
Moment = Annotated[str, typer.Option(metavar="TIME", help="ISO 8601 with its offset: 2026-11-26T12:00:00+09:00.")]
WAIT_S: Final = 30.0
_STATES: Final = {
    "pending": ("未送信", "yellow"),
    "sent": ("送信済み", "yellow"),
    "done": ("完了", "green"),
    "refused": ("拒否", "red"),
    "failed": ("失敗", "red"),
}


@order_app.command()
def freeze(  # noqa: PLR0913 - each is one option of the command line
    detector: Detector,
    *,
    case: Case,
    from_: Annotated[str, typer.Option("--from", metavar="TIME", help="Start of the window, ISO 8601 with offset.")],
    to: Moment,
    until: Moment,
    wait: Wait = WAIT_S,
    config: ConfigFile = DEFAULT,
) -> None:
    """映像を保全する。Keep a window of footage for a case; nobody can see it by this."""
    from wire.orders import Freeze  # noqa: PLC0415 - a command loads what it needs

    _give(config, detector, Freeze(case, moment_ms(from_), moment_ms(to), moment_ms(until)), wait)


@order_app.command()
def thaw(detector: Detector, *, case: Case, wait: Wait = WAIT_S, config: ConfigFile = DEFAULT) -> None:
    """保全を解く。Let the frozen windows of a case go: they are deleted when their time is over."""
    from wire.orders import Thaw  # noqa: PLC0415 - a command loads what it needs

    _give(config, detector, Thaw(case), wait)


@order_app.command(name="rotate-keys")
def rotate_keys(detector: Detector, *, wait: Wait = WAIT_S, config: ConfigFile = DEFAULT) -> None:
    """鍵を替える。Let a gateway make new keys and have them certified."""
    from wire.orders import RotateKeys  # noqa: PLC0415 - a command loads what it needs

    _give(config, detector, RotateKeys(), wait)


@order_app.command()
def restart(detector: Detector, *, wait: Wait = WAIT_S, config: ConfigFile = DEFAULT) -> None:
    """再起動する。Let a gateway's program end, and its service manager start it again."""
    from wire.orders import Restart  # noqa: PLC0415 - a command loads what it needs

    _give(config, detector, Restart(), wait)


@order_app.command()
def mask(detector: Detector, *, wait: Wait = WAIT_S, config: ConfigFile = DEFAULT) -> None:
    """マスクを設定する。Sign the mask that three people approved (`duty mask-draw`) and send it to a live camera."""
    from server.duties import masks  # noqa: PLC0415 - a command loads what it needs
    from server.orders import issue  # noqa: PLC0415 - as above

    signer = issue.CitySigner.of(configuration.load(config))

    async def given(conn: "Connection") -> int:
        sequence, version = await masks.send(conn, signer, detector, now_ms=now_ms())
        typer.echo(f"{detector}: マスク第{version}版。Mask version {version}")
        return sequence

    carry_through(config, detector, given, wait)


@order_app.command()
def configure(  # noqa: PLR0913 - each is one option of the command line
    detector: Detector,
    *,
    retention_days: Annotated[int | None, typer.Option(help="Footage is deleted when so old.")] = None,
    max_mb: Annotated[int | None, typer.Option(help="And before that when there is more of it.")] = None,
    fps: Annotated[int | None, typer.Option(help="Frames a second that are kept at most.")] = None,
    sound_opinion: Annotated[
        str | None, typer.Option(help="The board's opinion that approves the sound gate; '' ends the approval.")
    ] = None,
    sound_limit_db: Annotated[int | None, typer.Option(help="Level, dB SPL, above which it is written.")] = None,
    sound_full_scale_db: Annotated[int | None, typer.Option(help="dB SPL of a full-scale sine.")] = None,
    as_: Annotated[str, typer.Option("--as", help="Account of the manager who answers for sound.")] = "",
    wait: Wait = WAIT_S,
    config: ConfigFile = DEFAULT,
) -> None:
    """カメラを設定する。Sign settings and send them: the last ones with these changes."""
    from server.duties import sound  # noqa: PLC0415 - a command loads what it needs
    from server.duties.footage import check_retention  # noqa: PLC0415 - as above
    from server.orders import issue  # noqa: PLC0415 - as above
    from server.permit.ordinance import profile_of  # noqa: PLC0415 - as above

    wanted: dict[str, Any] = {
        "retention_days": retention_days,
        "max_mb": max_mb,
        "fps": fps,
        "sound_opinion": sound_opinion,
        "is_sound_approved": None if sound_opinion is None else bool(sound_opinion),
        "sound_limit_db": sound_limit_db,
        "sound_full_scale_db": sound_full_scale_db,
    }
    changes = {name: value for name, value in wanted.items() if value is not None}
    settings = configuration.load(config)
    signer = issue.CitySigner.of(settings)
    most_days = check_retention(profile_of(settings), retention_days)

    async def given(conn: "Connection") -> int:
        if sound_opinion:
            await sound.approve(settings, as_, detector, opinion=sound_opinion, now_ms=now_ms())
        sequence, given = await issue.issue_settings(
            conn, signer, detector, changes=changes, most_days=most_days, now_ms=now_ms()
        )
        typer.echo(f"{detector}: {given}")
        return sequence

    carry_through(config, detector, given, wait)


@order_app.command(name="list")
def list_(
    detector: Annotated[str | None, typer.Argument(metavar="[DETECTOR]", help="All gateways without it.")] = None,
    *,
    n: Annotated[int, typer.Option("-n", min=1, max=10_000, help="How many of the newest.")] = 30,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    config: ConfigFile = DEFAULT,
) -> None:
    """命令の一覧。List orders and what became of them, the newest first."""
    from server.store import order as orders  # noqa: PLC0415 - a command loads what it needs

    found = _run(config, lambda conn: orders.newest(conn, detector, n))
    if as_json:
        for one in found:
            typer.echo(json.dumps(_order_facts(one), ensure_ascii=False))
    else:
        _print_orders(found)


@gateway_app.command(name="log")
def log_(
    detector: Detector,
    *,
    n: Annotated[int, typer.Option("-n", min=1, max=100_000, help="How many of the newest entries.")] = 30,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check signatures and chain; exit code 1 at a fault.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    config: ConfigFile = DEFAULT,
) -> None:
    """ゲートウェイの記録を見る。Show the city's copy of a gateway's own log."""
    from server.orders import audit  # noqa: PLC0415 - a command loads what it needs
    from server.store import gateway_log  # noqa: PLC0415 - as above

    found = _run(config, lambda conn: gateway_log.newest(conn, detector, n))
    if as_json:
        for one in found:
            typer.echo(json.dumps(_log_facts(one), ensure_ascii=False))
    else:
        _print_log(detector, found)
    if verify:
        faults = _run(config, lambda conn: audit.faults(conn, configuration.load(config).city.id, detector))
        for fault in faults:
            typer.echo(f"{fault.japanese}。{fault.english}", err=True)
        typer.echo(
            "改ざんなし。The log is whole" if not faults else f"異常 {len(faults)}件。{len(faults)} faults", err=True
        )
        raise typer.Exit(1 if faults else 0)


def _give(config: Path, detector: str, command: "Command", wait_s: float) -> None:
    from server.orders import issue  # noqa: PLC0415 - a command loads what it needs

    carry_through(config, detector, lambda conn: issue.issue(conn, detector, command, now_ms=now_ms()), wait_s)


def carry_through(config: Path, detector: str, give: Callable[["Connection"], Awaitable[int]], wait_s: float) -> None:
    """Give an order, wait for its outcome with a spinner and print it; exit code 1 unless it is done."""
    from rich.console import Console  # noqa: PLC0415 - a command loads what it needs

    from server.orders import issue  # noqa: PLC0415 - as above

    async def whole(conn: "Connection") -> "GatewayOrder":
        sequence = await give(conn)
        with Console(stderr=True).status(
            f"{detector}: 命令{sequence}の結果を待っています Waiting for order {sequence} …"
        ):
            return await issue.outcome(conn, detector, sequence, wait_s=wait_s)

    found = _run(config, whole)
    typer.echo(_line(found))
    if not found.is_settled:
        typer.echo(
            "まだ結果がありません。届くまで送り続けます。No outcome yet; it is sent until there is one.", err=True
        )
    if found.state != "done":
        raise typer.Exit(1)


def _run(config: Path, ask: Callable[["Connection"], Awaitable[Any]]) -> Any:  # noqa: ANN401 - what `ask` returns
    from server.store.connection import connect  # noqa: PLC0415 - a command loads what it needs

    settings = configuration.load(config)

    async def asked() -> Any:  # noqa: ANN401 - as above
        async with await connect(settings.dsn()) as conn:
            return await ask(conn)

    with embedded_database(settings):
        return asyncio.run(asked())


def drawing_in(file: Path) -> Any:  # noqa: ANN401 - issue.Drawing, loaded when it is needed
    """Return what a file draws.

    Raises:
        ServerError: it is no drawing.
    """
    from server.orders.issue import Drawing  # noqa: PLC0415 - a command loads what it needs

    try:
        table = json.loads(file.read_text("utf-8"))
        if isinstance(table, dict) and table.get("bare") is True:
            return Drawing((), is_bare=True)
        areas = table["polygons"] if isinstance(table, dict) else table
        return Drawing(tuple(tuple((float(x), float(y)) for x, y in area) for area in areas))
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise ServerError(
            f"{file}: マスクのJSONではありません。Not a mask: a list of areas, each a list of [x, y] from 0 to 1"
        ) from error


def moment_ms(text: str) -> int:
    """Return the Unix milliseconds of a time in ISO 8601 with its offset.

    Raises:
        ServerError: it is none.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ServerError(f"{text}: 時刻ではありません。Not a time; write 2026-11-26T12:00:00+09:00") from error
    if moment.tzinfo is None:
        raise ServerError(f"{text}: 時差がありません。Without its offset from UTC; write 2026-11-26T12:00:00+09:00")
    return round(moment.timestamp() * 1000)


def now_ms() -> int:
    """Return the wall time, Unix milliseconds."""
    return time.time_ns() // 1_000_000


def _print_orders(found: "list[GatewayOrder]") -> None:
    from rich.console import Console  # noqa: PLC0415 - a command loads what it needs
    from rich.table import Table  # noqa: PLC0415 - as above
    from rich.text import Text  # noqa: PLC0415 - as above

    table = Table(
        "機器 gateway", "番号 #", "命令 order", "時刻 issued (UTC)", "状態 state", "結果 outcome", title="命令 Orders"
    )
    for one in found:
        japanese, style = _STATES[one.state]
        state = Text(f"{japanese} {one.state}", style)
        table.add_row(one.detector, str(one.sequence), one.kind, _utc(one.issued_at_ms), state, Text(_said(one)))
    Console(emoji=False, markup=False).print(table)


def _line(one: "GatewayOrder") -> str:
    """Return an order's outcome as one line: too short for a table, and whole in a log."""
    japanese, _ = _STATES[one.state]
    return " ".join(filter(None, (f"{one.detector} {one.sequence} {one.kind}: {japanese} {one.state}", _said(one))))


def _said(one: "GatewayOrder") -> str:
    result = _order_facts(one)["result"].items()
    return " ".join(f"{name}={value}" for name, value in result if name not in _OWN) or one.reason


_OWN: Final = ("sequence", "kind", "order")
"""What an outcome repeats of the order."""


def _order_facts(one: "GatewayOrder") -> dict[str, Any]:
    return {
        "detector": one.detector,
        "sequence": one.sequence,
        "kind": one.kind,
        "issued_at": _utc(one.issued_at_ms),
        "state": one.state,
        "attempts": one.attempts,
        "received": one.is_received,
        "reason": one.reason,
        "result": {} if one.result is None else _decoded(one.result),
    }


def _print_log(detector: str, found: "list[Logged]") -> None:
    from rich.console import Console  # noqa: PLC0415 - a command loads what it needs
    from rich.table import Table  # noqa: PLC0415 - as above
    from rich.text import Text  # noqa: PLC0415 - as above

    table = Table("期 epoch", "番号 #", "時刻 at (UTC)", "種類 kind", "内容 facts", title=f"記録 Log: {detector}")
    for one in found:
        facts = " ".join(f"{name}={value}" for name, value in _decoded(one.body).items())
        style = "red" if one.is_broken else ""
        table.add_row(f"{one.epoch:08x}", str(one.sequence), _utc(one.at_ms), Text(one.kind, style), Text(facts))
    Console(emoji=False, markup=False).print(table)


def _log_facts(one: "Logged") -> dict[str, Any]:
    return {
        "epoch": one.epoch,
        "sequence": one.sequence,
        "at": _utc(one.at_ms),
        "kind": one.kind,
        "body": _decoded(one.body),
        "broken": one.is_broken,
    }


def _decoded(body: bytes) -> dict[str, Any]:
    from wire import cbor, entry  # noqa: PLC0415 - a command loads what it needs

    return {str(name): _plain(value) for name, value in cbor.loads(body, max_octets=entry.MAX_OCTETS).items()}


def _plain(value: object) -> Any:  # noqa: ANN401 - what JSON holds
    match value:
        case bytes():
            return value.hex()
        case dict():
            return {str(_plain(name)): _plain(item) for name, item in value.items()}
        case list():
            return [_plain(item) for item in value]
        case _:
            return value


def _utc(at_ms: int) -> str:
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):  # by a clock that stood in no year we can name
        return f"{at_ms} ms"
