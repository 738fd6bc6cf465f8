"""`mimamori-edge`: run gateways, enrol one, replay a capture through the same pipeline, make a key."""

import asyncio
import json
import os
import resource
import signal
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from edge import agent, config, health, logbook, notify, replay
from edge.errors import CaptureError, EdgeError, JournalError
from wire import keys, logs
from wire.enrolment import Ticket
from wire.errors import ConfigError, WireError
from wire.formats import EXAMPLE_CITY, FormatError, Formats

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="見守りゲートウェイ。 The gateway of the watched town.",
)

EXIT_BAD_INPUT = 2
EXIT_RESTART = 75
"""The city ordered it: the service manager starts the program again, also one that restarts only after failures."""


@app.command()
def run(
    config_files: Annotated[list[Path] | None, typer.Option("--config", help="TOML file of one gateway.")] = None,
    config_dir: Annotated[Path | None, typer.Option(help="Folder of TOML files, one gateway each.")] = None,
    metrics_port: Annotated[int | None, typer.Option(help="Serve Prometheus text on this loopback port.")] = None,
    log_level: str = "INFO",
) -> None:
    """ゲートウェイを動かす。 Run one gateway, or many in one process, until SIGTERM."""
    logs.configure(log_level)
    files = [*(config_files or []), *(sorted(config_dir.glob("*.toml")) if config_dir else [])]
    if not files:
        raise _stop_with("no configuration: give --config FILE or --config-dir DIR with *.toml in it")
    try:
        configs = [config.load(path, os.environ) for path in files]
        config.check_distinct(configs, files)
    except ConfigError as error:
        raise _stop_with(str(error)) from error
    # Memory holds pictures that are not painted yet, and the keys of footage: it goes to no disk, see core(5).
    resource.setrlimit(resource.RLIMIT_CORE, (1, 1))
    if asyncio.run(_run(configs, metrics_port, notify.Notifier.of(os.environ, os.getpid()))):
        raise typer.Exit(EXIT_RESTART)


async def _run(configs: list[config.EdgeConfig], metrics_port: int | None, notifier: notify.Notifier) -> bool:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    vitals = health.Vitals()
    server = None if metrics_port is None else await health.serve_metrics(metrics_port, vitals)
    watching = asyncio.create_task(notify.watch(notifier, vitals.liveness))
    try:
        return await agent.run_all(configs, stop, vitals)
    finally:
        watching.cancel()
        await asyncio.wait([watching])
        if server is not None:
            server.close()


@app.command(name="replay")
def replay_(
    file: Annotated[Path, typer.Argument(help="btsnoop, pcap or pcapng.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,  # noqa: FBT002 -- Typer
    config_file: Annotated[Path | None, typer.Option("--config", help="Take formats and window from it.")] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option("--format", help="eid, uid:<namespace>, ibeacon:<UUID>; else the example city's."),
    ] = None,
) -> None:
    """記録を再生する。 Push a capture through the pipeline of a live gateway and say what became of it."""
    try:
        enrolled, window_s = _formats(config_file, formats)
        result = replay.run(file, enrolled, window_s=window_s)
    except (ConfigError, CaptureError, FormatError) as error:
        raise _stop_with(f"{file.name}: {error}" if isinstance(error, CaptureError) else str(error)) from error
    if as_json:
        typer.echo(json.dumps({"file": file.name, **result.to_json()}, ensure_ascii=False))
    else:
        _print(file, result)
    if result.problem:
        raise typer.Exit(1)


def _formats(config_file: Path | None, formats: list[str] | None) -> tuple[Formats, float]:
    scan = config.load(config_file, os.environ).scan if config_file else config.ScanConfig(formats=EXAMPLE_CITY)
    return Formats.parse(formats or scan.formats), scan.window_s


def _print(file: Path, result: replay.Replay) -> None:
    console = Console(emoji=False, markup=False)  # an address may hold ":ab:", a file name brackets
    totals = Table(title=f"再生 Replay: {file.name}", show_header=False)
    totals.add_row("パケット packets", str(result.packets))
    totals.add_row("アドバタイズ advertisements", str(result.advertisements))
    totals.add_row("登録形式として採用 accepted", str(result.sight.accepted), style="green" if result.rows else "")
    totals.add_row("破棄 dropped", str(sum(result.sight.dropped.values())))
    for reason, count in result.sight.dropped.most_common():
        totals.add_row(f"  {reason}", str(count), style="dim")
    totals.add_row("送信される行 rows for the city", str(result.rows))
    console.print(totals)
    for title, counter in (("PDU", result.pdus), ("アドレス address", result.addresses), ("ID", result.sightings)):
        _print_counts(console, title, counter.most_common(20), len(counter))
    if not result.rows:
        console.print("保存されるものはありません。 Nothing of this would be stored.")
    if result.problem:
        console.print(f"途中で中断 Stopped early: {result.problem}", style="red")


def _print_counts(console: Console, title: str, counts: list[tuple[str, int]], of: int) -> None:
    if not counts:
        return
    table = Table("", "数 count", title=title if len(counts) == of else f"{title} ({len(counts)}/{of})")
    for name, count in counts:
        table.add_row(name, str(count))
    console.print(table)


@app.command(name="log")
def log_(
    config_file: Annotated[Path, typer.Option("--config", help="TOML file of the gateway.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object an entry.")] = False,  # noqa: FBT002 -- Typer
    verify: Annotated[bool, typer.Option("--verify", help="Check the whole chain; exit code 1 at a fault.")] = False,  # noqa: FBT002 -- Typer
    n: Annotated[int, typer.Option("-n", min=1, max=100_000, help="How many of the newest entries.")] = 20,
) -> None:
    """機器の記録を見る。 Show what this gateway wrote down: orders, footage deleted, masks set; none can be changed."""
    try:
        seen = logbook.look(config.load(config_file, os.environ), n, verify=verify)
    except (ConfigError, JournalError) as error:
        raise _stop_with(str(error)) from error
    if as_json:
        for line in logbook.lines(seen):
            typer.echo(line)
    else:
        logbook.show(seen, Console(emoji=False, markup=False))
    if verify:
        whole = (
            "改ざんなし。 The chain is whole"
            if seen.fault is None
            else f"{seen.fault}番で切れています。 Broken at {seen.fault}"
        )
        Console(stderr=True).print(whole, style="green" if seen.fault is None else "red", markup=False)
        raise typer.Exit(0 if seen.fault is None else 1)


@app.command()
def doctor(
    config_file: Annotated[Path, typer.Option("--config", help="TOML file of the gateway.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,  # noqa: FBT002 -- Typer
    server: Annotated[str, typer.Option(help="https:// of the city's server, to compare the clock with.")] = "",
) -> None:
    """診断する。 Look at radio, network, clock, disk, camera and keys, and say what to do; exit code 1 if any fails."""
    from edge.doctor import examine, show  # noqa: PLC0415 -- a gateway that runs needs none of it

    findings = asyncio.run(examine.examine(config_file, os.environ, server))
    is_well = examine.is_well(findings)
    if as_json:
        found = [finding.to_json() for finding in findings]
        typer.echo(json.dumps({"well": is_well, "findings": found}, ensure_ascii=False))
    else:
        show.show(findings, Console(emoji=False, markup=False))
    if not is_well:
        raise typer.Exit(1)


@app.command(name="enrol")
def enrol_(  # noqa: PLR0913 -- each is one option of the command line
    ticket_file: Annotated[Path | None, typer.Argument(metavar="TICKET", help="Ticket file from the city.")] = None,
    *,
    config_file: Annotated[Path, typer.Option("--config", help="TOML file of the gateway, without [keys].")],
    server: Annotated[str, typer.Option(help="Without a ticket file: https://host of the city's server.")] = "",
    detector: Annotated[str, typer.Option(help="Id of this gateway, as on the ticket.")] = "",
    code: Annotated[str, typer.Option(help="One-time code, as on the ticket.")] = "",
    ca_sha256: Annotated[str, typer.Option(help="Fingerprint of the city's authority, as on the ticket.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace the identity that is there.")] = False,
) -> None:
    """市に登録する。 Make keys here and get a certificate from the city for the code on its ticket."""
    from edge import enrol  # noqa: PLC0415 -- an HTTP client costs 10 MB

    typed = Ticket(server, detector, code, ca_sha256)
    try:
        read = config.load(config_file, os.environ)
        if not read.makes_its_keys:
            raise _stop_with(f"{config_file}: [keys] を消してください。Take [keys] out: the gateway makes its own")
        ticket = typed.checked() if ticket_file is None else Ticket.from_json(ticket_file.read_text("utf-8"))
        identity = asyncio.run(enrol.Enroller(read).enrol(ticket, is_forced=force))
    except (OSError, UnicodeDecodeError, EdgeError, WireError) as error:
        raise _stop_with(str(error)) from error
    until = identity.certificate.not_valid_after_utc
    typer.echo(
        f"登録しました。{read.detector}、証明書は {until:%Y-%m-%d} まで。Enrolled; the certificate is good until then"
    )


@app.command()
def keygen(file: Annotated[Path, typer.Argument(help="Where to write the private key (PEM, mode 0600).")]) -> None:
    """署名鍵を作る。 Make a signing key and print its public half for the city's registry."""
    if file.exists():
        raise _stop_with(f"{file}: exists; a key is never overwritten")
    try:
        key = keys.new_signing_key()
        keys.save_private(file, key)
    except (OSError, WireError) as error:
        raise _stop_with(f"{file}: cannot be written: {error}") from error
    typer.echo(keys.encode_public(key.public_key()))


def _stop_with(message: str) -> typer.Exit:
    Console(stderr=True).print(message, style="red", soft_wrap=True, markup=False, highlight=False)
    return typer.Exit(EXIT_BAD_INPUT)


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
