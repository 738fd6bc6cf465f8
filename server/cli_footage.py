"""The commands of `mimamori footage`. Each loads what it needs and no more."""

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from server import config as configuration
from server.cli_database import embedded_database

if TYPE_CHECKING:
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
