"""`mimamori-sim`: lay out the town, run its radio, record it, receive its families' notices."""

import asyncio
import datetime as dt
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from firmware_sim import capture, registry
from firmware_sim import record as recording
from firmware_sim import run as live
from firmware_sim import town as towns
from firmware_sim.air import TZ, Air
from firmware_sim.errors import SimulationError
from firmware_sim.street import cli as street_cli
from firmware_sim.tag import provision
from wire import logs
from wire.clock import SYSTEM, Clock

_HELP = "街のシミュレータ。Lay out the town, run its radio, record it, receive its families' notices."
app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=_HELP)
console = Console(stderr=True)
app.command(name="street")(street_cli.street)

Directory = Annotated[
    Path, typer.Option("--dir", help="街のディレクトリ。The town's directory, as `mimamori-sim town` wrote it.")
]
ClockJson = Annotated[
    str, typer.Option("--clock", help="時計の JSON。JSON of origin_wall_ms, origin_town_ms, speed. Default: now.")
]
Seed = Annotated[int, typer.Option(min=0, help="乱数の種。The same seed gives the same town.")]
DEFAULT_START = "2026-11-24T07:40:00+09:00"


@app.command()
def town(  # noqa: PLR0913 - a command's options are its parameters
    *,
    out: Annotated[
        Path, typer.Option(help="書き出し先。Directory to write town.json, map.geojson, configurations and keys to.")
    ],
    city_file: Annotated[Path, typer.Option(help="市の公開鍵。city.json of `mimamori init`: the city's public keys.")],
    seed: Seed = 7,
    broker_url: Annotated[
        str, typer.Option(help="検知機のブローカ。MQTT broker of the detectors.")
    ] = "mqtt://127.0.0.1:1883",
    upload_url: Annotated[
        str, typer.Option(help="一部の電話の送り先。Where some phones POST batches instead; empty: none.")
    ] = "",
    push_url: Annotated[
        str, typer.Option(help="プッシュ通知の送り先。Base URL of `mimamori-sim family`'s push service; empty: none.")
    ] = "",
    camera_url: Annotated[
        str, typer.Option(help="街角のカメラ。Where a gateway films `mimamori-sim street`; empty: nowhere.")
    ] = "",
    radio_socket: Annotated[
        Path | None, typer.Option(help="電波のソケット。Default: radio.sock in the directory.")
    ] = None,
    gpsd_socket: Annotated[
        Path | None, typer.Option(help="測位のソケット。Default: gpsd.sock in the directory.")
    ] = None,
    clock: ClockJson = "",
) -> None:
    """街をつくる。Lay out the town: registry, map, keys and configurations of 60 gateways, 3 vehicles and 40 phones."""
    settings = registry.TownSettings(
        seed=seed,
        directory=out,
        city_file=city_file,
        broker_url=broker_url,
        upload_url=upload_url,
        push_url=push_url,
        radio_socket=radio_socket or out / "radio.sock",
        gpsd_socket=gpsd_socket or out / "gpsd.sock",
        clock=_clock(clock, SYSTEM),
        camera_url=camera_url,
    )
    typer.echo(json.dumps(registry.write(settings)))


@app.command()
def run(
    *,
    directory: Directory,
    radio_socket: Annotated[
        Path | None, typer.Option(help="電波のソケット。Default: radio.sock in the directory.")
    ] = None,
    gpsd_socket: Annotated[
        Path | None, typer.Option(help="測位のソケット。Default: gpsd.sock in the directory.")
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(help="本当に届いた数の JSON。JSON file for what really left the radio.")
    ] = None,
    clock: ClockJson = "",
) -> None:
    """街の電波を動かす。Run the town's radio and satellites until SIGTERM or Ctrl-C."""
    logs.configure()
    seed, tags, own_clock = registry.load(directory)
    settings = live.RunSettings(
        radio_socket=radio_socket or directory / "radio.sock",
        gpsd_socket=gpsd_socket or directory / "gpsd.sock",
        truth_file=truth,
        clock=_clock(clock, own_clock),
    )

    async def serve() -> None:
        await live.run(live.Live(seed, tags, settings.clock), settings, live.stop_on_signals())

    asyncio.run(serve())


@app.command()
def record(  # noqa: PLR0913 - a command's options are its parameters
    file: Annotated[Path, typer.Argument(help="書き出すファイル。Capture to write: .btsnoop, .pcap or .pcapng.")],
    *,
    seconds: Annotated[int, typer.Option(min=1, max=86_400, help="街の秒数。Town seconds.")] = 60,
    start: Annotated[str, typer.Option(help="始まる時刻。Local start time, ISO 8601.")] = DEFAULT_START,
    kind: Annotated[
        str, typer.Option("--format", help="形式。btsnoop, pcap or pcapng; else by the file's suffix.")
    ] = "",
    link_type: Annotated[int, typer.Option(help="リンク種別。pcap, pcapng: 256 with radio header, or 251.")] = 256,
    detector: Annotated[str, typer.Option(help="どの検知機か。Whose radio, or `all`.")] = "gw-001",
    seed: Seed = 7,
    truth: Annotated[Path | None, typer.Option(help="書いた数の JSON。JSON file for what was written.")] = None,
) -> None:
    """電波を録る。Write what one detector of the simulated town hears as a Bluetooth capture."""
    start_ms = _start_ms(start)
    air = Air(towns.build(seed), provision(seed, registry.TAGS, start_ms), start_ms)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    chosen = _format(file, kind, link_type)
    with file.open("wb") as out, Progress(*columns, console=console) as progress:
        bar = progress.add_task("録音 / recording", total=seconds)
        written = recording.record(
            air,
            capture.open_writer(out, chosen, link_type),
            seconds=seconds,
            detector=detector,
            on_step=lambda: progress.advance(bar),
        )
    if truth:
        written.save(truth)
    told = {key: value for key, value in written.as_json().items() if key != "detectors"}
    typer.echo(json.dumps({"file": str(file), "format": chosen} | told))


@app.command()
def family(
    *,
    directory: Directory,
    http_port: Annotated[int, typer.Option(help="プッシュ通知のポート。Port of the push service on loopback.")],
    smtp_port: Annotated[int, typer.Option(help="メールのポート。Port of the mail server on loopback.")],
    out: Annotated[Path, typer.Option(help="届いた通知。JSON lines, one for each notice received.")],
) -> None:
    """家族の端末になる。Be the families' phones and mail boxes: receive, decrypt and count their notices."""
    from firmware_sim import family as families  # noqa: PLC0415 - its mail server is slow to load

    asyncio.run(families.run(directory, http_port=http_port, smtp_port=smtp_port, out=out))


def _clock(text: str, otherwise: Clock) -> Clock:
    if not text:
        return otherwise
    try:
        table: Any = json.loads(text)
        return Clock.from_table(table)
    except (ValueError, TypeError, AttributeError) as error:
        raise typer.BadParameter(f"--clock: 時計の JSON ではありません。Not the JSON of a clock: {error}") from error


def _start_ms(text: str) -> int:
    try:
        at = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"--start: 時刻ではありません。Not a time: {error}") from error
    return int((at if at.tzinfo else at.replace(tzinfo=TZ)).timestamp() * 1000)


def _format(file: Path, kind: str, link_type: int) -> capture.Format:
    chosen = kind or file.suffix.removeprefix(".").lower()
    if link_type not in (capture.LINK_TYPE_LE, capture.LINK_TYPE_LE_PHDR):
        raise typer.BadParameter("--link-type: 251 か 256 です。251 or 256")
    if chosen == "pcap":
        return "pcap"
    if chosen == "pcapng":
        return "pcapng"
    if chosen == "btsnoop":
        return "btsnoop"
    if kind:
        raise typer.BadParameter("--format: btsnoop、pcap、pcapng のどれかです。btsnoop, pcap or pcapng")
    raise typer.BadParameter(
        f"{file.name}: 形式が分かりません。--format を付けるか、名前を .btsnoop、.pcap、.pcapng で終えてください。"
        "Unknown format: give --format, or a name that ends in .btsnoop, .pcap or .pcapng"
    )


def main() -> None:
    """Run `mimamori-sim`; a simulation error is one line on stderr and exit status 1."""
    try:
        app()
    except (SimulationError, OSError) as error:
        console.print(f"mimamori-sim: {error}", style="bold red", highlight=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
