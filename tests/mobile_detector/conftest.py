"""A phone with keys and a city to seal for, a radio socket under the test's control, and the city's two doors."""

import asyncio
import contextlib
import itertools
import json
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from mobile_detector.config import (
    BrokerConfig,
    DetectorConfig,
    DutyConfig,
    PositionConfig,
    UploadConfig,
)
from wire import batch, btsnoop, keys, seal, topics
from wire.batch import Row
from wire.frames import EidFrame, encode
from wire.hci import Report, legacy_event
from wire.keys import CityBundle
from wire.messages import Heartbeat, Receipt
from wire.sections import KeyFiles, ScanSection

numbers = itertools.count(1)


@dataclass
class City:
    """The city's side: its keys, and what it took.

    Args:
        refuse: answer every batch with this reason.
        is_deaf: give no receipts.
        never_answers: sequences that get no receipt, as a batch whose sender is not proven.
    """

    id: str
    seal_key: X25519PrivateKey
    receipt_key: ec.EllipticCurvePrivateKey
    detector_key: ec.EllipticCurvePrivateKey
    directory: Path
    refuse: str = ""
    is_deaf: bool = False
    never_answers: frozenset[int] = frozenset()
    rows: dict[tuple[str, int], list[Row]] = field(default_factory=dict)
    arrivals: int = 0
    envelopes: list[bytes] = field(default_factory=list)
    url: str = ""

    def take(self, data: bytes) -> bytes | None:
        """Return the signed receipt for a sealed batch, None when deaf."""
        header, payload = seal.unseal(data, verifier=self.detector_key.public_key(), recipient=self.seal_key)
        assert header.content == "sightings"
        self.arrivals += 1
        self.envelopes.append(data)
        if self.is_deaf or header.sequence in self.never_answers:
            return None
        if not self.refuse:
            self.rows[header.detector, header.sequence] = batch.decode(payload).rows()
        one = header.sequence
        receipt = Receipt(header.epoch, refused=((one, self.refuse),)) if self.refuse else Receipt(header.epoch, (one,))
        return self.sign_receipt(receipt, header.detector)

    def sign_receipt(self, receipt: Receipt, detector: str, key: ec.EllipticCurvePrivateKey | None = None) -> bytes:
        signer = key or self.receipt_key
        header = seal.Header(self.id, detector, receipt.epoch, 0, 0, b"", keys.kid(signer.public_key()), "receipt")
        return seal.sign(receipt.encode(), header, signer=signer)

    def all_rows(self) -> list[Row]:
        return [row for rows in self.rows.values() for row in rows]


@pytest.fixture
def city(tmp_path: Path) -> City:
    city = City(
        f"city{next(numbers)}-{tmp_path.name[-20:]}".replace("[", "").replace("]", ""),
        X25519PrivateKey.generate(),
        keys.new_signing_key(),
        keys.new_signing_key(),
        tmp_path,
    )
    bundle = CityBundle(city.id, city.seal_key.public_key(), city.receipt_key.public_key())
    bundle.save(tmp_path / "city.json")
    keys.save_private(tmp_path / "phone.pem", city.detector_key)
    return city


@dataclass
class Air:
    """A radio socket with what the test puts on the air; repeats what is not acknowledged, as wire/air.py has it."""

    path: str
    packets: list[tuple[int, bytes]] = field(default_factory=list)
    acked: int = 0
    scans: list[bool] = field(default_factory=list)
    needs_scan: bool = True
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _open: dict[asyncio.Task[Any], asyncio.StreamWriter] = field(default_factory=dict)

    @property
    def is_scanning(self) -> bool:
        return bool(self.scans) and self.scans[-1]

    async def send(self, at_ms: int, eid: bytes, *, rssi_dbm: int = -60, sealed: bytes = b"sealed") -> bool:
        """Put one packet on the air; False when nobody listens."""
        if self.needs_scan and not self.is_scanning:
            return False
        data = encode(EidFrame(tx_power_dbm=0, eid=eid, sealed=sealed))
        event = legacy_event([Report("ADV_NONCONN_IND", b"\x11" * 6, rssi_dbm, data)])
        async with self._changed:
            self.packets.append((at_ms, event))
            self._changed.notify_all()
        return True

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._open[task] = writer
        hello = json.loads(await reader.readline())
        feeding = asyncio.create_task(self._feed(writer, int(hello["resume"])))
        try:
            while line := await reader.readline():
                message = json.loads(line)
                self.acked = max(self.acked, message.get("ack", 0))
                if "scan" in message:
                    self.scans.append(message["scan"])
        except ConnectionError:
            pass
        finally:
            feeding.cancel()
            self.scans.append(False)
            writer.close()

    async def _feed(self, writer: asyncio.StreamWriter, resume: int) -> None:
        writer.write(btsnoop.header())
        done = resume
        while True:
            async with self._changed:
                while len(self.packets) <= done:
                    await self._changed.wait()
            for at_ms, event in self.packets[done:]:
                writer.write(btsnoop.record(event, at_us=at_ms * 1000))
                done += 1
            await writer.drain()

    async def hang_up(self) -> None:
        await _close(self._open)


@pytest.fixture
async def air() -> AsyncIterator[Air]:
    with tempfile.TemporaryDirectory(prefix="mmt-") as directory:
        air = Air(f"{directory}/radio.sock")
        server = await asyncio.start_unix_server(air.serve, air.path)
        yield air
        server.close()
        await air.hang_up()


@pytest.fixture
async def door(city: City) -> AsyncIterator[None]:
    """A small HTTP server at `city.url` that takes batches; `city.is_deaf` makes it answer 504."""
    open_now: dict[asyncio.Task[Any], asyncio.StreamWriter] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        open_now[task] = writer
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await _answer(city, reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    city.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api/v1/batches"
    yield
    server.close()
    await _close(open_now)


async def _answer(city: City, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    assert head.startswith("post /api/v1/batches http/1.1")
    assert "content-type: application/cose" in head
    length = int(head.split("content-length:")[1].split("\r\n")[0])
    receipt = city.take(await reader.readexactly(length))
    status = b"504 Gateway Timeout" if receipt is None else b"200 OK"
    body = receipt or b"{}"
    writer.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))
    await writer.drain()


async def _close(open_now: dict[asyncio.Task[Any], asyncio.StreamWriter]) -> None:
    for writer in open_now.values():
        writer.close()
    if open_now:
        await asyncio.wait(open_now)


@dataclass
class Listener:
    """The city at a broker."""

    url: str
    heartbeats: list[Heartbeat] = field(default_factory=list)


@pytest.fixture
async def listener(city: City, broker: Any) -> AsyncIterator[Listener]:
    """The city at a broker, taking batches and hearing heartbeats."""
    listener = Listener(broker.url)

    async def listen(client: aiomqtt.Client) -> None:
        async for message in client.messages:
            topic = topics.parse(str(message.topic))
            assert isinstance(message.payload, bytes)
            if topic.leaf == "sightings":
                receipt = city.take(message.payload)
                if receipt:
                    await client.publish(topics.receipts(city.id, topic.detector), receipt)
            elif topic.leaf == "heartbeat":
                listener.heartbeats.append(_heartbeat(city, message.payload))

    async with aiomqtt.Client("127.0.0.1", broker.port, identifier=f"city-{city.id}") as client:
        for leaf in ("sightings", "heartbeat"):
            await client.subscribe(topics.city_filter(city.id, leaf), qos=1)
        task = asyncio.create_task(listen(client))
        yield listener
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _heartbeat(city: City, data: bytes) -> Heartbeat:
    try:
        return Heartbeat.decode(data)  # the last will is not signed
    except Exception:  # noqa: BLE001 - then it is a signed one, or the test fails here
        return Heartbeat.decode(seal.verify(data, verifier=city.detector_key.public_key())[1])


@pytest.fixture
def phone(city: City, air: Air) -> Callable[..., DetectorConfig]:
    """Make the configuration of a phone that stands still and scans all the time, unless told otherwise."""

    def make(
        *,
        broker_url: str = "",
        upload_url: str = "",
        duty: DutyConfig | None = None,
        position: PositionConfig | None = None,
    ) -> DetectorConfig:
        return DetectorConfig(
            city=city.id,
            detector="phone-01",
            state_dir=city.directory / "phone-01",
            keys=KeyFiles(city.directory / "phone.pem", city.directory / "city.json"),
            broker=BrokerConfig(url=broker_url, heartbeat_s=0.5),
            upload=UploadConfig(url=upload_url, timeout_s=2.0),
            scan=ScanSection(source=f"unix:{air.path}", window_s=1.0),
            position=position or PositionConfig(lat_deg=34.75, lon_deg=134.83),
            duty=duty or DutyConfig(scan_s=10.0, rest_cycle_s=10.0, moving_cycle_s=10.0),
        )

    return make


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], object]:
    """Wait until something holds, 20 seconds at most."""

    async def wait(holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not holds():  # noqa: ASYNC110 - what is waited for is state of several tasks
                await asyncio.sleep(0.02)

    return wait
