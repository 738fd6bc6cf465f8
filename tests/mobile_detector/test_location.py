import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobile_detector.location import GpsdLocation, Position, Track, read_tpv


def _tpv(at_s: int, **fields: object) -> bytes:
    report = {"class": "TPV", "mode": 3, "time": f"2026-11-24T00:00:{at_s:02d}.000Z", "lat": 34.7, "lon": 134.8}
    return json.dumps(report | fields).encode() + b"\r\n"


def test_a_position_between_two_is_interpolated_and_beyond_them_less_sure() -> None:
    track = Track(10.0)
    track.add(Position(0, 34.0, 134.0, 5.0, 1.0))
    track.add(Position(2000, 34.5, 134.5, 8.0, 1.0))
    assert track.at(1000) == Position(1000, 34.25, 134.25, 8.0, 1.0)
    later = track.at(4000)
    assert later is not None
    assert later.accuracy_m == 8.0 + 2 * 6.0
    assert track.at(12_001) is None


def test_a_clock_that_was_set_back_starts_the_track_anew() -> None:
    track = Track(10.0)
    track.add(Position(100_000, 34.0, 134.0, 5.0))
    track.add(Position(0, 35.0, 135.0, 5.0))
    assert track.at(100_000) is None
    assert track.at(0) == Position(0, 35.0, 135.0, 5.0)


@pytest.mark.parametrize("fields", [{"mode": 1}, {"lat": 91}, {"lon": "x"}, {"class": "SKY"}, {"time": 5}, {"eph": -1}])
def test_what_is_no_fix_gives_no_position(fields: dict[str, object]) -> None:
    assert read_tpv(_tpv(1, **fields), lambda: 0) is None


@given(st.binary(max_size=200))
def test_any_line_of_gpsd_is_survived(line: bytes) -> None:
    read_tpv(line, lambda: 0)


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
        location = GpsdLocation(f"unix:{path}", "phone-01", Track(30.0), lambda: 0)
        task = asyncio.create_task(location.run())
        await until(lambda: len(asked) >= 2 and location.track.at(1_795_478_402_000) is not None)
        task.cancel()
        await asyncio.wait([task])
        server.close()
    assert asked[0] == {"enable": True, "json": True, "device": "phone-01"}
