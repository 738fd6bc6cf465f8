"""The commands of `mimamori ordinance`: what a city's ordinance says, and how far anybody has read it."""

import json
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from server.errors import ServerError

if TYPE_CHECKING:
    from privacy.ordinance import Label, Profile, Stated

ordinance_app = typer.Typer(no_args_is_help=True, help="条例。Profiles of ordinances: each value and its source.")

Name = Annotated[
    str, typer.Argument(metavar="PROFILE", help='A shipped city, "proposal", or a file that ends in .toml.')
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")]
_STYLES: Final = {"confirmed": "green", "proposal": "cyan", "unverified": "yellow"}
_SIGNS: Final = {"confirmed": "", "proposal": "*", "unverified": "†"}


@ordinance_app.command("list")
def list_(*, as_json: Json = False) -> None:
    """同梱の条例の一覧。List the shipped profiles and how much of each is read, proposed, unverified."""
    from privacy.ordinance import NEUTRAL, SHIPPED, load  # noqa: PLC0415 - a command loads what it needs

    found = [load(name) for name in (*SHIPPED, NEUTRAL)]
    if as_json:
        rows = [
            {"profile": one.name, "city_ja": one.city_ja.value, "city_en": one.city_en.value, **_counts(one)}
            for one in found
        ]
        typer.echo(json.dumps(rows, ensure_ascii=False))
    else:
        _print_list(found)


@ordinance_app.command()
def check(name: Name, *, as_json: Json = False) -> None:
    """条例の設定を確かめる。Check a profile rule by rule; exit code 1 when anything in it is wrong."""
    from privacy.ordinance import OrdinanceError, load  # noqa: PLC0415 - a command loads what it needs

    try:
        profile = load(name)
    except OrdinanceError as error:
        if as_json:
            typer.echo(json.dumps({"profile": name, "errors": list(error.problems)}, ensure_ascii=False))
        else:
            for problem in error.problems:
                typer.echo(f"誤り Error: {problem}", err=True)
        raise typer.Exit(1) from error
    if as_json:
        typer.echo(json.dumps({**_facts(profile), "errors": []}, ensure_ascii=False))
        return
    _print(profile)
    counts = _counts(profile)
    typer.echo(
        f"誤りなし。確認済み{counts['confirmed']}、提案{counts['proposal']}、未確認{counts['unverified']}"
        "(未確認は市の規則ではなく、提案値で動きます)。"
        f"No errors: {counts['confirmed']} confirmed, {counts['proposal']} proposals, "
        f"{counts['unverified']} unverified (no rules of the city: proposals stand in)"
    )


@ordinance_app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="[PROFILE]", help="All seven cities without it.")] = "",
    *,
    markdown: Annotated[bool, typer.Option("--markdown", help="Tables for docs/ORDINANCE.md.")] = False,
    as_json: Json = False,
) -> None:
    """条例の内容を見る。Show a profile: value, source, and whether it is a rule of the city."""
    from privacy.ordinance import SHIPPED, OrdinanceError, load  # noqa: PLC0415 - a command loads what it needs

    try:
        profiles = [load(one) for one in ((name,) if name else SHIPPED)]
    except OrdinanceError as error:
        raise ServerError(str(error)) from error
    if as_json:
        typer.echo(json.dumps([_facts(one) for one in profiles], ensure_ascii=False))
    elif markdown:
        typer.echo("\n".join(markdown_lines(profiles)))
    else:
        for one in profiles:
            _print(one)


def markdown_lines(profiles: "list[Profile]") -> list[str]:
    """Return the profiles as Markdown: a line a rule with all cities' values, then each value's source."""
    from privacy.ordinance_terms import KEYS, STATUS_TEXT, shown  # noqa: PLC0415 - a command loads what it needs

    head = ["規則 Rule", "項目 Item", *(f"{one.city_ja.value} {one.city_en.value}" for one in profiles)]
    lines = [_row(head), _row(["---"] * len(head))]
    for number, key in enumerate(KEYS):
        cells = [shown(key, one.stated[number].value)[0] + _mark(one.stated[number]) for one in profiles]
        lines.append(_row([str(key.rule), f"{key.ja} / {key.en}", *cells]))
    marks = (f"{_SIGNS[status.value] or '無印'} {ja} {en}" for status, (ja, en) in STATUS_TEXT.items())
    lines += ["", "、".join(marks), ""]
    for one in profiles:
        lines += [f"**{one.city_ja.value} {one.city_en.value}**: {_titled(one)}", ""]
        lines += [f"- {_said(stated)}" for stated in one.stated if stated.source not in {"", "proposal"}]
        lines += [f"- {note.ja} {note.en} ({note.source})" for note in one.notes]
        lines.append("")
    return lines[:-1]


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _mark(stated: "Stated") -> str:
    return _SIGNS[stated.status.value]


def _said(stated: "Stated") -> str:
    """Return one value with its source as a sentence; of an unverified one, what is used and what was reported."""
    from privacy.ordinance_terms import STATUS_TEXT, shown  # noqa: PLC0415 - a command loads what it needs

    ja, en = shown(stated.key, stated.value)
    status_ja, status_en = STATUS_TEXT[stated.status]
    head = f"{stated.key.ja} / {stated.key.en}"
    if stated.status.value != "unverified":
        value = ja if ja == en else f"{ja} {en}"
        return f"{head}: {value} — {status_ja} {status_en}: {stated.source}"
    told = "" if stated.reported is None else f"、報告 reported: {shown(stated.key, stated.reported)[0]}"
    return f"{head}: {status_ja} {status_en}、提案値 proposal used: {ja}{told} ({stated.source})"


def _titled(profile: "Profile") -> str:
    def text(label: "Label") -> str:
        return label.value + ("(未確認 unverified)" if label.status.value == "unverified" else "")

    return f"{text(profile.title)}、{text(profile.number)} <{profile.url.value}>"


def _counts(profile: "Profile") -> dict[str, int]:
    states = [one.status.value for one in profile.stated]
    return {status: states.count(status) for status in _STYLES}


def _facts(profile: "Profile") -> dict[str, Any]:
    """Return a profile for programs; what is unverified has no `value` of the city, only what is used instead."""

    def label(one: "Label") -> dict[str, str]:
        return {"value": one.value, "status": one.status.value, "source": one.source}

    rules = [
        {
            "key": one.key.name,
            "rule": one.key.rule,
            "ja": one.key.ja,
            "en": one.key.en,
            "status": one.status.value,
            "used": one.value,
            "source": one.source or None,
            "reported": one.reported,
        }
        for one in profile.stated
    ]
    return {
        "profile": profile.name,
        "city_ja": label(profile.city_ja),
        "city_en": label(profile.city_en),
        "title": label(profile.title),
        "number": label(profile.number),
        "url": label(profile.url),
        "rules": rules,
        "notes": [{"ja": one.ja, "en": one.en, "source": one.source} for one in profile.notes],
    }


def _print_list(found: "list[Profile]") -> None:
    from rich.console import Console  # noqa: PLC0415 - a command loads what it needs
    from rich.table import Table  # noqa: PLC0415 - as above

    table = Table(
        "名前 profile", "市 city", "確認済み confirmed", "提案 proposal", "未確認 unverified", title="条例 Ordinances"
    )
    for one in found:
        counts = _counts(one)
        table.add_row(one.name, f"{one.city_ja.value} {one.city_en.value}", *(str(counts[name]) for name in _STYLES))
    Console(emoji=False, markup=False).print(table)


def _print(profile: "Profile") -> None:
    from rich.console import Console  # noqa: PLC0415 - a command loads what it needs
    from rich.table import Column, Table  # noqa: PLC0415 - as above
    from rich.text import Text  # noqa: PLC0415 - as above

    from privacy.ordinance_terms import STATUS_TEXT, shown  # noqa: PLC0415 - as above

    console = Console(emoji=False, markup=False)
    title = f"{profile.city_ja.value} {profile.city_en.value}: {_titled(profile)}"
    heads = ("規則 #", "項目 item", "使う値 value used", "状態 status", "出典 source")
    table = Table(*(Column(head, overflow="fold") for head in heads), title=title)
    for one in profile.stated:
        ja, en = shown(one.key, one.value)
        status = " ".join(STATUS_TEXT[one.status])
        source = one.source
        if one.status.value == "unverified":
            told = "" if one.reported is None else f"報告 reported: {shown(one.key, one.reported)[0]}。"
            source = f"市の規則ではありません。提案値を使用。Not a rule of the city. {told}{source}"
        table.add_row(
            str(one.key.rule),
            f"{one.key.ja}\n{one.key.en}",
            ja if ja == en else f"{ja}\n{en}",
            Text(status, _STYLES[one.status.value]),
            source,
        )
    console.print(table)
    for note in profile.notes:
        console.print(f"・{note.ja} {note.en} ({note.source})")
