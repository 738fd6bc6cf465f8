"""At the real broker's door, with the real gate and the real list: who comes in, and who is put out again."""

import asyncio
import contextlib
import datetime as dt
import hashlib
import signal
import ssl
import subprocess
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import aiomqtt
import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from server import keys as server_keys
from server.config import BrokerConfig, ServerConfig
from server.credentials import Credentials, client_id
from server.embedded.broker import Broker, binary, free_port
from server.enrolment import authority, profile, vault
from server.enrolment.authority import Authority
from server.gate import loop
from wire import topics

pytestmark = [pytest.mark.db, pytest.mark.system]

CITY = "mimamori"
_CERTIFICATE = """
INSERT INTO certificate (serial, kind, subject, key_sha256, not_before, not_after, issued_at)
VALUES (%s, 'gateway', %s, %s, %s, %s, now())
"""


@dataclass(frozen=True)
class Papers:
    """A gateway's certificate and key, in files."""

    detector: str
    certificate: x509.Certificate
    certificate_file: Path
    key_file: Path

    @property
    def serial(self) -> str:
        return authority.serial_of(self.certificate)

    @property
    def spki(self) -> bytes:
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self.certificate.public_key().public_bytes(serialization.Encoding.DER, form)


@dataclass
class Door:
    """The broker, its gate, and an authority that issues papers."""

    config: ServerConfig
    folder: Path
    city: Authority
    broker: Broker
    numbers: int = 0
    gate: asyncio.Task[None] | None = field(default=None)

    @property
    def now(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC)

    def papers(
        self, detector: str, *, by: Authority | None = None, ago_days: int = 0, is_listed: bool = True
    ) -> Papers:
        """Issue a certificate that is in force for a day, and put it on the list."""
        self.numbers += 1
        stem = self.folder / f"{self.numbers}-{detector}"
        key = vault.signing_key(stem.with_suffix(".key"))
        issuer, issued = by or self.city, self.now - dt.timedelta(days=ago_days)
        certificate = issuer.issue(profile.gateway(detector, days=1), key.public_key(), now=issued)
        vault.write(stem.with_suffix(".pem"), issuer.chain_pem(certificate).encode(), mode=0o644)
        papers = Papers(detector, certificate, stem.with_suffix(".pem"), stem.with_suffix(".key"))
        if is_listed:
            self.enlist(papers)
        return papers

    def short_lived(self, detector: str, seconds: float) -> Papers:
        """Issue papers that end soon."""
        early = self.now + dt.timedelta(seconds=seconds) - dt.timedelta(days=1)
        self.numbers += 1
        stem = self.folder / f"{self.numbers}-{detector}"
        key = vault.signing_key(stem.with_suffix(".key"))
        certificate = self.city.issue(profile.gateway(detector, days=1), key.public_key(), now=early)
        vault.write(stem.with_suffix(".pem"), self.city.chain_pem(certificate).encode(), mode=0o644)
        papers = Papers(detector, certificate, stem.with_suffix(".pem"), stem.with_suffix(".key"))
        self.enlist(papers)
        return papers

    def enlist(self, papers: Papers, *, is_its_key: bool = True) -> None:
        made = papers.certificate
        if is_its_key:
            self.run("UPDATE detector SET public_key = %s WHERE id = %s", [papers.spki, papers.detector])
        values = [papers.serial, papers.detector, hashlib.sha256(papers.spki).digest()]
        self.run(_CERTIFICATE, [*values, made.not_valid_before_utc, made.not_valid_after_utc])

    def run(self, statement: str, values: list[object]) -> None:
        with psycopg.connect(self.config.dsn(), autocommit=True) as conn:
            conn.execute(statement.encode(), values)

    async def open(self) -> None:
        """Start the gate, and return when it answers."""
        self.gate = asyncio.create_task(loop.run(self.config))
        while True:
            if self.gate.done():
                self.gate.result()
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", self.config.gate.metrics_port)
                writer.close()
                return
            await asyncio.sleep(0.02)

    async def shut(self) -> None:
        """Stop the gate."""
        assert self.gate is not None
        self.gate.cancel()
        await asyncio.gather(self.gate, return_exceptions=True)

    def client(
        self, papers: Papers | None, name: str | None = None, *, timeout_s: float = 8, port: int = 0
    ) -> aiomqtt.Client:
        context = ssl.create_default_context(cafile=self.config.keys_dir / "ca.pem")
        if papers is not None:
            context.load_cert_chain(papers.certificate_file, papers.key_file)
        identifier = name if name is not None else (papers.detector if papers else "gw-001")
        port = port or self.config.broker.mqtt_port
        return aiomqtt.Client("127.0.0.1", port, identifier=identifier, tls_context=context, timeout=timeout_s)

    def program(self, name: str) -> aiomqtt.Client:
        credentials = Credentials.of(self.config, name)
        assert credentials is not None
        port, context = self.config.broker.mqtt_port, credentials.context()
        return aiomqtt.Client("127.0.0.1", port, identifier=client_id(name), tls_context=context, timeout=8)

    async def has_counted(self, name: str, value: float) -> None:
        """Return when the gate's counter has the value; it counts a moment after the client notices."""
        for _ in range(250):
            if await self.metric(name) == value:
                return
            await asyncio.sleep(0.02)
        raise AssertionError(await self.metric(name))

    async def metric(self, name: str) -> float:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.config.gate.metrics_port)
        writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
        text = (await reader.read()).decode()
        writer.close()
        return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name))


@pytest.fixture
async def door(db: ServerConfig, tmp_path: Path) -> AsyncIterator[Door]:
    settings = replace(db, broker=BrokerConfig(mqtt_port=free_port(), nats_port=free_port()))
    settings = replace(settings, gate=replace(settings.gate, metrics_port=free_port()))
    long_ago = dt.datetime.now(dt.UTC) - dt.timedelta(days=10)
    Authority.create(settings.keys_dir / server_keys.CA, CITY, now=long_ago)
    server_keys.make(settings)
    made = Door(
        settings,
        tmp_path,
        Authority.load(settings.keys_dir / server_keys.CA, CITY),
        Broker(settings.state_dir, settings.broker, server_keys.broker_door(settings)),
    )
    made.run("INSERT INTO city (id, name_ja, name_en, tz) VALUES (%s, 'a', 'a', 'Asia/Tokyo')", [CITY])
    for name in ("gw-001", "gw-002"):
        statement = (
            "INSERT INTO detector (id, city_id, kind, label_ja, label_en, enrolled_at)"
            " VALUES (%s, %s, 'vehicle', 'a', 'a', now())"
        )
        made.run(statement, [name, CITY])
    with made.broker:
        await made.open()
        yield made
        await made.shut()


async def test_the_broker_of_docker_compose_has_the_same_door(door: Door, tmp_path: Path) -> None:
    await door.shut()
    mqtt_port, nats_port, web_port = free_port(), free_port(), free_port()
    server_keys.write_door(door.config, tmp_path / "door")
    text = (Path(__file__).parents[2] / "deploy" / "nats.conf").read_text()
    for there, here in (("/etc/nats/door", tmp_path / "door"), ("/log/", f"{tmp_path}/"), ("/data", tmp_path / "js")):
        text = text.replace(there, str(here))
    for there, port in (("port: 8883", mqtt_port), ("port: 4222", nats_port)):
        text = text.replace(there, f"port: {port}")
    (tmp_path / "nats.conf").write_text(text.replace("127.0.0.1:8222", f"127.0.0.1:{web_port}"))
    url, nats_url = f"mqtts://127.0.0.1:{mqtt_port}", f"tls://127.0.0.1:{nats_port}"
    foreign = BrokerConfig(url=url, nats_url=nats_url, log_file=str(tmp_path / "broker.log"))
    door.config = replace(door.config, broker=foreign)
    with await asyncio.to_thread(_nats, tmp_path / "nats.conf") as server:
        await door.open()
        async with door.client(door.papers("gw-002"), port=mqtt_port) as intruder:
            await intruder.publish(topics.sightings(CITY, "gw-001"), b"forged", qos=1)
            assert await _ends_within(intruder, 10) < 3
        assert not await _comes_in(door.client(None, port=mqtt_port, timeout_s=3))
        server.terminate()


def _nats(config: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([binary(), "-c", config], stderr=subprocess.DEVNULL)


async def _comes_in(client: aiomqtt.Client) -> bool:
    try:
        async with client:
            return True
    except aiomqtt.MqttError:
        return False


async def _ends_within(client: aiomqtt.Client, seconds: float) -> float:
    """Return after how many seconds the broker ended the connection."""
    started_s = time.monotonic()
    with contextlib.suppress(aiomqtt.MqttError, TimeoutError):
        async with asyncio.timeout(seconds):
            async for _ in client.messages:
                pass
    return time.monotonic() - started_s


async def test_a_gateway_delivers_and_is_answered(door: Door) -> None:
    papers = door.papers("gw-001")
    async with asyncio.timeout(20), door.program("ingest") as ingest, door.client(papers) as gateway:
        await ingest.subscribe(topics.city_filter(CITY, "sightings"))
        await gateway.subscribe(topics.receipts(CITY, "gw-001"))
        await gateway.publish(topics.sightings(CITY, "gw-001"), b"sealed", qos=1)
        heard = await anext(aiter(ingest.messages))
        await ingest.publish(topics.receipts(CITY, "gw-001"), b"signed")
        answer = await anext(aiter(gateway.messages))
    assert (heard.payload, answer.payload) == (b"sealed", b"signed")


async def test_a_gateway_hears_orders_and_the_gate_its_reports(door: Door) -> None:
    papers = door.papers("gw-001")
    async with asyncio.timeout(20), door.program("gate") as gate, door.client(papers) as gateway:
        await gate.subscribe(topics.city_filter(CITY, "reports"))
        await gateway.subscribe(topics.orders(CITY, "gw-001"))
        await gate.publish(topics.orders(CITY, "gw-001"), b"order")
        order = await anext(aiter(gateway.messages))
        await gateway.publish(topics.reports(CITY, "gw-001"), b"entry", qos=1)
        report = await anext(aiter(gate.messages))
    assert (order.payload, report.payload) == (b"order", b"entry")


async def test_a_phones_batch_goes_from_the_api_to_ingest(door: Door) -> None:
    async with asyncio.timeout(20), door.program("ingest") as ingest, door.program("api") as api:
        await ingest.subscribe(topics.city_filter(CITY, "sightings"))
        await api.subscribe(topics.city_filter(CITY, "receipts"))
        await api.publish(topics.sightings(CITY, "phone-1"), b"sealed", qos=1)
        assert (await anext(aiter(ingest.messages))).payload == b"sealed"
        await ingest.publish(topics.receipts(CITY, "phone-1"), b"signed")
        assert (await anext(aiter(api.messages))).payload == b"signed"


async def test_without_a_certificate_nobody_comes_in(door: Door) -> None:
    assert not await _comes_in(door.client(None, timeout_s=3))


async def test_a_certificate_of_another_authority_does_not_come_in(door: Door) -> None:
    stranger = Authority.create(door.folder / "foreign", CITY, now=door.now)
    assert not await _comes_in(door.client(door.papers("gw-001", by=stranger), timeout_s=3))


async def test_an_expired_certificate_does_not_come_in(door: Door) -> None:
    assert not await _comes_in(door.client(door.papers("gw-001", ago_days=3), timeout_s=3))


async def test_a_certificate_that_is_not_on_the_list_does_not_come_in(door: Door) -> None:
    assert not await _comes_in(door.client(door.papers("gw-001", is_listed=False)))


async def test_a_certificate_that_is_on_the_list_for_another_key_than_the_gateways_does_not_come_in(door: Door) -> None:
    """Whoever has taken the API over has the issuing key and may write certificates down, but no gateway's key."""
    rightful, forged = door.papers("gw-001"), door.papers("gw-001", is_listed=False)
    door.enlist(forged, is_its_key=False)
    assert not await _comes_in(door.client(forged))
    assert await _comes_in(door.client(rightful))


async def test_a_program_that_is_on_the_list_does_not_come_in_with_another_key(door: Door) -> None:
    stem = door.folder / "ingest"
    key = vault.signing_key(stem.with_suffix(".key"))
    made = door.city.issue(profile.service("ingest"), key.public_key(), now=door.now)
    vault.write(stem.with_suffix(".pem"), door.city.chain_pem(made).encode(), mode=0o644)
    forged = Papers("ingest", made, stem.with_suffix(".pem"), stem.with_suffix(".key"))
    listed = _CERTIFICATE.replace("'gateway'", "'service'")
    times = [made.not_valid_before_utc, made.not_valid_after_utc]
    door.run(listed, [forged.serial, "ingest", hashlib.sha256(forged.spki).digest(), *times])
    assert not await _comes_in(door.client(forged, "ingest:1"))
    async with door.program("ingest"):
        pass


async def test_a_revoked_certificate_does_not_come_in(door: Door) -> None:
    papers = door.papers("gw-001")
    door.run("UPDATE certificate SET revoked_at = now(), reason = 'revoked' WHERE serial = %s", [papers.serial])
    assert not await _comes_in(door.client(papers))
    assert await _comes_in(door.client(door.papers("gw-001")))


async def test_a_borrowed_certificate_does_not_come_in_under_the_lenders_name_or_the_borrowers(door: Door) -> None:
    """Of two gateways, neither comes in under the other's client id, whoever holds which certificate."""
    one, other = door.papers("gw-001"), door.papers("gw-002")
    assert not await _comes_in(door.client(one, "gw-002"))
    assert not await _comes_in(door.client(other, "gw-001"))
    assert not await _comes_in(door.client(one, "ingest:1"))
    assert not await _comes_in(door.client(one, ""))


async def test_nobody_takes_over_anothers_session(door: Door) -> None:
    one, other = door.papers("gw-001"), door.papers("gw-002")
    async with door.client(one) as rightful:
        await rightful.subscribe(topics.receipts(CITY, "gw-001"))
        assert not await _comes_in(door.client(other, "gw-001"))
        assert await _ends_within(rightful, 2) >= 2


async def test_nobody_comes_in_by_the_brokers_own_protocol(door: Door) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", door.config.broker.nats_port)
    writer.write(b'CONNECT {"verbose":true,"user":"gate","pass":"gate"}\r\nSUB > 1\r\n')
    said = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    assert b"Authorization Violation" in said


async def test_publishing_to_anothers_topic_reaches_nobody_and_is_cut_off_within_seconds(door: Door) -> None:
    papers = door.papers("gw-002")
    async with door.program("ingest") as ingest, door.client(papers) as intruder:
        await ingest.subscribe(topics.city_filter(CITY, "sightings"))
        await intruder.publish(topics.sightings(CITY, "gw-001"), b"forged", qos=1)
        assert await _ends_within(intruder, 10) < 3
        assert await _ends_within(ingest, 0.5) >= 0.5  # heard nothing, and is still there
    await door.has_counted('mimamori_gate_cut_off_total{reason="foreign-publish"}', 1)


@pytest.mark.parametrize("leaf", ["receipts", "orders", "sightings"])
async def test_listening_to_anothers_topic_is_cut_off_within_seconds(door: Door, leaf: str) -> None:
    papers = door.papers("gw-002")
    async with door.client(papers) as intruder:
        with contextlib.suppress(aiomqtt.MqttError):
            await intruder.subscribe(topics.of(CITY, "gw-001", leaf))
        assert await _ends_within(intruder, 10) < 3
    await door.has_counted('mimamori_gate_cut_off_total{reason="foreign-subscribe"}', 1)


async def test_listening_to_everybody_is_cut_off_too(door: Door) -> None:
    async with door.client(door.papers("gw-002")) as intruder:
        with contextlib.suppress(aiomqtt.MqttError):
            await intruder.subscribe("#")
        assert await _ends_within(intruder, 10) < 3


async def test_a_connected_client_is_out_soon_after_its_certificate_is_taken_back(door: Door) -> None:
    papers = door.papers("gw-001")
    async with door.client(papers) as client, door.client(door.papers("gw-002")) as other:
        door.run("UPDATE certificate SET revoked_at = now(), reason = 'revoked' WHERE serial = %s", [papers.serial])
        assert await _ends_within(client, 30) < 5
        assert await _ends_within(other, 0.5) >= 0.5
    assert not await _comes_in(door.client(papers))


async def test_a_connected_client_is_out_soon_after_its_detector_is_revoked(door: Door) -> None:
    async with door.client(door.papers("gw-001")) as client:
        door.run("UPDATE detector SET revoked_at = now() WHERE id = %s", ["gw-001"])
        assert await _ends_within(client, 30) < 5


async def test_who_was_revoked_while_the_gate_was_away_is_out_when_it_is_back(door: Door) -> None:
    papers = door.papers("gw-001")
    async with door.client(papers) as client:
        await door.shut()
        door.run("UPDATE certificate SET revoked_at = now(), reason = 'revoked' WHERE serial = %s", [papers.serial])
        assert await _ends_within(client, 1) >= 1
        await door.open()
        assert await _ends_within(client, 30) < 5


async def test_who_trespassed_while_the_gate_was_away_is_out_when_it_is_back(door: Door) -> None:
    async with door.client(door.papers("gw-002")) as intruder:
        await door.shut()
        await intruder.publish(topics.sightings(CITY, "gw-001"), b"forged", qos=1)
        await door.open()
        assert await _ends_within(intruder, 30) < 5


async def test_a_connection_ends_with_its_certificate(door: Door) -> None:
    papers = door.short_lived("gw-001", 4)
    async with door.client(papers) as client:
        assert await _ends_within(client, 30) < 8


async def test_while_the_gate_is_away_nobody_new_comes_in_and_who_is_in_stays(door: Door) -> None:
    papers = door.papers("gw-001")
    async with door.program("ingest") as ingest, door.client(papers) as client:
        await ingest.subscribe(topics.city_filter(CITY, "sightings"))
        await door.shut()
        assert not await _comes_in(door.client(door.papers("gw-002")))
        await client.publish(topics.sightings(CITY, "gw-001"), b"sealed", qos=1)
        assert (await asyncio.wait_for(anext(aiter(ingest.messages)), 5)).payload == b"sealed"
        await door.open()
        assert await _comes_in(door.client(door.papers("gw-002")))


async def test_the_gate_comes_back_by_itself_after_the_broker_was_killed(door: Door) -> None:
    papers = door.papers("gw-001")
    assert await _comes_in(door.client(papers))
    door.broker.process.kill()
    door.broker.process.wait()
    door.broker.stop()
    await asyncio.to_thread(door.broker.start)
    started_s = time.monotonic()
    while not await _comes_in(door.client(papers)):
        assert time.monotonic() - started_s < 15
    assert time.monotonic() - started_s < 8


async def test_a_restarted_gateway_is_back_at_once_although_its_last_connection_hangs(door: Door) -> None:
    papers = door.papers("gw-001")
    first = door.client(papers)
    await first.__aenter__()
    started_s = time.monotonic()
    assert await _comes_in(door.client(papers))
    assert time.monotonic() - started_s < 3
    with contextlib.suppress(aiomqtt.MqttError):
        await first.__aexit__(None, None, None)


async def test_the_log_may_be_rotated(door: Door) -> None:
    log = door.config.broker_log
    await asyncio.to_thread(log.rename, log.with_name("broker.log.1"))
    door.broker.process.send_signal(signal.SIGUSR1)  # nats-server opens its log anew
    await asyncio.sleep(0.2)
    async with door.client(door.papers("gw-002")) as intruder:
        await intruder.publish(topics.sightings(CITY, "gw-001"), b"forged", qos=1)
        assert await _ends_within(intruder, 10) < 3
    assert log.exists()
