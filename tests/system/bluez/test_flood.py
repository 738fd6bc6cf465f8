"""Thousands of random addresses a second over the real D-Bus and bleak's real back end."""

import asyncio
import itertools
import random
import time
from typing import Any

import pytest

from wire.frames import EidFrame, encode
from wire.merge import Merge

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

TAG = "C0:00:00:00:00:01"
EID = b"\xa9\xb7\x6a\x71\xc5\xf8\x92\x90"
FRAME = encode(EidFrame(-10, EID, b"sealed"))
FLOOD = 6_000


def settled(merge: Merge) -> int:
    """Take the closed rows away, as a keeper does, and return the tag's packets in them."""
    packets = sum(row.count for row in merge.ready if row.id == EID)
    merge.settle(len(merge.ready))
    return packets


async def test_a_flood_of_random_addresses_stops_neither_the_loop_nor_a_tag(
    bluez: Any, scanning: Any, until: Any
) -> None:
    draw, beats, told = random.Random(3), [time.monotonic()], 0

    async def beat() -> None:
        while True:
            await asyncio.sleep(0.05)
            beats.append(time.monotonic())

    async with scanning() as scan:
        scan.sight.merge.max_rows = 1_000
        await until(lambda: bluez.discovering)
        beating = asyncio.create_task(beat())
        for n in range(FLOOD):
            address = ":".join(f"{octet:02X}" for octet in draw.randbytes(6))
            bluez.advertise(address, encode(EidFrame(-10, draw.randbytes(8), draw.randbytes(6))), -40)
            if n % 500 == 0:
                bluez.advertise(TAG, FRAME, -70 + n // 500)
                told += settled(scan.sight.merge)
            if n % 50 == 0:
                await bluez.flush()
        await until(lambda: scan.sight.advertisements == FLOOD + FLOOD // 500, 60)
        beating.cancel()
    held = scan.sight.merge
    told += settled(held)
    held.close()
    told += settled(held)
    assert told == FLOOD // 500
    assert scan.sight.dropped["too-many"] > FLOOD / 2
    assert scan.sight.accepted + scan.sight.dropped.total() == FLOOD + FLOOD // 500
    assert len(held._tags) <= 1_000
    assert max(after - before for before, after in itertools.pairwise(beats)) < 2
