"""Each kind of bad input: its reason, whether it is receipted, and that the good batch beside it is taken."""

import asyncio
import base64
import dataclasses
import threading
from collections.abc import Callable
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from server.ingest.open import Beat, Opened, Opener, Refused
from server.ingest.source import Received
from wire import seal, topics
from wire.keys import CityBundle, encode_public, new_signing_key
from wire.messages import Heartbeat

pytestmark = pytest.mark.db
Town = Any  # the class of the fixture lives in conftest.py, which tests cannot import


def _good(town: Town, box: str = "gw-1", **over: Any) -> Received:
    row = town.tags["t-1"].row(town.noon_ms)
    return town.boxes[box].message(row, at_ms=town.noon_ms, **over)  # type: ignore[no-any-return]


def _topic(name: str = "gw-1") -> str:
    return topics.sightings("mimamori", name)


def _signed(town: Town, payload: bytes) -> Received:
    box = town.boxes["gw-1"]
    data = seal.seal(payload, box.header("sightings", town.noon_ms), signer=box.key, recipient=box.city.seal_key)
    return Received(_topic(), data, town.noon_ms)


def _with(town: Town, **over: Any) -> Received:
    box = dataclasses.replace(town.boxes["gw-1"], **over)
    return box.message(town.tags["t-1"].row(town.noon_ms), at_ms=town.noon_ms)  # type: ignore[no-any-return]


def _for_another_city(town: Town) -> Received:
    other = dataclasses.replace(town.city, seal_key=X25519PrivateKey.generate().public_key())
    assert isinstance(other, CityBundle)
    return _with(town, city=other)


def _cut(town: Town) -> Received:
    message = _good(town)
    return dataclasses.replace(message, payload=message.payload[:-9])


BAD: dict[str, tuple[str, bool, Callable[[Town], Received]]] = {
    "noise": ("malformed", False, lambda town: Received(_topic(), b"\x00\xff" * 40, town.noon_ms)),
    "empty": ("malformed", False, lambda town: Received(_topic(), b"", town.noon_ms)),
    "cut": ("malformed", False, _cut),
    "deep": ("malformed", False, lambda town: Received(_topic(), b"\x81" * 50_000 + b"\x00", town.noon_ms)),
    "huge": ("too-large", False, lambda town: Received(_topic(), bytes(1_048_576), town.noon_ms)),
    "topic": ("topic", False, lambda town: Received("elsewhere", b"", town.noon_ms)),
    "stranger": ("not-enrolled", False, lambda town: dataclasses.replace(_good(town), topic=_topic("nobody"))),
    "key": ("wrong-key", False, lambda town: _with(town, key=new_signing_key())),
    "detector": ("wrong-detector", False, lambda town: dataclasses.replace(_good(town), topic=_topic("gw-2"))),
    "recipient": ("wrong-recipient", True, _for_another_city),
    "city": ("wrong-city", True, lambda town: _good(town, city="elsewhere")),
    "batch": ("bad-batch", True, lambda town: _signed(town, cbor2.dumps({0: 1}))),
    "version": ("unknown-version", True, lambda town: _signed(town, cbor2.dumps({0: 99}))),
    "heartbeat": (
        "bad-heartbeat",
        False,
        lambda town: Received(topics.heartbeat("mimamori", "gw-1"), b"\xa0", town.noon_ms),
    ),
}


@pytest.mark.parametrize("kind", BAD)
async def test_bad_input_is_counted_kept_apart_and_hurts_nobody(town: Town, kind: str) -> None:
    reason, is_receipted, make = BAD[kind]
    bad = make(town)
    receipts = await town.take(bad, _good(town, "gw-2"), bad)
    assert town.ask("SELECT reason FROM dead_letter") == [(reason,)]
    assert town.ingest.metrics.refused.labels(reason)._value.get() == 2
    assert [r.refused[0][1] for r in receipts if r.refused] == ([reason] if is_receipted else [])
    assert town.ask("SELECT detector_id, stored FROM batch") == [("gw-2", 1)]


async def test_a_revoked_detector_is_told_to_let_go(town: Town) -> None:
    town.ask("UPDATE detector SET revoked_at = now() WHERE id = 'gw-1'")
    receipts = await town.take(_good(town))
    assert [receipt.refused for receipt in receipts] == [((1, "revoked"),)]
    assert town.count("batch") == 0


async def test_a_detector_revoked_after_its_batch_was_opened_is_refused(town: Town) -> None:
    await town.settle(town.noon_ms)  # there is a roster now
    parcel = await town.open(_good(town))
    assert len(parcel.work.result().opened) == 1
    town.ask("UPDATE detector SET revoked_at = now() WHERE id = 'gw-1'")
    receipts = await town.work_off(parcel)
    assert [receipt.refused for receipt in receipts] == [((1, "revoked"),)]
    assert town.count("batch") == 0


async def test_a_heartbeat_played_back_as_a_batch_lets_no_batch_be_deleted(town: Town) -> None:
    beat = town.boxes["gw-1"].beat(town.noon_ms, town.noon_ms)
    assert await town.take(dataclasses.replace(beat, topic=_topic())) == []
    assert town.ingest.metrics.refused.labels("wrong-content")._value.get() == 1


@dataclasses.dataclass(frozen=True)
class _Held(Opener):
    """Opens when it may."""

    may_open: threading.Event = dataclasses.field(default_factory=threading.Event)

    def open(self, message: Received) -> Opened | Beat | Refused:
        assert self.may_open.wait(20)
        return super().open(message)


async def test_a_detector_revoked_while_its_batch_is_opened_is_refused(town: Town) -> None:
    await town.settle(town.noon_ms)
    opening = town.ingest._opening
    held = _Held(opening.opener.city, opening.opener.detectors, opening.opener.seal_key)
    town.ingest._opening = dataclasses.replace(opening, opener=held)
    being_opened = asyncio.create_task(town.open(_good(town)))
    await asyncio.sleep(0.05)
    town.ask("UPDATE detector SET revoked_at = now() WHERE id = 'gw-1'")
    await town.settle(town.noon_ms)
    held.may_open.set()
    receipts = await town.work_off(await being_opened)
    assert [receipt.refused for receipt in receipts] == [((1, "revoked"),)]
    assert town.count("batch") == 0


async def test_a_payload_too_large_is_kept_by_its_digest_only(town: Town) -> None:
    await town.take(Received(_topic(), bytes(1_048_576), town.noon_ms))
    assert town.ask("SELECT payload, size_bytes, length(digest) FROM dead_letter") == [(None, 1_048_576, 32)]


async def test_a_last_will_marks_a_detector_offline_and_its_heartbeat_online_again(town: Town) -> None:
    topic = topics.heartbeat("mimamori", "gw-1")
    await town.take(Received(topic, Heartbeat.will("gw-1").encode(), town.noon_ms))
    assert town.ask("SELECT state FROM detector_health") == [("offline",)]
    await town.take(town.boxes["gw-1"].beat(town.noon_ms, town.noon_ms + 1000))
    assert town.ask("SELECT state FROM detector_health") == [("online",)]


async def test_nobody_can_mark_another_detector_offline(town: Town) -> None:
    await town.take(Received(topics.heartbeat("mimamori", "gw-1"), Heartbeat.will("gw-2").encode(), town.noon_ms))
    assert town.count("detector_health") == 0


def _rotate(town: Town, until: str) -> Any:
    """Give gw-1 a new key in the database, its old one believed until then; return the box with the new one."""
    new = dataclasses.replace(town.boxes["gw-1"], key=new_signing_key(), sequence=100)
    spki = base64.b64decode(encode_public(new.key.public_key()))
    town.ask(
        "UPDATE detector SET previous_key = public_key, previous_until = %s::timestamptz, public_key = %s"
        " WHERE id = 'gw-1'",
        until,
        spki,
    )
    return new


async def test_batches_that_waited_under_the_key_before_a_rotation_are_taken(town: Town) -> None:
    old = _good(town)
    new = _rotate(town, "2999-01-01")
    fresh = new.message(town.tags["t-1"].row(town.noon_ms), at_ms=town.noon_ms)
    receipts = await town.take(old, fresh)
    assert sorted(sequence for receipt in receipts for sequence in receipt.accepted) == [1, 101]


async def test_the_key_before_a_rotation_ends(town: Town) -> None:
    old = _good(town)
    _rotate(town, "2026-01-01")
    assert await town.take(old) == []
    assert town.ask("SELECT reason FROM dead_letter") == [("wrong-key",)]


async def test_the_key_before_a_rotation_signs_no_heartbeat(town: Town) -> None:
    old = town.boxes["gw-1"]
    _rotate(town, "2999-01-01")
    await town.take(old.beat(town.noon_ms, town.noon_ms))
    assert town.ask("SELECT reason FROM dead_letter") == [("bad-heartbeat",)]


async def test_a_key_that_claims_to_be_the_one_before_is_refused(town: Town) -> None:
    stranger = new_signing_key()
    kid = seal.kid(town.boxes["gw-1"].key.public_key())
    _rotate(town, "2999-01-01")
    forged = _with(town, key=stranger)
    patched = forged.payload.replace(seal.kid(stranger.public_key()), kid)
    assert await town.take(dataclasses.replace(forged, payload=patched)) == []
    assert town.ask("SELECT reason FROM dead_letter") == [("wrong-key",)]


async def test_a_detector_without_a_key_is_not_enrolled(town: Town) -> None:
    town.ask("UPDATE detector SET public_key = NULL WHERE id = 'gw-1'")
    assert await town.take(_good(town)) == []
    assert town.ask("SELECT reason FROM dead_letter") == [("not-enrolled",)]
