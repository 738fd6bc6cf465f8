"""The commands of `mimamori account`, `agency`, `household` and `measure`: who may sign in, and who is kept from whom.

`--by` says whose decision it is. Whoever sits at this command line is trusted to say so rightly; the policies are asked
all the same, and the log has the answer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from server import config as configuration
from server.cli_database import DEFAULT, ConfigFile, embedded_database
from server.config import ServerConfig
from server.errors import ServerError

if TYPE_CHECKING:
    from server.accounts.cards import Card
    from server.permit.ask import Asker
    from server.permit.counter import Counter
    from server.store.accounts import AccountRow
    from server.store.connection import Connection

account_app = typer.Typer(no_args_is_help=True, help="アカウント。Accounts of families, officers, city hall, board.")
agency_app = typer.Typer(no_args_is_help=True, help="機関。Agencies that may receive footage or have accounts.")
household_app = typer.Typer(no_args_is_help=True, help="世帯。Households: who watches over the same people.")
measure_app = typer.Typer(no_args_is_help=True, help="支援措置。Protective measures: who must learn nothing of whom.")

_T = TypeVar("_T")
Id = Annotated[str, typer.Argument(metavar="ACCOUNT")]
By = Annotated[str, typer.Option(help="Account whose decision it is.")]
_DAY_S = 86_400


@account_app.command("add")
def account_add(  # noqa: PLR0913 - each is one option of the command line
    account: Id,
    *,
    role: Annotated[str, typer.Option(help="guardian, watched, volunteer, officer, handler, supervisor, …")],
    name_ja: Annotated[str, typer.Option(help="Shown to others.")],
    name_en: Annotated[str, typer.Option(help="The same in English.")] = "",
    agency: Annotated[str | None, typer.Option(help="Of officers and providers.")] = None,
    ward: Annotated[str | None, typer.Option(help="Whose own account it is: of role watched.")] = None,
    login: Annotated[str, typer.Option(help="For families who sign in with a code; the id otherwise.")] = "",
    by: By = "",
    config: ConfigFile = DEFAULT,
) -> None:
    """アカウントを作る。Make an account; `account card` then lets its owner make a passkey."""
    from privacy.terms import Role  # noqa: PLC0415 - a command loads what it needs
    from server.accounts.codes import normalise_login  # noqa: PLC0415 - as above
    from server.store.accounts import NewAccount  # noqa: PLC0415 - as above

    known = [one.value for one in Role if one not in {Role.PUBLIC, Role.CLERK}]
    if role not in known:
        raise ServerError(f"--role: {', '.join(known)}")
    new = NewAccount(
        id=account,
        login=normalise_login(login or account),
        role=Role(role),
        name_ja=name_ja,
        name_en=name_en or name_ja,
        agency_id=agency,
        ward_id=ward,
    )
    _at_counter(config, by, lambda counter, conn, asker: counter.add_account(conn, asker, new))
    typer.echo(f"{account}: 作りました。Made. 次は next: mimamori account card {account}")


@account_app.command("list")
def account_list(
    role: Annotated[str | None, typer.Option(help="Only this role.")] = None, config: ConfigFile = DEFAULT
) -> None:
    """アカウントの一覧。List accounts: id, role, agency, ways to sign in, names."""
    from privacy.terms import Role  # noqa: PLC0415 - a command loads what it needs
    from server.store.accounts import every  # noqa: PLC0415 - as above

    settings = configuration.load(config)
    for row in _as_warden(settings, lambda conn: every(conn, Role(role) if role else None)):
        typer.echo(_line(row))


@account_app.command("disable")
def account_disable(
    account: Id,
    by: By = "",
    config: ConfigFile = DEFAULT,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,  # noqa: FBT002 - Typer's way
) -> None:
    """停止する。Disable an account: signed out everywhere at once, and for good."""
    if not yes:
        typer.confirm(f"{account}: 停止しますか? Disable?", abort=True, err=True)
    _at_counter(config, by, lambda counter, conn, asker: counter.disable(conn, asker, account))
    typer.echo(f"{account}: 停止しました。Disabled")


@account_app.command("card")
def account_card(account: Id, by: By = "", config: ConfigFile = DEFAULT) -> None:
    """登録カードを作る。Make an enrolment card: it opens once, within 14 days; older cards of the account are void."""
    settings = configuration.load(config)
    card = _at_counter(config, by, lambda counter, conn, asker: counter.make_card(conn, asker, account))
    typer.echo(on_paper(card, account, settings.http.public_url))


@account_app.command("link-identity")
def account_link_identity(
    account: Id,
    *,
    provider: Annotated[str, typer.Option(help="Id of a configured identity provider.")],
    subject: Annotated[str, typer.Option(help="Its `sub` of this person.")],
    by: By = "",
    config: ConfigFile = DEFAULT,
) -> None:
    """IDプロバイダの本人と結び付ける。Let a subject of an identity provider sign in as an account."""
    settings = configuration.load(config)
    issuer = settings.oidc.provider(provider).issuer
    _at_counter(
        config, by, lambda counter, conn, asker: counter.link(conn, asker, account, issuer=issuer, subject=subject)
    )
    typer.echo(f"{account}: 結び付けました。Linked")


@agency_app.command("add")
def agency_add(  # noqa: PLR0913 - each is one option of the command line
    agency: Annotated[str, typer.Argument(metavar="AGENCY")],
    *,
    kind: Annotated[str, typer.Option(help="police, fire, court, city, provider, board")],
    name_ja: Annotated[str, typer.Option(help="Shown to the public.")],
    name_en: Annotated[str, typer.Option(help="The same in English.")],
    basis: Annotated[str, typer.Option(help="By what law or agreement it may receive; for the public.")],
    by: By,
    config: ConfigFile = DEFAULT,
) -> None:
    """機関を登録する。Register an agency, as the ordinance lets the 管理責任者."""
    from server.store.accounts import NewAgency  # noqa: PLC0415 - a command loads what it needs

    city = configuration.load(config).city.id
    new = NewAgency(id=agency, city_id=city, kind=kind, name_ja=name_ja, name_en=name_en, legal_basis=basis)
    _at_counter(config, by, lambda counter, conn, asker: counter.register(conn, asker, new))
    typer.echo(f"{agency}: 登録しました。Registered")


@agency_app.command("list")
def agency_list(config: ConfigFile = DEFAULT) -> None:
    """機関の一覧。List agencies: id, kind, state, names, basis."""
    from server.store.accounts import agencies  # noqa: PLC0415 - a command loads what it needs

    for row in _as_warden(configuration.load(config), agencies):
        state = "終了 ended" if row.has_ended else "有効 in force"
        typer.echo(f"{row.id}\t{row.kind}\t{state}\t{row.name_ja}\t{row.name_en}\t{row.legal_basis}")


@agency_app.command("end")
def agency_end(agency: Annotated[str, typer.Argument(metavar="AGENCY")], by: By, config: ConfigFile = DEFAULT) -> None:
    """登録を終える。End an agency's registration: its accounts are signed out at once."""
    _at_counter(config, by, lambda counter, conn, asker: counter.end_agency(conn, asker, agency))
    typer.echo(f"{agency}: 登録を終えました。Ended")


@household_app.command("add")
def household_add(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    *,
    owner: Annotated[str, typer.Option(help="Account of the guardian who invites the others.")],
    ward: Annotated[list[str], typer.Option(help="Whom the household watches over; may be given again.")],
    by: By = "",
    config: ConfigFile = DEFAULT,
) -> None:
    """世帯を作る。Make a household: its owner is in charge of the wards and invites others with cards."""
    from server.accounts.households import NewHousehold  # noqa: PLC0415 - a command loads what it needs

    settings = configuration.load(config)
    new = NewHousehold(settings.city.id, name, owner, tuple(ward))
    town_ms = settings.clock.now_ms()
    made = _at_counter(
        config, by, lambda counter, conn, asker: counter.found_household(conn, asker, new, town_ms=town_ms)
    )
    typer.echo(f"{made}: 作りました。Made")


@measure_app.command("add")
def measure_add(
    ward: Annotated[str, typer.Argument(metavar="WARD")],
    account: Id,
    *,
    by: By,
    days: Annotated[int, typer.Option(min=1, max=3660, help="How long, once confirmed.")] = 365,
    config: ConfigFile = DEFAULT,
) -> None:
    """支援措置を入力する。Keep an account from learning anything of a ward: from now, for 7 days until confirmed."""
    measure = _at_counter(
        config,
        by,
        lambda counter, conn, asker: counter.enter_measure(
            conn, asker, ward_id=ward, account_id=account, lasts_s=days * _DAY_S
        ),
    )
    typer.echo(f"{measure}: いまから有効です。別の人が確認してください。In force; somebody else has to confirm it")


@measure_app.command("confirm")
def measure_confirm(
    measure: Annotated[str, typer.Argument(metavar="MEASURE")], *, by: By, config: ConfigFile = DEFAULT
) -> None:
    """支援措置を確認する。Confirm a measure that somebody else entered."""
    _at_counter(config, by, lambda counter, conn, asker: counter.confirm_measure(conn, asker, measure))
    typer.echo(f"{measure}: 確認しました。Confirmed")


@measure_app.command("end")
def measure_end(
    measure: Annotated[str, typer.Argument(metavar="MEASURE")], *, by: By, config: ConfigFile = DEFAULT
) -> None:
    """支援措置を解く。Ask that a measure be lifted; it is when a second person says the same."""
    lifted = _at_counter(config, by, lambda counter, conn, asker: counter.end_measure(conn, asker, measure))
    typer.echo(
        f"{measure}: 解きました。Lifted"
        if lifted
        else f"{measure}: もう一人の決定を待ちます。まだ有効です。Still in force: a second person has to say so too"
    )


@measure_app.command("list")
def measure_list(config: ConfigFile = DEFAULT) -> None:
    """支援措置の一覧。List measures: id, ward, account, until, confirmed or not."""
    from server.store.measures import every  # noqa: PLC0415 - a command loads what it needs

    for row in _as_warden(configuration.load(config), every):
        state = "確認済 confirmed" if row.confirmed_by else "未確認 unconfirmed"
        typer.echo(f"{row.id}\t{row.ward_id}\t{row.account_id}\t{_day(row.until_ms)} まで until\t{state}")


def on_paper(card: Card, account: str, public_url: str) -> str:
    """Return an enrolment card as text to print."""
    return "\n".join(
        (
            "みまもり 登録カード  mimamori enrolment card",
            f"  アカウント account   {account}",
            f"  コード     code      {card.code}",
            f"  QRの内容   QR text   {card.qr_text(public_url)}",
            f"  有効期限   until     {_day(card.expires_at_ms)}",
            "  一度だけ使えます。本人だけに渡してください。Opens once. For its owner's eyes only.",
        )
    )


def _line(row: AccountRow) -> str:
    state = "停止 disabled" if row.is_disabled else "有効 in force"
    way = "コード code" if row.has_code else "パスキー passkey"
    return f"{row.id}\t{row.role.value}\t{row.agency_id or '-'}\t{state}\t{way}\t{row.name_ja}\t{row.name_en}"


def _day(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d}"


def _at_counter(config: ConfigFile, by: str, work: Callable[[Counter, Connection, Asker], Awaitable[_T]]) -> _T:
    """Do one thing at the counter, as `by` or as the command line itself.

    Raises:
        ServerError: the policies or the counter refuse.
    """
    from privacy.ordinance import load as load_ordinance  # noqa: PLC0415 - a command loads what it needs
    from privacy.policy.engine import Engine  # noqa: PLC0415 - as above
    from server.accounts.desk import in_force  # noqa: PLC0415 - as above
    from server.permit.ask import Asker, RefusedError  # noqa: PLC0415 - as above
    from server.permit.counter import CONSOLE, Counter  # noqa: PLC0415 - as above

    settings = configuration.load(config)
    counter = Counter(Engine.load(), load_ordinance(settings.city.ordinance).facts(), _now_ms)

    async def run(conn: Connection) -> _T:
        if not by:
            return await work(counter, conn, CONSOLE)
        found = await in_force(conn, by)
        return await work(counter, conn, Asker(found.id, found.role, found.agency_id))

    try:
        return _as_warden(settings, run)
    except RefusedError as error:
        why = "\n".join(f"  {one.policy} {one.article}: {one.ja} {one.en}" for one in error.reasons)
        raise ServerError(f"規則により断られました。Refused by rule:\n{why}") from None


def _as_warden(settings: ServerConfig, work: Callable[[Connection], Awaitable[_T]]) -> _T:
    from server.store.connection import connect  # noqa: PLC0415 - a command loads what it needs

    async def run() -> _T:
        async with await connect(settings.dsn("warden")) as conn:
            return await work(conn)

    with embedded_database(settings):
        return asyncio.run(run())


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
