from server.ingest.letters import LetterBudget
from server.store.dead_letter import MAX_KEPT_OCTETS, DeadLetter

HOUR_MS = 3_600_000


def _letter(size: int, at_ms: int = 0) -> DeadLetter:
    return DeadLetter("gw", "malformed", bytes(size), at_ms)


def test_a_flood_is_kept_up_to_the_budget_of_its_hour() -> None:
    budget = LetterBudget(octets_per_hour=5_000)
    assert len(budget.admit(_letter(744) for _ in range(100))) == 5
    assert budget.admit([_letter(744, HOUR_MS - 1)]) == []
    assert len(budget.admit([_letter(744, HOUR_MS)])) == 1


def test_empty_letters_and_those_too_large_to_keep_cost_their_row() -> None:
    budget = LetterBudget(octets_per_hour=512)
    assert len(budget.admit([_letter(0), _letter(MAX_KEPT_OCTETS + 1), _letter(0)])) == 2
