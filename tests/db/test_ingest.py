import asyncio
import dataclasses
import time
from typing import Any

import numpy as np
import pytest

from server.core.flags import Flag
from server.ingest.desk import Desk
from server.ingest.page import Page
from server.ingest.parcel import Parcel
from wire.batch import Row
from wire.clock import Clock
from wire.condition import Condition
from wire.keys import encode_public, new_signing_key

pytestmark = pytest.mark.db
Town = Any  # the class of the fixture lives in conftest.py, which tests cannot import

STALE = "mimamori_ingest_refused_messages_total"


async def test_a_sighting_is_stored_placed_and_receipted(town: Town) -> None:
    at_ms = town.noon_ms
    receipts = await town.take(town.boxes["gw-1"].message(town.tags["t-1"].row(at_ms), at_ms=at_ms))
    assert [(receipt.epoch, receipt.accepted) for receipt in receipts] == [(7, (1,))]
    await town.settle(at_ms)
    assert town.ask("SELECT rows, stored, unknown, suspicious, expired FROM batch") == [(1, 1, 0, 0, 0)]
    assert town.ask("SELECT tag_id, detector_id, flags FROM sighting_by_name") == [("t-1", "gw-1", Flag.SEALED)]
    assert town.ask("SELECT ward_id, late, battery_dv, traceable FROM last_place") == [("w-1", False, 30, False)]


async def test_a_batch_seen_again_changes_nothing_and_is_receipted_again(town: Town) -> None:
    message = town.boxes["gw-1"].message(town.tags["t-1"].row(town.noon_ms), at_ms=town.noon_ms)
    first = await town.take(message, message)
    again = await town.take(message)
    assert [r.accepted for r in first] == [r.accepted for r in again] == [(1,)]
    assert town.count("sighting") == town.count("batch") == 1


async def test_reordered_batches_give_the_same_rows(town: Town) -> None:
    box, tag = town.boxes["gw-1"], town.tags["t-1"]
    times_ms = [town.noon_ms + n * 10_000 for n in range(8)]
    messages = [box.message(tag.row(ms), at_ms=ms, received_ms=town.noon_ms + 99_000) for ms in times_ms]
    await town.take(*messages[4:])
    await town.take(*messages[:4][::-1], *messages)
    assert town.count("sighting") == 8
    assert town.count("fix") == 8
    assert town.ask("SELECT (extract(epoch FROM heard_at) * 1000)::bigint FROM last_place") == [
        (town.noon_ms + 70_000,)
    ]


@pytest.mark.parametrize(("speed", "hearers"), [(1.0, 1), (60.0, 2)])
async def test_a_bucket_waits_for_what_is_under_way_as_long_as_the_town_is_fast(
    town: Town, restarted: Any, speed: float, hearers: int
) -> None:
    at_ms, tag = town.noon_ms, town.tags["t-1"]
    town.config = dataclasses.replace(town.config, clock=Clock(time.time_ns() // 1_000_000, at_ms, speed=speed))
    await town.ingest.close()
    town.ingest = restarted()
    await town.take(town.boxes["gw-1"].message(tag.row(at_ms), at_ms=at_ms))
    await town.take(town.boxes["gw-2"].message(tag.row(at_ms + 1000), at_ms=at_ms + 50_000))
    await town.settle(at_ms + 80_000)
    assert town.ask("SELECT detectors, whole FROM fix") == [(hearers, True)]


async def test_a_new_epoch_of_a_detector_starts_over(town: Town) -> None:
    box, tag = town.boxes["gw-1"], town.tags["t-1"]
    await town.take(box.message(tag.row(town.noon_ms), at_ms=town.noon_ms))
    box.epoch, box.sequence = 8, 0
    await town.take(box.message(tag.row(town.noon_ms + 1000), at_ms=town.noon_ms + 1000))
    assert town.ask("SELECT epoch, sequence FROM batch ORDER BY epoch") == [(7, 1), (8, 1)]


async def test_an_unknown_tag_is_counted_and_not_kept(town: Town) -> None:
    stranger = Row(0, b"\x99" * 8, bytes(6), -70, -70, 1, town.noon_ms, town.noon_ms)
    receipts = await town.take(town.boxes["gw-1"].message(stranger, at_ms=town.noon_ms))
    assert receipts[0].accepted == (1,)
    assert town.ask("SELECT stored, unknown FROM batch") == [(0, 1)]
    assert town.count("sighting") == 0


async def test_a_legacy_tag_is_known_and_marked_traceable(town: Town) -> None:
    row = Row(3, bytes.fromhex("0102030405060708"), None, -70, -70, 1, town.noon_ms, town.noon_ms)
    await town.take(town.boxes["gw-1"].message(row, at_ms=town.noon_ms))
    assert town.ask("SELECT flags FROM sighting") == [(Flag.STATIC_ID,)]
    await town.settle(town.noon_ms)
    assert town.ask("SELECT ward_id, traceable FROM last_place") == [("w-3", True)]


async def test_a_replayed_tag_moves_nobody(town: Town) -> None:
    tag, at_ms = town.tags["t-1"], town.noon_ms
    old = tag.row(at_ms)
    await town.take(town.boxes["gw-1"].message(old, at_ms=at_ms))
    later_ms = at_ms + 120_000
    replay = dataclasses.replace(old, first_heard_ms=later_ms, last_heard_ms=later_ms)
    await town.take(town.boxes["gw-far"].message(replay, at_ms=later_ms))
    assert town.ask("SELECT detector_id, flags FROM sighting_by_name ORDER BY ts")[1] == ("gw-far", Flag.REPLAYED)
    assert town.ask("SELECT sum(suspicious), sum(stored) FROM batch") == [(1, 2)]
    assert town.ask("SELECT lon_deg < 135 FROM last_place") == [(True,)]
    assert town.count("fix") == 1


async def test_a_forged_status_calls_nobody(town: Town) -> None:
    genuine = town.tags["t-1"].row(town.noon_ms)
    forged = dataclasses.replace(genuine, sealed=b"\x00" * 6)
    await town.take(town.boxes["gw-1"].message(forged, at_ms=town.noon_ms))
    assert town.ask("SELECT flags FROM sighting") == [(Flag.FORGED,)]
    assert town.count("last_place") == town.count("event") == 0


async def test_a_tag_without_its_status_is_not_believed_once_it_has_shown_one(town: Town) -> None:
    genuine = town.tags["t-1"].row(town.noon_ms)
    await town.take(town.boxes["gw-1"].message(genuine, at_ms=town.noon_ms))
    stripped = dataclasses.replace(town.tags["t-1"].row(town.noon_ms + 5000), kind=1, sealed=None)
    await town.take(town.boxes["gw-far"].message(stripped, at_ms=town.noon_ms + 5000))
    assert town.ask("SELECT flags FROM sighting ORDER BY ts") == [(Flag.SEALED,), (Flag.STRIPPED,)]


async def test_ingest_learns_a_tags_clock_and_keeps_it_over_a_restart(town: Town, restarted: Any) -> None:
    tag, box = town.tags["t-1"], town.boxes["gw-1"]
    tag.offset_ms += 45_000  # since provisioning the crystal has lost 45 s
    await town.take(box.message(tag.row(town.noon_ms), at_ms=town.noon_ms))
    learned = town.ask("SELECT clock_offset_ms FROM tag_state WHERE tag_id = 't-1'")[0][0]
    assert learned == pytest.approx(tag.offset_ms, abs=2_100)
    await town.ingest.close()
    town.ingest = restarted()
    hour_ms = town.noon_ms + 3_600_000
    await town.take(box.message(tag.row(hour_ms), at_ms=hour_ms))
    assert town.ask("SELECT flags FROM sighting ORDER BY ts")[1] == (Flag.SEALED,)


async def test_a_press_of_the_button_is_told_once(town: Town) -> None:
    tag, boxes = town.tags["t-1"], town.boxes
    for n in range(5):
        at_ms = town.noon_ms + n * 60_000
        await town.take(*(boxes[name].message(tag.row(at_ms, sos=True), at_ms=at_ms) for name in ("gw-1", "gw-2")))
    assert town.ask("SELECT kind, place_id FROM event") == [("sos", None)]
    assert town.ask("SELECT guardian_id, channel FROM notice ORDER BY channel") == [("g-1", "mail"), ("g-1", "push")]
    later_ms = town.noon_ms + 3_600_000
    await town.take(boxes["gw-1"].message(tag.row(later_ms, sos=True), at_ms=later_ms))
    assert town.count("event") == 2


async def _walk(town: Town, box: str, minutes: range) -> None:
    for n in minutes:
        at_ms = town.noon_ms + n * 30_000
        await town.take(town.boxes[box].message(town.tags["t-1"].row(at_ms), at_ms=at_ms))


async def test_arriving_is_told_once_and_leaving_is_kept_but_not_told_as_watched(town: Town) -> None:
    await _walk(town, "gw-far", range(3))
    await _walk(town, "gw-1", range(40, 50))
    await _walk(town, "gw-far", range(100, 110))
    assert town.ask("SELECT ward_id, place_id, kind FROM event ORDER BY at") == [
        ("w-1", "school", "arrived"),
        ("w-1", "school", "departed"),
    ]
    assert town.ask("SELECT DISTINCT e.kind FROM notice AS n JOIN event AS e ON e.id = n.event_id") == [("arrived",)]
    assert town.ask("SELECT guardian_id, channel FROM notice ORDER BY 2") == [("g-1", "mail"), ("g-1", "push")]


async def test_a_restart_in_the_middle_of_an_arrival_tells_it_once(town: Town, restarted: Any) -> None:
    await _walk(town, "gw-far", range(3))
    for n in range(40, 50):
        await _walk(town, "gw-1", range(n, n + 1))
        await town.ingest.close()
        town.ingest = restarted()
    assert town.ask("SELECT kind FROM event") == [("arrived",)]


async def test_late_data_goes_into_the_track_and_does_not_move_the_newest_place(town: Town) -> None:
    tag, now_ms = town.tags["t-1"], town.noon_ms
    await town.take(town.boxes["gw-1"].message(tag.row(now_ms), at_ms=now_ms))
    old_ms = now_ms - 7_200_000
    await town.take(town.boxes["gw-2"].message(tag.row(old_ms), at_ms=old_ms, received_ms=now_ms + 1000))
    await town.settle(now_ms + 1000)
    assert town.ask("SELECT late FROM fix ORDER BY at") == [(True,), (False,)]
    assert town.ask("SELECT (extract(epoch FROM heard_at) * 1000)::bigint FROM last_place") == [(now_ms,)]
    assert town.ask("SELECT flags FROM sighting ORDER BY ts LIMIT 1") == [(Flag.SEALED | Flag.LATE,)]


async def test_what_is_older_than_may_be_kept_is_counted_and_never_fatal(town: Town) -> None:
    tag, now_ms = town.tags["t-1"], town.noon_ms
    old_ms = now_ms - 5 * 86_400_000
    rows = (tag.row(old_ms), tag.row(now_ms))
    receipts = await town.take(town.boxes["gw-1"].message(*rows, at_ms=now_ms))
    assert receipts[0].accepted == (1,)
    assert town.ask("SELECT rows, stored, unknown, expired FROM batch") == [(2, 1, 0, 1)]


async def test_a_jump_that_nobody_could_make_is_kept_apart(town: Town) -> None:
    tag, now_ms = town.tags["t-1"], town.noon_ms
    await town.take(town.boxes["gw-1"].message(tag.row(now_ms), at_ms=now_ms))
    await town.take(town.boxes["gw-far"].message(tag.row(now_ms + 20_000), at_ms=now_ms + 20_000))
    await town.settle(now_ms + 20_000)
    assert town.count("fix") == town.count("doubtful_fix") == 1
    assert town.ask("SELECT lon_deg < 135 FROM last_place") == [(True,)]


async def test_a_phone_says_where_it_was_and_a_fix_stands_there(town: Town) -> None:
    row = dataclasses.replace(
        town.tags["t-2"].row(town.noon_ms), lat_deg=34.76, lon_deg=134.85, position_accuracy_m=12.0
    )
    await town.take(town.boxes["phone-1"].message(row, at_ms=town.noon_ms))
    await town.settle(town.noon_ms)
    assert town.ask("SELECT lat_deg, lon_deg FROM last_place") == [(pytest.approx(34.76), pytest.approx(134.85))]
    assert town.ask("SELECT lat_deg, accuracy_m FROM sighting") == [(34.76, 12.0)]


async def test_a_detector_hours_ahead_is_put_right_and_flagged(town: Town) -> None:
    ahead_ms = town.noon_ms + 5 * 3_600_000
    row = dataclasses.replace(town.tags["t-1"].row(town.noon_ms), first_heard_ms=ahead_ms, last_heard_ms=ahead_ms)
    await town.take(town.boxes["gw-1"].message(row, at_ms=ahead_ms, received_ms=town.noon_ms))
    assert town.ask("SELECT flags, (extract(epoch FROM ts) * 1000)::bigint FROM sighting") == [
        (Flag.SEALED | Flag.CLOCK_CORRECTED, town.noon_ms)
    ]
    assert town.ask("SELECT learned_at FROM tag_state") == []


async def test_a_detector_hours_behind_is_put_right_by_its_heartbeats(town: Town) -> None:
    box, behind_ms = town.boxes["gw-1"], 3 * 3_600_000
    for n in range(3):
        at_ms = town.noon_ms + n * 30_000
        await town.take(box.beat(at_ms - behind_ms, at_ms))
    assert town.ask("SELECT clock_offset_ms FROM detector_health") == [(behind_ms,)]
    at_ms = town.noon_ms + 90_000
    said_ms = at_ms - behind_ms
    row = dataclasses.replace(town.tags["t-1"].row(at_ms), first_heard_ms=said_ms, last_heard_ms=said_ms)
    await town.take(box.message(row, at_ms=said_ms, received_ms=at_ms))
    assert town.ask("SELECT flags, (extract(epoch FROM ts) * 1000)::bigint FROM sighting") == [
        (Flag.SEALED | Flag.CLOCK_CORRECTED, at_ms)
    ]


async def test_the_condition_of_a_heartbeat_is_kept_and_one_without_leaves_none(town: Town) -> None:
    box = town.boxes["gw-1"]
    condition = Condition(is_clock_synced=False, disk_free_mb=17, camera="no-mask", footage_chain=bytes(32))
    await town.take(box.beat(town.noon_ms, town.noon_ms, condition))
    query = "SELECT is_clock_synced, disk_free_mb, camera, footage_chain, temp_cdeg FROM detector_health"
    assert town.ask(query) == [(False, 17, "no-mask", bytes(32), None)]
    await town.take(box.beat(town.noon_ms + 30_000, town.noon_ms + 30_000))
    assert town.ask(query) == [(None, None, None, None, None)]


@pytest.mark.parametrize("is_restarted", [False, True])
async def test_heartbeats_that_are_played_back_teach_nothing(town: Town, restarted: Any, *, is_restarted: bool) -> None:
    box = town.boxes["gw-1"]
    recorded = [box.beat(at_ms, at_ms) for at_ms in range(town.noon_ms, town.noon_ms + 120_000, 30_000)]
    await town.take(*recorded)
    if is_restarted:
        await town.ingest.close()
        town.ingest = restarted()
    later_ms = 3 * 3_600_000
    again = [dataclasses.replace(beat, received_ms=beat.received_ms + later_ms) for beat in recorded]
    for beat in again:
        await town.take(beat)
    assert town.ask(
        "SELECT clock_offset_ms, (extract(epoch FROM received_at) * 1000)::bigint FROM detector_health"
    ) == [(0, town.noon_ms + 90_000)]
    assert town.ingest.metrics.registry.get_sample_value(STALE, {"reason": "stale"}) == len(again)


async def test_heartbeats_that_waited_in_a_queue_are_not_taken_for_a_slow_clock(town: Town) -> None:
    box = town.boxes["gw-1"]
    await town.take(*(box.beat(town.noon_ms - 3_600_000 + n * 30_000, town.noon_ms) for n in range(20)))
    assert town.ask("SELECT clock_offset_ms FROM detector_health") == [(0,)]


async def test_a_tag_that_lost_its_clock_is_found_again_only_when_marked(town: Town) -> None:
    tag, box = town.tags["t-1"], town.boxes["gw-1"]
    await town.take(box.message(tag.row(town.noon_ms), at_ms=town.noon_ms))
    tag.offset_ms += 20 * 3_600_000  # a new battery: 20 hours behind
    at_ms = town.noon_ms + 600_000
    await town.take(box.message(tag.row(at_ms, clock_lost=True), at_ms=at_ms))
    assert town.ask("SELECT unknown FROM batch ORDER BY sequence") == [(0,), (1,)]
    town.ask("UPDATE tag_state SET clock_lost = true")
    town.ask("UPDATE registry_version SET version = version + 1")
    await town.take(box.message(tag.row(at_ms + 4000, clock_lost=True), at_ms=at_ms + 4000))
    await town.take(box.message(tag.row(at_ms + 8000), at_ms=at_ms + 8000))
    assert town.ask("SELECT unknown FROM batch ORDER BY sequence") == [(0,), (1,), (0,), (0,)]
    assert town.ask("SELECT clock_lost FROM tag_state") == [(False,)]


async def test_a_detector_enrolled_later_gets_what_it_kept_taken(town: Town) -> None:
    box = dataclasses.replace(town.boxes["gw-1"], id="gw-new", key=new_signing_key())
    message = box.message(town.tags["t-1"].row(town.noon_ms), at_ms=town.noon_ms)
    assert await town.take(message) == []
    assert town.ask("SELECT reason, topic_detector FROM dead_letter") == [("not-enrolled", "gw-new")]
    enrolled = {**town.registry["detectors"][0], "id": "gw-new", "public_key": encode_public(box.key.public_key())}
    await town.import_again({**town.registry, "detectors": [*town.registry["detectors"], enrolled]})
    assert [receipt.accepted for receipt in await town.take(message)] == [(1,)]


async def test_one_transaction_holds_all_or_nothing(town: Town) -> None:
    town.ask("ALTER TABLE notice ADD CONSTRAINT broken CHECK (false) NOT VALID")
    message = town.boxes["gw-1"].message(town.tags["t-1"].row(town.noon_ms, sos=True), at_ms=town.noon_ms)
    assert await town.take(message) == []
    for table in ("batch", "sighting", "fix", "last_place", "event", "notice", "tag_state"):
        assert town.count(table) == 0
    town.ask("ALTER TABLE notice DROP CONSTRAINT broken")
    assert [receipt.accepted for receipt in await town.take(message)] == [(1,)]
    assert town.count("notice") == 2


async def test_one_bad_batch_does_not_hold_up_the_others(town: Town) -> None:
    town.ask("ALTER TABLE batch ADD CONSTRAINT no_second CHECK (sequence <> 2) NOT VALID")
    box, tag = town.boxes["gw-1"], town.tags["t-1"]
    messages = [box.message(tag.row(town.noon_ms + n * 1000), at_ms=town.noon_ms + n * 1000) for n in range(3)]
    receipts = await town.take(*messages)
    assert sorted(number for receipt in receipts for number in receipt.accepted) == [1, 3]
    assert town.count("sighting") == 2


@pytest.mark.parametrize(
    "mishap",
    [
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'ingest' AND pid <> pg_backend_pid()",
        "UPDATE registry_version SET version = version + 1",
    ],
    ids=["connection", "registry"],
)
async def test_what_is_in_hand_when_a_commit_fails_is_committed_once_and_receipted(town: Town, mishap: str) -> None:
    box, tag = town.boxes["gw-1"], town.tags["t-1"]
    messages = [box.message(tag.row(town.noon_ms + n * 1000), at_ms=town.noon_ms + n * 1000) for n in range(4)]
    await town.take(messages[0])
    engine = town.ingest._desk.engine
    parcels = [await town.open(message) for message in messages[1:]]
    town.ask(mishap)
    before = len(town.bag.published)
    for parcel in parcels:
        await town.ingest.take_up(parcel, town.bag)
    await town.ingest.finish()
    await town.ingest.settle()
    assert town.ingest._desk.engine is not engine
    assert town.ask("SELECT sequence, stored FROM batch ORDER BY 1") == [(n, 1) for n in (1, 2, 3, 4)]
    assert town.ask("SELECT sum(count) FROM sighting") == [(12,)]
    assert {number for receipt in town.receipts(before) for number in receipt.accepted} == {2, 3, 4}


async def test_a_registry_that_changes_on_the_way_is_read_again(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    changes, think = [1, 2, 3, 4], Desk.think

    async def change_and_think(desk: Desk, *args: Any) -> Page:
        if changes:
            changes.pop()
            town.ask("UPDATE registry_version SET version = version + 1")
        return await think(desk, *args)

    monkeypatch.setattr(Desk, "think", change_and_think)
    message = town.boxes["gw-1"].message(town.tags["t-1"].row(town.noon_ms), at_ms=town.noon_ms)
    receipts = await town.take(message)
    changes += [1, 2]
    await town.settle(town.noon_ms)  # nothing has arrived, only time has passed
    assert not changes
    assert [receipt.accepted for receipt in receipts] == [(1,)]
    assert (town.count("batch"), town.count("fix")) == (1, 1)
    assert town.ingest.metrics.batches.labels("failed")._value.get() == 0


async def test_a_batch_asked_for_in_the_database_meets_what_is_under_way(town: Town) -> None:
    box, tag = town.boxes["gw-2"], town.tags["t-1"]
    message = box.message(tag.row(town.noon_ms), at_ms=town.noon_ms)
    await town.take()  # there is a desk, which has not heard of the detector
    for parcel in [await town.open(message), await town.open(message)]:
        await town.ingest.take_up(parcel, town.bag)
    await town.ingest.finish()
    assert town.count("batch") == town.count("sighting") == 1


async def test_a_second_ingest_waits_until_the_first_is_gone(town: Town, restarted: Any) -> None:
    box, tag = town.boxes["gw-1"], town.tags["t-1"]
    await town.take(box.message(tag.row(town.noon_ms), at_ms=town.noon_ms))
    spare = restarted()
    message = box.message(tag.row(town.noon_ms + 1000), at_ms=town.noon_ms + 1000)
    waiting = asyncio.create_task(spare.work_off(Parcel([message]), town.bag))
    await asyncio.sleep(0.3)
    assert town.count("batch") == 1
    await town.ingest.close()
    await asyncio.wait_for(waiting, 10)
    assert town.count("batch") == 2
    await spare.close()


async def test_connections_that_are_cut_lose_and_double_nothing(town: Town) -> None:
    box, tag = town.boxes["gw-1"], town.tags["t-1"]
    messages = [box.message(tag.row(town.noon_ms + n * 1000), at_ms=town.noon_ms + n * 1000) for n in range(60)]
    rng = np.random.default_rng(5)
    query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'mimamori-ingest'"

    async def cut() -> None:
        for _ in range(15):
            await asyncio.sleep(float(rng.uniform(0.005, 0.08)))
            await asyncio.to_thread(town.ask, query)

    cutting = asyncio.create_task(cut())
    accepted: set[int] = set()
    for start in range(0, 60, 3):
        for receipt in await town.take(*messages[start : start + 3]):
            accepted |= set(receipt.accepted)
    await cutting
    assert accepted == set(range(1, 61))
    assert (town.count("batch"), town.ask("SELECT sum(count) FROM sighting")) == (60, [(60 * 3,)])
