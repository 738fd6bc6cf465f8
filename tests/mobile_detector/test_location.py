import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

from mobile_detector.location import WALK_MPS, GpsdLocation
from wire.gpsd import Position, Track


def _tpv(at_s: int, **fields: object) -> bytes:
    report = {"class": "TPV", "mode": 3, "time": f"2026-11-24T00:00:{at_s:02d}.000Z", "lat": 34.7, "lon": 134.8}
    return json.dumps(report | fields).encode() + b"\r\n"


def test_a_position_between_two_is_interpolated_and_beyond_them_less_sure() -> None:
    track = Track(10.0, WALK_MPS)
    track.add(Position(0, 34.0, 134.0, 5.0, 1.0))
    track.add(Position(2000, 34.5, 134.5, 8.0, 1.0))
    assert track.at(1000) == Position(1000, 34.25, 134.25, 8.0, 1.0, 1000)
    later = track.at(4000)
    assert later is not None
    assert later.accuracy_m == 8.0 + 2 * 6.0
    assert track.at(12_001) is None


async def test_gpsd_is_asked_for_our_device_and_found_again(until: Any) -> None:
    asked = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(json.loads((await reader.readuntil(b";")).decode().strip(";\n").removeprefix("?WATCH=")))
        writer.write(b'{"class":"VERSION"}\r\n' + _tpv(len(asked)))
        await writer.drain()
        writer.close()

    with tempfile.TemporaryDirectory(prefix="mmt-") as directory:
        path = Path(directory) / "gpsd.sock"
        server = await asyncio.start_unix_server(serve, path)
        location = GpsdLocation(f"unix:{path}", "phone-01", Track(30.0, WALK_MPS), lambda: 0)
        task = asyncio.create_task(location.run())
        await until(lambda: len(asked) >= 2 and location.track.at(1_795_478_402_000) is not None)
        task.cancel()
        await asyncio.wait([task])
        server.close()
    assert asked[0] == {"enable": True, "json": True, "device": "phone-01"}
