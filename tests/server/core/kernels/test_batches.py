import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from server.core.kernels import batches
from server.core.kernels.batches import Delivery

SETTINGS = settings(deadline=None, max_examples=150)


def _accept(memory: np.ndarray, detector: int, epoch: int, sequence: int) -> Delivery:
    deliveries = np.empty(1, np.uint8)
    one = np.array([detector], np.int32), np.array([epoch], np.int64), np.array([sequence], np.int64)
    batches.accept(memory, *one, deliveries)
    return Delivery(int(deliveries[0]))


@SETTINGS
@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from([7, 2**32 - 1]), st.integers(0, 200)), max_size=150))
def test_within_the_window_of_two_epochs_a_batch_is_new_once(steps: list[tuple[int, int, int]]) -> None:
    memory = batches.windows(3)
    seen: set[tuple[int, int, int]] = set()
    newest: dict[tuple[int, int], int] = {}
    for step in steps:
        detector, epoch, sequence = step
        if sequence <= newest.get((detector, epoch), -1) - 64:
            expected = Delivery.UNSURE
        else:
            expected = Delivery.SEEN if step in seen else Delivery.NEW
        assert _accept(memory, detector, epoch, sequence) is expected
        seen.add(step)
        newest[detector, epoch] = max(sequence, newest.get((detector, epoch), -1))


@SETTINGS
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 90)), max_size=150))
def test_however_many_epochs_there_are_nothing_seen_is_ever_new(steps: list[tuple[int, int]]) -> None:
    memory, seen = batches.windows(1), set()
    for epoch, sequence in steps:
        delivery = _accept(memory, 0, epoch, sequence)
        assert not (delivery is Delivery.NEW and (epoch, sequence) in seen)
        assert not (delivery is Delivery.SEEN and (epoch, sequence) not in seen)
        seen.add((epoch, sequence))


def test_an_unknown_detector_is_left_to_the_database() -> None:
    memory = batches.windows(1)
    assert _accept(memory, 1, 0, 0) is _accept(memory, -1, 0, 0) is Delivery.UNSURE
    assert not memory.any()
