"""A city that answers, a radio that speaks and gateways to put between them."""

import asyncio
import contextlib
import dataclasses
import os
import secrets
import shutil
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from edge.config import BrokerConfig, EdgeConfig, OutboxConfig, ScanConfig
from firmware_sim.radio_socket import RadioSocket
from wire import batch, btsnoop, frames, hci, keys, seal, topics
from wire.entry import Entry
from wire.keys import CityBundle, kid
from wire.messages import Heartbeat, Order, Receipt
from wire.sections import KeyFiles

START_MS = 1_800_000_000_000


@dataclass
class City:
    """The server's side of the wire, with the behaviour that a test wants.

    Attributes:
        rows: what was stored: batches by detector, epoch and sequence; a batch that comes again changes nothing.
        arrivals: how often batches came, repeats counted.
        is_silent: keeps what it stores to itself.
    """

    name: str
    seal_key: X25519PrivateKey
    receipt_key: ec.EllipticCurvePrivateKey
    detectors: dict[str, ec.EllipticCurvePublicKey] = field(default_factory=dict)
    rows: dict[tuple[str, int, int], list[batch.Row]] = field(default_factory=dict)
    heartbeats: list[Heartbeat] = field(default_factory=list)
    arrivals: int = 0
    is_silent: bool = False
    refuses: str = ""
    port: int = 0
    order_key: ec.EllipticCurvePrivateKey = field(default_factory=keys.new_signing_key)
    reports: dict[tuple[str, int, int], bytes] = field(default_factory=dict)

    @property
    def bundle(self) -> CityBundle:
        return CityBundle(
            self.name, self.seal_key.public_key(), self.receipt_key.public_key(), self.order_key.public_key()
        )

    def order(self, order: Order, detector: str = "gw-1", **over: Any) -> bytes:
        """Return a signed order; `over` are fields of the header, and `signer` and `recipient`."""
        signer, recipient = over.pop("signer", self.order_key), over.pop("recipient", None)
        sealed_to = b"" if recipient is None else kid(recipient)
        signer_kid = kid(signer.public_key())
        header = seal.Header(self.name, detector, 0, order.sequence, order.issued_at_ms, sealed_to, signer_kid, "order")
        header = dataclasses.replace(header, **over)
        if recipient is None:
            return seal.sign(order.encode(), header, signer=signer)
        return seal.seal(order.encode(), header, signer=signer, recipient=recipient)

    @property
    def counts(self) -> Counter[bytes]:
        total: Counter[bytes] = Counter()
        for rows in self.rows.values():
            for row in rows:
                total[row.id] += row.count
        return total

    def receipt(self, detector: str, receipt: Receipt, signer: ec.EllipticCurvePrivateKey | None = None) -> bytes:
        key = signer or self.receipt_key
        signer_kid = kid(key.public_key())
        header = seal.Header(self.name, detector, receipt.epoch, 1, START_MS, b"", signer_kid, "receipt")
        return seal.sign(receipt.encode(), header, signer=key)

    def take(self, data: bytes) -> tuple[str, Receipt]:
        verifier = self.detectors[seal.peek(data).detector]
        header, payload = seal.unseal(data, verifier=verifier, recipient=self.seal_key)
        self.arrivals += 1
        if self.refuses:
            return header.detector, Receipt(header.epoch, refused=((header.sequence, self.refuses),))
        self.rows.setdefault((header.detector, header.epoch, header.sequence), batch.decode(payload).rows())
        return header.detector, Receipt(header.epoch, accepted=(header.sequence,))

    def take_report(self, data: bytes) -> tuple[str, Receipt]:
        header, payload = seal.verify(data, verifier=self.detectors[seal.peek(data).detector])
        assert (header.content, header.sequence) == ("report", Entry.decode(payload).sequence)
        self.reports[header.detector, header.epoch, header.sequence] = payload
        return header.detector, Receipt(header.epoch, accepted=(header.sequence,))

    async def serve(self) -> None:
        while True:
            with contextlib.suppress(aiomqtt.MqttError):
                async with aiomqtt.Client("127.0.0.1", self.port, identifier=f"city-{self.name}") as client:
                    await client.subscribe(topics.city_filter(self.name, "sightings"), qos=1)
                    await client.subscribe(topics.city_filter(self.name, "heartbeat"), qos=1)
                    await client.subscribe(topics.city_filter(self.name, "reports"), qos=1)
                    async for message in client.messages:
                        await self._answer(client, message)
            await asyncio.sleep(0.05)

    async def _answer(self, client: aiomqtt.Client, message: aiomqtt.Message) -> None:
        topic = topics.parse(str(message.topic))
        assert isinstance(message.payload, bytes)
        if topic.leaf == "heartbeat":
            self._take_heartbeat(topic.detector, message.payload)
            return
        take = self.take_report if topic.leaf == "reports" else self.take
        detector, receipt = take(message.payload)
        if not self.is_silent:
            await client.publish(topics.receipts(self.name, detector), self.receipt(detector, receipt))

    def _take_heartbeat(self, detector: str, payload: bytes) -> None:
        with contextlib.suppress(Exception):  # the last will is not signed
            _, payload = seal.verify(payload, verifier=self.detectors[detector])
        self.heartbeats.append(Heartbeat.decode(payload))


@pytest.fixture
def city() -> City:
    """A city of its own name, to be alone on a shared broker."""
    return City(f"c{secrets.token_hex(4)}", X25519PrivateKey.generate(), keys.new_signing_key())


@pytest.fixture
def serving(city: City) -> Callable[[int], AbstractAsyncContextManager[City]]:
    """Let the city answer on a broker's port inside the block."""

    @contextlib.asynccontextmanager
    async def served(port: int) -> AsyncIterator[City]:
        city.port = port
        task = asyncio.create_task(city.serve())
        try:
            yield city
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    return served


@dataclass
class Radio:
    """The simulated radio's own socket server, fed by the test.

    Attributes:
        truth: packets that left the radio, by id.
    """

    path: Path
    socket: RadioSocket
    truth: Counter[bytes] = field(default_factory=Counter)
    now_ms: int = START_MS

    def hear(self, detector: str, frame: frames.Frame, rssi_dbm: int = -70, *, count: int = 1) -> None:
        packet = hci.legacy_event([hci.Report("ADV_NONCONN_IND", b"\xc0\0\0\0\0\1", rssi_dbm, frames.encode(frame))])
        for _ in range(count):
            self.now_ms += 100
            if self.socket.ports[detector].hear(btsnoop.record(packet, at_us=self.now_ms * 1000)):
                named = frames.sighting_id(frame)
                self.truth[named[1] if named else b""] += 1


@pytest.fixture
async def radio(open_dir: Path) -> AsyncIterator[Radio]:
    """A radio with the detectors gw-1 to gw-3."""
    path = open_dir / f"radio-{secrets.token_hex(4)}.sock"
    socket = RadioSocket(["gw-1", "gw-2", "gw-3"], lambda: START_MS * 1000)

    async def flushing() -> None:
        while True:
            socket.flush()
            await asyncio.sleep(0.02)

    async with socket.open(path):
        task = asyncio.create_task(flushing())
        yield Radio(path, socket)
        task.cancel()


@pytest.fixture
def eid() -> Callable[[int], frames.EidFrame]:
    """A sealed frame of the n-th tag."""
    return lambda n: frames.EidFrame(-10, n.to_bytes(8, "big"), b"sealed")


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 1 MB."""
    disk, mount = tmp_path / "disk", shutil.which("mount")
    disk.mkdir()
    if os.geteuid() != 0 or mount is None:
        pytest.skip("a disk of 1 MB is mounted by root alone")
    if subprocess.run([mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=False).returncode:
        pytest.skip("this machine lets nobody mount a tmpfs")
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.fixture
def gateway(tmp_path: Path, city: City) -> Callable[..., EdgeConfig]:
    """Make the configuration of an enrolled gateway."""
    city.bundle.save(tmp_path / "city.json")

    def made(detector: str = "gw-1", port: int = 1, *, radio: Path | None = None, max_bytes: int = 10**8) -> EdgeConfig:
        key_file = tmp_path / f"{detector}.pem"
        if not key_file.exists():
            key = keys.new_signing_key()
            keys.save_private(key_file, key)
            city.detectors[detector] = key.public_key()
        return EdgeConfig(
            city=city.name,
            detector=detector,
            state_dir=tmp_path / detector,
            keys=KeyFiles(key_file, tmp_path / "city.json"),
            broker=BrokerConfig(f"mqtt://127.0.0.1:{port}", heartbeat_s=0.5, receipt_timeout_s=1.0),
            scan=ScanConfig(source=f"unix:{radio}", window_s=1.0),
            outbox=OutboxConfig(max_bytes),
        )

    return made


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], "asyncio.Future[None]"]:
    """Wait until something is so."""

    async def waited(is_so: Callable[[], bool], limit_s: float = 20.0) -> None:
        async with asyncio.timeout(limit_s):
            while not is_so():  # noqa: ASYNC110 -- what is waited for is another process's doing
                await asyncio.sleep(0.02)

    return waited  # type: ignore[return-value]


@pytest.fixture
def running() -> Callable[..., AbstractAsyncContextManager[asyncio.Event]]:
    """Run agents inside the block and stop them in order at its end."""
    from edge.agent import run_all  # noqa: PLC0415 -- most tests here run no agent
    from edge.health import Health, Vitals  # noqa: PLC0415 -- as above

    @contextlib.asynccontextmanager
    async def run(*configs: EdgeConfig) -> AsyncIterator[dict[str, Health]]:
        stop = asyncio.Event()
        vitals = Vitals()
        task = asyncio.create_task(run_all(list(configs), stop, vitals))
        try:
            yield vitals.running
        finally:
            stop.set()
            await task

    return run  # type: ignore[return-value]
