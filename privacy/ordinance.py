"""A city's ordinance as data: every value with the article it comes from, or plainly marked as a proposal.

What nobody has read is `unverified`: it is never used and never shown as a rule of that city. A proposal stands in:
the entry's own `proposal`, or the one of `ordinances/proposal.toml`.

Source: docs/ORDINANCE.md. The files are privacy/ordinances/*.toml.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from privacy.ordinance_terms import GATED, KEYS, Key, Setting, Status, text
from privacy.policy.entities import OrdinanceFacts
from privacy.terms import CITY_ROLES, Purpose, Role

NEUTRAL: Final = "proposal"
"""The profile that is no city's: our proposals."""
SHIPPED: Final = ("kakogawa", "itami", "kobe", "takarazuka", "inami", "suginami", "tennoji")
"""The cities whose profiles come with the software."""
_FOLDER: Final = Path(__file__).parent / "ordinances"
_HEAD: Final = {"city": ("name_ja", "name_en"), "ordinance": ("title", "number", "url")}
_KEYS: Final = {key.name: key for key in KEYS}
_PROPOSAL: Final = "proposal"


class OrdinanceError(ValueError):
    """A profile is wrong.

    Attributes:
        problems: each names the file and the key.
    """

    def __init__(self, problems: Collection[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Label:
    """A name of the city or of its ordinance.

    Attributes:
        value: the text.
        status: "unverified": a description, not what the text calls itself.
        source: where it was read.
    """

    value: str
    status: Status
    source: str


@dataclass(frozen=True, slots=True)
class Stated:
    """One value of a profile.

    Attributes:
        key: what it is.
        value: what the software goes by. Of an unverified one it is a proposal.
        status: whether it is a rule of the city.
        source: city and article; "proposal"; of an unverified one where something was reported, or "".
        reported: of an unverified one: what is said of the city's rule. For people only; nothing goes by it.
    """

    key: Key
    value: Setting
    status: Status
    source: str
    reported: Setting | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence of the city's text that no key holds."""

    ja: str
    en: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What one city's ordinance says, as far as it was read, and proposals where it was not.

    Attributes:
        name: of the file, without its ending.
        city_ja: name of the city; `city_en`: the same.
        title: of the ordinance; `number` and `url` likewise.
        stated: every value with its source, in the order of the rules.
        notes: what else was read.
    """

    name: str
    city_ja: Label
    city_en: Label
    title: Label
    number: Label
    url: Label
    stated: tuple[Stated, ...]
    notes: tuple[Note, ...] = ()

    def rules(self) -> tuple[Stated, ...]:
        """Return the values for display; whoever shows one shows its status too."""
        return self.stated

    def number_of(self, key: str) -> int:
        """Return a number, such as `retention_days` or `scope_caps.cameras`."""
        value = self._value(key)
        assert type(value) is int  # noqa: S101 - the key's reader let nothing else in
        return value

    def flag(self, key: str) -> bool:
        """Return whether, such as `planning_stage_needs_warrant`."""
        value = self._value(key)
        assert type(value) is bool  # noqa: S101 - as above
        return value

    def words(self, key: str) -> tuple[str, ...]:
        """Return a list, such as `report_fields`."""
        value = self._value(key)
        assert isinstance(value, tuple)  # noqa: S101 - as above
        return value

    @property
    def purposes(self) -> frozenset[Purpose]:
        """For what footage may be asked here."""
        return frozenset(map(Purpose, self.words("purposes")))

    def papers(self, purpose: Purpose) -> frozenset[str]:
        """Return the kinds of papers that a request for `purpose` needs."""
        return frozenset(self.words(f"papers_by_purpose.{purpose.value}"))

    @property
    def titles(self) -> Mapping[Role, str]:
        """What the three roles are called here."""
        return {role: str(self._value(f"roles.{role.value}")) for role in CITY_ROLES}

    @property
    def gated(self) -> frozenset[str]:
        """What waits for the board's opinion before it may be switched on."""
        return frozenset(name for name in GATED if self.flag(f"board_gate.{name}"))

    def facts(self, gates: Iterable[str] = ()) -> OrdinanceFacts:
        """Return what the policies are told; `gates`: what the board has opened."""
        return OrdinanceFacts(
            purposes=frozenset(self.words("purposes")),
            max_cameras=self.number_of("scope_caps.cameras"),
            max_hours=self.number_of("scope_caps.hours"),
            board_cameras=self.number_of("scope_caps.board_cameras"),
            lead_hours=self.number_of("lead_hours"),
            planning_needs_warrant=self.flag("planning_stage_needs_warrant"),
            emergency_hours=self.number_of("emergency_hours"),
            disaster_hours=self.number_of("disaster_hours"),
            gates=frozenset(gates),
        )

    def _value(self, key: str) -> Setting:
        return next(one.value for one in self.stated if one.key.name == key)


def load(name_or_path: str) -> Profile:
    """Return the profile of that name, or in that file.

    Args:
        name_or_path: a shipped city, "proposal", or the path of a file that ends in `.toml`.

    Raises:
        OrdinanceError: no such profile, or what is wrong in it: all of it.
    """
    if name_or_path.endswith(".toml"):
        return _parse(Path(name_or_path))
    if name_or_path not in {*SHIPPED, NEUTRAL}:
        raise OrdinanceError([f"{name_or_path!r}: no such profile; one of {', '.join((NEUTRAL, *SHIPPED))}, or a file"])
    return _parse(_FOLDER / f"{name_or_path}.toml")


def _parse(file: Path) -> Profile:
    table = _read(file)
    reader = _Reader(file.name)
    labels = {
        f"{section}.{key}": reader.label(section, key, reader.table(table.get(section), section))
        for section, keys in _HEAD.items()
        for key in keys
    }
    rules = _flat(table.get("rules", {}))
    neutral = {} if file == _FOLDER / f"{NEUTRAL}.toml" else {one.key.name: one.value for one in load(NEUTRAL).stated}
    stated = [reader.stated(key, rules.pop(key.name, None), neutral) for key in KEYS]
    notes = tuple(reader.note(number, one) for number, one in enumerate(table.get("note", ()), 1))
    reader.problems += [f"{file.name}: rules.{key}: no such key" for key in rules]
    reader.problems += [f"{file.name}: {key}: no such key" for key in sorted(set(table) - {*_HEAD, "rules", "note"})]
    if reader.problems:
        raise OrdinanceError(reader.problems)
    profile = Profile(
        name=file.stem,
        city_ja=labels["city.name_ja"],
        city_en=labels["city.name_en"],
        title=labels["ordinance.title"],
        number=labels["ordinance.number"],
        url=labels["ordinance.url"],
        stated=tuple(stated),
        notes=notes,
    )
    if profile.number_of("scope_caps.board_cameras") < profile.number_of("scope_caps.cameras"):
        raise OrdinanceError([f"{file.name}: rules.scope_caps.board_cameras: not below scope_caps.cameras"])
    return profile


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise OrdinanceError([f"{file.name}: {error.strerror}"]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OrdinanceError([f"{file.name}: {error}"]) from error


def _flat(rules: object) -> dict[str, object]:
    """Return the entries under `[rules]` by their names; a table of entries gives `table.name`."""
    found: dict[str, object] = {}
    for name, entry in rules.items() if isinstance(rules, Mapping) else ():
        if name not in _KEYS and isinstance(entry, Mapping) and all(isinstance(one, Mapping) for one in entry.values()):
            found |= {f"{name}.{key}": one for key, one in entry.items()}
        else:
            found[name] = entry
    return found


def _status(source: str, *, is_read: bool) -> Status:
    if not is_read:
        return Status.UNVERIFIED
    return Status.PROPOSAL if source == _PROPOSAL else Status.CONFIRMED


_NOTHING: Final = Stated(KEYS[0], "", Status.UNVERIFIED, "")


class _Reader:
    """Reads entries and remembers all that is wrong with them."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[str] = []

    def table(self, entry: object, where: str) -> Mapping[str, object]:
        if isinstance(entry, Mapping):
            return entry
        self.wrong(where, "missing" if entry is None else "a table { value, source }, not a bare value")
        return {}

    def wrong(self, where: str, what: str) -> None:
        self.problems.append(f"{self.file}: {where}: {what}")

    def label(self, section: str, key: str, table: Mapping[str, object]) -> Label:
        where = f"{section}.{key}"
        entry = self.table(table.get(key), where)
        try:
            is_read, source = self._provenance(entry)
            return Label(text(entry.get("value")), _status(source, is_read=is_read), source)
        except ValueError as error:
            if entry:
                self.wrong(where, str(error))
            return Label("", Status.UNVERIFIED, "")

    def stated(self, key: Key, entry: object, neutral: Mapping[str, Setting]) -> Stated:
        where = f"rules.{key.name}"
        table = self.table(entry, where)
        if not table:
            return _NOTHING
        try:
            is_read, source = self._provenance(table)
            if not is_read:
                return self._unverified(key, table, neutral)
            return Stated(key, key.read(table["value"]), _status(source, is_read=True), source)
        except ValueError as error:
            self.wrong(where, str(error))
            return _NOTHING

    def note(self, number: int, entry: object) -> Note:
        table = self.table(entry, f"note {number}")
        ja, en, source = (table.get(name) for name in ("ja", "en", "source"))
        if not (isinstance(ja, str) and isinstance(en, str) and isinstance(source, str) and ja and en and source):
            self.wrong(f"note {number}", "ja, en and source wanted")
            return Note("", "", "")
        return Note(ja, en, source)

    def _unverified(self, key: Key, table: Mapping[str, object], neutral: Mapping[str, Setting]) -> Stated:
        if "proposal" not in table and key.name not in neutral:
            raise ValueError("the neutral profile has nothing to stand in: it holds proposals only")
        value = key.read(table["proposal"]) if "proposal" in table else neutral[key.name]
        reported = key.read(table["value"]) if "value" in table else None
        return Stated(key, value, Status.UNVERIFIED, text(table.get("source", "")), reported)

    @staticmethod
    def _provenance(table: Mapping[str, object]) -> tuple[bool, str]:
        """Return whether the value was read, and where."""
        if unknown := sorted(set(table) - {"value", "source", "unverified", "proposal"}):
            raise ValueError(f"unknown: {', '.join(unknown)}")
        if "unverified" in table:
            if table["unverified"] is not True:
                raise ValueError("unverified is true or left out")
            if table.get("source") == _PROPOSAL:
                raise ValueError("a proposal is not unverified: it claims nothing of the city")
            return False, text(table.get("source", ""))
        if "value" not in table:
            raise ValueError("no value; what nobody has read is { unverified = true }")
        if not table.get("source"):
            raise ValueError('no source; city and article, or "proposal"')
        if "proposal" in table:
            raise ValueError("a proposal stands in for an unverified value alone")
        return True, text(table["source"])
