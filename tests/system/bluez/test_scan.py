"""bleak's real BlueZ back end under the gateway's scanner, against a simulated bluetoothd."""

import asyncio
import itertools
import random
from typing import Any

import pytest

from wire.frames import EidFrame, IBeaconFrame, encode

pytestmark = pytest.mark.system

TAG = "C0:00:00:00:00:01"
STRANGER = "E0:00:00:00:00:09"
FRAME = EidFrame(-10, b"\xa9\xb7\x6a\x71\xc5\xf8\x92\x90", b"sealed")
HEADPHONES = bytes.fromhex("0201060303f0ff05ff34120102")


async def test_an_enrolled_tag_is_heard_with_its_signal_strength(bluez: Any, scanning: Any, until: Any) -> None:
    async with scanning() as scan:
        await until(lambda: bluez.discovering)
        bluez.advertise(TAG, encode(FRAME), -63)
        await until(lambda: scan.sight.accepted == 1)
    (row,) = scan.sight.merge.ready
    assert (row.id, row.sealed, row.rssi_best_dbm) == (FRAME.eid, b"sealed", -63)


async def test_bluez_is_asked_for_every_report_of_eddystone_tags(bluez: Any, scanning: Any, until: Any) -> None:
    async with scanning():
        await until(lambda: bluez.discovering)
        assert bluez.filter == {
            "UUIDs": ["0000feaa-0000-1000-8000-00805f9b34fb"],
            "RSSI": -127,
            "DuplicateData": True,
            "Transport": "le",
        }


async def test_a_city_with_ibeacons_listens_unfiltered(bluez: Any, scanning: Any, until: Any) -> None:
    async with scanning(("eid", "ibeacon:" + "11" * 16)) as scan:
        await until(lambda: bluez.discovering)
        bluez.advertise(TAG, encode(IBeaconFrame(b"\x11" * 16, 1, 2, -59)), -70)
        bluez.advertise(STRANGER, HEADPHONES, -50)
        await until(lambda: scan.sight.advertisements == 2)
    assert (scan.sight.accepted, scan.sight.dropped["not-enrolled"]) == (1, 1)


@pytest.mark.parametrize("rules", ["5.87", "5.88"])
async def test_a_still_tag_is_heard_again_and_again_under_the_rules_of(
    rules: str, bluez: Any, scanning: Any, until: Any
) -> None:
    bluez.rules = rules
    draw = random.Random(1)
    levels = [-70 + draw.randint(-3, 3) for _ in range(101)]
    heard = 1 + sum(a != b for a, b in itertools.pairwise(levels))
    async with scanning() as scan:
        await until(lambda: bluez.discovering)
        for rssi_dbm in levels:
            bluez.advertise(TAG, encode(FRAME), rssi_dbm)
        await until(lambda: scan.sight.accepted == heard)
    assert heard > 80


async def test_a_call_back_without_news_is_not_a_packet(bluez: Any, scanning: Any, until: Any) -> None:
    async with scanning() as scan:
        await until(lambda: bluez.discovering)
        bluez.advertise(TAG, encode(FRAME), -63)
        for _ in range(20):
            bluez.rename(TAG)
        bluez.advertise(TAG, encode(FRAME), -64)
        await until(lambda: scan.sight.accepted >= 2)
    assert scan.sight.accepted == 2


async def test_an_advertisement_without_signal_strength_is_no_sighting(bluez: Any, scanning: Any, until: Any) -> None:
    async with scanning() as scan:
        await until(lambda: bluez.discovering)
        bluez.advertise(TAG, encode(FRAME), -127)
        await until(lambda: scan.sight.dropped["no-rssi"] == 1)
    assert scan.sight.accepted == 0


async def test_a_malformed_frame_harms_nothing_else(bluez: Any, scanning: Any, until: Any) -> None:
    short = bytes.fromhex("0201060303aafe0516aafe30ee")
    async with scanning() as scan:
        await until(lambda: bluez.discovering)
        bluez.advertise(STRANGER, short, -60)
        bluez.advertise(TAG, encode(FRAME), -63)
        await until(lambda: scan.sight.accepted == 1)
    assert scan.sight.dropped["malformed"] == 1


async def test_a_restart_of_bluetoothd_is_survived(bluez: Any, scanning: Any, until: Any) -> None:
    async with scanning() as scan:
        await until(lambda: bluez.discovering)
        bluez.kill()
        await asyncio.sleep(0.2)
        await bluez.start()
        await until(lambda: bluez.discovering)
        bluez.advertise(TAG, encode(FRAME), -63)
        await until(lambda: scan.sight.accepted == 1)
    assert scan.counts["scan_failures"] >= 1


async def test_an_adapter_that_vanishes_is_taken_up_again(bluez: Any, scanning: Any, until: Any) -> None:
    async with scanning() as scan:
        await until(lambda: bluez.discovering)
        bluez.unplug()
        await until(lambda: scan.counts["scan_failures"] >= 2)
        bluez.plug()
        await until(lambda: bluez.discovering)
        bluez.advertise(TAG, encode(FRAME), -63)
        await until(lambda: scan.sight.accepted == 1)


async def test_a_switched_off_adapter_is_switched_on(bluez: Any, scanning: Any, until: Any) -> None:
    async with scanning() as scan:
        await until(lambda: bluez.discovering)
        bluez.switch(is_on=False)
        await until(lambda: bluez.discovering)
    assert scan.counts["adapter_resets"] >= 1


async def test_a_refused_start_is_tried_again_and_the_adapter_reset(bluez: Any, scanning: Any, until: Any) -> None:
    bluez.refusals["StartDiscovery"] = "org.bluez.Error.InProgress"
    async with scanning() as scan:
        await until(lambda: scan.counts["adapter_resets"] >= 1)
        bluez.refusals.clear()
        await until(lambda: bluez.discovering)


async def test_a_start_that_hangs_is_given_up(bluez: Any, scanning: Any, until: Any) -> None:
    bluez.hanging.add("StartDiscovery")
    async with scanning() as scan:
        await until(lambda: scan.counts["scan_failures"] >= 1)
        bluez.hanging.clear()
        await until(lambda: bluez.discovering)


async def test_an_adapter_that_hears_nothing_at_all_is_reset(bluez: Any, scanning: Any, until: Any) -> None:
    async with scanning(silence_s=1.0) as scan:
        await until(lambda: [body[2].value for name, body in bluez.calls if name == "Set"] == [False, True])
        await until(lambda: bluez.discovering)
    assert scan.counts["adapter_resets"] == 1


async def test_an_empty_street_is_no_fault(bluez: Any, scanning: Any, until: Any) -> None:
    async def passers_by() -> None:
        for n in range(10_000):
            bluez.advertise(STRANGER, HEADPHONES, -50 - n % 20)
            await asyncio.sleep(0.01)

    async with scanning(silence_s=1.0) as scan:
        noise = asyncio.create_task(passers_by())
        await until(lambda: scan.counts["scan_silences"] >= 3)
        noise.cancel()
    assert scan.counts["adapter_resets"] == 0
    assert scan.sight.accepted == 0


async def test_no_bus_at_all_is_waited_for(monkeypatch: pytest.MonkeyPatch, scanning: Any, until: Any) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus")
    async with scanning() as scan:
        await until(lambda: scan.counts["scan_failures"] >= 3)
