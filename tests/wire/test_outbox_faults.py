"""The outbox under kill -9, a full disk and a power cut."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from wire.errors import OutboxError
from wire.messages import Receipt
from wire.outbox import Outbox, OutboxFull

MIB = 1 << 20
ROOT = Path(__file__).parents[2]
PUTTER = """
import os, sys
from wire.messages import Receipt
from wire.outbox import Outbox
outbox = Outbox.open(sys.argv[1], max_bytes=1 << 26)
number = outbox.restore()[1]
while True:
    number += 1
    sequence = outbox.put(2, number, lambda epoch, one: b"%d/%d" % (epoch, one) * 200, journal=(b"", number))
    os.write(1, b"put %d\\n" % sequence)
    outbox.journal(b"open windows" * 50, number)
    os.write(1, b"journal %d\\n" % number)
    if sequence % 10 == 0:
        outbox.settle(Receipt(outbox.epoch, (sequence - 5,)))
        os.write(1, b"settled %d\\n" % (sequence - 5))
"""


def killed_after(path: Path, seconds: float) -> list[tuple[str, int]]:
    """Return what a process said it had done before it was killed at a moment that it did not choose."""
    with subprocess.Popen([sys.executable, "-c", PUTTER, str(path)], stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        said = first + process.stdout.read()
    words = [line.split() for line in said.decode().split("\n")[:-1]]
    return [(what, int(number)) for what, number in words]


def test_no_acknowledged_put_is_lost_to_kill_9(tmp_path: Path) -> None:
    chance = random.Random(7)
    path = tmp_path / "outbox.db"
    put: set[int] = set()
    settled: set[int] = set()
    unsaid: set[int] = set()  # each kill may have come between a receipt and its being said
    for _ in range(6):
        said = killed_after(path, chance.uniform(0.02, 0.3))
        put |= {number for what, number in said if what == "put"}
        settled |= {number for what, number in said if what == "settled"}
        journal = max(number for what, number in said if what != "settled")
        with Outbox.open(path, max_bytes=1 << 26) as outbox:
            found = {batch.sequence: batch.payload for batch in outbox.pending(100_000)}
            totals, epoch = outbox.totals(), outbox.epoch
            assert outbox.restore()[1] >= journal
        unsaid.add(max(put) - 5)
        assert put - settled - set(found) <= unsaid
        assert not settled & set(found)
        assert all(payload == f"{epoch}/{sequence}".encode() * 200 for sequence, payload in found.items())
        assert totals.put_rows == totals.accepted_rows + totals.pending_rows
        assert totals.put_rows >= 2 * len(put)


def fill(outbox: Outbox, octets: int) -> int:
    put = 0
    try:
        while True:
            outbox.put(1, 1, lambda _epoch, _sequence: os.urandom(octets))
            put += 1
    except OutboxFull:
        return put


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 1 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("a disk of 1 MB is mounted by root alone")
    done = subprocess.run([mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=False, capture_output=True)
    if done.returncode != 0:
        pytest.skip("this machine lets nobody mount a tmpfs")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_refuses_new_batches_and_books_receipts(tiny_disk: Path) -> None:
    with Outbox.open(tiny_disk / "outbox.db", max_bytes=64 * MIB) as outbox:
        put = fill(outbox, 20_000)
        assert put > 5
        totals = outbox.totals()
        assert (totals.put_rows, totals.pending_batches) == (put, put)
        for sequence in range(1, put + 1):
            assert outbox.settle(Receipt(outbox.epoch, (sequence,))).accepted_rows == 1
        assert outbox.totals().pending_batches == 0
        assert outbox.put(1, 1, lambda _epoch, _sequence: bytes(20_000)) == put + 1


def test_a_disk_filled_by_others_neither_stops_a_start_nor_a_receipt(tiny_disk: Path) -> None:
    path = tiny_disk / "outbox.db"
    with Outbox.open(path, max_bytes=64 * MIB) as outbox:
        for _ in range(3):
            outbox.put(1, 1, lambda _epoch, _sequence: bytes(20_000))
    stuffing = tiny_disk / "log"
    with pytest.raises(OSError, match="space"):
        stuffing.write_bytes(bytes(2 * MIB))
    with Outbox.open(path, max_bytes=64 * MIB) as outbox:
        assert outbox.settle(Receipt(outbox.epoch, (1,))).accepted_rows == 1
        fill(outbox, 20_000)
        assert {2, 3} <= {batch.sequence for batch in outbox.pending(100)}
        stuffing.unlink()
        outbox.put(1, 1, lambda _epoch, _sequence: bytes(20_000))


def test_a_disk_that_can_only_be_read_is_an_outbox_error(tiny_disk: Path) -> None:
    path = tiny_disk / "outbox.db"
    with Outbox.open(path, max_bytes=MIB) as outbox:
        outbox.put(1, 1, lambda _epoch, _sequence: b"x")
    subprocess.run(["mount", "-o", "remount,ro", tiny_disk], check=True)
    with pytest.raises(OutboxError):
        Outbox.open(path, max_bytes=MIB)
    subprocess.run(["mount", "-o", "remount,rw", tiny_disk], check=True)
    with Outbox.open(path, max_bytes=MIB) as outbox:
        assert outbox.totals().pending_batches == 1


def test_a_power_cut_may_take_the_journal_but_no_put(tmp_path: Path) -> None:
    # What the disk surely holds after a put is the file and the log up to its length then; what came later may be
    # there, in part, or as noise. Cut and spoil the log behind that point in many ways: the puts are always there.
    path, cut = tmp_path / "outbox.db", tmp_path / "cut.db"
    chance = random.Random(3)
    with Outbox.open(path, max_bytes=MIB) as outbox:
        for number in range(5):
            outbox.put(1, number, lambda _epoch, _sequence: bytes(3_000), journal=(b"", number))
        log = path.with_name(path.name + "-wal")
        safe = log.stat().st_size
        for number in range(5, 9):
            outbox.journal(bytes(9_000), number)
        whole, later = path.read_bytes(), log.read_bytes()
    for _ in range(60):
        end = chance.randrange(safe, len(later) + 1)
        tail = bytearray(later[safe:end])
        for _ in range(chance.randrange(4) if tail else 0):
            tail[chance.randrange(len(tail))] ^= 0xFF
        cut.write_bytes(whole)
        cut.with_name(cut.name + "-wal").write_bytes(later[:safe] + tail)
        with Outbox.open(cut, max_bytes=MIB) as after:
            assert [batch.sequence for batch in after.pending(9)] == [1, 2, 3, 4, 5]
            assert after.restore()[1] >= 4


def test_every_put_is_synced_before_it_is_acknowledged(tmp_path: Path) -> None:
    # No journal of the kernel's to look into: SQLite's own word, for put and journal.
    with Outbox.open(tmp_path / "outbox.db", max_bytes=MIB) as outbox:
        said: list[str] = []
        outbox._file._database.set_trace_callback(said.append)
        outbox.put(1, 1, lambda _epoch, _sequence: b"x")
        outbox.journal(b"x", 1)
    pragmas = [statement for statement in said if "synchronous" in statement]
    assert pragmas == ["PRAGMA synchronous = FULL", "PRAGMA synchronous = NORMAL"]
