"""The commands of `mimamori footage`. Each loads what it needs and no more."""

import asyncio
import json
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from server import config as configuration
from server.cli_database import DEFAULT, ConfigFile, embedded_database
from server.cli_orders import Case, Detector, Moment, Wait, carry_through, moment_ms, now_ms

if TYPE_CHECKING:
    from server.store.connection import Connection
    from server.store.export import ExportRow

footage_app = typer.Typer(no_args_is_help=True, help="映像の提供。Exports of footage: open, check, list.")


@footage_app.command("open")
def footage_open(  # noqa: PLR0913, PLR0917 - each is one option of the command line
    file: Annotated[Path, typer.Argument(help="提供されたファイル。The sealed file, FILE.age.")],
    identity: Annotated[Path, typer.Option(help="受取人の鍵。The recipient's key, as age-keygen writes it.")],
    ca: Annotated[Path, typer.Option(help="市の認証局。Root certificate of the city, PEM.")],
    tsa: Annotated[Path | None, typer.Option(help="時刻認証局。Root of the time-stamping authority, PEM.")] = None,
    out: Annotated[Path | None, typer.Option(help="映像の書き出し先。Write the clips here if all is well.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")] = False,  # noqa: FBT002 - Typer's way
) -> None:
    """映像を開いて確かめる。Open an export and check all of it; exit code 1 when a check fails."""
    from rich.console import Console  # noqa: PLC0415 - see the module's docstring

    from server.footage import show  # noqa: PLC0415 - as above
    from server.footage.archive import identities_of  # noqa: PLC0415 - as above
    from server.footage.check import Trust, certificates_of, examine  # noqa: PLC0415 - as above

    trust = Trust(certificates_of(ca), certificates_of(tsa) if tsa else ())
    report = examine(file, identities_of(identity), trust, out=out)
    if as_json:
        typer.echo(json.dumps(show.report_json(report), ensure_ascii=False))
    else:
        show.print_report(report, Console())
    if not report.is_sound:
        raise typer.Exit(1)


@footage_app.command("export")
def footage_export(  # noqa: PLR0913 - each is one option of the command line
    detector: Detector,
    *,
    case: Case,
    from_: Annotated[str, typer.Option("--from", metavar="TIME", help="Start, a whole second, ISO 8601 with offset.")],
    to: Moment,
    recipient: Annotated[str, typer.Option(help="受取人の公開鍵。The recipient's age key, age1….")],
    export: Annotated[str, typer.Option(help="Id of the export; a new one without it.")] = "",
    wait: Wait = 600.0,
    config: ConfigFile = DEFAULT,
) -> None:
    """映像を書き出す。Let a gateway cut a frozen window out, seal it to a recipient and bring it to the city."""
    from server.store import export as exports  # noqa: PLC0415 - see the module's docstring
    from server.store import order as orders  # noqa: PLC0415 - as above
    from server.store.export import Expected  # noqa: PLC0415 - as above
    from wire.orders import Export, body_of, kind_of  # noqa: PLC0415 - as above

    settings = configuration.load(config)
    name = export or f"ex-{secrets.token_hex(6)}"
    from_ms, to_ms = moment_ms(from_), moment_ms(to)
    url = f"{settings.http.public_url.rstrip('/')}/api/v1/exports/{name}"
    command = Export(name, case, from_ms, to_ms, recipient, url)

    async def give(conn: "Connection") -> int:
        async with conn.transaction():
            await exports.expect(conn, Expected(name, detector, case, from_ms, to_ms, recipient))
            return await orders.add(
                conn, detector=detector, kind=kind_of(command), body=body_of(command), now_ms=now_ms()
            )

    typer.echo(f"{name}: {settings.state_dir / 'exports' / f'{name}.age'}")
    carry_through(config, detector, give, wait)


@footage_app.command("list")
def footage_list(
    config: Annotated[Path, typer.Option("--config", "-c", help="TOML file.")] = configuration.DEFAULT_FILE,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array instead of a table.")] = False,  # noqa: FBT002 - Typer's way
) -> None:
    """提供の一覧。List the exports that the city has or waits for."""
    from rich.console import Console  # noqa: PLC0415 - see the module's docstring

    from server.footage import show  # noqa: PLC0415 - as above

    settings = configuration.load(config)
    with embedded_database(settings):
        rows = asyncio.run(_exports(settings))
    if as_json:
        typer.echo(json.dumps([show.export_json(row) for row in rows], ensure_ascii=False))
    else:
        show.print_exports(rows, Console())


async def _exports(settings: configuration.ServerConfig) -> "list[ExportRow]":
    from server.store import export  # noqa: PLC0415 - see the module's docstring
    from server.store.connection import connect  # noqa: PLC0415 - as above

    conn = await connect(settings.dsn())
    try:
        return await export.everything(conn)
    finally:
        await conn.close()
