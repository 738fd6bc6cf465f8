import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from privacy.policy.source import FOLDER
from server.cli import app
from server.errors import ServerError

POLICY_MD = Path(__file__).parents[2] / "docs" / "POLICY.md"


def _run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["policy", *arguments])
    if isinstance(result.exception, ServerError):
        raise result.exception
    return result.exit_code, result.stdout


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    """A copy of the policies in which anybody who is no guardian may see a ward's place too."""
    folder = tmp_path / "new"
    shutil.copytree(FOLDER, folder)
    file = folder / "family.cedar"
    file.write_text(
        file.read_text("utf-8").replace("resource.guardians.contains(principal)", "resource has self"), "utf-8"
    )
    return folder


def test_the_document_is_what_the_policies_say(tmp_path: Path) -> None:
    code, _ = _run("show", "--markdown", str(tmp_path / "POLICY.md"))
    assert code == 0
    made = (tmp_path / "POLICY.md").read_text("utf-8")
    assert made == POLICY_MD.read_text("utf-8"), "run: mimamori policy show --markdown docs/POLICY.md"


def test_the_list_shows_the_rules_of_a_subject_in_both_languages() -> None:
    code, shown = _run("show", "--subject", "volunteer")
    assert code == 0
    assert "V01-own" in shown
    assert "ボランティア" in shown
    assert "N01-barred" not in shown


def test_an_unknown_subject_is_refused() -> None:
    with pytest.raises(ServerError, match="No such subject"):
        _run("show", "--subject", "nobody")


def test_a_rule_is_explained_with_its_text() -> None:
    code, shown = _run("explain", "R02-papers")
    assert code == 0
    assert "捜査関係事項照会書" in shown
    assert 'resource.papers.containsAll(["inquiry", "request"])' in shown
    assert shown.count("@id") == 1


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(ServerError, match="No such rule"):
        _run("explain", "R99-nothing")


def test_policies_that_hold_are_proved() -> None:
    code, shown = _run("check")
    assert code == 0
    assert "✗" not in shown


def test_policies_that_break_a_promise_fail_the_check(changed: Path) -> None:
    code, shown = _run("check", str(changed))
    assert code == 1
    assert "✗ place" in shown


def test_a_wrong_policy_fails_the_check(changed: Path) -> None:
    file = changed / "family.cedar"
    file.write_text(file.read_text("utf-8").replace("family_watch", "family_wach"), "utf-8")
    with pytest.raises(ServerError, match="F01-guardian"):
        _run("check", str(changed))


def test_a_change_shows_what_it_newly_allows(changed: Path) -> None:
    code, shown = _run("diff", str(FOLDER), str(changed))
    assert code == 1
    assert "新しく許されること: 保護者が「今の位置を見る」こと。" in shown
    assert "例 example: " in shown


def test_no_change_newly_allows_nothing() -> None:
    code, shown = _run("diff", str(FOLDER), str(FOLDER))
    assert code == 0
    assert "Nothing is newly allowed." in shown


def test_a_folder_without_policies_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="cannot be read"):
        _run("check", str(tmp_path))
