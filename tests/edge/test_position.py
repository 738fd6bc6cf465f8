import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from edge.position import GpsdClient, whereabouts
from wire.gpsd import Position

TPV = {"class": "TPV", "mode": 3, "time": "2027-01-15T08:00:00.500Z", "lat": 34.76, "lon": 134.84, "speed": 8.0}
START = Position(0, 34.0, 134.0, 5.0, 10.0)
END = Position(10_000, 34.001, 134.002, 7.0, 10.0)


@pytest.mark.parametrize(("at_ms", "accuracy_m"), [(10_000, 7.0), (11_000, 17.0), (14_000, 67.0), (-1_000, 15.0)])
def test_away_from_what_is_known_the_accuracy_grows(at_ms: int, accuracy_m: float) -> None:
    made = whereabouts(60.0)
    made.add(START)
    made.add(END)
    position = made.at(at_ms)
    assert position is not None
    assert position.accuracy_m == accuracy_m


async def test_a_lost_gpsd_is_found_again(open_dir: Path, until: Any) -> None:
    asked = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\n"))
        writer.write(b'{"class":"VERSION"}\r\n' + json.dumps(TPV).encode() + b"\r\n")
        await writer.drain()
        writer.close()

    path = open_dir / "gpsd-lost.sock"
    counts: Counter[str] = Counter()
    made = whereabouts(60.0)
    client = asyncio.create_task(GpsdClient(f"unix:{path}", "car-1", made, counts=counts, now_ms=lambda: 0).run())
    await until(lambda: counts["gpsd_failures"] == 1)
    async with await asyncio.start_unix_server(serve, path):
        await until(lambda: counts["gpsd_failures"] == 3)
    client.cancel()
    assert made.at(1_800_000_000_500) is not None
    assert json.loads(asked[0].removeprefix(b"?WATCH=").rstrip(b";\n")) == {
        "enable": True,
        "json": True,
        "device": "car-1",
    }


async def test_a_gpsd_that_says_nothing_any_more_is_asked_anew(open_dir: Path, until: Any) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    path = open_dir / "gpsd-dumb.sock"
    counts: Counter[str] = Counter()
    async with await asyncio.start_unix_server(serve, path):
        made = GpsdClient(f"unix:{path}", "", whereabouts(60.0), counts=counts, now_ms=lambda: 0, silence_s=0.05)
        client = asyncio.create_task(made.run())
        await until(lambda: counts["gpsd_failures"] == 2)
        client.cancel()
        await asyncio.wait([client])
