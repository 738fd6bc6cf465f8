"""Whether the radio can hear: BlueZ on the bus, an adapter, its power, Low Energy, the radio switches."""

import asyncio
from pathlib import Path
from typing import Any, Final

from edge.config import EdgeConfig
from edge.doctor.finding import Finding, fail, warn
from edge.errors import ScanError

NAME: Final = "adapter"
RFKILL: Final = Path("/sys/class/rfkill")
ANSWER_S: Final = 5.0


async def check(config: EdgeConfig, rfkill: Path = RFKILL) -> list[Finding]:
    """Return how the radio is that this gateway listens with."""
    socket_path = config.scan.socket_path
    if socket_path is not None:
        return [await _socket(socket_path)]
    switches = blocked(rfkill)
    return [*switches, *([] if switches else [await _bluez(config.scan.adapter)])]


async def _socket(path: str) -> Finding:
    try:
        async with asyncio.timeout(ANSWER_S):
            _, writer = await asyncio.open_unix_connection(path)
        writer.close()
    except (OSError, TimeoutError):
        return fail(NAME, "模擬電波に接続できません", "the simulated radio cannot be reached").to_do(
            "シミュレータを起動してください", "start the simulator"
        )
    return Finding.ok(NAME, "模擬電波に接続できました", "the simulated radio answers")


def blocked(rfkill: Path) -> list[Finding]:
    """Return a finding for each Bluetooth radio that a switch holds off."""
    found = []
    for switch in sorted(rfkill.glob("rfkill*")):
        try:
            kind, soft, hard = (
                (switch / name).read_text(encoding="ascii").strip() for name in ("type", "soft", "hard")
            )
        except OSError:  # a switch that was pulled out in this moment
            continue
        if kind != "bluetooth":
            continue
        if hard == "1":
            found.append(
                fail(NAME, "Bluetoothが本体スイッチで切られています", "a hardware switch blocks Bluetooth").to_do(
                    "スイッチかBIOS/config.txtで有効にしてください", "enable it by the switch or in BIOS/config.txt"
                )
            )
        elif soft == "1":
            found.append(
                fail(NAME, "Bluetoothがrfkillで切られています", "Bluetooth is blocked by rfkill").to_do(
                    "sudo rfkill unblock bluetooth", "sudo rfkill unblock bluetooth"
                )
            )
    return found


async def _bluez(adapter: str) -> Finding:
    from edge.bluez_bus import BluezBus  # noqa: PLC0415 -- the D-Bus is loaded where it is used

    try:
        async with asyncio.timeout(ANSWER_S):
            found = await BluezBus.adapters()
    except (ScanError, TimeoutError):
        return fail(NAME, "BlueZから応答がありません", "BlueZ does not answer").to_do(
            "sudo systemctl enable --now bluetooth。利用者をbluetoothグループに入れてください",
            "sudo systemctl enable --now bluetooth; put the user into the group bluetooth",
        )
    return judge(adapter, found)


def judge(adapter: str, found: dict[str, dict[str, Any]]) -> Finding:
    """Return how an adapter is; "" = the first that is powered, else the first.

    Args:
        adapter: "hci0" or "".
        found: properties by adapter.
    """
    names = sorted(found, key=lambda name: (not found[name].get("Powered"), name))
    if not names:
        return fail(NAME, "Bluetoothアダプタがありません", "there is no Bluetooth adapter").to_do(
            "USBアダプタを挿し直し、dmesgを見てください", "plug the USB adapter in again, look at dmesg"
        )
    chosen = adapter or names[0]
    if chosen not in found:
        return fail(NAME, f"アダプタ{chosen}がありません", f"there is no adapter {chosen}").to_do(
            f"scan.adapterを{'、'.join(names)}のどれかにしてください", f"set scan.adapter to one of {', '.join(names)}"
        )
    properties = found[chosen]
    if not properties.get("Powered"):
        return fail(NAME, f"{chosen}の電源が入っていません", f"{chosen} is not powered").to_do(
            "bluetoothctl power on。AutoEnable=trueを確認してください", "bluetoothctl power on; check AutoEnable=true"
        )
    roles = properties.get("Roles")
    if roles is not None and "central" not in roles:
        return fail(NAME, f"{chosen}はBLEに対応していません", f"{chosen} does not speak Bluetooth Low Energy").to_do(
            "Bluetooth 4.0以上のアダプタに替えてください", "use an adapter of Bluetooth 4.0 or newer"
        )
    if roles is None:
        return warn(
            NAME, f"{chosen}がBLE対応か分かりません", f"{chosen} does not tell whether it speaks Low Energy"
        ).to_do("BlueZを5.50以上にしてください", "use BlueZ 5.50 or newer")
    return Finding.ok(NAME, f"{chosen}は動作中です", f"{chosen} is powered and speaks Low Energy")
