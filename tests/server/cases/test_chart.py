"""The document draws the machine that runs."""

from pathlib import Path

from privacy import ordinance
from privacy.cases import MOVES, Step
from server.cases import chart

TEXT = (Path(__file__).parents[3] / "docs" / "CASES.md").read_text("utf-8")


def test_the_document_has_every_state_and_every_step() -> None:
    for part in (chart.mermaid(), chart.state_table(), chart.step_table()):
        assert part in TEXT
    assert set(chart.STATES) == set(MOVES)
    assert set(chart.STEPS) == set(Step)


def test_the_document_has_the_numbers_of_the_proposal() -> None:
    profile = ordinance.load("proposal")
    for key in ("freeze_days", "emergency_hours", "release_hours", "copy_days", "feedback_days"):
        assert f"`{key}` ({profile.number_of(key)})" in TEXT
