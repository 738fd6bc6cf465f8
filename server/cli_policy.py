"""The commands of `mimamori policy`: what the policies say, whether they hold, and what a change newly allows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from privacy.policy import source
from privacy.policy.source import PolicyError, PolicyTexts
from server.errors import ServerError

if TYPE_CHECKING:
    from privacy.policy.source import Policy
    from privacy.proof.prove import Proof

policy_app = typer.Typer(no_args_is_help=True, help="規則。Policies: who may do what, proved and compared.")

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder with *.cedar and the schema.")]


@policy_app.command()
def show(
    subject: Annotated[str, typer.Option(help="One file only, such as police.")] = "",
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Write docs/POLICY.md here instead.")] = None,
) -> None:
    """誰が何をできるかの一覧。Print who may do what, rule by rule; or write it as a document."""
    texts = _read(source.FOLDER)
    if markdown is not None:
        markdown.write_text(_document(texts), "utf-8")
        typer.echo(f"書きました wrote {markdown}")
        return
    chosen = [policy for policy in texts.policies if subject in ("", policy.subject)]
    if not chosen:
        raise ServerError(f"{subject}: ありません。No such subject; there are {', '.join(sorted(texts.subjects))}")
    _print(chosen)


@policy_app.command()
def explain(rule: Annotated[str, typer.Argument(metavar="ID", help="Such as R02-papers.")]) -> None:
    """一つの規則の全文。Print one rule in words and as it is decided."""
    from privacy.policy.document import effect, source_of  # noqa: PLC0415 - a command loads what it needs

    texts = _read(source.FOLDER)
    found = next((policy for policy in texts.policies if policy.reason.policy == rule), None)
    if found is None:
        raise ServerError(f"{rule}: ありません。No such rule; `mimamori policy show` lists them")
    said = found.reason
    typer.echo(f"{said.policy} {effect(found).ja} {effect(found).en} ({said.article})\n{said.ja}\n{said.en}\n")
    typer.echo(source_of(texts, found))


@policy_app.command()
def check(folder: Folder = source.FOLDER) -> None:
    """規則を検査し証明する。Validate the policies and prove what they promise; exit code 1 if anything fails."""
    from rich.console import Console  # noqa: PLC0415 - a command loads what it needs
    from rich.progress import track  # noqa: PLC0415 - as above

    from privacy.proof.properties import PROPERTIES  # noqa: PLC0415 - z3 takes a while to load
    from privacy.proof.prove import Prover  # noqa: PLC0415 - as above

    texts = _read(folder)
    try:
        prover = Prover(texts)
    except PolicyError as error:
        raise ServerError(f"証明できない書き方です。Written in a way that is not proved here: {error}") from error
    bar = Console(stderr=True)
    proofs = list(track(prover.prove(), "証明 Proving", total=len(PROPERTIES), console=bar, transient=True))
    for proof in proofs:
        typer.echo(_verdict(proof))
    proved = sum(proof.is_proved for proof in proofs)
    typer.echo(f"{len(texts.policies)} 規則 rules, {proved}/{len(proofs)} 証明済み proved, {texts.digest}")
    if proved < len(proofs):
        raise typer.Exit(1)


@policy_app.command()
def diff(
    old: Folder,
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Folder with the changed policies.")],
) -> None:
    """変更で新しく許されること。Print what NEW allows and OLD did not, with examples; exit code 1 if there is any."""
    from rich.console import Console  # noqa: PLC0415 - a command loads what it needs
    from rich.progress import track  # noqa: PLC0415 - as above

    from privacy.proof.difference import Difference  # noqa: PLC0415 - z3 takes a while to load
    from privacy.proof.tell import sentences  # noqa: PLC0415 - as above

    try:
        difference = Difference(new=_read(new), old=_read(old))
        asked = track(
            difference.openings(),
            "比較 Comparing",
            total=len(difference),
            console=Console(stderr=True),
            transient=True,
        )
        found = [opening for _, openings in asked for opening in openings]
    except PolicyError as error:
        raise ServerError(f"比べられません。They cannot be compared: {error}") from error
    for opening in found:
        typer.echo("\n".join(sentences(opening)))
    if found:
        typer.echo(f"新しく許されること {len(found)} 件。{len(found)} examples of what is newly allowed.")
        raise typer.Exit(1)
    typer.echo("新しく許されることはありません。Nothing is newly allowed.")


def _read(folder: Path) -> PolicyTexts:
    texts = _texts(folder)
    try:
        texts.validate()
    except PolicyError as error:
        raise ServerError(f"{folder}: 規則が正しくありません。The policies are wrong: {error}") from error
    return texts


def _texts(folder: Path) -> PolicyTexts:
    try:
        return PolicyTexts.read(folder)
    except PolicyError as error:
        raise ServerError(f"規則を読めません。The policies cannot be read: {error}") from error


def _document(texts: PolicyTexts) -> str:
    from privacy.policy.document import markdown  # noqa: PLC0415 - a command loads what it needs
    from privacy.proof.properties import PROPERTIES  # noqa: PLC0415 - z3 takes a while to load

    return markdown(texts, ((f"`{one.name}`", one.ja, one.en) for one in PROPERTIES))


def _print(policies: list[Policy]) -> None:
    from rich.console import Console  # noqa: PLC0415 - a command loads what it needs
    from rich.table import Table  # noqa: PLC0415 - as above
    from rich.text import Text  # noqa: PLC0415 - as above

    from privacy.policy.document import effect  # noqa: PLC0415 - as above
    from privacy.policy.words import SUBJECT  # noqa: PLC0415 - as above

    console = Console()
    for subject, word in SUBJECT.items():
        chosen = [policy for policy in policies if policy.subject == subject]
        if not chosen:
            continue
        table = Table(title=f"{word.ja} {word.en}", title_justify="left", expand=True)
        for column, ratio in (("規則 rule", 3), ("", 1), ("日本語", 6), ("English", 6)):
            table.add_column(column, ratio=ratio, overflow="fold")
        for policy in chosen:
            said = policy.reason
            shown = Text(effect(policy).ja, "green" if policy.is_permit else "red")
            table.add_row(Text(f"{said.policy}\n{said.article}"), shown, Text(said.ja), Text(said.en))
        console.print(table)


def _verdict(proof: Proof) -> str:
    promise = proof.promise
    if proof.is_proved:
        return f"✓ {promise.name}: {promise.ja}{promise.en}"
    if proof.is_vacuous:
        return f"✗ {promise.name}: 誰にも許されていないことについての約束です。It speaks of what nobody may do at all."
    places = ", ".join(f"{one.principal} {one.action}" for one in proof.broken_by)
    return f"✗ {promise.name}: 守られていません。Broken by {places}: {promise.ja}{promise.en}"
