"""docs/ORDINANCE.md against what it speaks of: profiles, policies, tests, tables."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from privacy.policy.source import PolicyTexts
from privacy.retention import SCHEDULE
from server.cli import app
from server.store.expiry import KEPT, TARGETS

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "ORDINANCE.md").read_text("utf-8")


def _between(begin: str, end: str) -> str:
    return TEXT.split(begin, 1)[1].split("-->\n", 1)[-1].split(end, 1)[0].strip()


def test_the_profiles_are_what_the_command_shows() -> None:
    shown = CliRunner().invoke(app, ["ordinance", "show", "--markdown"])
    assert shown.exit_code == 0
    assert _between("<!-- profiles", "<!-- /profiles") == shown.stdout.strip()


def test_each_rule_names_policies_that_exist_and_begin_with_its_number() -> None:
    known = {policy.reason.policy for policy in PolicyTexts.read().policies}
    sections = re.findall(r"^### (\d+)\. .*?(?=^### |^## )", TEXT, re.MULTILINE | re.DOTALL)
    assert [int(number) for number in sections] == list(range(1, 26))
    for section in re.findall(r"^### \d+\. .*?(?=^### |^## )", TEXT, re.MULTILINE | re.DOTALL):
        named = set(re.findall(r"`((?:R|N|F|M|S)\d\d-[a-z-]+)`", section))
        assert named <= known
        number = int(section.split(".")[0].removeprefix("### "))
        assert number == 12 or any(name.startswith(f"R{number:02}-") for name in named)


@pytest.mark.parametrize("file", ["tests/privacy/test_rules.py", "tests/db/test_rules_db.py"])
def test_each_test_of_a_rule_is_named_and_each_named_one_exists(file: str) -> None:
    there = set(re.findall(r"def (test_rule_\w+)", (ROOT / file).read_text("utf-8")))
    assert set(re.findall(rf"`{file}::(\w+)`", TEXT)) == there


def test_the_limits_are_those_of_the_schedule() -> None:
    rows = [line.strip("| ").split(" | ") for line in _between("<!-- schedule", "<!-- /schedule").splitlines()]
    limits = {row[0]: row for row in rows if row[0] in set(SCHEDULE)}
    assert set(limits) == set(SCHEDULE)
    for data, limit in SCHEDULE.items():
        number = re.match(r"\d+", limits[data][1])
        told_h = 0 if number is None else int(number[0]) * (24 if "days" in limits[data][1] else 1)
        assert (told_h * 3_600_000, limits[data][-1]) == (limit.keep_ms, limit.reason), data
    named = {name for row in limits.values() for name in row[3].split(", ")}
    assert {target.table for target in TARGETS} <= named
    assert {row[0]: row[1] for row in rows if row[0] in KEPT} == dict(KEPT)


def test_each_command_it_names_exists() -> None:
    for words in re.findall(r"`mimamori (duty|ordinance) ([a-z-]+)", TEXT):
        assert CliRunner().invoke(app, [*words, "--help"]).exit_code == 0
