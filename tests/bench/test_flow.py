import numpy as np

from bench.flow import Flow, Throttle

DETECTORS = np.array([0, 1, 0, 1, 0, 0, 2])


def drain(flow: Flow) -> list[int]:
    sent = []
    while flow.next is not None:
        sent.append(flow.send())
    return sent


def test_each_detector_has_a_few_on_their_way() -> None:
    flow = Flow(DETECTORS, 0, 7, window=2)
    assert drain(flow) == [0, 1, 2, 3, 6]
    assert flow.settle(2)
    assert drain(flow) == [4]


def test_a_receipt_counts_once() -> None:
    flow = Flow(DETECTORS, 0, 7, window=1)
    assert drain(flow) == [0, 1, 6]
    assert flow.settle(0)
    assert not flow.settle(0)
    assert drain(flow) == [2]


def test_all_are_sent_and_settled_in_the_end() -> None:
    flow, settled = Flow(DETECTORS, 1, 6, window=1), []
    while not flow.is_done:
        drain(flow)
        batch = min(flow.outstanding)
        flow.settle(batch)
        settled.append(batch)
    assert sorted(settled) == [1, 2, 3, 4, 5]


def test_who_gives_up_waits_only_for_what_is_on_its_way() -> None:
    flow = Flow(DETECTORS, 0, 7, window=1)
    drain(flow)
    flow.give_up()
    for batch in list(flow.outstanding):
        flow.settle(batch)
    assert flow.is_done


def test_a_quick_answer_lets_more_on_their_way_and_a_slow_one_fewer() -> None:
    throttle = Throttle(limit=100, target_s=1.0)
    throttle.answered(0.5)
    assert throttle.limit == 101
    throttle.answered(1.2)
    assert throttle.limit == 101
    throttle.answered(1.6)
    assert throttle.limit == 100.75


def test_some_are_always_on_their_way() -> None:
    throttle = Throttle(limit=51, target_s=1.0)
    for _ in range(1_000):
        throttle.answered(9.0)
    assert throttle.limit == 50


def test_the_span_is_that_from_the_oldest_on_its_way() -> None:
    flow = Flow(DETECTORS, 0, 7, window=2)
    assert flow.span == 0
    drain(flow)
    flow.settle(2)
    assert (flow.next, flow.span) == (4, 4)
    flow.settle(0)
    flow.settle(1)
    assert flow.span == 1
