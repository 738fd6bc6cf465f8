import json

import pytest

from bench.measure import alternate, slope, together
from bench.report import rounded, shown


def test_slope_is_the_growth_a_decade() -> None:
    assert slope({10_000: 10.0, 1_000_000: 40.0}) == pytest.approx(2.0)


def test_slope_wants_two_sizes() -> None:
    with pytest.raises(ValueError, match="two sizes"):
        slope({10: 1.0})


def test_entrants_run_in_turn_and_the_first_round_does_not_count() -> None:
    order: list[str] = []
    times = {"a": iter([99.0, 2.0, 4.0, 6.0]), "b": iter([99.0, 1.0, 4.0, 2.0])}

    def run(name: str) -> float:
        order.append(name)
        return next(times[name])

    race = alternate({"a": lambda: run("a"), "b": lambda: run("b")}, runs=3)
    assert order == ["a", "b"] * 4
    assert race.median("a") == 4.0
    assert race.ratio("a", "b") == 2.0


def test_a_failure_in_a_thread_is_not_lost() -> None:
    with pytest.raises(RuntimeError, match="thread"):
        together([lambda: 1 / 0])


def test_figures_become_plain_json() -> None:
    figures = {"a": {1_000: 1.23456789}, "b": [1, None, True], "c": "x"}
    assert json.loads(json.dumps(rounded(figures))) == {"a": {"1000": 1.235}, "b": [1, None, True], "c": "x"}


@pytest.mark.parametrize(
    ("value", "text"), [(1234.5, "1,234"), (12.34, "12.3"), (1.234, "1.23"), (0.01234, "0.012"), (0, "0"), ("-", "-")]
)
def test_figures_have_the_digits_that_count(value: object, text: str) -> None:
    assert shown(value) == text
