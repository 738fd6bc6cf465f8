"""A radio that is no tag's friend: ten thousand advertisements a second, and a tag among them."""

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import Sized
from typing import Any

import pytest

from edge import sight as sights
from edge.agent import Agent
from edge.sight import Sight
from wire import crowd
from wire.formats import Formats
from wire.frames import EidFrame, encode
from wire.merge import Merge

RATE = 10_000
TAG = b"real tag"
START_MS = 1_800_000_000_000


def garbage(draw: random.Random) -> bytes:
    return draw.randbytes(draw.randrange(1, 31))


def stranger(draw: random.Random) -> bytes:
    return encode(EidFrame(-10, draw.randbytes(8), draw.randbytes(6)))


def one_id(draw: random.Random) -> bytes:
    return encode(EidFrame(-10, b"just one", draw.randbytes(6)))


def twice(draw: random.Random) -> bytes:
    return encode(EidFrame(-10, draw.randrange(40_000).to_bytes(8, "big"), draw.randbytes(6)))


KINDS = {"garbage": garbage, "strangers": stranger, "one id": one_id, "each several times": twice}


def flood(sight: Sight, kind: str, seconds: int, *, has_tag: bool = True) -> list[int]:
    """Hear the flood, and the tag once a second; return the seconds in which the tag was told."""
    draw, told = random.Random(1), []
    pool = [KINDS[kind](draw) for _ in range(RATE)]
    for second in range(seconds):
        at_ms = START_MS + second * 1000
        for n, data in enumerate(pool):
            if n == RATE // 2 and has_tag:
                sight.hear(encode(EidFrame(-10, TAG, b"sealed")), -80, at_ms=at_ms + 500, address=b"tag")
            octets = KINDS[kind](draw) if kind == "strangers" else data
            sight.hear(octets, -30, at_ms=at_ms + n // 10, address=draw.randbytes(6))
        sight.merge.close_due(at_ms + 1000)
        if any(row.id == TAG for row in sight.merge.ready):
            told.append(second)
        sight.merge.settle(len(sight.merge.ready))
    return told


@pytest.mark.parametrize("kind", KINDS)
def test_a_tag_heard_every_second_is_told_of_in_every_window_of_a_flood(kind: str) -> None:
    sight = Sight(Formats.parse(["eid"]), Merge(10_000))
    flood(sight, "strangers", 1, has_tag=False)  # the table is full before the tag comes by
    told = flood(sight, kind, 12)
    assert told[0] <= 3
    assert told[-1] >= 9


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_flood_leaves_in_memory_has_a_limit(kind: str) -> None:
    sight = Sight(Formats.parse(["eid"]), Merge(10_000, max_rows=2_000))
    flood(sight, kind, 2)
    tables: tuple[Sized, ...] = (sight._sounds, sight._owners, sight._last, sight.merge._tags, sight.merge.ready)
    limits = (sights.CACHED_FRAMES, sights.CACHED_ADDRESSES, sights.CACHED_ADDRESSES, 2_000, 2_000)
    assert all(len(table) <= limit for table, limit in zip(tables, limits, strict=True))
    assert len(sight.merge._seats._in_turn) <= 2_000
    assert len(sight.merge._knocks._slots) in {0, crowd.SLOTS}


def test_everything_that_a_flood_brought_is_counted() -> None:
    sight = Sight(Formats.parse(["eid"]), Merge(10_000))
    for kind in KINDS:
        flood(sight, kind, 1)
    assert sight.advertisements == len(KINDS) * (RATE + 1)
    assert sight.accepted + sight.dropped.total() == sight.advertisements
    assert set(sight.dropped) <= {"malformed", "not-enrolled", "too-many"}


async def test_under_a_flood_the_loop_still_beats_and_rows_go_to_disk(gateway: Any, radio: Any) -> None:
    agent = Agent.open(gateway("gw-1", radio=radio.path))
    keeping = asyncio.create_task(agent.keeper.run())
    draw, beats, ends_s = random.Random(2), list[float](), time.monotonic() + 4
    pool = [stranger(draw) for _ in range(20_000)]

    async def beat() -> None:
        while True:
            agent.health.heartbeat().encode()
            beats.append(time.monotonic())
            await asyncio.sleep(0.1)

    beating = asyncio.create_task(beat())
    try:
        while time.monotonic() < ends_s:
            for _ in range(100):
                now_ms = time.time_ns() // 1_000_000
                agent.keeper.sight.hear(draw.choice(pool), -50, at_ms=now_ms, address=draw.randbytes(6))
            await asyncio.sleep(0)
    finally:
        beating.cancel()
        keeping.cancel()
    gaps_s = [after - before for before, after in itertools.pairwise(beats)]
    counts: Counter[str] = agent.keeper.sight.dropped
    agent.close()
    assert agent.keeper.sight.advertisements > 5_000
    assert counts["too-many"] > 0
    assert len(beats) > 5
    assert max(gaps_s) < 3
