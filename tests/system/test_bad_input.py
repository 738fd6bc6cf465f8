"""What is wrong is counted, named in the log and hurts nobody else: through the real broker, into the real store."""

import contextlib
import os
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import aiomqtt
import pytest

from server.credentials import Credentials, client_id, host_and_port
from tests.system.village import Village
from wire import batch, seal, topics
from wire.keys import CityBundle, kid, load_signing_key, new_signing_key

pytestmark = [pytest.mark.system, pytest.mark.db, pytest.mark.timeout(300)]
IDLE = "phone-30"
"""Enrolled, and its key is on the disk, but its agent does not run: its name can be used here."""
HOUR_MS = 3_600_000


def may_mount() -> bool:
    """Whether a small disk can be had here: it takes root, and a container that lets it."""
    if os.geteuid() != 0:
        return False
    with tempfile.TemporaryDirectory() as folder:
        if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=False, capture_output=True).returncode:
            return False
        subprocess.run(["umount", folder], check=True)
    return True


SMALL_DISKS_MB = {"postgres": 400, "town/state/gw-002": 2} if may_mount() else {}


@pytest.fixture(scope="module")
def village(founded: Callable[..., AbstractContextManager[Village]]) -> Iterator[Village]:
    with founded(speed=5, disks_mb=SMALL_DISKS_MB) as made:
        yield made


def _header(village: Village, **over: Any) -> seal.Header:
    city = CityBundle.load(village.settings.keys_dir / "city.json")
    now_ms = village.settings.clock.now_ms()
    key = load_signing_key(village.options.town_dir / "keys" / f"{IDLE}.pem")
    names = {"city": city.city, "detector": IDLE, "epoch": 77, "sequence": 1, "content": "sightings"}
    kids = {"recipient_kid": kid(city.seal_key), "signer_kid": kid(key.public_key())}
    return seal.Header(**{**names, **kids, "sealed_at_ms": now_ms, **over})


def _sealed(village: Village, *, rows: int = 1, heard_ms: int | None = None, key: Any = None, **over: Any) -> bytes:
    """Return a batch of tags that nobody knows, by the idle gateway unless `over` says otherwise."""
    at_ms = village.settings.clock.now_ms() if heard_ms is None else heard_ms
    listed = [batch.Row(0, number.to_bytes(8, "big"), bytes(6), -60, -60, 1, at_ms, at_ms) for number in range(rows)]
    signer = key or load_signing_key(village.options.town_dir / "keys" / f"{IDLE}.pem")
    header = _header(village, signer_kid=kid(signer.public_key()), **over)
    city = CityBundle.load(village.settings.keys_dir / "city.json")
    payload = batch.encode(batch.Batch.from_rows(listed))
    return seal.seal(payload, header, signer=signer, recipient=city.seal_key)


async def _publish(village: Village, *payloads: bytes, detector: str = IDLE) -> None:
    # Whoever has a certificate of our programs may say this; a gateway's would be cut off for another's topic.
    host, port = host_and_port(village.settings.mqtt_url())
    credentials = Credentials.of(village.settings, "api")
    context = credentials.context() if credentials else None
    async with aiomqtt.Client(host, port, identifier=client_id("api"), tls_context=context) as client:
        for payload in payloads:
            await client.publish(topics.sightings(village.settings.city.id, detector), payload, qos=1)


def _refused(village: Village, reason: str) -> float:
    return village.ingest_metric(f'refused_messages_total{{reason="{reason}"}}')


def _shows(village: Village, gauge: str, value: float) -> bool:
    return village.ingest_metric(gauge) == value


@pytest.mark.parametrize(
    "reason", ["malformed", "too-large", "not-enrolled", "wrong-key", "wrong-detector", "bad-batch"]
)
async def test_what_cannot_be_used_is_counted_by_reason_and_logged(village: Village, reason: str) -> None:
    payload, detector = b"\x00\xff" * 40, IDLE
    if reason == "too-large":
        payload = bytes(1_048_576)
    elif reason == "not-enrolled":
        payload, detector = _sealed(village, detector="gw-999"), "gw-999"
    elif reason == "wrong-key":
        payload = _sealed(village, key=new_signing_key())
    elif reason == "wrong-detector":
        payload = _sealed(village, detector="phone-31")
    elif reason == "bad-batch":
        city = CityBundle.load(village.settings.keys_dir / "city.json")
        key = load_signing_key(village.options.town_dir / "keys" / f"{IDLE}.pem")
        payload = seal.seal(b"no batch", _header(village, sequence=9), signer=key, recipient=city.seal_key)
    before = _refused(village, reason)
    await _publish(village, payload, detector=detector)
    village.until(lambda: _refused(village, reason) > before)
    village.until(lambda: any(reason in str(line) for line in village.log_events("ingest")))


async def test_replayed_and_reordered_batches_count_once(village: Village) -> None:
    batches = {number: _sealed(village, rows=number, sequence=100 + number) for number in (1, 2, 3)}
    unknown = village.ingest_metric('sightings_total{result="unknown"}')
    duplicates = village.ingest_metric('batches_total{result="duplicate"}')
    await _publish(village, *(batches[number] for number in (3, 1, 1, 3, 2, 3)))
    village.until(lambda: village.ingest_metric('batches_total{result="duplicate"}') >= duplicates + 3)
    village.until(lambda: village.ingest_metric('sightings_total{result="unknown"}') >= unknown + 6)


async def test_a_clock_hours_ahead_is_put_right_and_counted(village: Village) -> None:
    ahead_ms = village.settings.clock.now_ms() + 5 * HOUR_MS
    before = village.ingest_metric("clock_corrected_batches_total")
    await _publish(village, _sealed(village, heard_ms=ahead_ms, sealed_at_ms=ahead_ms, sequence=200))
    village.until(lambda: village.ingest_metric("clock_corrected_batches_total") > before)


@pytest.mark.parametrize("size", [100, 1_048_576, 3_000_000])
def test_nonsense_by_https_is_a_problem_and_not_a_batch(village: Village, size: int) -> None:
    request = urllib.request.Request(
        f"http://127.0.0.1:{village.settings.http.port}/api/v1/batches",
        data=bytes(size),
        headers={"content-type": "application/cose"},
        method="POST",
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=20)
    with caught.value as answer:
        assert 400 <= answer.code < 500
        assert answer.headers["content-type"].startswith("application/problem+json")


def test_without_a_broker_or_a_database_the_rest_waits_and_says_so(village: Village) -> None:
    for name, gauge in (("broker", "broker_up"), ("database", "database_up")):
        village.supervisor.stop(name)
        village.until(partial(_shows, village, gauge, 0))
        if name == "database":
            assert _status(village, "/healthz") == 503
        village.supervisor.start(next(part for part in village.parts() if part.name == name))
        village.wait_ready(name)
        village.until(partial(_shows, village, gauge, 1))
    assert village.supervisor.restarts()["ingest"] == 0


@pytest.mark.parametrize("path", SMALL_DISKS_MB)
def test_a_full_disk_delays_and_loses_nothing(village: Village, path: str) -> None:
    ballast = village.settings.state_dir / path / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as out:
        while True:
            out.write(bytes(4096))
    if path == "postgres":
        retries = village.ingest_metric("database_retries_total")
        village.until(lambda: village.ingest_metric("database_retries_total") > retries)
    else:
        village.pause(15)  # town time: more than a minute, seven windows
    ballast.unlink()
    village.wait_ready("database")
    stored = sum(village.stored().values())
    village.until(lambda: sum(village.stored().values()) > stored)


def test_after_all_of_this_nothing_is_lost_and_nothing_doubled(village: Village) -> None:
    village.deliver_all()
    assert village.wrong() == {}
    assert village.said_twice() == 0


def _status(village: Village, path: str) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{village.settings.http.port}{path}", timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
