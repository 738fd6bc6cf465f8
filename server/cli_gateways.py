"""The commands of `mimamori ca` and `mimamori gateway`: the city's authority, and who has a certificate of it."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from server import config as configuration
from server.cli_database import DEFAULT, ConfigFile, embedded_database
from server.config import ServerConfig
from server.errors import ServerError

if TYPE_CHECKING:
    from server.store.connection import Connection
    from server.store.enrolment import GatewayRow
    from wire.enrolment import Ticket

ca_app = typer.Typer(no_args_is_help=True, help="市の認証局。The city's own certificate authority.")
gateway_app = typer.Typer(no_args_is_help=True, help="ゲートウェイ。Gateways: tickets, certificates, revocation.")

Gateway = Annotated[str, typer.Argument(metavar="DETECTOR")]
_T = TypeVar("_T")


@ca_app.command("show")
def ca_show(config: ConfigFile = DEFAULT) -> None:
    """認証局と証明書の期限を見る。Say who the authority is and until when its certificates are good."""
    from server import keys  # noqa: PLC0415 - a command loads what it needs
    from server.enrolment.authority import Authority, is_due  # noqa: PLC0415 - as above
    from server.enrolment.vault import certificate  # noqa: PLC0415 - as above

    settings = configuration.load(config)
    city = Authority.load(settings.keys_dir / keys.CA, settings.city.id)
    own = (keys.BROKER, *(f"service-{name}" for name in keys.SERVICES))
    listed = {name: certificate(settings.keys_dir / f"{name}.pem") for name in own}
    typer.echo(f"SHA-256  {city.fingerprint}")
    for name, what in {"root": city.root, "issuing": city.issuing, **listed}.items():
        due = "  更新時期 due" if is_due(what, now=datetime.now(UTC)) else ""
        typer.echo(f"{name:<16} {what.not_valid_after_utc:%Y-%m-%d %H:%M} UTC まで until{due}")
    if (settings.keys_dir / keys.CA / "root.key").exists():
        typer.echo(
            "ルート鍵がサーバにあります。安全な場所へ移せます。The root's key is on this server: it may be moved away"
        )


@ca_app.command("issue-broker")
def ca_issue_broker(config: ConfigFile = DEFAULT) -> None:
    """ブローカの証明書を作り直す。Make the broker's certificate anew, for the names in `enrolment.broker_names`."""
    from server import keys  # noqa: PLC0415 - a command loads what it needs

    settings = configuration.load(config)
    for file in keys.make_certificates(settings, now=datetime.now(UTC), anew=(keys.BROKER,)):
        typer.echo(f"作りました made {file}")
    typer.echo("ブローカを再起動してください。Restart the broker")


@ca_app.command("renew-issuing")
def ca_renew_issuing(
    config: ConfigFile = DEFAULT,
    root_key: Annotated[Path | None, typer.Option(help="Where the root's key is, when it is kept away.")] = None,
) -> None:
    """発行用の鍵を作り直す。Make a new issuing key and certificate with the root's key; what was issued stays good."""
    from server import keys  # noqa: PLC0415 - a command loads what it needs
    from server.enrolment.authority import renew_issuing  # noqa: PLC0415 - as above

    settings = configuration.load(config)
    folder = settings.keys_dir / keys.CA
    made = renew_issuing(folder, settings.city.id, now=datetime.now(UTC), root_key=root_key)
    typer.echo(f"発行用の証明書 issuing certificate: {made.not_valid_after_utc:%Y-%m-%d} まで until")


@gateway_app.command("code")
def gateway_code(
    detector: Annotated[str | None, typer.Argument(metavar="DETECTOR")] = None,
    *,
    out: Annotated[Path | None, typer.Option(help="Ticket file (JSON, 0600); with --all a folder.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="One ticket file for each gateway without a key.")] = False,
    config: ConfigFile = DEFAULT,
) -> None:
    """登録票を作る。Make a ticket with a one-time code, good for 48 hours."""
    from server.enrolment.tickets import on_paper  # noqa: PLC0415 - a command loads what it needs

    settings = configuration.load(config)
    if all_ == (detector is not None) or (all_ and out is None):
        raise ServerError("DETECTOR か `--all --out DIR` のどちらか。Give DETECTOR, or --all and --out DIR")
    if all_ and out is not None:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
        tickets = _in_database(settings, lambda conn: _tickets(conn, settings, None))
        for ticket in tickets:
            _save(ticket, out / f"{ticket.detector}.json")
        typer.echo(f"登録票 tickets: {len(tickets)}, {out}")
        return
    [ticket] = _in_database(settings, lambda conn: _tickets(conn, settings, detector))
    if out is not None:
        _save(ticket, out)
        typer.echo(f"作りました made {out}")
    else:
        typer.echo(on_paper(ticket))


@gateway_app.command("list")
def gateway_list(config: ConfigFile = DEFAULT) -> None:
    """ゲートウェイの一覧。List gateways: state, end of the certificate, last heartbeat."""
    from server.store.enrolment import gateways  # noqa: PLC0415 - a command loads what it needs

    settings = configuration.load(config)
    rows = _in_database(settings, lambda conn: gateways(conn, settings.city.id, now_ms=_now_ms()))
    for row in rows:
        until, heard = _moment(row.certificate_until_ms), _moment(row.heard_ms)
        typer.echo(f"{row.id}\t{_state(row)}\t証明書 until {until}\t最終 heard {heard}\t{row.label_ja}\t{row.label_en}")


@gateway_app.command("revoke")
def gateway_revoke(
    detector: Gateway,
    config: ConfigFile = DEFAULT,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,  # noqa: FBT002 - Typer's way
) -> None:
    """失効させる。Revoke a gateway: cut off within a minute, its batches refused, no certificate any more."""
    from server.store.enrolment import revoke  # noqa: PLC0415 - a command loads what it needs

    settings = configuration.load(config)
    if not yes:
        typer.confirm(f"{detector}: 失効させますか? Revoke?", abort=True, err=True)
    if not _in_database(settings, lambda conn: revoke(conn, settings.city.id, detector, now_ms=_now_ms())):
        raise ServerError(f"{detector}: 有効なゲートウェイはありません。There is no such gateway in force")
    typer.echo(f"{detector}: 失効しました。Revoked")


@gateway_app.command("restore")
def gateway_restore(detector: Gateway, config: ConfigFile = DEFAULT) -> None:
    """失効を取り消す。Let a revoked gateway be enrolled again, with new keys: it needs a new ticket."""
    from server.store.enrolment import restore  # noqa: PLC0415 - a command loads what it needs

    settings = configuration.load(config)
    if not _in_database(settings, lambda conn: restore(conn, settings.city.id, detector)):
        raise ServerError(f"{detector}: 失効中のゲートウェイはありません。There is no such revoked gateway")
    typer.echo(f"{detector}: 登録票を作り直してください。Make a new ticket: mimamori gateway code {detector}")


async def _tickets(conn: "Connection", settings: ServerConfig, detector: str | None) -> "list[Ticket]":
    """Return a ticket for one gateway, or for each that has no key and is not revoked."""
    from server.enrolment.tickets import Desk  # noqa: PLC0415 - a command loads what it needs
    from server.store.enrolment import gateways  # noqa: PLC0415 - as above
    from wire.enrolment import CODE_OCTETS  # noqa: PLC0415 - as above

    desk, now_ms = Desk.of(settings), _now_ms()
    known = await gateways(conn, settings.city.id, now_ms=now_ms)
    waiting = [row.id for row in known if not row.has_key and row.revoked_ms is None]
    wanted = waiting if detector is None else [detector]
    async with conn.transaction():
        return [await desk.ticket(conn, one, secrets.token_bytes(CODE_OCTETS), now_ms=now_ms) for one in wanted]


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


def _save(ticket: "Ticket", file: Path) -> None:
    from server.enrolment.vault import write  # noqa: PLC0415 - a command loads what it needs

    write(file, ticket.to_json().encode(), mode=0o600)


def _state(row: "GatewayRow") -> str:
    if row.revoked_ms is not None:
        return "失効 revoked"
    if row.certificate_until_ms is not None:
        return "登録済み enrolled"
    if row.is_enrolled:
        return "期限切れ expired"
    if row.code_until_ms is not None:
        return "登録待ち waiting"
    return "鍵は台帳 key of the registry" if row.has_key else "未登録 not enrolled"


def _moment(at_ms: int | None) -> str:
    return "-" if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%MZ")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
