"""A whole gateway with the identity that it enrolled for, on a broker that lets nobody in without a certificate."""

import asyncio
import contextlib
import dataclasses
import datetime as dt
import shutil
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiomqtt
import psycopg
import pytest

from edge import config as configuration
from edge.credentials import Credentials
from edge.enrol import Enroller, read_ticket
from server import keys as server_keys
from server.api.app import Knobs, create_app, make_server, open_pools
from server.config import BrokerConfig, EnrolmentConfig, HttpConfig, ServerConfig
from server.embedded.broker import free_port
from server.enrolment.tickets import Desk
from server.store.connection import connect
from wire import keys, seal, topics
from wire.entry import Entry
from wire.errors import SealError
from wire.messages import Heartbeat, Order

pytestmark = pytest.mark.db
MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
AGO = dt.timedelta(days=25)
SETTINGS = """
listener {port} 127.0.0.1
cafile {keys}/ca.pem
certfile {keys}/broker.pem
keyfile {keys}/broker.key
require_certificate true
use_identity_as_username true
persistence false
log_type all
log_dest file {log}
"""


@dataclass
class Town:
    """A server, a broker with mutual TLS, and the ticket of one gateway.

    Attributes:
        ago: how far the server's wall clock is behind: what it issues then is due for renewal now.
    """

    config: ServerConfig
    log: Path
    url: str = ""
    ago: dt.timedelta = AGO

    def now_ms(self) -> int:
        return round((dt.datetime.now(dt.UTC) - self.ago).timestamp() * 1000)

    def entries(self) -> list[str]:
        return [line for line in self.log.read_text().splitlines() if "connected" in line and "as gw-1" in line]

    def key(self) -> Any:
        with psycopg.connect(self.config.dsn()) as conn:
            row = conn.execute("SELECT public_key FROM detector WHERE id = 'gw-1'").fetchone()
        return row and row[0]

    @contextlib.asynccontextmanager
    async def ear(self) -> AsyncIterator[aiomqtt.Client]:
        folder = self.config.keys_dir
        context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
        context.load_cert_chain(folder / "service-ingest.pem", folder / "service-ingest.key")
        port = int(self.config.enrolment.broker_url.rpartition(":")[2])
        async with aiomqtt.Client("localhost", port, tls_context=context) as client:
            await client.subscribe(topics.heartbeat("mimamori", "gw-1"), qos=1)
            yield client


@contextlib.contextmanager
def broker(config: ServerConfig, log: Path) -> Iterator[None]:
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed")
    port = config.enrolment.broker_url.rpartition(":")[2]
    file = log.with_name("mosquitto.conf")
    file.write_text(SETTINGS.format(port=port, keys=config.keys_dir, log=log) + "user root\n")
    with subprocess.Popen([MOSQUITTO, "-c", str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT) as process:
        while not log.exists() or "Opening ipv4 listen socket" not in log.read_text():
            assert process.poll() is None
            time.sleep(0.02)
        yield
        process.terminate()


@pytest.fixture
async def town(db: ServerConfig, tmp_path: Path) -> AsyncIterator[Town]:
    told = EnrolmentConfig(broker_url=f"mqtts://localhost:{free_port()}")
    config = dataclasses.replace(
        db, broker=BrokerConfig(url="mqtt://127.0.0.1:9", tls=False), http=HttpConfig(port=0), enrolment=told
    )
    server_keys.make(config, now=dt.datetime.now(dt.UTC) - 2 * AGO)
    made = Town(config, tmp_path / "mosquitto.log")
    with psycopg.connect(config.dsn(), autocommit=True) as conn:
        conn.execute("INSERT INTO city VALUES ('mimamori', 'みまもり市', 'Mimamori City', 'Asia/Tokyo')")
        conn.execute(
            "INSERT INTO detector (id, city_id, kind, label_ja, label_en, lat_deg, lon_deg)"
            " VALUES ('gw-1', 'mimamori', 'fixed', '角', 'corner', 34.7, 134.8)"
        )
    async with open_pools(config, max_size=2) as pools:
        server = make_server(create_app(config, pools, Knobs(now_ms=made.now_ms)), "127.0.0.1", 0)
        task = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
            assert not task.done(), "the API did not start"
        made.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        with broker(config, made.log):
            yield made
        server.should_exit = True
        await task


@pytest.fixture
async def gateway(town: Town, radio: Any, tmp_path: Path) -> configuration.EdgeConfig:
    """A gateway that finds a ticket at its first start."""
    conn = await connect(town.config.dsn())
    desk = dataclasses.replace(Desk.of(town.config), server_url=town.url)
    (tmp_path / "ticket.json").write_text((await desk.ticket(conn, "gw-1", bytes(16), now_ms=town.now_ms())).to_json())
    await conn.close()
    file = tmp_path / "gw.toml"
    file.write_text(
        'city = "mimamori"\ndetector = "gw-1"\nstate_dir = "gateway"\n[enrolment]\nticket_file = "ticket.json"\n'
        f'[scan]\nsource = "unix:{radio.path}"\n[broker]\nheartbeat_s = 0.2\n'
    )
    return configuration.load(file, {})


async def heard(client: aiomqtt.Client, key: Any) -> Heartbeat:
    """Return the first heartbeat that is signed by `key`."""
    async with asyncio.timeout(20):
        async for message in client.messages:
            assert isinstance(message.payload, bytes)
            with contextlib.suppress(Exception):
                return Heartbeat.decode(seal.verify(message.payload, verifier=key)[1])
    raise AssertionError("the broker closed")


async def test_an_agent_enrols_connects_renews_and_connects_again_with_the_new_certificate(
    town: Town, gateway: configuration.EdgeConfig, running: Any, until: Any
) -> None:
    async with running(gateway) as healths:
        await until(lambda: healths and healths["gw-1"].counts["certificates_renewed"] >= 1)
        await until(lambda: len(town.entries()) >= 2)
        identity = Credentials(gateway.state_dir).load()
        async with town.ear() as client:
            assert (await heard(client, identity.pair.signing.public_key())).detector == "gw-1"
    with psycopg.connect(town.config.dsn()) as conn:
        row = conn.execute("SELECT count(*) >= 2 FROM certificate WHERE subject = 'gw-1'").fetchone()
    assert row == (True,)


async def test_an_agent_finishes_a_rotation_that_was_interrupted_and_speaks_with_the_new_key(
    town: Town, gateway: configuration.EdgeConfig, running: Any, until: Any
) -> None:
    old = await Enroller(gateway).enrol(read_ticket(gateway))
    town.ago = dt.timedelta()
    new = Credentials(gateway.state_dir).draft("renew")
    new_key = new.signing.public_key()
    async with town.ear() as client, running(gateway) as healths:
        assert (await heard(client, new_key)).state == "online"
        await until(lambda: healths["gw-1"].is_connected)
    assert new_key != old.pair.signing.public_key()
    assert keys.kid(Credentials(gateway.state_dir).load().pair.signing.public_key()) == keys.kid(new_key)


async def test_an_order_for_new_keys_is_carried_out_and_told_under_the_new_key(
    town: Town, gateway: configuration.EdgeConfig, running: Any
) -> None:
    old = await Enroller(gateway).enrol(read_ticket(gateway))
    town.ago = dt.timedelta()
    await Enroller(gateway).renew()  # so that none is due
    async with town.ear() as client, running(gateway):
        await heard(client, old.pair.signing.public_key())
        order = Order(1, round(time.time() * 1000), "rotate-keys")
        signer = keys.load_signing_key(town.config.keys_dir / "order.pem")
        kid = keys.kid(signer.public_key())
        header = seal.Header("mimamori", "gw-1", 0, 1, order.issued_at_ms, b"", kid, "order")
        await client.publish(topics.orders("mimamori", "gw-1"), seal.sign(order.encode(), header, signer=signer), qos=1)
        await client.unsubscribe(topics.heartbeat("mimamori", "gw-1"))
        await client.subscribe(topics.reports("mimamori", "gw-1"), qos=1)
        async with asyncio.timeout(30):
            async for message in client.messages:
                new_key = Credentials(gateway.state_dir).load().pair.signing.public_key()
                assert isinstance(message.payload, bytes)
                if new_key != old.pair.signing.public_key() and _says(message.payload, new_key, "order.done"):
                    break


async def test_an_agent_that_waits_for_the_server_stops_at_once_when_it_is_told(
    gateway: configuration.EdgeConfig, running: Any
) -> None:
    asked = asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(hold, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        slow = dataclasses.replace(gateway, enrolment=dataclasses.replace(gateway.enrolment, server_url=url))
        async with asyncio.timeout(5), running(slow):
            await asked.wait()


def _says(data: bytes, key: Any, kind: str) -> bool:
    """Return whether an entry of this kind is signed by `key`."""
    try:
        return Entry.decode(seal.verify(data, verifier=key)[1]).kind == kind
    except SealError:
        return False
