"""A simulated org.bluez on a private D-Bus, for bleak's real BlueZ back end.

It speaks the part of BlueZ that a scanner uses, takes raw advertising octets, and can misbehave: leave, come back, lose
its adapter, refuse calls, hang, and keep quiet about reports by the rules of a given bluetoothd.
Sources of these rules: BlueZ src/adapter.c btd_adapter_device_found, src/device.c RSSI_THRESHOLD.
"""

import asyncio
import contextlib
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from dbus_fast import Message, MessageType, NameFlag, Variant
from dbus_fast.aio import MessageBus

OBJECTS = "org.freedesktop.DBus.ObjectManager"
PROPERTIES = "org.freedesktop.DBus.Properties"
ADAPTER = "org.bluez.Adapter1"
DEVICE = "org.bluez.Device1"
RSSI_THRESHOLD_DB = 8
CALLS = ("StartDiscovery", "StopDiscovery", "SetDiscoveryFilter", "RemoveDevice")
BUS_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:dir={directory}</listen><policy context="default">
<allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>"""


def _structures(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data) and data[at]:
        yield data[at + 1], data[at + 2 : at + 1 + data[at]]
        at += 1 + data[at]


def _uuid(two: bytes) -> str:
    return f"0000{int.from_bytes(two, 'little'):04x}-0000-1000-8000-00805f9b34fb"


def _properties(data: bytes) -> dict[str, Variant]:
    """Return what bluetoothd makes of advertising data."""
    uuids: list[str] = []
    service_data: dict[str, Variant] = {}
    manufacturer_data: dict[int, Variant] = {}
    found: dict[str, Variant] = {}
    for kind, value in _structures(data):
        if kind in (2, 3):
            uuids += [_uuid(value[at : at + 2]) for at in range(0, len(value), 2)]
        elif kind == 0x16:
            service_data[_uuid(value[:2])] = Variant("ay", value[2:])
        elif kind == 0xFF:
            manufacturer_data[int.from_bytes(value[:2], "little")] = Variant("ay", value[2:])
        elif kind == 1:
            found["AdvertisingFlags"] = Variant("ay", value)
    found["UUIDs"] = Variant("as", uuids)
    if service_data:
        found["ServiceData"] = Variant("a{sv}", service_data)
    if manufacturer_data:
        found["ManufacturerData"] = Variant("a{qv}", manufacturer_data)
    return found


@dataclass
class SimulatedBluez:
    """One bluetoothd.

    Attributes:
        adapters: by name, powered or not.
        refusals: D-Bus error by method, for calls that shall fail.
        hanging: methods that never answer.
        calls: what was called, in order, with its arguments.
        rules: "" = every report is signalled; "5.87" or "5.88" = reports are suppressed as that version does.
    """

    address: str
    adapters: dict[str, bool] = field(default_factory=lambda: {"hci0": True})
    refusals: dict[str, str] = field(default_factory=dict)
    hanging: set[str] = field(default_factory=set)
    calls: list[tuple[str, Any]] = field(default_factory=list)
    rules: str = ""
    discovering: set[str] = field(default_factory=set)
    filter: dict[str, Any] = field(default_factory=dict)
    devices: dict[str, dict[str, Variant]] = field(default_factory=dict)

    async def start(self) -> None:
        """Take the name org.bluez and announce the adapters, as a bluetoothd that has just come up."""
        self.bus = await MessageBus(bus_address=self.address).connect()
        self.bus.add_message_handler(self._answer)
        await self.bus.request_name("org.bluez", NameFlag.DO_NOT_QUEUE)
        for name in self.adapters:
            self._announce(name)

    def kill(self) -> None:
        """Leave the bus without a word, as after kill -9; discovery sessions and devices are gone."""
        self.bus.disconnect()
        self.discovering.clear()
        self.devices.clear()
        self.filter = {}

    def unplug(self, adapter: str = "hci0") -> None:
        """Take the adapter out."""
        del self.adapters[adapter]
        self.discovering.discard(adapter)
        self._signal("/", OBJECTS, "InterfacesRemoved", "oas", [f"/org/bluez/{adapter}", [ADAPTER]])

    def plug(self, adapter: str = "hci0") -> None:
        """Put the adapter back."""
        self.adapters[adapter] = True
        self._announce(adapter)

    def switch(self, adapter: str = "hci0", *, is_on: bool) -> None:
        """Switch an adapter on or off; either way it discovers no longer."""
        self.adapters[adapter] = is_on
        self.discovering.discard(adapter)
        changed = {"Powered": Variant("b", is_on), "Discovering": Variant("b", False)}
        self._signal(f"/org/bluez/{adapter}", PROPERTIES, "PropertiesChanged", "sa{sv}as", [ADAPTER, changed, []])

    def count(self, method: str) -> int:
        """How often a method was called."""
        return sum(name == method for name, _ in self.calls)

    def advertise(self, address: str, data: bytes, rssi_dbm: int, adapter: str = "hci0") -> bool:
        """Deliver one advertising report; False where nobody scans or bluetoothd would keep quiet about it."""
        if adapter not in self.discovering:
            return False
        path = f"/org/bluez/{adapter}/dev_{address.replace(':', '_')}"
        heard = _properties(data) | {"RSSI": Variant("n", rssi_dbm)}
        wanted = self.filter.get("UUIDs")
        if wanted and not set(wanted) & set(heard["UUIDs"].value):
            return False
        if path not in self.devices:
            self.devices[path] = _device(address, adapter) | heard
            self._signal("/", OBJECTS, "InterfacesAdded", "oa{sa{sv}}", [path, {DEVICE: self.devices[path]}])
            return True
        changed = self._changed(self.devices[path], heard)
        self.devices[path] |= heard if changed else {}
        if changed:
            self._signal(path, PROPERTIES, "PropertiesChanged", "sa{sv}as", [DEVICE, changed, []])
        return bool(changed)

    def rename(self, address: str, adapter: str = "hci0") -> None:
        """Change a property that has nothing to do with an advertisement; bleak calls back all the same."""
        path = f"/org/bluez/{adapter}/dev_{address.replace(':', '_')}"
        self._signal(path, PROPERTIES, "PropertiesChanged", "sa{sv}as", [DEVICE, {"Paired": Variant("b", False)}, []])

    async def flush(self) -> None:
        """Go round through the daemon: dbus-fast takes a full socket for the end, so do this every 50 reports."""
        bus = "org.freedesktop.DBus"
        await self.bus.call(Message(bus, "/org/freedesktop/DBus", bus, "GetId"))

    def _changed(self, old: dict[str, Variant], heard: dict[str, Variant]) -> dict[str, Variant]:
        if not self.rules:
            return heard
        has_condition = "RSSI" in self.filter or "Pathloss" in self.filter
        is_lenient = has_condition or (self.rules == "5.87" and bool(self.filter))
        changed = dict(heard)
        if abs(heard["RSSI"].value - old["RSSI"].value) < (0 if is_lenient else RSSI_THRESHOLD_DB):
            del changed["RSSI"]
        for name in ("ServiceData", "ManufacturerData"):
            if not self.filter.get("DuplicateData") and name in changed and old.get(name) == changed[name]:
                del changed[name]
        for name in ("UUIDs", "AdvertisingFlags"):
            if name in changed and old.get(name) == changed[name]:
                del changed[name]
        return changed

    def _answer(self, message: Message) -> Message | bool | None:
        path, member = message.path or "", message.member or ""
        if message.message_type is not MessageType.METHOD_CALL or not (path == "/" or path.startswith("/org/bluez")):
            return None
        self.calls.append((member, message.body))
        if member in self.hanging:
            return True
        if member in self.refusals:
            return Message.new_error(message, self.refusals[member], "as the test wants it")
        return self._obey(message, member, path.rsplit("/", 1)[1])

    def _obey(self, message: Message, member: str, adapter: str) -> Message | None:
        if member == "GetManagedObjects":
            return Message.new_method_return(message, "a{oa{sa{sv}}}", [self._objects()])
        if member == "Set":
            self.switch(adapter, is_on=message.body[2].value)
            return Message.new_method_return(message)
        return self._scan_call(message, member, adapter) if member in CALLS else None

    def _scan_call(self, message: Message, member: str, adapter: str) -> Message:
        if not self.adapters.get(adapter):
            return Message.new_error(message, "org.bluez.Error.NotReady", "Resource Not Ready")
        if member == "SetDiscoveryFilter":
            self.filter = {name: value.value for name, value in message.body[0].items()}
        elif member == "StartDiscovery":
            self.discovering.add(adapter)
        elif member == "StopDiscovery":
            self.discovering.discard(adapter)
        return Message.new_method_return(message)

    def _objects(self) -> dict[str, Any]:
        adapters = {f"/org/bluez/{name}": {ADAPTER: self._adapter(name)} for name in self.adapters}
        return adapters | {path: {DEVICE: device} for path, device in self.devices.items()}

    def _adapter(self, name: str) -> dict[str, Variant]:
        return {
            "Address": Variant("s", "00:11:22:33:44:55"),
            "Name": Variant("s", name),
            "Powered": Variant("b", self.adapters[name]),
            "Discovering": Variant("b", name in self.discovering),
            "Roles": Variant("as", ["central", "peripheral"]),
        }

    def _announce(self, name: str) -> None:
        body = [f"/org/bluez/{name}", {ADAPTER: self._adapter(name)}]
        self._signal("/", OBJECTS, "InterfacesAdded", "oa{sa{sv}}", body)

    def _signal(self, path: str, interface: str, member: str, signature: str, body: list[Any]) -> None:
        self.bus.send(Message.new_signal(path, interface, member, signature, body))


def _device(address: str, adapter: str) -> dict[str, Variant]:
    texts = {"Address": address, "AddressType": "random", "Alias": address.replace(":", "-")}
    states = ("Paired", "Connected", "Trusted", "Blocked", "ServicesResolved")
    return (
        {name: Variant("s", text) for name, text in texts.items()}
        | {name: Variant("b", False) for name in states}
        | {"Adapter": Variant("o", f"/org/bluez/{adapter}")}
    )


@pytest.fixture
def bus_address(open_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A private dbus-daemon in the place of the system bus."""
    if shutil.which("dbus-daemon") is None:
        pytest.skip("dbus-daemon is not installed")
    config = tmp_path / "bus.conf"
    config.write_text(BUS_CONFIG.format(directory=open_dir))
    command = ["dbus-daemon", f"--config-file={config}", "--nofork", "--nopidfile", "--print-address=1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as daemon:
        assert daemon.stdout is not None
        address = daemon.stdout.readline().strip()
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
        yield address
        daemon.terminate()


@pytest.fixture
async def bluez(bus_address: str) -> AsyncIterator[SimulatedBluez]:
    """A bluetoothd with one adapter, hci0."""
    daemon = SimulatedBluez(bus_address)
    await daemon.start()
    yield daemon
    with contextlib.suppress(Exception):
        daemon.kill()


@pytest.fixture
def scanning() -> Callable[..., AbstractAsyncContextManager[Any]]:
    """Run a BluezScan with short times inside the block; gives the scan, its pipeline and its counters are on it."""
    from collections import Counter  # noqa: PLC0415 -- with what follows

    from edge.bluez import BluezScan, Timings  # noqa: PLC0415 -- bleak is loaded after the bus has its address
    from edge.sight import Sight  # noqa: PLC0415 -- with BluezScan
    from wire.clock import Clock  # noqa: PLC0415 -- with BluezScan
    from wire.formats import Formats  # noqa: PLC0415 -- with BluezScan
    from wire.merge import Merge  # noqa: PLC0415 -- with BluezScan

    @contextlib.asynccontextmanager
    async def run(formats: tuple[str, ...] = ("eid",), silence_s: float = 5.0) -> AsyncIterator[BluezScan]:
        timings = Timings(start_s=0.5, stop_s=0.3, silence_s=silence_s, probe_s=0.2, retry_s=0.3, off_s=0.05)
        enrolled = Formats.parse(formats)
        sight = Sight(enrolled, Merge(1_000_000))
        scan = BluezScan(sight, Counter(), adapter="", clock=Clock(), formats=enrolled, timings=timings)
        task = asyncio.create_task(scan.run())
        try:
            yield scan
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    return run


@pytest.fixture
def until() -> Callable[..., Any]:
    """Wait until something is so."""

    async def waited(is_so: Callable[[], bool], limit_s: float = 30.0) -> None:
        async with asyncio.timeout(limit_s):
            while not is_so():  # noqa: ASYNC110 -- what is waited for comes over the D-Bus
                await asyncio.sleep(0.01)

    return waited
