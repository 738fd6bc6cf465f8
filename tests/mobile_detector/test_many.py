"""What hosting a town's phones in one process costs."""

import asyncio
import json
import os
import sys
import tempfile
import time
from asyncio.subprocess import DEVNULL
from pathlib import Path
from typing import Any

import psutil
import pytest

from wire import btsnoop, keys
from wire.frames import EidFrame, encode
from wire.hci import Report, legacy_event

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("door")]

PHONES = 40
TAGS_IN_REACH = 3
MEASURED_S = 8.0


async def _air(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Three tags in reach of every phone whose receiver is open, one packet a second each."""
    phone = json.loads(await reader.readline())["detector"]
    state = {"scan": False}

    async def obey() -> None:
        while line := await reader.readline():
            state.update({key: value for key, value in json.loads(line).items() if key == "scan"})

    obeying = asyncio.create_task(obey())
    writer.write(btsnoop.header())
    while not obeying.done():
        await asyncio.sleep(1.0)
        for n in range(TAGS_IN_REACH if state["scan"] else 0):
            data = encode(EidFrame(0, phone.encode()[-2:] * 3 + bytes([n, 0]), b"sealed"))
            packet = legacy_event([Report("ADV_NONCONN_IND", bytes(6), -70, data)])
            writer.write(btsnoop.record(packet, at_us=time.time_ns() // 1000))
    writer.close()


async def test_forty_phones_share_one_process_and_150_mb(city: Any, until: Any, tmp_path: Path) -> None:
    for n in range(PHONES):
        (tmp_path / "phones").mkdir(exist_ok=True)
        keys.save_private(tmp_path / f"{n}.pem", city.detector_key)
    with tempfile.TemporaryDirectory(prefix="mmt-") as short:
        server = await asyncio.start_unix_server(_air, f"{short}/radio.sock")
        for n in range(PHONES):
            (tmp_path / "phones" / f"{n}.toml").write_text(
                f'city = "{city.id}"\ndetector = "phone-{n:02d}"\nstate_dir = "{tmp_path}/state/{n}"\n'
                f'[keys]\nsigning_key_file = "{tmp_path}/{n}.pem"\ncity_file = "{tmp_path}/city.json"\n'
                f'[upload]\nurl = "{city.url}"\n[scan]\nsource = "unix:{short}/radio.sock"\n'
                "[position]\nlat_deg = 34.75\nlon_deg = 134.83\n"
            )
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "mobile_detector", "run", "--config-dir", str(tmp_path / "phones"),
            cwd=Path(__file__).parents[2], stdout=DEVNULL, env=dict(os.environ),
        )  # fmt: skip
        await until(lambda: len(city.all_rows()) >= 1)
        watched = psutil.Process(process.pid)
        await asyncio.sleep(MEASURED_S)
        rss_mb = watched.memory_info().rss / 1e6
        process.terminate()
        assert await process.wait() == 0
        server.close()
        await asyncio.sleep(1.1)
    assert rss_mb < 150
    assert len({detector for detector, _ in city.rows}) >= PHONES // 4
