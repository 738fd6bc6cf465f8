"""The doctor looks at a simulated bluetoothd over a private D-Bus."""

from pathlib import Path
from typing import Any

import pytest

from edge.config import BrokerConfig, EdgeConfig, ScanConfig
from edge.doctor import radio
from wire.sections import KeyFiles

pytestmark = pytest.mark.system


def gateway(tmp_path: Path, adapter: str = "") -> EdgeConfig:
    files = KeyFiles(tmp_path / "key.pem", tmp_path / "city.json")
    scan = ScanConfig(source="bluez", adapter=adapter)
    return EdgeConfig("city", "gw-1", tmp_path, files, BrokerConfig("mqtt://127.0.0.1:1"), scan=scan)


async def verdicts(tmp_path: Path, adapter: str = "") -> list[tuple[str, str]]:
    found = await radio.check(gateway(tmp_path, adapter), rfkill=tmp_path)
    return [(finding.verdict, finding.en) for finding in found]


async def test_a_powered_adapter_is_found_and_bluez_is_left_as_it_was(bluez: Any, tmp_path: Path) -> None:
    assert await verdicts(tmp_path) == [("ok", "hci0 is powered and speaks Low Energy")]
    assert [name for name, _ in bluez.calls] == ["GetManagedObjects"]


async def test_an_adapter_without_power_or_of_another_name_is_told(bluez: Any, tmp_path: Path) -> None:
    bluez.switch(is_on=False)
    assert await verdicts(tmp_path) == [("fail", "hci0 is not powered")]
    assert await verdicts(tmp_path, "hci3") == [("fail", "there is no adapter hci3")]
    bluez.unplug()
    assert await verdicts(tmp_path) == [("fail", "there is no Bluetooth adapter")]


async def test_a_bluez_that_is_gone_or_hangs_is_told(
    bluez: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(radio, "ANSWER_S", 0.3)
    bluez.hanging.add("GetManagedObjects")
    assert await verdicts(tmp_path) == [("fail", "BlueZ does not answer")]
    bluez.kill()
    assert await verdicts(tmp_path) == [("fail", "BlueZ does not answer")]
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nowhere")
    assert await verdicts(tmp_path) == [("fail", "BlueZ does not answer")]
