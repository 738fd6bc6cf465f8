"""Batches over HTTPS: through a real broker to whoever signs receipts, and every way that can fail."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiomqtt
import httpx
import pytest
from fastapi import FastAPI

from server.api.bridge import MAX_OUTSTANDING
from server.api.rates import BatchLimits, BatchRates
from server.config import BrokerConfig, CityConfig, ServerConfig
from wire import keys, seal, topics
from wire.cose import MAX_OCTETS
from wire.messages import Receipt
from wire.seal import Header

COSE = {"content-type": "application/cose"}
CITY = "bridge-test"
Client = Callable[[], httpx.AsyncClient]


@pytest.fixture
def town(town: ServerConfig, broker: Any) -> ServerConfig:
    """The same town on a broker, as a city of its own."""
    config = dataclasses.replace(town, broker=BrokerConfig(url=broker.url, tls=False), city=CityConfig(id=CITY))
    bundle = keys.CityBundle.load(config.keys_dir / "city.json")
    dataclasses.replace(bundle, city=CITY).save(config.keys_dir / "city.json")
    return config


def batch(town: ServerConfig, *, sequence: int = 7, city: str = CITY, detector: str = "phone-1") -> bytes:
    signer = keys.new_signing_key()
    recipient = keys.CityBundle.load(town.keys_dir / "city.json").seal_key
    kids = keys.kid(recipient), keys.kid(signer.public_key())
    header = Header(city, detector, 3, sequence, 1_795_416_300_000, *kids, "sightings")
    return seal.seal(b"rows", header, signer=signer, recipient=recipient)


def receipt(town: ServerConfig, header: Header, settled: Receipt, *, forged: bool = False) -> bytes:
    signer = keys.new_signing_key() if forged else keys.load_signing_key(town.keys_dir / "receipt.pem")
    signed = dataclasses.replace(header, recipient_kid=b"", signer_kid=keys.kid(signer.public_key()), content="receipt")
    return seal.sign(settled.encode(), signed, signer=signer)


@contextlib.asynccontextmanager
async def answering(town: ServerConfig, *answers: Callable[[Header], bytes]) -> AsyncIterator[list[bytes]]:
    """Something that takes batches off the broker and publishes `answers` for each."""
    taken: list[bytes] = []

    async def work(client: aiomqtt.Client) -> None:
        async for message in client.messages:
            assert isinstance(message.payload, bytes)
            taken.append(message.payload)
            header = seal.peek(message.payload)
            for answer in answers:
                await client.publish(topics.receipts(CITY, header.detector), answer(header))

    async with aiomqtt.Client("127.0.0.1", int(town.mqtt_url().rpartition(":")[2])) as client:
        await client.subscribe(topics.city_filter(CITY, "sightings"), qos=1)
        task = asyncio.create_task(work(client))
        yield taken
    await asyncio.gather(task, return_exceptions=True)  # its messages end with the connection


async def connected(app: FastAPI) -> None:
    async with asyncio.timeout(20):
        while not app.state.parts.bridge.is_up:  # noqa: ASYNC110 - a state of the client library
            await asyncio.sleep(0.02)


async def test_a_batch_is_published_as_it_is_and_its_receipt_comes_back(
    app: FastAPI, client: Client, town: ServerConfig
) -> None:
    await connected(app)
    data = batch(town)
    good = Receipt(3, accepted=(6, 7))
    async with answering(town, lambda header: receipt(town, header, good)) as taken:
        answer = await client().post("/api/v1/batches", content=data, headers=COSE)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/cose"
    assert taken == [data]
    _, contents = seal.verify(answer.content, verifier=keys.CityBundle.load(town.keys_dir / "city.json").receipt_key)
    assert Receipt.decode(contents) == good


async def test_a_refusal_is_a_receipt_too(app: FastAPI, client: Client, town: ServerConfig) -> None:
    await connected(app)
    refused = Receipt(3, refused=((7, "not enrolled"),))
    async with answering(town, lambda header: receipt(town, header, refused)):
        answer = await client().post("/api/v1/batches", content=batch(town), headers=COSE)
    assert answer.status_code == 200


async def test_forged_and_foreign_receipts_are_not_believed(app: FastAPI, client: Client, town: ServerConfig) -> None:
    await connected(app)
    mine, other = Receipt(3, accepted=(7,)), Receipt(4, accepted=(7,))
    wrong = (
        lambda header: receipt(town, header, mine, forged=True),
        lambda header: receipt(town, dataclasses.replace(header, detector="phone-2"), mine),
        lambda header: receipt(town, header, other),
        lambda _: b"junk",
    )
    async with answering(town, *wrong, lambda header: receipt(town, header, mine)):
        answer = await client().post("/api/v1/batches", content=batch(town), headers=COSE)
    _, contents = seal.verify(answer.content, verifier=keys.CityBundle.load(town.keys_dir / "city.json").receipt_key)
    assert Receipt.decode(contents) == mine


async def test_the_same_batch_twice_at_once_gets_two_answers(app: FastAPI, client: Client, town: ServerConfig) -> None:
    await connected(app)
    data = batch(town)
    async with answering(town, lambda header: receipt(town, header, Receipt(3, accepted=(7,)))):
        posts = (client().post("/api/v1/batches", content=data, headers=COSE) for _ in range(2))
        assert [answer.status_code for answer in await asyncio.gather(*posts)] == [200, 200]
    assert app.state.parts.bridge._waiting == {}


async def test_without_a_receipt_the_phone_is_told_to_try_again(
    app: FastAPI, client: Client, town: ServerConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await connected(app)
    bridge = app.state.parts.bridge
    monkeypatch.setattr(type(bridge).deliver, "__kwdefaults__", {"timeout_s": 0.3})
    answer = await client().post("/api/v1/batches", content=batch(town), headers=COSE)
    assert (answer.status_code, answer.json()["code"]) == (504, "no-receipt")
    assert bridge._waiting == {}


async def test_too_many_waiting_batches_are_turned_away(app: FastAPI, client: Client, town: ServerConfig) -> None:
    await connected(app)
    app.state.parts.bridge._outstanding = MAX_OUTSTANDING
    answer = await client().post("/api/v1/batches", content=batch(town), headers=COSE)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


@pytest.mark.parametrize(
    ("limits", "detectors", "codes"),
    [
        (BatchLimits(per_detector="2 per minute"), ("a", "a", "a", "b"), (200, 200, 429, 200)),
        (BatchLimits(overall="2 per minute"), ("a", "b", "c"), (200, 200, 429)),
    ],
)
async def test_more_batches_than_the_rates_allow_are_for_later(
    app: FastAPI, client: Client, town: ServerConfig, limits: BatchLimits, detectors: tuple[str, ...], codes: Any
) -> None:
    await connected(app)
    app.state.parts = dataclasses.replace(app.state.parts, batch_rates=BatchRates(limits))
    async with answering(town, lambda header: receipt(town, header, Receipt(3, accepted=(7,)))) as taken:
        answers = [
            await client().post("/api/v1/batches", content=batch(town, detector=detector), headers=COSE)
            for detector in detectors
        ]
    assert tuple(answer.status_code for answer in answers) == codes
    refused = answers[codes.index(429)]
    assert (refused.json()["code"], 0 < int(refused.headers["retry-after"]) <= 60) == ("too-many-tries", True)
    assert len(taken) == codes.count(200)


async def test_a_body_that_is_no_envelope_is_malformed(client: Client) -> None:
    phone = client()
    for data in (b"", b"junk", b"\xd2", b"\xd2\x84\x40\xa0\x40\x40", b"\x9f" * 5000, bytes(999_999)):
        answer = await phone.post("/api/v1/batches", content=data, headers=COSE)
        assert (answer.status_code, answer.json()["code"]) == (400, "malformed-body"), data[:20]


async def test_a_megabyte_is_too_large_told_or_not(client: Client) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(102):
            yield bytes(10_000)

    for content in (bytes(MAX_OCTETS + 1), chunks()):
        answer = await client().post("/api/v1/batches", content=content, headers=COSE)
        assert (answer.status_code, answer.json()["code"]) == (413, "too-large")


async def test_other_types_and_other_cities_are_refused(client: Client, town: ServerConfig) -> None:
    data = batch(town)
    typed = await client().post("/api/v1/batches", content=data, headers={"content-type": "application/json"})
    assert (typed.status_code, typed.json()["code"]) == (415, "unsupported-media-type")
    foreign = await client().post("/api/v1/batches", content=batch(town, city="elsewhere"), headers=COSE)
    assert (foreign.status_code, foreign.json()["code"]) == (422, "invalid-input")


async def test_no_broker_is_said_at_once_and_health_says_so(app: FastAPI, client: Client, town: ServerConfig) -> None:
    await connected(app)
    bridge = app.state.parts.bridge
    bridge._port = 9
    bridge._client._client.disconnect()
    async with asyncio.timeout(20):
        while bridge.is_up:  # noqa: ASYNC110 - a state of the client library
            await asyncio.sleep(0.02)
    answer = await client().post("/api/v1/batches", content=batch(town), headers=COSE)
    assert (answer.status_code, answer.json()["code"]) == (503, "broker-down")
    health = await client().get("/healthz")
    assert (health.status_code, health.json()) == (200, {"status": "degraded", "database": "up", "broker": "down"})
