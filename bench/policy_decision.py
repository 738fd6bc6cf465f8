"""What one decision of the policies costs, beside the same rules as plain Python.

The plain rules are the twin of the property tests: it names the same reasons, so both do the same work.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Final

from privacy.policy.engine import Engine
from privacy.policy.question import Question
from tests.privacy.policy import twin
from tests.privacy.policy.questions import ALLOWED

QUESTIONS: Final = {"family": "viewPlace, mother", "case": "view crime"}
"""What is asked: a guardian for a place, the named officer for released footage."""
_ROUNDS: Final = 7


def measure(small: bool) -> dict[str, float]:  # noqa: FBT001 - the one switch of every benchmark
    """Return microseconds a decision: `decision_us_<question>` and `decision_us_<question>_plain`, and the loading.

    Args:
        small: fewer repetitions.
    """
    started = time.perf_counter()
    engine = Engine.load()
    figures = {"policy_load_ms": (time.perf_counter() - started) * 1e3}
    repeats = 200 if small else 2_000
    for name, title in QUESTIONS.items():
        question = ALLOWED[title]
        figures[f"decision_us_{name}"] = _microseconds(engine.decide, question, repeats)
        figures[f"decision_us_{name}_plain"] = _microseconds(twin.answer, question, repeats)
    return figures


def _microseconds(decide: Callable[[Question], object], question: Question, repeats: int) -> float:
    """Return the median over rounds of the mean time of a call."""
    rounds = []
    for _ in range(_ROUNDS):
        started = time.perf_counter()
        for _ in range(repeats):
            decide(question)
        rounds.append((time.perf_counter() - started) / repeats * 1e6)
    return statistics.median(rounds)
