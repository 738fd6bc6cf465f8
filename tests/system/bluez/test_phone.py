"""bleak's real BlueZ back end under a volunteer's duty cycle, against a simulated bluetoothd."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from mobile_detector.ear import Ear
from mobile_detector.location import FixedLocation
from mobile_detector.scan import BleakRadio
from mobile_detector.zones import Zones
from wire.formats import Formats
from wire.frames import EidFrame, encode
from wire.merge import Merge

pytestmark = pytest.mark.system

TAG = "C0:00:00:00:00:01"
FRAME = EidFrame(-10, b"\xa9\xb7\x6a\x71\xc5\xf8\x92\x90", b"sealed")


@contextlib.asynccontextmanager
async def _listening() -> AsyncIterator[BleakRadio]:
    ear = Ear(Formats.parse(["eid"]), FixedLocation(34.75, 134.83, 5.0), Merge(10_000), Zones())
    radio = BleakRadio(ear, lambda: time.time_ns() // 1_000_000, lambda: None)
    task = asyncio.create_task(radio.run())
    try:
        yield radio
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_phone_hears_while_its_receiver_is_open_and_not_before_or_after(bluez: Any, until: Any) -> None:
    async with _listening() as radio:
        assert not bluez.advertise(TAG, encode(FRAME), -60)
        radio.scan(is_on=True)
        await until(lambda: bluez.discovering)
        bluez.advertise(TAG, encode(FRAME), -63)
        await until(lambda: radio.ear.heard == 1)
        radio.scan(is_on=False)
        await until(lambda: not bluez.discovering)
        assert not bluez.advertise(TAG, encode(FRAME), -61)
        radio.scan(is_on=True)
        await until(lambda: bluez.discovering)
    assert not bluez.discovering
    (merged,) = radio.ear.close()
    row = radio.ear.row(merged)
    assert row is not None
    assert (row.id, row.sealed, row.rssi_best_dbm, row.lat_deg) == (FRAME.eid, b"sealed", -63, 34.75)


async def test_a_phone_finds_a_bluetoothd_that_was_restarted(bluez: Any, until: Any) -> None:
    async with _listening() as radio:
        radio.scan(is_on=True)
        await until(lambda: bluez.discovering)
        bluez.kill()
        radio.scan(is_on=False)
        await asyncio.sleep(0.2)
        await bluez.start()
        radio.scan(is_on=True)
        await until(lambda: bluez.discovering)
        await bluez.flush()
        bluez.advertise(TAG, encode(FRAME), -63)
        await until(lambda: radio.ear.heard == 1)
