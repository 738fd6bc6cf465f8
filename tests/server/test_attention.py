import dataclasses
from typing import Any

import pytest

from server.attention import Limits, Moment, Reason, calls, counted
from server.store.health import Standing
from wire.condition import CAMERA_STATES, Condition

NOW_MS = 1_795_402_800_000
NOW = Moment(NOW_MS, NOW_MS)
WELL = Standing(
    "gw-1",
    "正門",
    "Gate",
    "online",
    received_at_ms=NOW_MS - 10_000,
    sent_at_ms=NOW_MS - 10_000,
    oldest_queued_ms=NOW_MS - 20_000,
    condition=Condition(
        is_clock_synced=True, clock_error_ms=20, disk_free_mb=9_000, temp_cdeg=5_500, camera="recording",
        mask_version=3, rows_thinned=0, certificate_until_ms=NOW_MS + 20 * 86_400_000,
    ),
)  # fmt: skip


def reasons(**changes: Any) -> list[Reason]:
    fields = {field.name for field in dataclasses.fields(Condition)}
    said = {name: value for name, value in changes.items() if name in fields}
    rest = {name: value for name, value in changes.items() if name not in fields}
    standing = dataclasses.replace(WELL, condition=dataclasses.replace(WELL.condition, **said), **rest)
    return [call.reason for call in calls([standing], NOW)]


def test_a_gateway_that_is_well_needs_nobody_and_one_that_tells_nothing_neither() -> None:
    assert reasons() == []
    assert calls([dataclasses.replace(WELL, condition=Condition())], NOW) == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"state": "offline"}, Reason.SILENT),
        ({"received_at_ms": NOW_MS - 301_000}, Reason.SILENT),
        ({"is_clock_synced": False}, Reason.CLOCK_OFF),
        ({"clock_error_ms": 1_001}, Reason.CLOCK_OFF),
        ({"clock_offset_ms": -240_000}, Reason.CLOCK_OFF),
        ({"disk_free_mb": 999}, Reason.DISK_LOW),
        ({"temp_cdeg": 8_000}, Reason.HOT),
        ({"oldest_queued_ms": NOW_MS - 3_611_000}, Reason.QUEUE_OLD),
        ({"thinned_at_ms": NOW_MS - 1_000, "rows_thinned": 5}, Reason.ROWS_THINNED),
        ({"camera": "no-mask"}, Reason.NO_MASK),
        ({"camera": "moved"}, Reason.CAMERA_MOVED),
        ({"camera": "no-signal"}, Reason.CAMERA_SILENT),
        ({"camera": "disk-full"}, Reason.CAMERA_SILENT),
        ({"certificate_until_ms": NOW_MS + 6 * 86_400_000}, Reason.CERTIFICATE_ENDS),
        ({"certificate_until_ms": NOW_MS - 1}, Reason.CERTIFICATE_ENDS),
    ],
)
def test_each_reason_is_seen_beyond_its_limit(changes: dict[str, Any], reason: Reason) -> None:
    assert reasons(**changes) == [reason]


def test_at_the_limit_nobody_is_called() -> None:
    assert reasons(received_at_ms=NOW_MS - 300_000, clock_error_ms=1_000, disk_free_mb=1_000, temp_cdeg=7_999) == []
    assert reasons(thinned_at_ms=NOW_MS - 86_400_001, rows_thinned=5) == []


def test_every_camera_state_is_judged() -> None:
    told = {state: reasons(camera=state) for state in CAMERA_STATES}
    assert {state for state, found in told.items() if not found} == {"", "off", "starting", "recording", "blind"}


def test_one_never_heard_of_is_told_once() -> None:
    (call,) = calls([Standing("gw-9", "駅", "Station", None)], NOW)
    assert (call.reason, call.ja, call.en) == (Reason.SILENT, "一度も通信がありません", "has never been heard of")


def test_every_call_says_in_both_languages_why() -> None:
    found = calls([dataclasses.replace(WELL, condition=Condition(False, temp_cdeg=8_120, disk_free_mb=12))], NOW)
    assert [(call.ja, call.en) for call in found] == [
        ("時計が同期されていません", "clock is not synchronised"),
        ("ディスクの空きが12 MBです", "12 MB of disk left"),
        ("温度が81度です", "81 degrees Celsius"),
    ]
    assert counted(found)[Reason.HOT] == 1
    assert set(counted([])) == set(Reason)


def test_a_town_that_runs_faster_waits_as_much_longer_for_machines() -> None:
    late = dataclasses.replace(WELL, received_at_ms=NOW_MS - 30 * 60_000)
    assert [call.reason for call in calls([late], NOW)] == [Reason.SILENT]
    assert calls([late], NOW, Limits().at_speed(60.0)) == []
