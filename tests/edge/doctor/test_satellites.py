import asyncio
import contextlib
import dataclasses
import json
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from edge.config import PositionConfig
from edge.doctor import satellites

FIX = {"class": "TPV", "mode": 3, "lat": 34.76, "lon": 134.84, "eph": 7.5, "speed": 0.0}


@contextlib.asynccontextmanager
async def speaking(path: Path, *lines: dict[str, Any]) -> AsyncIterator[None]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\n")
            writer.write(b"".join(json.dumps(line).encode() + b"\r\n" for line in lines))
            await reader.read()
        finally:
            writer.close()
            ended.set()

    ended = asyncio.Event()
    async with await asyncio.start_unix_server(serve, path):
        yield
        await ended.wait()


@pytest.mark.parametrize(
    ("lines", "verdict", "said"),
    [
        ([{"class": "VERSION"}, {"class": "SKY"}, FIX], "ok", "there is a fix (within 8 m)"),
        ([{"class": "VERSION"}, {"class": "TPV", "mode": 1}], "warn", "the receiver works and has no fix"),
        ([{"class": "VERSION"}], "fail", "nothing comes from the receiver"),
    ],
)
async def test_a_receiver_is_judged_and_its_place_not_shown(
    gateway: Any, open_dir: Path, lines: list[dict[str, Any]], verdict: str, said: str
) -> None:
    path = open_dir / f"gpsd-{secrets.token_hex(4)}"
    config = dataclasses.replace(gateway(), position=PositionConfig(gpsd=f"unix:{path}"))
    async with speaking(path, *lines):
        (found,) = await satellites.check(config, wait_s=0.3)
    assert (found.verdict, found.en) == (verdict, said)
    assert "34.7" not in str(found)


async def test_no_gpsd_is_told_and_a_gateway_that_stands_still_needs_none(gateway: Any) -> None:
    moving = dataclasses.replace(gateway(), position=PositionConfig(gpsd="unix:/nowhere"))
    assert [finding.verdict for finding in await satellites.check(moving)] == ["fail"]
    assert await satellites.check(gateway()) == []
