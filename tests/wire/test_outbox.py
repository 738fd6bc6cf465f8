import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from wire.errors import OutboxBrokenError, OutboxError
from wire.messages import Receipt
from wire.outbox import Outbox, OutboxFull, Pending, Settled, Totals

MIB = 1 << 20


def sealed(epoch: int, sequence: int) -> bytes:
    return f"{epoch}/{sequence}".encode()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.db"


@pytest.fixture
def outbox(path: Path) -> Iterator[Outbox]:
    with Outbox.open(path, max_bytes=MIB) as opened:
        yield opened


def test_what_is_put_is_pending_in_order_with_its_own_epoch_and_sequence(outbox: Outbox) -> None:
    assert [outbox.put(rows, 1_000 + rows, sealed) for rows in (3, 4, 5)] == [1, 2, 3]
    assert outbox.pending(2) == [
        Pending(1, 3, sealed(outbox.epoch, 1), 1_003),
        Pending(2, 4, sealed(outbox.epoch, 2), 1_004),
    ]
    assert [batch.sequence for batch in outbox.pending(9, after=2)] == [3]
    assert outbox.totals() == Totals(12, 0, 0, 3, 12, 1_003)


def test_nothing_leaves_but_by_a_receipt_of_this_epoch(outbox: Outbox) -> None:
    for rows in (3, 4, 5):
        outbox.put(rows, 1_000, sealed)
    assert outbox.settle(Receipt(outbox.epoch ^ 1, (1, 2, 3))) == Settled()
    assert outbox.settle(Receipt(outbox.epoch, (1, 99), ((2, "unknown-key"), (98, "x")))) == Settled(
        3, 4, ((2, "unknown-key"),)
    )
    assert outbox.totals() == Totals(12, 3, 4, 1, 5, 1_000)
    assert outbox.settle(Receipt(outbox.epoch, (1,), ((2, "again"),))) == Settled()


def test_a_sequence_is_never_used_again_even_when_all_is_settled(path: Path) -> None:
    with Outbox.open(path, max_bytes=MIB) as outbox:
        epoch = outbox.epoch
        outbox.put(1, 1, sealed)
        outbox.settle(Receipt(epoch, (1,)))
    with Outbox.open(path, max_bytes=MIB) as outbox:
        assert outbox.epoch == epoch
        assert outbox.put(1, 1, sealed) == 2
        assert outbox.totals().put_rows == 2


def test_every_new_outbox_draws_its_own_epoch(tmp_path: Path) -> None:
    epochs = set()
    for name in "abc":
        with Outbox.open(tmp_path / name, max_bytes=MIB) as outbox:
            epochs.add(outbox.epoch)
    assert len(epochs) == 3
    assert all(0 < epoch < 2**32 for epoch in epochs)


def test_a_seal_that_fails_puts_nothing_and_uses_no_sequence(outbox: Outbox) -> None:
    def broken(_epoch: int, _sequence: int) -> bytes:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        outbox.put(1, 1, broken, journal=(b"x", 5))
    assert outbox.totals().put_rows == 0
    assert outbox.restore() == (b"", 0)
    assert outbox.put(1, 1, sealed) == 1


def test_the_journal_is_the_last_one_written_alone_or_with_a_put(path: Path) -> None:
    with Outbox.open(path, max_bytes=MIB) as outbox:
        assert outbox.restore() == (b"", 0)
        outbox.journal(b"windows", 17)
        assert outbox.restore() == (b"windows", 17)
        outbox.put(1, 1, sealed, journal=(b"", 2**40))
    with Outbox.open(path, max_bytes=MIB) as outbox:
        assert outbox.restore() == (b"", 2**40)


def test_a_batch_that_no_thinning_makes_room_for_is_refused_and_changes_nothing(outbox: Outbox) -> None:
    outbox.put(1, 1, lambda *_: bytes(20_000), journal=(b"more", 7))
    with pytest.raises(OutboxFull):
        outbox.put(2, 1, lambda *_: bytes(2 * MIB), journal=(b"never", 8))
    assert outbox.totals() == Totals(1, 0, 0, 1, 1, 1)
    assert outbox.restore() == (b"more", 7)
    assert outbox.put(1, 1, lambda *_: bytes(20_000)) == 2


def test_a_second_process_is_kept_out(path: Path, outbox: Outbox) -> None:
    with pytest.raises(OutboxError, match="in use"):
        Outbox.open(path, max_bytes=MIB)
    outbox.close()
    Outbox.open(path, max_bytes=MIB).close()


def test_a_damaged_outbox_makes_room_for_a_new_one_with_its_own_epoch(path: Path) -> None:
    with Outbox.open(path, max_bytes=MIB) as outbox:
        epoch = outbox.epoch
        for number in range(40):
            outbox.put(1, number, lambda *_: bytes(3_000))
        assert outbox.broken_file is None
    octets = bytearray(path.read_bytes())
    octets[8_192:24_576] = bytes(16_384)
    path.write_bytes(octets)
    with pytest.raises(OutboxBrokenError):
        Outbox.open(path, max_bytes=MIB)
    with Outbox.open(path, max_bytes=MIB, may_renew=True) as outbox:
        assert outbox.epoch != epoch
        assert outbox.put(1, 1, sealed) == 1
        assert outbox.broken_file is not None
        assert outbox.broken_file.read_bytes() == octets


def test_an_outbox_of_a_later_layout_is_left_alone(path: Path) -> None:
    Outbox.open(path, max_bytes=MIB).close()
    with sqlite3.connect(path) as database:
        database.execute("UPDATE state SET layout = 3")
    database.close()
    with pytest.raises(OutboxError, match="layout"):
        Outbox.open(path, max_bytes=MIB, may_renew=True)


def test_a_closed_outbox_is_an_outbox_error(outbox: Outbox) -> None:
    outbox.close()
    for call in (outbox.totals, outbox.restore, lambda: outbox.pending(1), lambda: outbox.put(1, 1, sealed)):
        with pytest.raises(OutboxError):
            call()


def test_calls_from_several_threads_do_not_mix(outbox: Outbox) -> None:
    def work() -> None:
        for _ in range(20):
            sequence = outbox.put(1, 1, sealed)
            outbox.settle(Receipt(outbox.epoch, (sequence,)))
            outbox.journal(b"x", sequence)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outbox.totals() == Totals(80, 80, 0, 0, 0, None)
