import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from firmware_sim import fleet as fleets
from firmware_sim.fleet import Fleet
from firmware_sim.tag import Tag, provision
from wire import frames, status

AT_MS = 1_795_473_600_000


def _events(fleet: Fleet, seconds: int, speed_mps: float, *, from_ms: int = AT_MS) -> list[list[float]]:
    """Times of each tag's events, ms after `from_ms`."""
    rng = np.random.default_rng(2)
    times: list[list[float]] = [[] for _ in fleet.tags]
    for second in range(seconds):
        start_ms = from_ms + second * 1000
        for tags, at_ms, _ in fleet.events(start_ms, start_ms + 1000, np.full(len(fleet.tags), speed_mps), rng):
            for tag, at in zip(tags.tolist(), at_ms.tolist(), strict=True):
                times[tag].append(at - from_ms)
    return times


def _fleet(tags: Sequence[Tag]) -> Fleet:
    return Fleet(tags, AT_MS, np.random.default_rng(1))


def _delays_ms(times: list[list[float]], interval_ms: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    gaps = np.concatenate([np.diff(row) for row in times])
    # The few longer gaps are the new phases after a change of id.
    return np.asarray(gaps[gaps < interval_ms + 11] - interval_ms)


def _kolmogorov_smirnov(sample: np.ndarray[tuple[int], np.dtype[np.float64]], width: float) -> float:
    ordered, n = np.sort(sample), len(sample)
    expected = np.clip(ordered / width, 0, 1)
    return float(np.max(np.abs(np.arange(1, n + 1) / n - expected)))


def test_advertising_delays_are_uniform_in_0_to_10_ms() -> None:
    delays_ms = _delays_ms(_events(_fleet(provision(7, 50, AT_MS)), 60, 1.2), 1000.0)
    assert delays_ms.min() >= 0
    assert delays_ms.max() < 10
    assert _kolmogorov_smirnov(delays_ms, 10.0) < 1.63 / np.sqrt(len(delays_ms))


def _crackle_adv_times_ms(vectors: Path) -> list[float]:
    data = (vectors / "captures" / "crackle" / "pairing_and_ltk_exchange.pcap").read_bytes()
    at, times = 24, []
    while at < len(data):
        seconds, micros, length, _ = struct.unpack_from("<IIII", data, at)
        packet = data[at + 16 : at + 16 + length]
        at += 16 + length
        link_layer = packet[int.from_bytes(packet[2:4], "little") :]
        if link_layer[:4] == b"\xd6\xbe\x89\x8e" and link_layer[4] & 15 == 0:
            times.append(seconds * 1e3 + micros / 1e3)
    return times


def test_a_real_advertiser_delays_the_same_way(vectors: Path) -> None:
    real_ms = _crackle_adv_times_ms(vectors)
    assert len(real_ms) == 515
    gaps = np.diff(real_ms)
    real_delays = gaps[(gaps > 95) & (gaps < 115)] - 99.9
    simulated = _delays_ms(_events(_fleet(provision(7, 50, AT_MS)), 60, 1.2), 1000.0)
    assert _kolmogorov_smirnov(real_delays, 10.0) < 1.36 / np.sqrt(len(real_delays))
    assert real_delays.mean() == pytest.approx(simulated.mean(), abs=0.3)
    assert real_delays.std() == pytest.approx(simulated.std(), abs=0.3)


def test_a_tag_at_rest_speaks_every_five_seconds_and_at_once_more_often_when_it_moves() -> None:
    fleet = _fleet(provision(7, 20, AT_MS))
    resting = _events(fleet, 100, 0.0)
    assert sum(map(len, resting)) == pytest.approx(20 * 20, abs=40)
    moving = _events(fleet, 10, 1.0, from_ms=AT_MS + 100_000)
    assert all(len(times) in (9, 10, 11) for times in moving)
    held = _events(fleet, 55, 0.0, from_ms=AT_MS + 110_000)
    assert all(len(times) > 50 for times in held)


def test_tags_that_set_out_together_do_not_speak_together() -> None:
    first_ms = np.array([times[0] for times in _events(_fleet(provision(7, 100, AT_MS)), 2, 1.0)])
    assert _kolmogorov_smirnov(first_ms, 1000.0) < 1.63 / 10


def test_the_button_speaks_ten_times_a_second_then_twice_then_as_before() -> None:
    fleet = _fleet(provision(7, 1, AT_MS))
    fleet.press(0, AT_MS)
    times = np.array(_events(fleet, 700, 0.0)[0])
    assert 180 <= ((times >= 0) & (times < 20_000)).sum() <= 200
    assert 190 <= ((times >= 100_000) & (times < 200_000)).sum() <= 200
    assert ((times >= 610_000) & (times < 700_000)).sum() <= 19


def test_sealed_octets_stay_for_a_step_and_tell_of_the_button() -> None:
    tags = provision(7, 1, AT_MS)
    fleet = _fleet(tags)
    _events(fleet, 1, 0.0)
    aligned_ms = AT_MS + (4000 - tags[0].beacon_ms(AT_MS) % 4000) + 50
    first = fleet.advert(0, aligned_ms, is_telemetry=False)
    assert fleet.advert(0, aligned_ms + 3_800, is_telemetry=False) == first
    later = fleet.advert(0, aligned_ms + 4_000, is_telemetry=False)
    assert later != first
    fleet.press(0, aligned_ms)
    frame = frames.decode(fleet.advert(0, aligned_ms + 100, is_telemetry=False).data)
    assert isinstance(frame, frames.EidFrame)
    assert frame.sealed is not None
    assert status.open_(status.StatusKeys.of(tags[0].identity_key), frame.eid, frame.sealed).sos


def test_one_event_in_64_carries_telemetry() -> None:
    fleet, rng = _fleet(provision(7, 100, AT_MS)), np.random.default_rng(3)
    carried = total = 0
    for second in range(200):
        start_ms = AT_MS + second * 1000
        for tags, _, is_telemetry in fleet.events(start_ms, start_ms + 1000, np.ones(100), rng):
            carried, total = carried + int(is_telemetry.sum()), total + tags.size
    assert total / carried == pytest.approx(fleets.TELEMETRY_EVERY, rel=0.05)


def test_a_cell_runs_down_by_events_and_hours() -> None:
    fleet = _fleet(provision(7, 1, AT_MS))
    before_uc = float(fleet._drawn_uc[0])
    events = len(_events(fleet, 100, 1.0)[0])
    assert fleet._drawn_uc[0] - before_uc == pytest.approx(events * 9 + 100 * 2)


def test_time_that_is_skipped_is_not_made_up_for() -> None:
    fleet = _fleet(provision(7, 20, AT_MS))
    fleet.skip(3_600_000)
    assert sum(map(len, _events(fleet, 10, 0.0, from_ms=AT_MS + 3_600_000))) <= 60
