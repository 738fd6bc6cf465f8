import hashlib
from collections.abc import Callable

import numpy as np

from firmware_sim.air import Air
from firmware_sim.people import DRILL_S, PUPILS, YUI
from firmware_sim.strangers import SHOPS, Strangers
from wire import frames
from wire.formats import Formats

NewAir = Callable[[], Air]


def _digest(air: Air, seconds: int) -> str:
    packets = hashlib.sha256()
    for _ in range(seconds):
        heard = air.step()
        for column in (heard.receivers, heard.emitters, heard.at_us, heard.rssi_dbm, heard.channels):
            packets.update(column.tobytes())
        for emitter, at_us, is_telemetry in zip(heard.emitters, heard.at_us, heard.is_telemetry, strict=True):
            packets.update(b"".join(air.advert(int(emitter), int(at_us), is_telemetry=bool(is_telemetry))))
    return packets.hexdigest()


def test_the_same_seed_and_start_give_the_same_packets(new_air: NewAir) -> None:
    assert _digest(new_air(), 20) == _digest(new_air(), 20)


def test_who_listens_changes_nothing_for_the_others(new_air: NewAir) -> None:
    all_air, some_air = new_air(), new_air()
    listening = np.arange(len(all_air.receivers)) % 3 == 0
    for _ in range(20):
        everything, part = all_air.step(), some_air.step(listening)
        kept = listening[everything.receivers]
        assert everything.at_us[kept].tolist() == part.at_us.tolist()
        assert everything.rssi_dbm[kept].tolist() == part.rssi_dbm.tolist()


def test_packets_come_in_order_within_their_second_and_above_the_floor(new_air: NewAir) -> None:
    air = new_air()
    for _ in range(10):
        start_us = air.now_ms * 1000
        heard = air.step()
        assert (np.diff(heard.at_us) >= 0).all()
        assert heard.at_us.min() >= start_us
        assert heard.at_us.max() < start_us + 1_000_000
        assert heard.rssi_dbm.min() >= -92
        assert set(heard.channels.tolist()) <= {37, 38, 39}


def test_near_tags_are_heard_better_than_far_ones(new_air: NewAir) -> None:
    air = new_air()
    gaps, strengths = [], []
    for _ in range(60):
        heard = air.step()
        where = air.positions(air.now_ms - 500)
        tags = heard.emitters < 200
        east_m = air._rx_m[heard.receivers[tags], 0] - where.x_m[heard.emitters[tags]]
        north_m = air._rx_m[heard.receivers[tags], 1] - where.y_m[heard.emitters[tags]]
        gaps += np.hypot(east_m, north_m).tolist()
        strengths += heard.rssi_dbm[tags].tolist()
    assert max(gaps) < 181
    assert np.corrcoef(np.log10(np.maximum(gaps, 1)), strengths)[0, 1] < -0.5


def test_yui_is_heard_all_along_her_way(new_air: NewAir) -> None:
    air = new_air()
    silence = longest = 0
    by = set()
    for _ in range(20 * 60):
        heard = air.step()
        mine = heard.receivers[heard.emitters == YUI]
        by |= set(mine.tolist())
        silence = 0 if mine.size else silence + 1
        longest = max(longest, silence)
    assert longest < 90
    assert sum(air.receivers[number].kind == "fixed" for number in by) >= 5


def test_the_drill_is_heard_as_a_burst(new_air: NewAir) -> None:
    air = new_air()
    heard_s = [int((air.step().emitters == PUPILS).sum()) for _ in range(46)]
    pressed = DRILL_S - (7 * 3600 + 40 * 60)
    assert sum(heard_s[pressed : pressed + 20]) > 4 * max(1, sum(heard_s[:pressed]))
    assert air.fleet.is_sos(air.now_ms)[PUPILS]
    assert int(air.fleet.is_sos(air.now_ms).sum()) == 1


def test_nothing_of_a_stranger_is_in_an_enrolled_format_but_plain_ids() -> None:
    strangers = Strangers(7, 0, np.random.default_rng(1))
    formats = Formats.parse(["eid"])
    adverts = [strangers.advert(number, 1e6) for number in range(strangers.count)]
    decoded = [frames.decode(advert.data) for advert in adverts]
    accepted = [frame for frame in decoded if frame is not None and formats.accepts(frame)]
    assert 0 < len(accepted) < strangers.count - SHOPS
    assert all(isinstance(frame, frames.EidFrame) and frame.sealed is None for frame in accepted)
    assert all(len(advert.data) <= 31 for advert in adverts)
    assert strangers.advert(SHOPS, 1e6).address != strangers.advert(SHOPS, 2e6).address


def test_a_new_day_begins_at_midnight_where_the_old_one_ended(new_air: NewAir) -> None:
    air = new_air()
    air.skip(int((24 - 7 - 40 / 60) * 3_600_000) - 2_000)
    before = air.positions(air.now_ms)
    for _ in range(4):
        air.step()
    after = air.positions(air.now_ms)
    assert np.hypot(after.x_m - before.x_m, after.y_m - before.y_m).max() < 1
