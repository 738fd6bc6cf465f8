"""Settings read from TOML: tables become frozen dataclasses, and whatever those do not know is refused by its key.

Pure but for the file itself: the environment is an argument.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from wire.clock import Clock
from wire.errors import ConfigError

_Table = TypeVar("_Table")


def load(path: Path, environment: Mapping[str, str], variables: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    """Return the TOML table in `path`, with the variables that are set written over it.

    Args:
        path: the file.
        environment: the variables of the process.
        variables: from a variable's name to the section and the key it stands for.

    Raises:
        ConfigError: the file is missing, unreadable or not TOML.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(path, "", f"cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(path, "", f"is not TOML: {error}") from error
    for variable, (section, key) in variables.items():
        if variable in environment and isinstance(table.setdefault(section, {}), dict):
            table[section][key] = environment[variable]
    return table


def read(cls: type[_Table], table: object, path: Path, where: str = "") -> _Table:
    """Return `table` as the dataclass `cls`, its sections as the dataclasses of its fields.

    Relative paths count from the folder of `path`, the file that the table stands in.

    Args:
        cls: fields of str, int, float, bool, Path, Path | None, tuple[str, ...], Clock or such a dataclass again.
        table: as tomllib gives it.
        path: the file, for messages too.
        where: the dotted way to this table, with a dot at its end; "" at the top.

    Raises:
        ConfigError: a key is unknown or missing, or a value is of another type.
    """
    if not isinstance(table, Mapping):
        raise ConfigError(path, where, "is no table")
    known = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]  # callers and _value give dataclasses alone
    for key in table:
        if key not in known:
            raise ConfigError(path, f"{where}{key}", f"is unknown; known here: {', '.join(sorted(known))}")
    hints = get_type_hints(cls)
    for name, spec in known.items():
        if name not in table and spec.default is MISSING and spec.default_factory is MISSING:
            raise ConfigError(path, f"{where}{name}", "is missing")
    return cls(**{name: _value(hints[name], value, path, f"{where}{name}") for name, value in table.items()})


def _value(kind: Any, value: object, path: Path, where: str) -> object:  # noqa: ANN401 -- a type as get_type_hints gives it
    if kind is Clock:
        return _clock(value, path, where)
    if is_dataclass(kind) and isinstance(kind, type):
        return read(kind, value, path, f"{where}.")
    if kind in (Path, Path | None) and isinstance(value, str):
        return path.absolute().parent / value
    if kind in (float, float | None) and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind == tuple[str, ...] and isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    if kind in (str, int, bool) and type(value) is kind:  # True is an int too
        return value
    raise ConfigError(path, where, f"has the wrong type: {type(value).__name__}")


def _clock(table: object, path: Path, where: str) -> Clock:
    if not isinstance(table, Mapping):
        raise ConfigError(path, where, "is no table")
    try:
        return Clock.from_table(table)
    except ValueError as error:
        raise ConfigError(path, where, str(error)) from error


def check_ranges(ranges: Iterable[tuple[str, float, float, float]], path: Path) -> None:
    """Refuse the first value out of range.

    Args:
        ranges: dotted key, value, least and most, both of them allowed.
        path: the file, for the message.

    Raises:
        ConfigError: a value is below its least or above its most.
    """
    for name, value, least, most in ranges:
        if not least <= value <= most:
            raise ConfigError(path, name, f"must be {least} to {most}")
