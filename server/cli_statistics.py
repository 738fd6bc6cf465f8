"""The commands of `mimamori statistics`: publish what is due, list what was published."""

import asyncio
import time
from typing import TYPE_CHECKING

import typer

from server import config as configuration
from server.cli_database import DEFAULT, ConfigFile, embedded_database

if TYPE_CHECKING:
    from server.store.statistic import ReleaseRow

statistics_app = typer.Typer(no_args_is_help=True, help="公表統計。Anonymous statistics as open data.")


@statistics_app.command("publish")
def statistics_publish(config: ConfigFile = DEFAULT) -> None:
    """数えて公表する。Count the hours and publish the days that are due; a day is published once for ever."""
    from server.statistics.sheets import REASON_EN, REASON_JA  # noqa: PLC0415 - a command loads what it needs

    settings = configuration.load(config)
    with embedded_database(settings):
        rows = asyncio.run(_publish(settings))
    for row in rows:
        typer.echo(_line(row))
        if not row.released:
            typer.echo(f"  {REASON_JA}{REASON_EN}")
    if not rows:
        typer.echo("公表する日はありません。No day is due")


@statistics_app.command("list")
def statistics_list(config: ConfigFile = DEFAULT) -> None:
    """公表した日の一覧。List the days that were published, newest first."""
    settings = configuration.load(config)
    with embedded_database(settings):
        rows = asyncio.run(_releases(settings))
    for row in rows:
        typer.echo(_line(row))
    if not rows:
        typer.echo("まだ公表していません。Nothing has been published yet")


def _line(row: "ReleaseRow") -> str:
    rule = row.rule
    told = f"k>={rule.k}\tε={rule.epsilon:g}\tδ={rule.delta:g}"
    return (
        f"{row.day}\t公表 shown {row.released}\t非公表 suppressed {row.suppressed}\t{told}\t下限 from {row.threshold}"
    )


async def _publish(settings: configuration.ServerConfig) -> "list[ReleaseRow]":
    from server.statistics.publishing import press_of, work  # noqa: PLC0415 - a command loads what it needs
    from server.store.connection import connect  # noqa: PLC0415 - as above

    conn = await connect(settings.dsn("clerk"))
    try:
        wall_ms = time.time_ns() // 1_000_000
        return await work(conn, press_of(settings), town_ms=settings.clock.now_ms(), wall_ms=wall_ms)
    finally:
        await conn.close()


async def _releases(settings: configuration.ServerConfig) -> "list[ReleaseRow]":
    from server.store import statistic  # noqa: PLC0415 - a command loads what it needs
    from server.store.connection import connect  # noqa: PLC0415 - as above

    conn = await connect(settings.dsn("clerk"))
    try:
        return await statistic.releases(conn, 400)
    finally:
        await conn.close()
