"""Advertisements through bleak: the gateway's pipeline beside bleak with a call-back that counts.

A private dbus-daemon and a simulated bluetoothd send; the process that is measured is started from here, uses bleak's
real BlueZ back end and prints one line of JSON:

    python -m bench.edge_air ours 10000
    python -m bench.edge_air bleak 10000
"""

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.edge_absent import absent
from bench.measure import Race, alternate
from wire.frames import EDDYSTONE_UUID16, EidFrame, encode, uuid_text

TAGS: Final = 200
WARM: Final = 500
"""Not counted: the first call-backs load what they need."""
_AT_ONCE: Final = 50
_LIMIT_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Heard:
    """What an advertisement costs; medians of processor time, one core.

    Attributes:
        adv_per_s: that one core bears.
        us_per_adv: microseconds, from the socket to the merged row.
        bleak_us: likewise, to a call-back that counts.
        vs_bleak: how many times as many as bleak alone.
    """

    adv_per_s: float
    us_per_adv: float
    bleak_us: float
    vs_bleak: float

    @classmethod
    def of(cls, race: Race) -> "Heard":
        """Return the figures of a race, times in nanoseconds an advertisement."""
        ours_ns, bleak_ns = race.median("ours"), race.median("bleak")
        return cls(1e9 / ours_ns, ours_ns / 1e3, bleak_ns / 1e3, race.ratio("bleak", "ours"))


def measure(adverts: int, runs: int) -> Heard:
    """Return what an advertisement costs, ours and bleak alone in turn.

    Raises:
        AbsentError: no dbus-daemon here.
    """
    if shutil.which("dbus-daemon") is None:
        raise absent("dbus-daemon", "apt-get install dbus")
    with _bus() as address:

        def run(who: str) -> float:
            return asyncio.run(_race(address, who, adverts)) * 1e9

        return Heard.of(alternate({"ours": lambda: run("ours"), "bleak": lambda: run("bleak")}, runs))


@contextlib.contextmanager
def _bus() -> Iterator[str]:
    from tests.system.bluez.conftest import BUS_CONFIG  # noqa: PLC0415 - the measured process needs no pytest

    with tempfile.TemporaryDirectory(prefix="mmb-") as folder:
        config = Path(folder) / "bus.conf"
        config.write_text(BUS_CONFIG.format(directory=folder))
        command = ["dbus-daemon", f"--config-file={config}", "--nofork", "--nopidfile", "--print-address=1"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as daemon:
            if daemon.stdout is None:
                raise absent("dbus-daemon", "one that says where it listens")
            yield daemon.stdout.readline().strip()
            daemon.terminate()


async def _race(address: str, who: str, adverts: int) -> float:
    """Send so many advertisements to a process and return what each cost it, processor seconds."""
    from tests.system.bluez.conftest import SimulatedBluez  # noqa: PLC0415 - as above

    bluez = SimulatedBluez(address)
    await bluez.start()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.edge_air", who, str(adverts)),
        env={**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": address},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_LIMIT_S):
            while not bluez.discovering:  # noqa: ASYNC110 - what is waited for is another process's doing
                await asyncio.sleep(0.02)
            for number in range(adverts + WARM):
                tag = number % TAGS
                frame = EidFrame(-10, tag.to_bytes(8, "big"), (number // TAGS // 4).to_bytes(6, "big"))
                bluez.advertise(f"C0:00:00:00:00:{tag:02X}", encode(frame), -60 - number // TAGS % 2)
                if number % _AT_ONCE == 0:
                    await bluez.flush()
            out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
        bluez.kill()
    return float(json.loads(out)["cpu_s"]) / adverts


class Meter:
    """Counts call-backs and takes the processor time between the first that counts and the last."""

    def __init__(self, adverts: int) -> None:
        self._last = adverts + WARM
        self._heard = 0
        self._began_s = 0.0
        self.cpu_s = 0.0
        self.done = asyncio.Event()

    def count(self) -> None:
        """Take one."""
        self._heard += 1
        if self._heard == WARM:
            self._began_s = time.process_time()
        elif self._heard == self._last:
            self.cpu_s = time.process_time() - self._began_s
            self.done.set()


async def ours(adverts: int) -> float:
    """Hear with the gateway's scanner and pipeline."""
    from edge.bluez import BluezScan  # noqa: PLC0415 - with its bus address, and only here
    from edge.sight import Sight  # noqa: PLC0415 - as above
    from wire.clock import Clock  # noqa: PLC0415 - as above
    from wire.formats import Formats  # noqa: PLC0415 - as above
    from wire.merge import Merge  # noqa: PLC0415 - as above

    formats, meter = Formats.parse(["eid"]), Meter(adverts)
    sight = Sight(formats, Merge(10_000))

    class Counted(BluezScan):
        """Counts what it hears, as the other side does."""

        __slots__ = ()

        def _hear(self, device, advertisement) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001 - of bleak
            BluezScan._hear(self, device, advertisement)  # noqa: SLF001 - it is its own
            meter.count()

    counted = Counted(sight, Counter(), "", Clock(), formats)
    task = asyncio.create_task(counted.run())
    await meter.done.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    if sight.accepted < adverts:
        raise RuntimeError(f"{sight.accepted} of {adverts} were accepted: {sight.dropped}")
    return meter.cpu_s


async def alone(adverts: int) -> float:
    """Hear with bleak and nothing behind it."""
    from bleak import BleakScanner  # noqa: PLC0415 - with its bus address, and only here

    meter = Meter(adverts)
    scanner = BleakScanner(
        lambda _device, _advertisement: meter.count(),
        service_uuids=[uuid_text(EDDYSTONE_UUID16)],
        bluez={"filters": {"DuplicateData": True, "RSSI": -127}},
    )
    async with scanner:
        await meter.done.wait()
    return meter.cpu_s


def main() -> None:
    """Be the process that is measured."""
    who, adverts = sys.argv[1], int(sys.argv[2])
    cpu_s = asyncio.run({"ours": ours, "bleak": alone}[who](adverts))
    print(json.dumps({"cpu_s": cpu_s}), flush=True)


if __name__ == "__main__":
    main()
