"""The commands of `mimamori`. Each loads what it needs and no more, so that `serve broker` carries no web framework."""

import asyncio
import contextlib
import json
import logging
import signal
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer

from server import config as configuration
from server.cli_accounts import account_app, agency_app, household_app, measure_app
from server.cli_audit import audit_app, witness_app
from server.cli_cases import case_app
from server.cli_database import DEFAULT, ConfigFile, embedded_database
from server.cli_duty import duty_app
from server.cli_footage import footage_app
from server.cli_gateways import ca_app, gateway_app
from server.cli_orders import order_app
from server.cli_ordinance import ordinance_app
from server.cli_policy import policy_app
from server.cli_reports import report_app
from server.cli_statistics import statistics_app
from server.config import ServerConfig
from server.errors import ConfigError, ServerError
from wire import logs

app = typer.Typer(
    name="mimamori",
    help="見守りサーバ。The server that watches over a city's children and elderly.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
registry_app = typer.Typer(no_args_is_help=True, help="Cities, detectors, tags, wards, guardians, places.")
app.add_typer(registry_app, name="registry")

ward_app = typer.Typer(
    no_args_is_help=True, help="見守られる人。Wards: who they are, and the erasure of where they were."
)
app.add_typer(ward_app, name="ward")

tag_app = typer.Typer(no_args_is_help=True, help="タグ。Tags: what the city knows of them.")
app.add_typer(tag_app, name="tag")
app.add_typer(case_app, name="case")
app.add_typer(footage_app, name="footage")
app.add_typer(account_app, name="account")
app.add_typer(agency_app, name="agency")
app.add_typer(household_app, name="household")
app.add_typer(measure_app, name="measure")

app.add_typer(ca_app, name="ca")
app.add_typer(order_app, name="order")
app.add_typer(gateway_app, name="gateway")
app.add_typer(report_app, name="report")
app.add_typer(statistics_app, name="statistics")
app.add_typer(ordinance_app, name="ordinance")
app.add_typer(policy_app, name="policy")
app.add_typer(duty_app, name="duty")
app.add_typer(audit_app, name="audit")
app.add_typer(witness_app, name="witness")


class Program(StrEnum):
    """What `serve` can run."""

    DATABASE = "database"
    BROKER = "broker"
    GATE = "gate"
    INGEST = "ingest"
    API = "api"
    NOTIFY = "notify"
    LEDGER = "ledger"
    CLERK = "clerk"
    ALL = "all"


class _Child(Protocol):
    """An embedded server: a child process with a life."""

    @property
    def process(self) -> Any: ...  # noqa: ANN401 - subprocess.Popen[bytes]
    def start(self) -> None: ...
    def stop(self) -> None: ...


@app.command()
def init(config: ConfigFile = DEFAULT) -> None:
    """鍵と設定を作る。Make keys and a configuration; what is there stays."""
    from server import keys  # noqa: PLC0415 - see the module's docstring
    from server.embedded.broker import free_port  # noqa: PLC0415 - as above

    # Variables hold for this run and are not written down: they may be secrets.
    kept = configuration.load(config, {}) if config.exists() else _beside(config)
    written = configuration.with_ports(kept, free_port)
    if not config.exists() or written != kept:
        configuration.save(written, config)
    for file in keys.make(configuration.load(config)):
        typer.echo(f"made {file}")
    typer.echo(f"ready for `mimamori migrate --config {config}`")


@app.command("broker-files")
def broker_files(
    folder: Annotated[Path, typer.Argument(metavar="DIR")],
    config: ConfigFile = DEFAULT,
) -> None:
    """別のNATSに渡すファイルを書き出す。Write what a NATS of your own needs: certificate, key, CA and who comes in."""
    from server import keys  # noqa: PLC0415 - see the module's docstring

    settings = configuration.load(config)
    _renew_certificates(settings)
    for file in keys.write_door(settings, folder):
        typer.echo(f"作りました made {file}")


@app.command()
def migrate(config: ConfigFile = DEFAULT) -> None:
    """データベースを最新にする。Bring the database to this release's schema."""
    from server import schema  # noqa: PLC0415 - see the module's docstring

    settings = configuration.load(config)
    with embedded_database(settings):
        main, keys = schema.bring_up(settings)
    applied = [*main.applied, *(f"keystore {name}" for name in keys.applied)]
    typer.echo(f"schema is current ({main.flavour}); applied: {', '.join(applied) or 'nothing new'}")


@registry_app.command("import")
def registry_import(file: Path, config: ConfigFile = DEFAULT) -> None:
    """台帳を読み込む。Read a registry (JSON) into the database; what is there is updated."""
    from server.registry import importer  # noqa: PLC0415 - see the module's docstring

    settings = configuration.load(config)
    with embedded_database(settings):
        typer.echo(str(importer.import_file(settings, file)))


@ward_app.command("list")
def ward_list(config: ConfigFile = DEFAULT) -> None:
    """見守られる人の一覧。List wards: id, names, tag."""
    from server.store.registry import list_wards  # noqa: PLC0415 - see the module's docstring

    settings = configuration.load(config)
    with embedded_database(settings):
        for ward in asyncio.run(list_wards(settings.keeper_dsn())):
            typer.echo(f"{ward.id}\t{ward.name_ja}\t{ward.name_en}\t{ward.tag or '-'}")


@ward_app.command("erase")
def ward_erase(
    ward: Annotated[str, typer.Argument(metavar="WARD-ID")],
    config: ConfigFile = DEFAULT,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,  # noqa: FBT002 - Typer's way
) -> None:
    """足あとを永久に消す。Erase for good where a ward was: destroy the key, take the tag away, print a certificate."""
    from server.history.erase import erase  # noqa: PLC0415 - see the module's docstring

    settings = configuration.load(config)
    if not yes:
        typer.confirm(f"{ward}: 元に戻せません。消しますか? This cannot be undone. Erase?", abort=True, err=True)
    with embedded_database(settings):
        typer.echo(asyncio.run(erase(settings, ward)).as_json())


@tag_app.command("clock-lost")
def tag_clock_lost(
    tag: Annotated[str, typer.Argument(metavar="TAG-ID")],
    config: ConfigFile = DEFAULT,
) -> None:
    """電池を替えたタグの時計を探し直す。Look for a tag's clock again: it has a new battery and lost its time."""
    from server.store.tagstate import mark_clock_lost  # noqa: PLC0415 - see the module's docstring

    settings = configuration.load(config)
    with embedded_database(settings):
        if not asyncio.run(mark_clock_lost(settings.keeper_dsn(), tag)):
            raise ServerError(f"{tag}: この番号の暗号タグはありません。There is no sealed tag with this id")
    typer.echo(f"{tag}: 時計を探し直します。Its clock will be looked for again")


@app.command()
def serve(program: Program, config: ConfigFile = DEFAULT) -> None:
    """サーバを動かす。Run one program until SIGTERM or Ctrl-C; `all` runs every one as a process of its own."""
    settings = configuration.load(config)
    _check_is_ours(program, settings)
    logs.configure()
    match program:
        case Program.DATABASE:
            from server.embedded.postgres import Postgres  # noqa: PLC0415 - see the module's docstring

            _hold(Postgres(settings.state_dir))
        case Program.BROKER:
            from server.embedded.broker import Broker  # noqa: PLC0415 - see the module's docstring
            from server.keys import broker_door  # noqa: PLC0415 - as above

            _renew_certificates(settings)
            _hold(Broker(settings.state_dir, settings.broker, broker_door(settings)))
        case Program.ALL:
            from server.demo.parts import server_parts  # noqa: PLC0415 - see the module's docstring
            from server.demo.run import keep_running  # noqa: PLC0415 - see the module's docstring

            _renew_certificates(settings)
            keep_running(settings, server_parts(settings, config))
        case _:
            asyncio.run(_until_told(_loop_of(program), settings))


@app.command()
def status(
    config: ConfigFile = DEFAULT,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")] = False,  # noqa: FBT002 - Typer's way
) -> None:
    """状態を見る。Say what runs and what it holds; exit code 1 when a part is down."""
    from server import health  # noqa: PLC0415 - see the module's docstring

    report = health.look(configuration.load(config))
    typer.echo(json.dumps(report.as_json()) if as_json else report.as_text())
    if not report.is_well:
        raise typer.Exit(1)


@app.command()
def demo(  # noqa: PLR0913, PLR0917 - each is one option of the command line
    state: Annotated[Path, typer.Option(help="Where everything is kept.")] = Path(".mimamori"),
    speed: Annotated[float, typer.Option(min=0.1, max=600, help="Town seconds in one second.")] = 1.0,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the web app; 0 takes a free one.")] = 8780,
    duration: Annotated[float, typer.Option(min=0, help="Stop after so many seconds; 0 runs on.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Of the town.")] = 7,
    headless: Annotated[bool, typer.Option(help="Plain lines, no moving table.")] = False,  # noqa: FBT002 - Typer's way
) -> None:
    """街ごと動かす。The whole town on this machine: tags, gateways, phones, broker, database, server, families."""
    from server.demo.options import DemoOptions  # noqa: PLC0415 - see the module's docstring
    from server.demo.run import run  # noqa: PLC0415 - see the module's docstring

    options = DemoOptions(
        state_dir=state.absolute(), speed=speed, port=port, duration_s=duration, seed=seed, headless=headless
    )
    raise typer.Exit(run(options))


def _check_is_ours(program: Program, settings: ServerConfig) -> None:
    """Refuse to serve an embedded server that nobody would use, or that has no port.

    Raises:
        ConfigError: which setting says so.
    """
    url = {Program.DATABASE: settings.database.url, Program.BROKER: settings.broker.url}.get(program)
    if url:
        raise ConfigError(f"{program}.url names another one: there is no embedded {program} to serve")
    if program is Program.BROKER and not (settings.broker.mqtt_port and settings.broker.nats_port):
        raise ConfigError("broker.mqtt_port or broker.nats_port is 0: run `mimamori init`, it chooses them")


def _renew_certificates(settings: ServerConfig) -> None:
    """Make the broker's and our programs' certificates anew where two thirds of their life are over."""
    from server import keys  # noqa: PLC0415 - see the module's docstring

    if (settings.keys_dir / keys.CA).exists():
        for file in keys.make_certificates(settings, now=datetime.now(UTC)):
            logging.getLogger(__name__).info("certificate.renewed", extra={"part": file.stem})


def _beside(config: Path) -> ServerConfig:
    return configuration.parse({"state_dir": str(config.absolute().parent)})


def _loop_of(program: Program) -> Callable[[ServerConfig], Coroutine[Any, Any, None]]:
    match program:
        case Program.GATE:
            from server.gate.loop import run  # noqa: PLC0415 - see the module's docstring
        case Program.INGEST:
            from server.ingest.loop import run  # noqa: PLC0415 - see the module's docstring
        case Program.API:
            from server.api.app import serve as run  # noqa: PLC0415 - see the module's docstring
        case Program.NOTIFY:
            from server.notify.loop import run  # noqa: PLC0415 - see the module's docstring
        case Program.LEDGER:
            from server.ledger.loop import run  # noqa: PLC0415 - see the module's docstring
        case Program.CLERK:
            from server.clerk.loop import run  # noqa: PLC0415 - see the module's docstring
        case _:
            raise ConfigError(f"{program} has no loop of its own")
    return run


async def _until_told(run: Callable[[ServerConfig], Coroutine[Any, Any, None]], settings: ServerConfig) -> None:
    """Run until it ends or SIGTERM or SIGINT cancels it."""
    task = asyncio.ensure_future(run(settings))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _hold(child: _Child) -> None:
    """Keep an embedded server running until a signal, or end with an error when it ends by itself."""
    told: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: told.append(received))
    child.start()
    try:
        while not told:
            if child.process.poll() is not None:
                raise ServerError(f"the embedded server ended with {child.process.returncode}")
            time.sleep(0.25)
    finally:
        child.stop()
