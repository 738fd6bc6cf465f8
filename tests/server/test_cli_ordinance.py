import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from privacy.ordinance import SHIPPED
from server.cli import app


def _run(*words: str, columns: str = "200") -> tuple[int, str]:
    done = CliRunner(env={"COLUMNS": columns}).invoke(app, ["ordinance", *words])
    return done.exit_code, done.output


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_profile_passes_its_check_and_says_what_is_unread(name: str) -> None:
    code, said = _run("check", name)
    assert code == 0
    assert "未確認 unverified" in said
    assert "誤りなし" in said


def test_a_wrong_profile_fails_its_check_with_file_and_key(tmp_path: Path) -> None:
    file = tmp_path / "town.toml"
    file.write_text('[rules]\nlead_hours = { value = "three", source = "町 条例" }\n', "utf-8")
    code, said = _run("check", str(file))
    assert code == 1
    assert "town.toml: rules.lead_hours: a whole number from 0 to 24" in said
    code, said = _run("check", str(file), "--json")
    assert code == 1
    assert any("rules.freeze_days: missing" in one for one in json.loads(said)["errors"])


def test_programs_are_told_the_status_of_each_value() -> None:
    code, said = _run("check", "kakogawa", "--json")
    facts = json.loads(said)
    assert code == 0
    by_key = {one["key"]: one for one in facts["rules"]}
    assert (by_key["retention_days"]["status"], by_key["retention_days"]["reported"]) == ("unverified", 14)
    assert "value" not in by_key["retention_days"]
    assert by_key["lead_hours"]["source"] == "proposal"


def test_an_unverified_value_is_never_shown_without_its_mark() -> None:
    for line in _run("show", "--markdown")[1].splitlines():
        if line.startswith("| 12 |"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            assert cells[2:] == ["30日†", "30日†", "30日", "30日†", "30日†", "30日†", "30日†"]
            break
    else:
        pytest.fail("no line of rule 12")


def test_the_list_has_the_seven_cities_and_the_neutral_proposal() -> None:
    names = [one["profile"] for one in json.loads(_run("list", "--json")[1])]
    assert names == [*SHIPPED, "proposal"]
    assert _run("show", "osaka")[0] != 0
