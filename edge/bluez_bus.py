"""A small view of org.bluez on the system bus: is the daemon there, does the adapter scan, switch it off and on."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final

from dbus_fast import BusType, Message, MessageType, Variant
from dbus_fast.aio import MessageBus
from dbus_fast.errors import AuthError, DBusError

from edge.errors import ScanError

BLUEZ: Final = "org.bluez"
ADAPTER: Final = "org.bluez.Adapter1"
DBUS: Final = "org.freedesktop.DBus"
PROPERTIES: Final = f"{DBUS}.Properties"
OBJECTS: Final = f"{DBUS}.ObjectManager"


class BusError(ScanError):
    """The D-Bus, or BlueZ on it, cannot be reached or refuses."""


@dataclass(slots=True)
class BluezBus:
    """One connection.

    Attributes:
        adapter: "hci0".
        lost: set when the daemon leaves the bus, or the adapter vanishes, is switched off or stops discovering.
        reason: why it was set.
    """

    bus: MessageBus
    adapter: str = ""
    lost: asyncio.Event = field(default_factory=asyncio.Event)
    reason: str = ""

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, adapter: str) -> AsyncIterator["BluezBus"]:
        """Connect, watch and disconnect in the end.

        Args:
            adapter: "" = the first one.

        Raises:
            BusError: no bus, no BlueZ or no such adapter.
        """
        bus = MessageBus(bus_type=BusType.SYSTEM)
        try:
            try:
                await bus.connect()
            except (OSError, EOFError, AuthError, DBusError) as error:
                raise BusError("no system bus") from error
            view = cls(bus)
            view.adapter = await view._find(adapter)
            bus.add_message_handler(view._on_message)
            await view._watch()
            yield view
        finally:
            bus.disconnect()

    @classmethod
    async def adapters(cls) -> dict[str, dict[str, Any]]:
        """Return the properties of every adapter that BlueZ has, by its name.

        Raises:
            BusError: no bus, or no BlueZ on it.
        """
        bus = MessageBus(bus_type=BusType.SYSTEM)
        try:
            try:
                await bus.connect()
            except (OSError, EOFError, AuthError, DBusError) as error:
                raise BusError("no system bus") from error
            view = cls(bus)
            (objects,) = await view._call(Message(BLUEZ, "/", OBJECTS, "GetManagedObjects"))
        finally:
            bus.disconnect()
        return {
            path.rsplit("/", 1)[1]: {name: value.value for name, value in interfaces[ADAPTER].items()}
            for path, interfaces in objects.items()
            if ADAPTER in interfaces
        }

    @property
    def _path(self) -> str:
        return f"/org/bluez/{self.adapter}"

    async def reset(self, off_s: float) -> None:
        """Switch the adapter off, on again after `off_s` seconds, and give it as long to come up.

        Raises:
            BusError: BlueZ refuses.
        """
        for is_on in (False, True):
            powered = [ADAPTER, "Powered", Variant("b", is_on)]
            await self._call(Message(BLUEZ, self._path, PROPERTIES, "Set", signature="ssv", body=powered))
            await asyncio.sleep(off_s)

    async def _find(self, adapter: str) -> str:
        (objects,) = await self._call(Message(BLUEZ, "/", OBJECTS, "GetManagedObjects"))
        found = sorted(path.rsplit("/", 1)[1] for path, interfaces in objects.items() if ADAPTER in interfaces)
        if not found or (adapter and adapter not in found):
            raise BusError("no such adapter" if adapter else "no adapter")
        return adapter or str(found[0])

    async def _watch(self) -> None:
        rules = (
            f"type='signal',sender='{DBUS}',member='NameOwnerChanged',arg0='{BLUEZ}'",
            f"type='signal',interface='{PROPERTIES}',member='PropertiesChanged',path='{self._path}'",
            f"type='signal',interface='{OBJECTS}',member='InterfacesRemoved',arg0path='{self._path}'",
        )
        for rule in rules:
            await self._call(Message(DBUS, "/org/freedesktop/DBus", DBUS, "AddMatch", signature="s", body=[rule]))

    async def _call(self, message: Message) -> list[Any]:
        try:
            reply = await self.bus.call(message)
        except (OSError, EOFError, DBusError) as error:
            raise BusError("the bus went away") from error
        if reply.message_type is MessageType.ERROR:
            raise BusError(f"{message.member}: {reply.error_name}")
        return list(reply.body)

    def _on_message(self, message: Message) -> None:
        if message.message_type is not MessageType.SIGNAL:
            return
        if message.member == "NameOwnerChanged" and message.body[0] == BLUEZ:
            self._lose("bluetoothd left the bus" if not message.body[2] else "bluetoothd was replaced")
        elif message.member == "InterfacesRemoved" and message.body[0] == self._path and ADAPTER in message.body[1]:
            self._lose("the adapter vanished")
        elif message.member == "PropertiesChanged" and message.path == self._path and message.body[0] == ADAPTER:
            changed = message.body[1]
            for name in ("Powered", "Discovering"):
                if name in changed and not changed[name].value:
                    self._lose(f"the adapter is no longer {name.lower()}")

    def _lose(self, reason: str) -> None:
        if not self.lost.is_set():
            self.reason = reason
            self.lost.set()
