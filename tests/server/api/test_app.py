"""The process itself: it starts on its configuration, serves, and ends cleanly with streams open."""

import asyncio
import dataclasses
import signal
import socket
import sys
from pathlib import Path

import httpx
import pytest

from server.config import HttpConfig, ServerConfig


@pytest.fixture
def served(town: ServerConfig, tmp_path: Path) -> tuple[Path, str]:
    """A configuration file for the town, and the address it names."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = dataclasses.replace(town, http=HttpConfig(port=port))
    file = tmp_path / "mimamori.toml"
    file.write_text(config.to_toml())
    return file, config.http.public_url


async def test_a_signal_ends_open_streams_and_the_process(served: tuple[Path, str]) -> None:
    file, url = served
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "server", "serve", "api", "--config", str(file)), stdout=asyncio.subprocess.DEVNULL
    )
    async with httpx.AsyncClient(base_url=url, timeout=30) as client:
        await _until_up(client)
        await client.post("/api/v1/session", json={"login": "demo", "code": "1234-5678"})
        async with client.stream("GET", "/api/v1/live") as live:
            lines = live.aiter_lines()
            assert await anext(lines) == "retry: 2000"
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(20):
                assert [line async for line in lines]
    async with asyncio.timeout(20):
        assert await process.wait() == 0


async def test_a_port_that_is_taken_is_one_line(served: tuple[Path, str]) -> None:
    file, url = served
    with socket.create_server(("127.0.0.1", int(url.rpartition(":")[2]))):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "server", "serve", "api", "--config", str(file)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await process.communicate()
    assert (process.returncode, said.count(b"\n")) == (2, 1)
    assert b"in use" in said


async def _until_up(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(40):
        while True:
            try:
                await client.get("/healthz")
            except httpx.TransportError:
                await asyncio.sleep(0.1)
            else:
                return
