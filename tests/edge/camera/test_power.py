"""The power goes while a camera records: kill -9 of a real process, then what is on the disk."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from edge.camera import segment
from edge.camera.ring import Ring
from edge.clock import WallClock
from tests.edge.camera.conftest import CameraMaker, City, Diary, Film
from wire import keys

PROGRAM = """
import asyncio, sys
from pathlib import Path
from edge import config
from edge.camera.camera import Camera
from edge.clock import WallClock
from wire.keys import CityBundle

async def main():
    loaded = config.load(Path(sys.argv[1]), {})
    bundle = CityBundle.load(loaded.keys.city_file)
    camera = Camera.open(loaded, bundle, journal=lambda kind, body: None, clock=WallClock())
    task = asyncio.create_task(camera.run())
    said = 0
    while not task.done():
        if camera.counts["seconds_recorded"] > said:
            said = camera.counts["seconds_recorded"]
            print(said, flush=True)
        await asyncio.sleep(0.01)
    await task

asyncio.run(main())
"""


def configured(folder: Path, url: Path, city: City) -> Path:
    city.bundle.save(folder / "city.json")
    keys.save_private(folder / "key.pem", keys.new_signing_key())
    path = folder / "edge.toml"
    path.write_text(
        'city = "tsukuba"\ndetector = "gate-1"\nstate_dir = "state"\n'
        '[keys]\nsigning_key_file = "key.pem"\ncity_file = "city.json"\n'
        '[broker]\nurl = "mqtt://127.0.0.1:1"\n'
        f'[camera]\nurl = "{url}"\nis_looped = true\nencoder = "libx264"\nmin_free_mb = 0\n'
    )
    return path


@pytest.mark.parametrize("wait_s", [0.0, 0.13, 0.57, 0.93])
def test_a_power_cut_takes_the_open_second_and_nothing_before_it(
    make_camera: CameraMaker, film: Film, city: City, diary: Diary, tmp_path: Path, wait_s: float
) -> None:
    video = film()
    camera = make_camera(video)
    camera.set_mask(city.mask())
    camera.ring.close()
    told = 0
    for _ in range(2):
        command = [sys.executable, "-c", PROGRAM, str(configured(tmp_path, video, city))]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path.cwd()) as process:
            assert process.stdout is not None
            for _ in range(2):
                last = int(process.stdout.readline())
            time.sleep(wait_s)
            os.kill(process.pid, signal.SIGKILL)
            killed_ms = time.time_ns() // 1_000_000
        told += last
    ring = Ring(tmp_path / "state" / "camera", WallClock(), diary, Counter())
    ring.open()
    items = ring.segments_in(0, 1 << 50)
    records = 0
    for item in items:
        opened = [record for record, _ in segment.opened(item.path, city.key_of(item))]
        records += sum(record.kind == "second" for record in opened)
    assert records >= told
    assert killed_ms - items[-1].end_ms < 2_500
    for before, after in pairwise(items):
        assert after.head.previous == before.chain
    assert ring.chain == items[-1].chain
    ring.close()
