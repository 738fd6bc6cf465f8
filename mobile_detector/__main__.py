"""`mimamori-detector`: run a volunteer's detector, keep its no-report zones, say what it cost and how it helped."""

import asyncio
import logging
import os
import random
import signal
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mobile_detector import agent, config
from mobile_detector.errors import ZoneError
from mobile_detector.usage import Diary
from mobile_detector.zones import Zones, around
from wire import logs
from wire.errors import ConfigError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="ボランティアの見守り検知器。 A volunteer's detector of the watched town.",
)
zones_app = typer.Typer(no_args_is_help=True, help="報告しない区域。 No-report zones; they never leave this machine.")
app.add_typer(zones_app, name="zones")

EXIT_BAD_INPUT = 2

ConfigFile = Annotated[Path, typer.Option("--config", help="設定ファイル。 TOML file of this detector.")]


@app.command()
def run(
    config_files: Annotated[list[Path] | None, typer.Option("--config", help="TOML file of one detector.")] = None,
    config_dir: Annotated[Path | None, typer.Option(help="Folder of TOML files, one detector each.")] = None,
    log_level: str = "INFO",
) -> None:
    """検知を始める。 Run one detector, or many in one process, until SIGTERM."""
    logs.configure(log_level)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for each request says nothing of use
    files = [*(config_files or []), *(sorted(config_dir.glob("*.toml")) if config_dir else [])]
    if not files:
        raise _stop_with(
            "設定がありません。 no configuration: give --config FILE or --config-dir DIR with *.toml in it"
        )
    configs = [_load(path) for path in files]
    if len({one.state_dir for one in configs}) < len(configs):
        raise _stop_with("two detectors share a state_dir")
    asyncio.run(_run(configs))


async def _run(configs: list[config.DetectorConfig]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await agent.run_all(configs, stop)


@app.command()
def status(config_file: ConfigFile) -> None:
    """状態を見る。 Say what the detector cost and, coarsely, how it helped."""
    for line in Diary.load(_load(config_file).usage_file).lines():
        typer.echo(line)


@zones_app.command("add")
def add_zone(
    config_file: ConfigFile,
    lat_deg: Annotated[float, typer.Option("--lat", help="緯度。 WGS 84.")],
    lon_deg: Annotated[float, typer.Option("--lon", help="経度。 WGS 84.")],
    radius_m: Annotated[float, typer.Option("--radius", help="半径(メートル)。 Metres, 50 to 20000.")] = 200.0,
    name: Annotated[str, typer.Option(help="自分用の名前。 For your own eyes.")] = "自宅",
) -> None:
    """区域を加える。 Add a zone, and move it a little, so that its middle is not your home."""
    path = _load(config_file).zones_file
    try:
        zone = around(name, lat_deg, lon_deg, radius_m=radius_m, rng=random.SystemRandom())
        Zones((*_zones(path).zones, zone)).save(path)
    except ZoneError as error:
        raise _stop_with(str(error)) from error
    typer.echo(f"加えました。 added: {name}, {zone.radius_m:.0f} m")


@zones_app.command("list")
def list_zones(config_file: ConfigFile) -> None:
    """区域を並べる。 List the zones."""
    zones = _zones(_load(config_file).zones_file).zones
    for number, zone in enumerate(zones, 1):
        typer.echo(f"{number}. {zone.name}: {zone.lat_deg:.5f} {zone.lon_deg:.5f}, {zone.radius_m:.0f} m")
    if not zones:
        typer.echo("区域はありません。 There are no zones.")


@zones_app.command("remove")
def remove_zone(
    config_file: ConfigFile, number: Annotated[int, typer.Argument(help="一覧の番号。 As listed.")]
) -> None:
    """区域を消す。 Remove a zone."""
    path = _load(config_file).zones_file
    zones = list(_zones(path).zones)
    if not 1 <= number <= len(zones):
        raise _stop_with("その番号の区域はありません。 There is no zone of that number.")
    gone = zones.pop(number - 1)
    Zones(zones).save(path)
    typer.echo(f"消しました。 removed: {gone.name}")


def _load(path: Path) -> config.DetectorConfig:
    try:
        return config.load(path, os.environ)
    except ConfigError as error:
        raise _stop_with(str(error)) from error


def _zones(path: Path) -> Zones:
    try:
        return Zones.load(path)
    except ZoneError as error:
        raise _stop_with(str(error)) from error


def _stop_with(message: str) -> typer.Exit:
    Console(stderr=True).print(message, style="red", soft_wrap=True, markup=False, highlight=False)
    return typer.Exit(EXIT_BAD_INPUT)


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
