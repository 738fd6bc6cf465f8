"""Killed after any step, ingest starts from the tables with the state that it had: compared array by array."""

import dataclasses
import random
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from server.core.engine import Engine
from server.core.kernels import fences, fix
from server.core.kernels.suppress import COUNT_SHIFT, DETECTOR_SHIFT, FIELD, NEWEST_SHIFT, RSSI_SHIFT
from wire.clock import Clock

pytestmark = [pytest.mark.db, pytest.mark.timeout(240)]
Town = Any  # the class of the fixture lives in conftest.py, which tests cannot import
TABLES = (
    "SELECT tag_index, detector_index, ts, first_at, count, flags, battery_dv FROM sighting",
    "SELECT ward_id, bucket_at, at, lat_deg, lon_deg, accuracy_m, detectors, whole FROM fix",
    "SELECT ward_id, bucket_at, at, lat_deg, lon_deg FROM doubtful_fix",
    "SELECT * FROM last_place",
    "SELECT * FROM held_place",
    "SELECT * FROM presence",
    "SELECT * FROM tag_state",
    "SELECT ward_id, place_id, kind, at FROM event",
    "SELECT * FROM core_watermark",
)


def _lines(engine: Engine) -> list[tuple[Any, ...]]:
    """Open buckets: each tag's newest ms, and each detector that heard it with its strength and where it was."""
    openings, ring, found = engine.placing.openings, engine.placing.poses.ring.reshape(-1, 4), []
    newest, first = (int(number) for number in openings.newest)
    for bucket in range(first, newest + 1):
        place = bucket & (openings.places - 1)
        for slot in range(int(openings.used[place])):
            header, *words = openings.lines[place * openings.pool + slot * 8 :][:8].tolist()
            words = words[: header >> COUNT_SHIFT & 15]
            hearers = sorted(
                (w >> DETECTOR_SHIFT & FIELD, w >> RSSI_SHIFT, tuple(ring[w & FIELD].tolist() if w & FIELD else ()))
                for w in words
            )
            found.append((bucket, header & 0xFFFFFFFF, header >> NEWEST_SHIFT, hearers))
    return sorted(found)


def _state(engine: Engine) -> dict[str, Any]:
    """Everything that later steps build on, free of where in memory it happens to lie."""
    tags = np.arange(len(engine.told_ms), dtype=np.int32)
    placing, watches = engine.placing, np.arange(len(engine.watched.wards), dtype=np.int32)
    is_held, held = fix.held(placing.last, tags)
    open_tags = sorted({line[1] for line in _lines(engine)})
    return {
        "newest": placing.openings.newest.tolist(),
        "lines": _lines(engine),
        "last": placing.last.words.reshape(-1, 8)[:, [0, 1, 2, 3, 4]].tolist(),
        "held": (is_held.tolist(), [column.tolist() for column in held], engine._is_held.tolist()),
        "watches": [column.tolist() for column in fences.standing(placing.watches, watches)],
        "listed": sorted(placing.watches.listed[: 2 * placing.watches.counts[0]].reshape(-1, 2).tolist()),
        "clocks": engine.resolver.clocks.words.reshape(-1, 8)[:, [0, 1, 2, 3, 4, 5, 7]].tolist(),
        "ids": placing.table.ids.reshape(-1, 4)[:, :3].tolist(),
        "presses": dict(engine._presses),
        "told": [(tag, int(engine.told_ms[tag]), int(engine.told_flags[tag])) for tag in open_tags],
        "cells": sorted(placing.cells.keys[placing.cells.counts[:-1] > 0].tolist()),
    }


def _messages(town: Town, chance: random.Random, at_ms: int) -> list[Any]:
    """What arrives in a few seconds: from near and far, fixed and moving, in time, late, twice, doubtful."""
    made = []
    for _ in range(chance.randint(0, 4)):
        box = town.boxes[chance.choice(["gw-1", "gw-2", "gw-1", "gw-far", "phone-1"])]
        rows = []
        for _ in range(chance.randint(1, 4)):
            tag = town.tags[chance.choice(["t-1", "t-2"])]
            heard_ms = at_ms - chance.choice([0, 500, 3_000, 9_000, 14_000, 40_000, 700_000])
            row = tag.row(heard_ms, rssi_dbm=chance.choice([-90, -70, -70, -60]), sos=chance.random() < 0.1)
            if chance.random() < 0.1:
                row = dataclasses.replace(row, sealed=bytes(6))
            if box.id == "phone-1" and chance.random() < 0.8:
                lat_deg = 34.75 + chance.choice([0, 0.0005, 0.001])
                row = dataclasses.replace(row, lat_deg=lat_deg, lon_deg=134.84, position_accuracy_m=8.0)
            rows.append(row)
        made.append(box.message(*rows, at_ms=at_ms))
    return made


@pytest.mark.parametrize(("seed", "speed"), [*((seed, 1e-5) for seed in range(6)), (6, 60.0), (7, 60.0)])
async def test_a_process_killed_after_any_step_goes_on_as_if_it_had_not_been(
    town: Town, restarted: Callable[[], Any], seed: int, speed: float
) -> None:
    chance, at_ms = random.Random(seed), town.noon_ms
    town.config = dataclasses.replace(town.config, clock=Clock(time.time_ns() // 1_000_000, at_ms, speed=speed))
    await town.ingest.close()
    town.ingest = restarted()
    await town.ingest._ready()  # by this clock, not by that of `settle`
    for _ in range(40):
        at_ms += chance.choice([1_000, 2_500, 6_000, 11_000, 30_000, 200_000])
        messages = _messages(town, chance, at_ms)
        if messages:
            await town.take(*messages, *chance.sample(messages, 1))
        else:
            await town.settle(at_ms)
        if town.ingest._desk is None or not town.ingest._desk.engine.received_ms or chance.random() < 0.4:
            continue  # there is nothing yet to forget
        before = _state(town.ingest._desk.engine)
        await town.ingest.close()
        town.ingest = restarted()
        await town.ingest._ready()
        engine = town.ingest._desk.engine
        engine.resolver.ids.go_on(int(before["newest"][0]) * 10_000)
        after = _state(engine)
        for part in before:
            assert after[part] == before[part], part


@pytest.mark.parametrize("seed", range(3))
async def test_the_tables_are_the_same_with_and_without_kills(
    town: Town, restarted: Callable[[], Any], seed: int
) -> None:
    chance, at_ms, steps = random.Random(seed), town.noon_ms, []
    still_noon = Clock(time.time_ns() // 1_000_000, at_ms, speed=1e-5)  # no hour is over, so none is sealed
    town.config = dataclasses.replace(town.config, clock=still_noon)
    await town.ingest.close()
    town.ingest = restarted()
    for _ in range(30):
        at_ms += chance.choice([1_000, 2_500, 6_000, 11_000, 30_000, 200_000])
        steps.append((at_ms, _messages(town, chance, at_ms)))
    found = []
    for kills in (0.0, 0.5):
        for number, (now_ms, messages) in enumerate(steps):
            if messages:
                await town.take(*messages)
            else:
                await town.settle(now_ms)
            if random.Random(seed * 1000 + number).random() < kills:
                await town.ingest.close()
                town.ingest = restarted()
        await town.settle(at_ms + 400_000)
        found.append([sorted(map(repr, town.ask(query))) for query in TABLES])
        await town.ingest.close()
        town.ask(
            "TRUNCATE sighting, fix, doubtful_fix, last_place, held_place, presence, tag_state, notice, event, batch,"
            " core_watermark"
        )
        town.ingest = restarted()
    for query, without, with_kills in zip(TABLES, *found, strict=True):
        assert with_kills == without, query
