import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_sim import tag
from wire import eid, frames, status, telemetry

AT_MS = 1_795_473_600_000
STATE = tag.State(sos=True, moving=False, battery_mv=2_870, adv_count=77)


def _tag(**changed: object) -> tag.Tag:
    plain: Any = tag.Tag("tag-1", "eid", bytes(range(16)), b"", AT_MS, 0.0, 0.0)
    changed_tag: tag.Tag = dataclasses.replace(plain, **changed)
    return changed_tag


@given(st.integers(0, 10**9), st.floats(-tag.MAX_DRIFT_PPM, tag.MAX_DRIFT_PPM))
def test_the_server_opens_what_the_firmware_sealed(age_ms: int, drift_ppm: float) -> None:
    own = _tag(drift_ppm=drift_ppm)
    frame = frames.decode(frames.encode(own.sighting_frame(AT_MS + age_ms, STATE)))
    assert isinstance(frame, frames.EidFrame)
    beacon_s = int(own.beacon_ms(AT_MS + age_ms) // 1000)
    assert frame.eid == eid.derive(own.identity_key, 10, beacon_s)
    assert frame.sealed is not None
    said = status.open_(status.StatusKeys.of(own.identity_key), frame.eid, frame.sealed)
    assert said == status.TagStatus(status.step_of(beacon_s), sos=True, battery_dv=28)


def test_the_counter_starts_where_eddystone_asks_and_drifts_with_the_crystal() -> None:
    assert _tag().beacon_ms(AT_MS) == 65_280_000
    day_ms = 86_400_000
    assert _tag(drift_ppm=20.0).beacon_ms(AT_MS + day_ms) - _tag().beacon_ms(AT_MS + day_ms) == pytest.approx(1728)


def test_the_offset_noted_at_provisioning_gives_back_the_tags_clock() -> None:
    own = _tag(drift_ppm=-33.0)
    noted_ms = AT_MS + 12 * 3_600_000
    assert noted_ms - own.offset_ms(noted_ms) == pytest.approx(own.beacon_ms(noted_ms), abs=1)


def test_address_and_id_change_together_every_1024_seconds() -> None:
    own = _tag()
    seen: dict[bytes, bytes] = {}
    for second in range(0, 4096, 16):
        frame = own.sighting_frame(AT_MS + second * 1000, STATE)
        assert isinstance(frame, frames.EidFrame)
        address = own.address(AT_MS + second * 1000)
        assert address[0] >> 6 == 0
        assert seen.setdefault(frame.eid, address) == address
    assert len(seen) == len(set(seen.values())) == 5


def test_a_new_cell_sets_the_clock_back_to_the_last_day_saved_and_says_so() -> None:
    at_ms = AT_MS + 3 * 86_400_000 + 5_000_000
    again = _tag(depth=0.9).restarted(at_ms)
    assert again.beacon_ms(at_ms) == 3 * 86_400_000
    assert again.clock_lost
    assert again.depth == 0.0
    frame = again.sighting_frame(at_ms, STATE)
    assert isinstance(frame, frames.EidFrame)
    assert status.open_(status.StatusKeys.of(again.identity_key), frame.eid, frame.sealed or b"").clock_lost


def test_telemetry_is_encrypted_for_rotating_tags_and_plain_for_old_ones() -> None:
    own = _tag()
    frame = own.telemetry_frame(AT_MS + 60_000, STATE)
    assert isinstance(frame, frames.EtlmFrame)
    tlm = telemetry.decrypt_tlm(own.identity_key, 10, 65_340, frame=frame)
    assert (tlm.battery_mv, tlm.temp_cdeg, tlm.adv_count, tlm.uptime_ds) == (2_870, 2_000, 77, 600)
    old = _tag(kind="uid", identity_key=b"", static=bytes(16)).telemetry_frame(AT_MS + 60_000, STATE)
    assert old == tlm


def test_a_town_has_mostly_rotating_tags_and_some_of_each_old_kind() -> None:
    tags = tag.provision(7, 200, AT_MS)
    kinds = [each.kind for each in tags]
    assert (kinds.count("eid"), kinds.count("uid"), kinds.count("ibeacon")) == (184, 8, 8)
    assert len({each.identity_key or each.static for each in tags}) == 200
    assert all(abs(each.drift_ppm) <= tag.MAX_DRIFT_PPM for each in tags)
    assert tags == tag.provision(7, 200, AT_MS)
    for each in tags:
        assert len(frames.encode(each.sighting_frame(AT_MS, STATE))) <= 31
