"""The commands of `mimamori report`: the yearly report and the ledgers, from the database or from a published log."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from server import config as configuration
from server.cli_database import DEFAULT, ConfigFile, embedded_database
from server.config import ServerConfig
from server.errors import ServerError
from server.reports.ledgers import Ledger
from server.reports.rendering import Format, rendered

if TYPE_CHECKING:
    from server.reports.rules import ReportRules
    from server.reports.tables import Document, Head
    from server.store.connection import Connection

report_app = typer.Typer(no_args_is_help=True, help="報告書と台帳。The yearly report and the ledgers.")

Form = Annotated[Format, typer.Option("--format", help="書式。Form of the file.")]
Out = Annotated[Path | None, typer.Option(help="書き出し先。Where to write it; standard output without it.")]
From = Annotated[
    Path | None,
    typer.Option("--from", metavar="DIR", help="公開ログのフォルダ。A folder of the published log: needs no server."),
]
Size = Annotated[int, typer.Option(min=0, help="ログの先頭から何件。Use the first so many entries; 0: all.")]
ProfileName = Annotated[
    str, typer.Option("--profile", help="条例プロファイル。Ordinance profile; else the configured.")
]
CityName = Annotated[
    tuple[str, str], typer.Option("--city", metavar="JA EN", help="市の名前。The city's name; else the configured.")
]
_T = TypeVar("_T")


@report_app.command("annual")
def report_annual(  # noqa: PLR0913 - each is one option of the command line
    year: Annotated[int, typer.Argument(metavar="YEAR", help="年度(4月の年)。Fiscal year, by its April.")],
    *,
    form: Form = Format.HTML,
    out: Out = None,
    folder: From = None,
    size: Size = 0,
    profile: ProfileName = "",
    city: CityName = ("", ""),
    config: ConfigFile = DEFAULT,
) -> None:
    """年次報告書を計算する。Compute the yearly report out of the log; the same log gives the same file."""
    from server.reports.annual import Asked, annual  # noqa: PLC0415 - a command loads what it needs
    from server.reports.tables import Text  # noqa: PLC0415 - as above

    rules = _rules(config, profile)
    if all(city):
        rules = replace(rules, city=Text(*city))
    head, bodies = _log(config, folder, size)
    _write(annual(bodies, Asked(year, rules, head)), form, out)


@report_app.command("ledger")
def report_ledger(  # noqa: PLR0913 - each is one option of the command line
    ledger: Ledger,
    *,
    form: Form = Format.HTML,
    out: Out = None,
    folder: From = None,
    cases: Annotated[bool, typer.Option("--cases", help="1件ずつ(庁内用)。A line a case, for city hall.")] = False,
    config: ConfigFile = DEFAULT,
) -> None:
    """台帳を書き出す。Write a ledger: cameras, equipment, provision."""
    from server.reports import ledgers  # noqa: PLC0415 - a command loads what it needs
    from server.reports.desk import public_ledger  # noqa: PLC0415 - as above

    if ledger is not Ledger.PROVISION and (cases or folder):
        raise ServerError("--cases と --from は提供台帳だけ。They are for the ledger of provision alone")
    rules = _rules(config, "")
    if ledger is Ledger.PROVISION:
        head, bodies = _log(config, folder, 0)
        make = ledgers.cases if cases else ledgers.provision
        _write(make(bodies, rules, head), form, out)
        return
    settings = configuration.load(config)
    _write(_in_database(settings, lambda conn: public_ledger(conn, ledger, settings.city.id, rules)), form, out)


def _rules(config: Path, profile: str) -> "ReportRules":
    """Return the numbers of a profile and the city's name; without a configuration the profile's own city."""
    from privacy import ordinance  # noqa: PLC0415 - a command loads what it needs
    from server.reports.rules import ReportRules, rules_of  # noqa: PLC0415 - as above
    from server.reports.tables import Text  # noqa: PLC0415 - as above

    settings = configuration.load(config) if config.exists() else None
    try:
        if settings is not None:
            rules = rules_of(settings)
            return ReportRules.of(ordinance.load(profile), rules.city) if profile else rules
        stated = ordinance.load(profile or ordinance.NEUTRAL)
    except ordinance.OrdinanceError as error:
        raise ServerError(str(error)) from error
    return ReportRules.of(stated, Text(stated.city_ja.value, stated.city_en.value))


def _log(config: Path, folder: Path | None, size: int) -> "tuple[Head | None, list[bytes]]":
    from server.reports import desk  # noqa: PLC0415 - a command loads what it needs
    from server.reports.folder import read  # noqa: PLC0415 - as above

    if folder is not None:
        return read(folder, size or None)
    if size:
        raise ServerError("--size は --from と使います。It is used with --from")
    return _in_database(configuration.load(config), desk.log_of)


def _in_database(settings: ServerConfig, work: "Callable[[Connection], Awaitable[_T]]") -> _T:
    from server.store.connection import connect  # noqa: PLC0415 - a command loads what it needs

    async def run() -> _T:
        conn = await connect(settings.dsn())
        try:
            return await work(conn)
        finally:
            await conn.close()

    with embedded_database(settings):
        return asyncio.run(run())


def _write(document: "Document", form: Format, out: Path | None) -> None:
    octets = rendered(document, form)
    if out is None:
        typer.get_binary_stream("stdout").write(octets)
        return
    try:
        out.write_bytes(octets)
    except OSError as error:
        raise ServerError(f"{out}: 書けません。Cannot be written: {error.strerror}") from error
    typer.echo(f"作りました made {out}")
