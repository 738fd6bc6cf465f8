import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from edge.position import GpsdClient, Position, Track, read_tpv

NOW_MS = 1_800_000_000_000
TPV = {"class": "TPV", "mode": 3, "time": "2027-01-15T08:00:00.500Z", "lat": 34.76, "lon": 134.84, "speed": 8.0}


def read(**changes: object) -> Position | None:
    return read_tpv(json.dumps(TPV | changes).encode(), lambda: NOW_MS)


def test_a_report_gives_a_position() -> None:
    assert read(eph=7.5) == Position(1_800_000_000_500, 34.76, 134.84, 7.5, 8.0)


def test_without_a_horizontal_error_the_two_axes_are_taken() -> None:
    position = read(epx=3.0, epy=4.0)
    assert position is not None
    assert position.accuracy_m == 5.0


def test_a_report_without_a_time_counts_from_now() -> None:
    line = json.dumps({name: value for name, value in TPV.items() if name != "time"}).encode()
    position = read_tpv(line, lambda: NOW_MS)
    assert position is not None
    assert position.at_ms == NOW_MS


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b"3",
        b"{}",
        b'{"class":"SKY"}',
        b'{"class":"TPV","mode":1}',
        b'{"class":"TPV","mode":2}',
        b'{"class":"TPV","mode":2,"lat":91,"lon":0}',
        b'{"class":"TPV","mode":2,"lat":NaN,"lon":0}',
        b'{"class":"TPV","mode":2,"lat":"x","lon":0}',
        b'{"class":"TPV","mode":2,"lat":0,"lon":0,"time":"yesterday"}',
        b'{"class":"TPV","mode":2,"lat":0,"lon":0,"time":3}',
        b'{"class":"TPV","mode":2,"lat":0,"lon":0,"eph":"much"}',
        b'{"class":"TPV","mode":2,"lat":0,"lon":0,"eph":[1]}',
        b'{"class":"TPV","mode":2,"lat":0,"lon":0,"eph":NaN}',
        b'{"class":"TPV","mode":2,"lat":0,"lon":0,"eph":1e400}',
        b'{"class":"TPV","mode":2,"lat":0,"lon":0,"eph":-1}',
        b'{"class":"TPV","mode":2,"lat":0,"lon":0,"epx":NaN}',
        b'{"class":"TPV","mode":2,"lat":0,"lon":0,"speed":NaN}',
        b'{"class":"TPV","mode":2,"lat":0,"lon":0,"speed":-5}',
        b"[" * 100_000,
    ],
)
def test_any_other_line_gives_none(line: bytes) -> None:
    assert read_tpv(line, lambda: NOW_MS) is None


def track(*positions: Position) -> Track:
    made = Track(max_age_s=60.0)
    for position in positions:
        made.add(position)
    return made


START = Position(0, 34.0, 134.0, 5.0, 10.0)
END = Position(10_000, 34.001, 134.002, 7.0, 10.0)


def test_between_two_positions_the_way_is_interpolated() -> None:
    assert track(START, END).at(5_000) == Position(5_000, 34.0005, 134.001, 7.0, 10.0)


@pytest.mark.parametrize(("at_ms", "accuracy_m"), [(10_000, 7.0), (11_000, 17.0), (14_000, 67.0), (-1_000, 15.0)])
def test_away_from_what_is_known_the_accuracy_grows(at_ms: int, accuracy_m: float) -> None:
    position = track(START, END).at(at_ms)
    assert position is not None
    assert position.accuracy_m == accuracy_m


def test_too_far_from_what_is_known_there_is_no_position() -> None:
    assert track().at(0) is None
    assert track(START, END).at(70_001) is None
    assert track(START, Position(200_000, 35.0, 135.0, 5.0, 0.0)).at(100_000) is None


def test_a_clock_set_back_starts_the_track_anew() -> None:
    made = track(START, END)
    made.add(Position(5_000, 35.0, 135.0, 5.0, 0.0))
    position = made.at(9_000)
    assert position is not None
    assert position.lat_deg == 35.0


async def test_a_lost_gpsd_is_found_again(open_dir: Path, until: Any) -> None:
    asked = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\n"))
        writer.write(b'{"class":"VERSION"}\r\n' + json.dumps(TPV).encode() + b"\r\n")
        await writer.drain()
        writer.close()

    path = open_dir / "gpsd-lost.sock"
    counts: Counter[str] = Counter()
    made = Track(60.0)
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
        made = GpsdClient(f"unix:{path}", "", Track(60.0), counts=counts, now_ms=lambda: 0, silence_s=0.05)
        client = asyncio.create_task(made.run())
        await until(lambda: counts["gpsd_failures"] == 2)
        client.cancel()
        await asyncio.wait([client])
