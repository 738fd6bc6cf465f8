"""Sightings that come days late: what is kept, what is counted as expired, and in which order batches may come."""

from typing import Any

import pytest

from server.store import retention

pytestmark = pytest.mark.db
Town = Any  # the class of the fixture lives in conftest.py, which tests cannot import
HOUR_MS = 3_600_000


async def test_what_was_heard_72_hours_ago_is_stored_and_placed_and_73_hours_by_the_day(town: Town) -> None:
    tag, box, now_ms = town.tags["t-1"], town.boxes["gw-1"], town.noon_ms
    ages_ms = [72 * HOUR_MS, 73 * HOUR_MS, now_ms - retention.first_kept_ms(now_ms)]
    for age_ms in ages_ms:
        await town.take(box.message(tag.row(now_ms - age_ms), at_ms=now_ms - age_ms, received_ms=now_ms))
    assert town.ask("SELECT sum(stored)::int, sum(expired)::int FROM batch") == [(3, 0)]
    assert town.count("sighting") == 3


async def test_what_is_older_than_the_days_that_are_kept_is_receipted_and_counted_as_expired(town: Town) -> None:
    tag, box, now_ms = town.tags["t-1"], town.boxes["gw-1"], town.noon_ms
    heard_ms = retention.first_kept_ms(now_ms) - 1
    receipts = await town.take(box.message(tag.row(heard_ms), at_ms=heard_ms, received_ms=now_ms))
    assert receipts[0].accepted == (1,)
    assert town.ask("SELECT rows, stored, expired FROM batch") == [(1, 0, 1)]
    assert town.count("sighting") == 0


async def test_gaps_in_the_sequence_and_batches_far_behind_are_taken_once(town: Town) -> None:
    tag, box, now_ms = town.tags["t-1"], town.boxes["gw-1"], town.noon_ms
    messages = {}
    for sequence in (900_000, 3, 899_000, 1, 450_000, 2):
        box.sequence = sequence - 1
        messages[sequence] = box.message(tag.row(now_ms - sequence * 100), at_ms=now_ms, received_ms=now_ms)
    for sequence in (900_000, 3, 899_000, 1, 450_000, 2, 3, 1):
        (receipt,) = await town.take(messages[sequence])
        assert receipt.accepted == (sequence,)
    assert town.ask("SELECT count(*)::int, sum(stored)::int FROM batch") == [(6, 6)]
