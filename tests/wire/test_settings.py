from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from wire import settings
from wire.clock import Clock
from wire.errors import ConfigError

FILE = Path("/etc/mimamori/lamp.toml")
VARIABLES = {"LAMP_COLOUR": ("light", "colour")}


@dataclass(frozen=True, slots=True)
class Light:
    colour: str = "white"
    hours: tuple[str, ...] = ()
    power_w: float = 1.0
    dimmed_w: float | None = None


@dataclass(frozen=True, slots=True)
class Lamp:
    folder: Path
    number: int = 0
    light: Light = field(default_factory=Light)
    clock: Clock = field(default_factory=Clock)


def test_a_table_becomes_its_dataclass_and_its_sections_theirs() -> None:
    table = {
        "folder": "/var/lamp",
        "number": 3,
        "light": {"colour": "red", "hours": ["6", "18"], "power_w": 2, "dimmed_w": 1},
        "clock": {"origin_wall_ms": 1, "origin_town_ms": 2, "speed": 60},
    }
    light = Light("red", ("6", "18"), 2.0, 1.0)
    assert settings.read(Lamp, table, FILE) == Lamp(Path("/var/lamp"), 3, light, Clock(1, 2, 60))


def test_what_is_not_said_has_its_default() -> None:
    assert settings.read(Lamp, {"folder": "/x"}, FILE) == Lamp(Path("/x"))


def test_a_whole_number_for_a_measure_is_read_as_one() -> None:
    assert type(settings.read(Light, {"power_w": 2}, FILE).power_w) is float


@pytest.mark.parametrize("file", [FILE, Path("beside/lamp.toml")])
def test_a_relative_path_counts_from_the_file_wherever_the_program_goes_later(file: Path) -> None:
    assert settings.read(Lamp, {"folder": "x"}, file).folder == Path.cwd() / file.parent / "x"


@pytest.mark.parametrize(
    ("table", "key", "reason"),
    [
        ([], "", "is no table"),
        ({}, "folder", "is missing"),
        ({"folder": "x", "size": 1}, "size", "is unknown; known here: clock, folder, light, number"),
        ({"folder": 1}, "folder", "has the wrong type: int"),
        ({"folder": "x", "number": True}, "number", "has the wrong type: bool"),
        ({"folder": "x", "number": 1.5}, "number", "has the wrong type: float"),
        ({"folder": "x", "light": 3}, "light.", "is no table"),
        ({"folder": "x", "light": {"size": 1}}, "light.size", "is unknown"),
        ({"folder": "x", "light": {"power_w": True}}, "light.power_w", "has the wrong type: bool"),
        ({"folder": "x", "light": {"dimmed_w": "1"}}, "light.dimmed_w", "has the wrong type: str"),
        ({"folder": "x", "light": {"hours": "6"}}, "light.hours", "has the wrong type: str"),
        ({"folder": "x", "light": {"hours": [6]}}, "light.hours", "has the wrong type: list"),
        ({"folder": "x", "clock": 3}, "clock", "is no table"),
        ({"folder": "x", "clock": ""}, "clock", "is no table"),
        ({"folder": "x", "clock": {"speed": 0}}, "clock", "speed must be above 0"),
    ],
)
def test_a_mistake_is_refused_by_its_key(table: Any, key: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings.read(Lamp, table, FILE)
    assert (caught.value.path, caught.value.key) == (FILE, key)
    assert caught.value.reason.startswith(reason)
    assert str(caught.value) == (f"{FILE}: {key} " if key else f"{FILE}: ") + caught.value.reason


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("", {"light": {"colour": "green"}}),
        ('[light]\ncolour = "red"\npower_w = 1', {"light": {"colour": "green", "power_w": 1}}),
        ("light = 3", {"light": 3}),
    ],
)
def test_a_variable_wins_over_the_file_but_for_a_section_that_is_none(
    text: str, read: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "lamp.toml").write_text(text)
    assert settings.load(tmp_path / "lamp.toml", {"LAMP_COLOUR": "green", "HOME": "/"}, VARIABLES) == read


def test_a_variable_that_is_not_set_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "lamp.toml").write_text("number = 3")
    assert settings.load(tmp_path / "lamp.toml", {}, VARIABLES) == {"number": 3}


@pytest.mark.parametrize("data", [b"number = ", b"number = 1\nnumber = 2", b"\x00", b"\xff"])
def test_what_is_no_toml_is_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "lamp.toml").write_bytes(data)
    with pytest.raises(ConfigError, match="is not TOML"):
        settings.load(tmp_path / "lamp.toml", {}, VARIABLES)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        settings.load(tmp_path / "lamp.toml", {}, VARIABLES)


def test_both_ends_of_a_range_are_allowed() -> None:
    settings.check_ranges([("a", 1, 1, 2), ("b", 2, 1, 2)], FILE)


@pytest.mark.parametrize("value", [0.9, 2.1, float("nan")])
def test_the_first_value_out_of_range_is_named(value: float) -> None:
    with pytest.raises(ConfigError, match=r"light\.b must be 1 to 2") as caught:
        settings.check_ranges([("light.a", 1, 1, 2), ("light.b", value, 1, 2), ("light.c", 9, 1, 2)], FILE)
    assert caught.value.key == "light.b"
