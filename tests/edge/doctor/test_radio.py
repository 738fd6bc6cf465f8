from pathlib import Path
from typing import Any

import pytest

from edge.doctor import radio

GOOD = {"Powered": True, "Roles": ["central", "peripheral"]}


@pytest.mark.parametrize(
    ("adapter", "found", "verdict"),
    [
        ("", {"hci0": GOOD}, "ok"),
        ("", {"hci0": {"Powered": False}, "hci1": GOOD}, "ok"),
        ("hci0", {"hci0": {"Powered": False}, "hci1": GOOD}, "fail"),
        ("hci7", {"hci0": GOOD}, "fail"),
        ("", {}, "fail"),
        ("", {"hci0": {"Powered": True, "Roles": []}}, "fail"),
        ("", {"hci0": {"Powered": True}}, "warn"),
    ],
)
def test_an_adapter_is_judged(adapter: str, found: dict[str, Any], verdict: str) -> None:
    assert radio.judge(adapter, found).verdict == verdict


def _switch(root: Path, number: int, kind: str, *, soft: int = 0, hard: int = 0) -> None:
    folder = root / f"rfkill{number}"
    folder.mkdir()
    for name, value in (("type", kind), ("soft", soft), ("hard", hard)):
        (folder / name).write_text(f"{value}\n")


def test_a_bluetooth_that_is_switched_off_is_found_and_a_wlan_is_none_of_ours(tmp_path: Path) -> None:
    _switch(tmp_path, 0, "wlan", soft=1)
    _switch(tmp_path, 1, "bluetooth")
    assert radio.blocked(tmp_path) == []
    _switch(tmp_path, 2, "bluetooth", soft=1)
    _switch(tmp_path, 3, "bluetooth", hard=1)
    (soft, hard) = radio.blocked(tmp_path)
    assert soft.do_en == "sudo rfkill unblock bluetooth"
    assert "hardware" in hard.en
    assert radio.blocked(tmp_path / "none") == []
