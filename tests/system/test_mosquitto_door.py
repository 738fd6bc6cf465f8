"""Mosquitto with deploy/mosquitto.conf: certificates on both sides, own topics and no others, own sessions."""

import asyncio
import contextlib
import datetime as dt
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import aiomqtt
import pytest

from server import keys as server_keys
from server.config import BrokerConfig, ServerConfig
from server.credentials import Credentials
from server.embedded.broker import free_port
from server.enrolment import profile, vault
from server.enrolment.authority import Authority
from server.gate import rights
from tests.system import mosquitto
from tests.system.village import MOSQUITTO
from wire import topics

pytestmark = pytest.mark.system
CITY = "mimamori"


@dataclass(frozen=True)
class Door:
    config: ServerConfig
    port: int

    def gateway(self, name: str, *, by: Path | None = None, client_id: str = "") -> aiomqtt.Client:
        city = Authority.create(by or self.config.keys_dir / "ca", CITY, now=dt.datetime.now(dt.UTC))
        stem = self.config.keys_dir / f"{name}-{time.monotonic_ns()}"
        key = vault.signing_key(stem.with_suffix(".key"))
        made = city.issue(profile.gateway(name), key.public_key(), now=dt.datetime.now(dt.UTC))
        vault.write(stem.with_suffix(".pem"), city.chain_pem(made).encode(), mode=0o644)
        ca = self.config.keys_dir / "ca.pem"
        credentials = Credentials(name, stem.with_suffix(".pem"), stem.with_suffix(".key"), ca)
        return self._client(client_id or name, credentials.context())

    def program(self, name: str) -> aiomqtt.Client:
        credentials = Credentials.of(self.config, name)
        assert credentials is not None
        return self._client(name, credentials.context())

    def stranger(self) -> aiomqtt.Client:
        return self._client("gw-001", ssl.create_default_context(cafile=self.config.keys_dir / "ca.pem"))

    def _client(self, name: str, context: ssl.SSLContext) -> aiomqtt.Client:
        return aiomqtt.Client("127.0.0.1", self.port, identifier=name, tls_context=context, timeout=3)


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed")
    port = free_port()
    config = ServerConfig(state_dir=tmp_path, broker=BrokerConfig(url=f"mqtts://127.0.0.1:{port}"))
    server_keys.make(config)
    file = mosquitto.configure(tmp_path, config.keys_dir, port)
    with subprocess.Popen([MOSQUITTO, "-c", str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT) as broker:
        while True:
            assert broker.poll() is None
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.02)
        yield Door(config, port)
        broker.terminate()


async def test_a_gateway_delivers_and_is_answered(door: Door) -> None:
    async with asyncio.timeout(20), door.program("ingest") as ingest, door.gateway("gw-001") as gateway:
        await ingest.subscribe(topics.city_filter(CITY, "sightings"))
        await gateway.subscribe(topics.receipts(CITY, "gw-001"))
        await gateway.publish(topics.sightings(CITY, "gw-001"), b"sealed", qos=1)
        assert (await anext(aiter(ingest.messages))).payload == b"sealed"
        await ingest.publish(topics.receipts(CITY, "gw-001"), b"signed")
        assert (await anext(aiter(gateway.messages))).payload == b"signed"


async def test_without_a_certificate_of_the_city_nobody_comes_in(door: Door, tmp_path: Path) -> None:
    for client in (door.stranger(), door.gateway("gw-001", by=tmp_path / "foreign")):
        with pytest.raises(aiomqtt.MqttError):
            async with client:
                pass


async def test_what_is_said_or_heard_on_anothers_topic_goes_nowhere(door: Door) -> None:
    async with door.program("ingest") as ingest, door.gateway("gw-001") as one, door.gateway("gw-002") as other:
        await ingest.subscribe(topics.city_filter(CITY, "sightings"))
        await other.subscribe(topics.city_filter(CITY, "receipts"))
        await other.publish(topics.sightings(CITY, "gw-001"), b"forged", qos=1)
        await ingest.publish(topics.receipts(CITY, "gw-001"), b"signed")
        await one.publish(topics.sightings(CITY, "gw-001"), b"sealed", qos=1)
        async with asyncio.timeout(10):
            assert (await anext(aiter(ingest.messages))).payload == b"sealed"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await anext(aiter(other.messages))


async def test_nobody_takes_over_anothers_session(door: Door) -> None:
    async with door.gateway("gw-001") as rightful, door.gateway("gw-002", client_id="gw-001"):
        await rightful.subscribe(topics.receipts(CITY, "gw-001"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await anext(aiter(rightful.messages))


def test_the_list_says_what_the_gate_says() -> None:
    """Each right of the gate stands in the list, and no other."""
    lines = (mosquitto.DEPLOY / "mosquitto.acl").read_text().splitlines()
    listed = {tuple(line.split()) for line in lines if line.startswith(("pattern", "topic"))}
    wanted = set()
    for kind, holders in (("pattern", (profile.Subject("+", "gateway", "%u"),)), ("topic", _programs())):
        for holder in holders:
            says, hears = rights.leaves(holder)
            who = "%u" if kind == "pattern" else "+"
            wanted |= {(kind, "write", f"mimamori/1/+/{who}/{leaf}") for leaf in says}
            wanted |= {(kind, "read", f"mimamori/1/+/{who}/{leaf}") for leaf in hears}
    assert listed == wanted


def _programs() -> tuple[profile.Subject, ...]:
    return tuple(profile.Subject("+", "service", name) for name in rights.PROGRAMS)
