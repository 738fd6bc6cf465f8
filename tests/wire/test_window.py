from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.messages import Receipt
from wire.outbox import Outbox
from wire.window import SendWindow


def send(window: SendWindow, pending: list[int], now_s: float) -> tuple[int, ...]:
    chosen = window.next_to_send(pending)
    for sequence in chosen:
        window.sent(sequence, now_s)
    return chosen


def test_no_more_batches_are_outstanding_than_the_window_has_places() -> None:
    window = SendWindow(size=4)
    assert send(window, [1, 2, 3, 4, 5, 6], 0.0) == (1, 2, 3, 4)
    assert send(window, [1, 2, 3, 4, 5, 6], 0.0) == ()


def test_a_receipt_frees_a_place_for_the_next() -> None:
    window = SendWindow(size=2)
    send(window, [1, 2, 3], 0.0)
    assert window.on_receipt([1]) == 1
    assert send(window, [2, 3], 0.0) == (3,)


def test_a_time_out_resends_one_at_a_time_until_receipts_come() -> None:
    window = SendWindow(size=4, timeout_s=10.0)
    send(window, [1, 2, 3, 4], 0.0)
    assert window.on_timeout(9.9) == ()
    assert window.on_timeout(10.0) == (1, 2, 3, 4)
    assert send(window, [1, 2, 3, 4], 10.0) == (1,)
    window.on_receipt([1])
    assert send(window, [2, 3, 4], 11.0) == (2, 3)


def test_batches_that_are_never_answered_hold_up_no_other(tmp_path: Path) -> None:
    window = SendWindow(size=2, timeout_s=10.0)
    unanswered = {1, 2, 3, 5}
    tries: dict[int, int] = dict.fromkeys(range(1, 9), 0)
    with Outbox.open(tmp_path / "outbox.db", max_bytes=1 << 20) as outbox:
        for _ in tries:
            outbox.put(1, 0, lambda *_: b"sealed")
        for now_s in range(0, 200, 10):
            window.on_timeout(now_s)
            while batches := window.next_batches(outbox):
                for batch in batches:
                    window.sent(batch.sequence, now_s)
                    tries[batch.sequence] += 1
                done = tuple(sequence for sequence in window.outstanding if sequence not in unanswered)
                outbox.settle(Receipt(outbox.epoch, done))
                window.on_receipt(done)
        assert {batch.sequence for batch in outbox.pending(9)} == unanswered
    assert all(tries[sequence] == 1 for sequence in set(tries) - unanswered)
    assert all(tries[sequence] > 3 for sequence in unanswered)


def test_repeated_and_unknown_receipts_open_nothing() -> None:
    window = SendWindow(size=4)
    window.on_disconnect()
    send(window, [1], 0.0)
    assert [window.on_receipt([1]), window.on_receipt([1]), window.on_receipt([99])] == [1, 0, 0]
    assert window.allowed == 2


def test_a_new_connection_sends_all_again() -> None:
    window = SendWindow()
    send(window, [1, 2], 0.0)
    window.on_disconnect()
    assert window.outstanding == ()
    assert send(window, [1, 2], 1.0) == (1,)


def test_the_wait_ends_with_the_first_time_out() -> None:
    window = SendWindow(timeout_s=10.0)
    assert window.wait_s(0.0) is None
    window.sent(1, 0.0)
    window.sent(2, 3.0)
    assert window.wait_s(4.0) == 6.0
    assert window.wait_s(40.0) == 0.0


@pytest.mark.parametrize(("size", "timeout_s"), [(0, 1.0), (1, 0.0)])
def test_a_window_that_could_never_send_is_refused(size: int, timeout_s: float) -> None:
    with pytest.raises(ValueError, match="window"):
        SendWindow(size=size, timeout_s=timeout_s)


@given(st.lists(st.sampled_from(["send", "receipt", "tick", "drop"]), max_size=60))
def test_whatever_happens_every_batch_is_done_in_the_end(events: list[str]) -> None:
    window = SendWindow(size=3, timeout_s=5.0)
    pending = list(range(1, 8))
    now_s = 0.0
    for event in [*events, *["tick", "send", "receipt"] * 20]:
        if event == "send":
            send(window, pending, now_s)
        elif event == "receipt" and window.outstanding:
            pending.remove(window.outstanding[0])
            window.on_receipt(window.outstanding[:1])
        elif event == "drop":
            window.on_disconnect()
        else:
            now_s += 6.0
            window.on_timeout(now_s)
        assert len(window.outstanding) <= 3
    assert pending == []


def backlog(outbox: Outbox, batches: int) -> None:
    for _ in range(batches):
        outbox.put(1, 0, lambda *_: b"sealed")


def next_sequences(window: SendWindow, outbox: Outbox, now_s: float = 0.0) -> list[int]:
    chosen = [batch.sequence for batch in window.next_batches(outbox)]
    for sequence in chosen:
        window.sent(sequence, now_s)
    return chosen


def test_what_is_urgent_and_what_is_new_pass_a_long_queue(tmp_path: Path) -> None:
    window = SendWindow(size=4)
    with Outbox.open(tmp_path / "outbox.db", max_bytes=1 << 20) as outbox:
        backlog(outbox, 100)
        assert next_sequences(window, outbox) == [100, 1, 2, 3]
        urgent = outbox.put(1, 0, lambda *_: b"sos", is_urgent=True)
        newest = outbox.put(1, 0, lambda *_: b"sealed")
        outbox.settle(Receipt(outbox.epoch, (1, 2)))
        window.on_receipt((1, 2))
        assert next_sequences(window, outbox) == [urgent, newest]


def test_live_batches_leave_the_queue_a_place_and_it_is_worked_off(tmp_path: Path) -> None:
    window, done = SendWindow(size=4), set[int]()
    with Outbox.open(tmp_path / "outbox.db", max_bytes=1 << 20) as outbox:
        backlog(outbox, 50)
        for _ in range(60):
            live = outbox.put(1, 0, lambda *_: b"sos", is_urgent=True)
            sent = next_sequences(window, outbox)
            assert live in sent
            done |= set(sent)
            outbox.settle(Receipt(outbox.epoch, window.outstanding))
            window.on_receipt(window.outstanding)
        assert done >= set(range(1, 51))


def test_an_urgent_batch_that_timed_out_goes_ahead_again_before_the_queue_is_empty(tmp_path: Path) -> None:
    window = SendWindow(size=2, timeout_s=10.0)
    with Outbox.open(tmp_path / "outbox.db", max_bytes=1 << 20) as outbox:
        backlog(outbox, 100)
        urgent = outbox.put(1, 0, lambda *_: b"sos", is_urgent=True)
        assert next_sequences(window, outbox) == [urgent, 1]
        assert set(window.on_timeout(10.0)) == {urgent, 1}
        again: list[int] = []
        while urgent not in again and len(again) < 10:
            again += next_sequences(window, outbox, 11.0)
            outbox.settle(Receipt(outbox.epoch, window.outstanding))
            window.on_receipt(window.outstanding)
        assert urgent in again


def test_urgent_batches_that_are_never_answered_hold_up_no_other(tmp_path: Path) -> None:
    window, unanswered = SendWindow(size=4, timeout_s=10.0), set(range(1, 9))
    with Outbox.open(tmp_path / "outbox.db", max_bytes=1 << 20) as outbox:
        for _ in unanswered:
            outbox.put(1, 0, lambda *_: b"lost", is_urgent=True)
        backlog(outbox, 40)
        for now_s in range(0, 200, 10):
            window.on_timeout(now_s)
            while next_sequences(window, outbox, now_s):
                done = tuple(n for n in window.outstanding if n not in unanswered)
                outbox.settle(Receipt(outbox.epoch, done))
                window.on_receipt(done)
        assert set(outbox.oldest(100)) == unanswered
