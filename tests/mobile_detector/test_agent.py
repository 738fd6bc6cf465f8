import asyncio
import contextlib
import sqlite3
import sys
import time
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from mobile_detector.agent import Agent, run_all, supervise
from mobile_detector.config import DetectorConfig, DutyConfig
from mobile_detector.zones import Zone, Zones
from wire import keys
from wire.messages import Receipt

pytestmark = pytest.mark.usefixtures("door")

ROOT = Path(__file__).parents[2]
EID = b"\x01\x02\x03\x04\x05\x06\x07\x08"


@contextlib.asynccontextmanager
async def _running(config: DetectorConfig) -> AsyncIterator[asyncio.Event]:
    stop = asyncio.Event()
    task = asyncio.create_task(supervise(config, stop))
    try:
        yield stop
    finally:
        stop.set()
        await asyncio.wait_for(task, 10)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _pending(config: DetectorConfig) -> int:
    with contextlib.closing(sqlite3.connect(f"file:{config.outbox_file}?mode=ro", uri=True)) as database:
        return int(database.execute("SELECT count(*) FROM batch").fetchone()[0])


async def test_a_tag_heard_is_uploaded_over_http_and_forgotten_after_the_receipt(
    city: Any, air: Any, phone: Any, until: Any
) -> None:
    config = phone(upload_url=city.url)
    async with _running(config):
        await until(lambda: air.is_scanning)
        for _ in range(5):
            await air.send(_now_ms(), EID)
        await until(lambda: sum(row.count for row in city.all_rows()) == 5)
        await until(lambda: _pending(config) == 0)
        await until(lambda: air.acked == 5)
    row = city.all_rows()[0]
    assert (row.id, row.sealed, row.lat_deg, row.lon_deg) == (EID, b"sealed", 34.75, 134.83)


async def test_without_a_receipt_the_batch_is_kept_and_sent_again(city: Any, air: Any, phone: Any, until: Any) -> None:
    city.is_deaf = True
    config = phone(upload_url=city.url)
    async with _running(config):
        await until(lambda: air.is_scanning)
        await air.send(_now_ms(), EID)
        await until(lambda: city.arrivals >= 2)
        assert _pending(config) == 1
        city.is_deaf = False
        await until(lambda: _pending(config) == 0)
    assert len(set(city.envelopes)) == 1
    assert len(city.rows) == 1


async def test_a_batch_that_is_never_answered_holds_up_no_other(city: Any, air: Any, phone: Any, until: Any) -> None:
    city.never_answers = frozenset({1})
    config = phone(upload_url=city.url)
    async with _running(config):
        await until(lambda: air.is_scanning)
        for number in range(3):
            await air.send(_now_ms(), bytes(7) + bytes((number,)))
            await until(lambda number=number: city.arrivals > number)
        await until(lambda: len(city.all_rows()) == 2)
        await until(lambda: len(city.envelopes) - len(set(city.envelopes)) >= 1)
        await until(lambda: _pending(config) == 1)


async def test_a_receipt_that_the_city_did_not_sign_deletes_nothing(city: Any, phone: Any) -> None:
    agent = Agent.open(phone(upload_url=city.url))
    agent.outbox.put(1, 1, lambda *_: b"x")
    receipt = Receipt(agent.outbox.epoch, (1,))
    for forged in (
        city.sign_receipt(receipt, "phone-01", keys.new_signing_key()),
        city.sign_receipt(receipt, "phone-02"),
        b"",
        b"\xff" * 100,
    ):
        assert agent.receipts.take(forged) == ()
    assert agent.outbox.totals().pending_batches == 1
    assert agent.counts["receipts_forged"] == 4
    assert agent.receipts.take(city.sign_receipt(receipt, "phone-01")) == (1,)
    agent.outbox.close()


async def test_a_refused_batch_is_not_sent_for_ever(city: Any, air: Any, phone: Any, until: Any) -> None:
    city.refuse = "unknown-detector"
    config = phone(upload_url=city.url)
    async with _running(config):
        await until(lambda: air.is_scanning)
        await air.send(_now_ms(), EID)
        await until(lambda: city.arrivals == 1)
        await until(lambda: _pending(config) == 0)
    assert city.arrivals == 1


@pytest.mark.system
async def test_over_mqtt_batches_arrive_with_heartbeats_and_a_goodbye(
    city: Any, air: Any, listener: Any, phone: Any, until: Any
) -> None:
    config = phone(broker_url=listener.url)
    async with _running(config):
        await until(lambda: air.is_scanning)
        await air.send(_now_ms(), EID)
        await until(lambda: len(city.all_rows()) == 1)
        await until(lambda: _pending(config) == 0)
        await until(lambda: any(beat.rows_total == 1 for beat in listener.heartbeats))
    await until(lambda: listener.heartbeats[-1].state == "offline")
    assert listener.heartbeats[-1].sent_at_ms > 0  # a goodbye, not a last will


@pytest.mark.system
async def test_without_a_broker_everything_waits_and_then_arrives_once(
    city: Any, air: Any, listener: Any, phone: Any, until: Any
) -> None:
    config = phone(broker_url="mqtt://127.0.0.1:1")
    async with _running(config):
        await until(lambda: air.is_scanning)
        for n in range(3):
            await air.send(_now_ms(), EID[:7] + bytes([n]))
        await until(lambda: config.outbox_file.exists() and _pending(config) >= 1)
    async with _running(phone(broker_url=listener.url)):
        await until(lambda: _pending(config) == 0)
    assert sorted(row.id for row in city.all_rows()) == [EID[:7] + bytes([n]) for n in range(3)]


@pytest.mark.system
async def test_a_phone_that_is_killed_hears_again_what_it_had_not_put_away(
    city: Any, air: Any, phone: Any, until: Any
) -> None:
    config = phone(upload_url=city.url)
    file = _toml(config)
    for _ in range(3):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "mobile_detector", "run", "--config", str(file), cwd=ROOT, stdout=DEVNULL
        )
        await until(lambda: air.is_scanning)
        for _ in range(4):
            await air.send(_now_ms(), EID)
            await asyncio.sleep(0.3)
        process.kill()
        await process.wait()
        await until(lambda: not air.is_scanning)
    async with _running(config):
        await until(lambda: sum(row.count for row in city.all_rows()) >= 12)
    assert sum(row.count for row in city.all_rows()) == 12


def _toml(config: DetectorConfig) -> Path:
    file = config.state_dir.with_suffix(".toml")
    file.write_text(
        f'city = "{config.city}"\ndetector = "{config.detector}"\nstate_dir = "{config.state_dir}"\n'
        f'[keys]\nsigning_key_file = "{config.keys.signing_key_file}"\ncity_file = "{config.keys.city_file}"\n'
        f'[upload]\nurl = "{config.upload.url}"\n[scan]\nsource = "{config.scan.source}"\nwindow_s = 1.0\n'
        f"[position]\nlat_deg = {config.position.lat_deg}\nlon_deg = {config.position.lon_deg}\n"
        "[duty]\nscan_s = 10.0\nrest_cycle_s = 10.0\nmoving_cycle_s = 10.0\n"
    )
    return file


async def test_nothing_readable_about_a_tag_is_on_the_disk(
    city: Any, air: Any, phone: Any, until: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", logger="mobile_detector")
    city.is_deaf = True
    config = phone(upload_url=city.url)
    async with _running(config):
        await until(lambda: air.is_scanning)
        for _ in range(3):
            await air.send(_now_ms(), EID)
        await until(lambda: city.arrivals >= 1)
    for path in config.state_dir.rglob("*"):
        data = path.read_bytes()
        assert not any(mark in data for mark in (EID, EID.hex().encode(), b"sealed", b"34.75"))
    assert EID.hex() not in caplog.text + " ".join(str(vars(record)) for record in caplog.records)


async def test_inside_a_zone_the_receiver_is_closed_and_nothing_leaves(
    city: Any, air: Any, phone: Any, until: Any
) -> None:
    config = phone(upload_url=city.url)
    air.needs_scan = False
    async with _running(config):
        await until(lambda: air.is_scanning)
        Zones([Zone("home", 34.75, 134.83, 100.0)]).save(config.zones_file)
        await until(lambda: not air.is_scanning)
        for _ in range(5):
            await air.send(_now_ms(), EID)
        await until(lambda: air.acked == 5)
        config.zones_file.write_text("broken")
        await asyncio.sleep(1.2)
        assert not air.is_scanning
        config.zones_file.unlink()
        await until(lambda: air.is_scanning)
    assert city.arrivals == 0


async def test_the_receiver_follows_the_duty_cycle(city: Any, air: Any, phone: Any, until: Any) -> None:
    config = phone(upload_url=city.url, duty=DutyConfig(scan_s=0.2, rest_cycle_s=1.0, moving_cycle_s=1.0))
    async with _running(config):
        await until(lambda: len(air.scans) >= 7)
        assert all(before != after for before, after in pairwise(air.scans))


async def test_a_tag_in_haste_keeps_the_receiver_open_and_is_reported_at_once(
    city: Any, air: Any, phone: Any, until: Any
) -> None:
    config = phone(upload_url=city.url, duty=DutyConfig(scan_s=1.0, rest_cycle_s=3.0, moving_cycle_s=3.0))
    async with _running(config):
        await until(lambda: air.is_scanning)
        for _ in range(2):
            await air.send(_now_ms(), EID)
        for n in range(8):
            await air.send(_now_ms(), EID, sealed=b"sos!%02d" % n)
        await until(lambda: any((row.sealed or b"").startswith(b"sos!") for row in city.all_rows()))
        scans = len(air.scans)
        await asyncio.sleep(2.5)
        assert air.is_scanning
        assert len(air.scans) == scans


async def test_a_phone_with_a_broken_key_does_not_stop_another(city: Any, air: Any, phone: Any, until: Any) -> None:
    good = phone(upload_url=city.url)
    (city.directory / "bad.pem").write_text("no key")
    bad = DetectorConfig(
        city=city.id,
        detector="phone-02",
        state_dir=city.directory / "phone-02",
        keys=type(good.keys)(city.directory / "bad.pem", good.keys.city_file),
        upload=good.upload,
        scan=good.scan,
        position=good.position,
    )
    stop = asyncio.Event()
    task = asyncio.create_task(run_all([bad, good], stop))
    await until(lambda: air.is_scanning)
    await air.send(_now_ms(), EID)
    await until(lambda: len(city.all_rows()) == 1)
    stop.set()
    await task
