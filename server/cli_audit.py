"""The commands of `mimamori audit` and `mimamori witness`: the log that anyone can check, and who watches over it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from server import config as configuration
from server.cli_database import DEFAULT, ConfigFile, embedded_database
from server.errors import ServerError
from wire import logs

if TYPE_CHECKING:
    from privacy.transparency.checkpoint import Opened
    from privacy.transparency.note import Verifier
    from privacy.transparency.policy import Policy
    from privacy.transparency.proof import Checked, Proof
    from privacy.transparency.tiles import Fetch
    from privacy.transparency.verify import MapParts, Report, Trust
    from server.config import ServerConfig

audit_app = typer.Typer(no_args_is_help=True, help="監査記録。The audit log: anyone can check it, nobody can bend it.")
witness_app = typer.Typer(no_args_is_help=True, help="証人。A witness of audit logs, outside city hall.")

Key = Annotated[str, typer.Option("--key", metavar="VKEY|FILE", help="Public key of the log, or a file with it.")]
PolicyFile = Annotated[Path | None, typer.Option("--policy", help="Witnesses and their quorum (C2SP tlog-policy).")]
WitnessDir = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the witness.")]
_JAPAN_TIME: Final = "%Y-%m-%d %H:%M:%S %Z"


class UnsoundError(ServerError):
    """What was checked is not what it should be."""


@audit_app.command()
def verify(  # noqa: PLR0913 - each is one option of the command line
    log: Annotated[str, typer.Argument(metavar="DIR|URL", help="The published log.")],
    *,
    key: Key = "",
    policy: PolicyFile = None,
    head: Annotated[
        list[str] | None, typer.Option(metavar="FILE|URL", help="A checkpoint that was kept elsewhere; more than one.")
    ] = None,
    processes: Annotated[int, typer.Option(min=1, max=64, help="To compute in.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """公開された記録を検証する。Verify a published log offline; exit code 1 and which entries if it was bent."""
    from privacy.transparency.verify import verify as verified  # noqa: PLC0415 - a command loads what it needs

    trust = _trust(key, policy, head or ())
    started_s = time.monotonic()
    with _progress() as told, _mapped(processes) as mapped:
        report = verified(_source(log), trust, map_parts=mapped, on_entries=told)
    took_s = time.monotonic() - started_s
    typer.echo(_as_json(report, took_s) if as_json else _as_text(report, trust, took_s))
    if not report.is_whole:
        raise typer.Exit(1)


@audit_app.command()
def show(config: ConfigFile = DEFAULT) -> None:
    """記録と証人の状態を見る。Say how long the log is, what is published, and how each witness answered."""
    settings = configuration.load(config)
    with embedded_database(settings):
        typer.echo(asyncio.run(_standing(settings)))


@audit_app.command()
def proof(
    entry: Annotated[int, typer.Argument(metavar="ENTRY", help="Number of the entry in the database.")],
    *,
    out: Annotated[Path | None, typer.Option(help="File to write; none: on the screen.")] = None,
    about: Annotated[list[str] | None, typer.Option(help="Facts to open, such as `ward`; none: all.")] = None,
    config: ConfigFile = DEFAULT,
) -> None:
    """一件の証明書を作る。Make a proof of one entry that can be handed to the person concerned."""
    settings = configuration.load(config)
    with embedded_database(settings):
        made = asyncio.run(_proof(settings, entry, about)).text()
    if out is None:
        typer.echo(made, nl=False)
    else:
        out.write_text(made, "utf-8")
        typer.echo(f"証明書を書きました。Wrote the proof: {out}")


@audit_app.command("check-proof")
def check_proof(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .tlog-proof file.")],
    *,
    key: Key = "",
    policy: PolicyFile = None,
) -> None:
    """渡された証明書を確かめる。Check a proof that was handed over, offline, and say what it proves."""
    from privacy.transparency.errors import TransparencyError  # noqa: PLC0415 - a command loads what it needs
    from privacy.transparency.proof import Proof, check  # noqa: PLC0415 - as above

    trust = _trust(key, policy, ())
    try:
        found = check(Proof.parse(file.read_text("utf-8")), trust.logs, trust.policy)
    except (TransparencyError, UnicodeDecodeError) as error:
        raise UnsoundError(f"この証明書は正しくありません。This proof is not sound: {error}") from error
    typer.echo(_proved(found))
    if found.has_quorum is False:
        raise UnsoundError("証人の署名が足りません。Too few witnesses cosigned")


@witness_app.command("init")
def witness_init(
    folder: WitnessDir,
    *,
    name: Annotated[str, typer.Option(help="Of the witness's key, such as bar.example/witness.")],
    log: Annotated[list[str], typer.Option(metavar="VKEY|FILE", help="Public key of a log to watch; more than one.")],
) -> None:
    """証人の鍵を作る。Make a witness: its key and its memory. Neither may ever be restored from a backup."""
    from privacy.transparency.errors import NoteError  # noqa: PLC0415 - a command loads what it needs
    from server.witness import setup  # noqa: PLC0415 - as above

    try:
        key = setup.create(folder, name, [_text_or_file(one) for one in log])
    except NoteError as error:
        raise UnsoundError(f"鍵か名前が正しくありません。Not a proper key or name: {error}") from error
    typer.echo(f"証人の公開鍵。Public key of the witness:\n{key.vkey}")


@witness_app.command("serve")
def witness_serve(
    folder: WitnessDir,
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="TCP port.")] = 8790,
) -> None:
    """証人を動かす。Serve a witness until SIGTERM or Ctrl-C."""
    from server.witness.service import serve  # noqa: PLC0415 - a command loads what it needs

    logs.configure()
    asyncio.run(serve(folder, host, port))


def _trust(key: str, policy_file: Path | None, heads: Iterable[str]) -> Trust:
    from privacy.transparency.verify import Trust  # noqa: PLC0415 - a command loads what it needs

    policy = None if policy_file is None else _policy(policy_file)
    keys = [_key(key)] if key else [log.key for log in policy.logs] if policy else []
    if not keys:
        raise UnsoundError("公開鍵がありません。No public key: --key, or a policy with a log in it")
    return Trust(keys, policy, [(one, _kept(one)) for one in heads])


def _key(text: str) -> Verifier:
    from privacy.transparency.errors import NoteError  # noqa: PLC0415 - a command loads what it needs
    from privacy.transparency.note import Verifier  # noqa: PLC0415 - as above

    try:
        return Verifier.parse(_text_or_file(text))
    except NoteError as error:
        raise UnsoundError(f"公開鍵ではありません。Not a public key: {error}") from error


def _policy(file: Path) -> Policy:
    from privacy.transparency.errors import PolicyError  # noqa: PLC0415 - a command loads what it needs
    from privacy.transparency.policy import Policy  # noqa: PLC0415 - as above

    try:
        return Policy.parse(file.read_text("utf-8"))
    except (PolicyError, UnicodeDecodeError) as error:
        raise UnsoundError(f"{file}: 証人の一覧ではありません。Not a policy: {error}") from error


def _text_or_file(text: str) -> str:
    return Path(text).read_text("utf-8").strip() if Path(text).is_file() else text


def _kept(place: str) -> str:
    name = place if "://" not in place else place.rpartition("/")[2]
    found = _source(place.rpartition("/")[0])(name) if "://" in place else Path(place).read_bytes()
    if found is None:
        raise UnsoundError(f"{place}: ありません。Not there")
    return found.decode("utf-8", "replace")


def _source(log: str) -> Fetch:
    from server.publiclog.folder import Folder  # noqa: PLC0415 - a command loads what it needs
    from server.publiclog.site import Site  # noqa: PLC0415 - as above

    if "://" in log:
        return Site(log)
    if not Path(log).is_dir():
        raise UnsoundError(f"{log}: フォルダーがありません。No such folder")
    return Folder(Path(log))


@contextlib.contextmanager
def _mapped(processes: int) -> Iterator[MapParts]:
    """Give what applies a function to parts of the log: in this process, or in several."""
    if processes == 1:
        yield map
        return
    # Not forked from this process: its progress bar is a thread, which a fork would cut in two.
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("forkserver")) as pool:
        yield pool.map


class _Told:
    """Moves the progress bar."""

    def __init__(self, progress: object) -> None:
        from rich.progress import Progress  # noqa: PLC0415 - a command loads what it needs

        assert isinstance(progress, Progress)  # noqa: S101 - made two lines below
        self._progress = progress
        self._task = progress.add_task("検証中 verifying", total=None)

    def __call__(self, done: int, total: int) -> None:
        self._progress.update(self._task, completed=done, total=total)


@contextlib.contextmanager
def _progress() -> Iterator[_Told]:
    from rich.console import Console  # noqa: PLC0415 - a command loads what it needs
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield _Told(progress)


def _as_text(report: Report, trust: Trust, took_s: float) -> str:
    lines = [f"✗ {finding.ja}。{finding.en}" for finding in report.findings]
    if report.checkpoint is not None:
        lines.append(f"  {report.entries:,}件を{took_s:.1f}秒で検証。{report.entries:,} entries read in {took_s:.1f} s")
        lines.append(f"  以前のチェックポイント {report.heads}件と比較。{report.heads} earlier checkpoints compared")
        if report.witnessed is not None:
            lines.append(_witnessed(report.witnessed))
    if report.is_whole:
        lines.insert(0, "✓ 記録は改ざんされていません。The log is whole")
        if trust.policy is None:
            lines.append(
                "  注意: 証人を確かめていません（--policy）。公開者が全体を作り直したかどうかは分かりません。"
                "Note: no witnesses were asked (--policy), so this does not tell a log that its publisher made anew"
            )
    return "\n".join(lines)


def _witnessed(head: Opened) -> str:
    count, at_s = len(head.witnesses), max(head.cosigned_at_s, default=0)
    when = datetime.fromtimestamp(at_s, UTC).astimezone().strftime(_JAPAN_TIME)
    return (
        f"  証人{count}者が{head.head.size:,}件目までを確認（{when}）。"
        f"{count} witnesses cosigned up to {head.head.size:,} entries"
    )


def _as_json(report: Report, took_s: float) -> str:
    return json.dumps(
        {
            "whole": report.is_whole,
            "size": report.checkpoint.head.size if report.checkpoint else None,
            "entries": report.entries,
            "witnessed": report.witnessed.head.size if report.witnessed else None,
            "heads": report.heads,
            "seconds": round(took_s, 3),
            "findings": [
                {"fault": one.fault.name.lower(), "first": one.first, "last": one.last, "ja": one.ja, "en": one.en}
                for one in report.findings
            ],
        },
        ensure_ascii=False,
    )


async def _standing(settings: ServerConfig) -> str:
    from server.store import ledger  # noqa: PLC0415 - a command loads what it needs
    from server.store.connection import connect  # noqa: PLC0415 - as above

    conn = await connect(settings.dsn())
    try:
        head, waiting = await ledger.head(conn), await ledger.count_waiting(conn)
        published = await ledger.last_published(conn, with_quorum=False)
        witnessed = await ledger.last_published(conn, with_quorum=True)
        witnesses = await ledger.witnesses(conn)
    finally:
        await conn.close()
    lines = [
        f"記録 entries           {head.size if head else 0:>12,}",
        f"番号待ち waiting       {waiting:>12,}",
        f"公開済み published     {published.size if published else 0:>12,}",
        f"証人確認済み witnessed {witnessed.size if witnessed else 0:>12,}",
    ]
    lines += [f"証人 witness {one.name:<20} {one.state:<14} {one.size or 0:>12,}" for one in witnesses]
    if not settings.ledger.policy_file:
        lines.append("証人が設定されていません（ledger.policy_file）。No witnesses are configured")
    elif published is not None and not published.has_quorum:
        lines.append("証人の署名が足りません。Too few witnesses have cosigned the newest checkpoint")
    return "\n".join(lines)


async def _proof(settings: ServerConfig, entry_id: int, names: list[str] | None) -> Proof:
    from server.publiclog.folder import Folder  # noqa: PLC0415 - a command loads what it needs
    from server.publiclog.proofs import Prover  # noqa: PLC0415 - as above
    from server.store import ledger  # noqa: PLC0415 - as above
    from server.store.connection import connect  # noqa: PLC0415 - as above

    conn = await connect(settings.dsn())
    try:
        found = await ledger.entry(conn, entry_id)
        openings = await ledger.openings(conn, entry_id, names)
    finally:
        await conn.close()
    if found is None or found[1] is None:
        raise UnsoundError(f"{entry_id}: 記録がないか、まだ番号がありません。No such entry, or no place yet")
    return Prover(Folder(settings.log_dir)).proof(found[1], found[0], openings)


def _proved(found: Checked) -> str:
    when = datetime.fromtimestamp(int(found.entry.get("at_ms", 0)) / 1000, UTC).astimezone().strftime(_JAPAN_TIME)
    size, witnesses = found.opened.head.size, len(found.opened.witnesses)
    lines = [
        "✓ この記録は監査記録に載っています。The entry is in the audit log",
        f"  {found.opened.checkpoint.origin} #{found.index:,} / {size:,}",
        f"  種類 kind   {found.entry.get('kind')}",
        f"  時刻 time   {when}",
        f"  役割 role   {found.entry.get('role')}",
    ]
    facts = found.entry.get("facts")
    lines += [f"  {name:<11} {value}" for name, value in (facts.items() if isinstance(facts, dict) else ())]
    lines += [f"  {name:<11} {value}（開示 opened）" for name, value in found.named.items()]
    if found.has_quorum is not None:
        lines.append(f"  証人 witnesses {witnesses}")
    return "\n".join(lines)
