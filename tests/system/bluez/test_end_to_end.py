"""A tag is heard by bleak's real BlueZ back end and a family knows: gateway, broker, ingest, PostgreSQL, mail."""

import asyncio
import contextlib
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from email.message import Message
from pathlib import Path
from typing import Any

import psycopg
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message as MessageHandler

from server import config as configuration
from server.config import CityConfig, NotifyConfig, ServerConfig
from server.embedded.broker import free_port
from server.registry import importer
from wire import eid, keys, status
from wire.frames import EidFrame, encode

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]

TAG_KEY = bytes(range(16))
STREET = ("hci0", "gw-street", 34.7600, 134.8400)
SCHOOL = ("hci1", "gw-school", 34.7600, 134.8416)
"""Some 150 m apart: far enough for the school's fence, near enough to be walked."""


class Mailbox(MessageHandler):
    """Keeps the mails that leave."""

    def __init__(self) -> None:
        super().__init__()
        self.mails: list[Message] = []

    def handle_message(self, message: Message) -> None:
        self.mails.append(message)


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    box = Mailbox()
    controller = Controller(box, hostname="127.0.0.1", port=free_port())
    controller.start()
    yield box, controller.port
    controller.stop()


@pytest.fixture
def settings(db: ServerConfig, broker: Any, mailbox: tuple[Mailbox, int], tmp_path: Path) -> tuple[ServerConfig, Path]:
    """A city of its own with keys, on the tests' PostgreSQL and broker, mailing into the mailbox."""
    url = f"mailto://127.0.0.1:{mailbox[1]}?from=mimamori@example.jp&to={{to}}&mode=insecure&format=text"
    city = CityConfig(id=f"e2e{secrets.token_hex(4)}")
    made = replace(db, city=city, broker=broker.config, notify=NotifyConfig(mail_url=url))
    file = tmp_path / "mimamori.toml"
    configuration.save(made, file)
    subprocess.run([sys.executable, "-m", "server", "init", "--config", str(file)], check=True, timeout=60)
    return configuration.load(file, {}), file


@pytest.fixture
def gateways(settings: tuple[ServerConfig, Path], tmp_path: Path) -> dict[str, Path]:
    """Two enrolled gateways, one to an adapter, and their registry with a ward, a school and a guardian."""
    config = settings[0]
    files = {}
    detectors = []
    for adapter, name, lat_deg, lon_deg in (STREET, SCHOOL):
        key = keys.new_signing_key()
        keys.save_private(tmp_path / f"{name}.pem", key)
        files[name] = tmp_path / f"{name}.toml"
        files[name].write_text(
            f'city = "{config.city.id}"\ndetector = "{name}"\nstate_dir = "{tmp_path / name}"\n'
            f'[keys]\nsigning_key_file = "{name}.pem"\ncity_file = "{config.keys_dir / "city.json"}"\n'
            f'[broker]\nurl = "{config.mqtt_url()}"\n[scan]\nadapter = "{adapter}"\nwindow_s = 1\n'
        )
        place: dict[str, Any] = {"lat_deg": lat_deg, "lon_deg": lon_deg, "accuracy_m": 5}
        label = {"label_ja": "見守り", "label_en": "Gateway"}
        detectors.append(
            {"id": name, "kind": "fixed", "public_key": keys.encode_public(key.public_key())} | place | label
        )
    registry = tmp_path / "registry.json"
    registry.write_text(json.dumps(_town(config.city, detectors)))
    importer.import_file(config, registry)
    return files


def _town(city: CityConfig, detectors: list[dict[str, Any]]) -> dict[str, Any]:
    names = {"name_ja": "ゆい", "name_en": "Yui"}
    school = {"name_ja": "小学校", "name_en": "School", "kind": "school", "radius_m": 30, "ward": None}
    guardian = {"id": "g-1", "login": "family", "code": "123456", "email": "family@example.jp", "wards": ["w-1"]}
    return {
        "city": {"id": city.id, "name_ja": city.name_ja, "name_en": city.name_en, "tz": city.tz},
        "detectors": detectors,
        "tags": [
            {"id": "t-1", "kind": "eid", "identity_key": TAG_KEY.hex(), "rotation_exponent": 10, "clock_offset_ms": 0}
        ],
        "wards": [{"id": "w-1", "tag": "t-1"} | names],
        "guardians": [guardian | {"name_ja": "家族", "name_en": "Family", "push": None}],
        "places": [{"id": "p-1", "lat_deg": SCHOOL[2], "lon_deg": SCHOOL[3]} | school],
        "watches": [{"ward": "w-1", "place": "p-1", "arrive": True, "leave": True, "dwell_s": 0}],
    }


@pytest.fixture
def processes(settings: tuple[ServerConfig, Path], gateways: dict[str, Path], bus_address: str) -> Iterator[None]:
    """Ingest, notify and a process that hosts both gateways, each a process of its own."""
    environment = os.environ | {"DBUS_SYSTEM_BUS_ADDRESS": bus_address}
    configs = [argument for file in gateways.values() for argument in ("--config", str(file))]
    commands = [
        *(
            [sys.executable, "-m", "server", "serve", part, "--config", str(settings[1])]
            for part in ("ingest", "notify")
        ),
        [sys.executable, "-m", "edge", "run", *configs],
    ]
    with contextlib.ExitStack() as stack:
        for command in commands:
            process = stack.enter_context(subprocess.Popen(command, env=environment))
            stack.callback(process.terminate)
        yield


def _frame(*, is_sos: bool) -> bytes:
    """Return what the tag's firmware would advertise now."""
    now_s = int(time.time())
    current = eid.derive(TAG_KEY, 10, now_s)
    said = status.TagStatus(step=now_s >> 2 & 0xFF, sos=is_sos, moving=True, clock_lost=False, battery_dv=30)
    return encode(EidFrame(-10, current, status.seal(status.StatusKeys.of(TAG_KEY), current, said)))


async def _advertise(bluez: Any, adapter: str, *, is_sos: bool, until: Callable[[], bool]) -> None:
    address = f"C0:00:00:00:00:{secrets.token_hex(1)}"
    async with asyncio.timeout(90):
        while not until():
            bluez.advertise(address, _frame(is_sos=is_sos), -50 - secrets.randbelow(10), adapter)
            await asyncio.sleep(0.1 if is_sos else 0.3)


@pytest.mark.usefixtures("processes")
async def test_a_tag_is_heard_and_a_family_knows(
    bluez: Any, settings: tuple[ServerConfig, Path], mailbox: tuple[Mailbox, int]
) -> None:
    bluez.plug("hci1")
    with psycopg.connect(settings[0].dsn(), autocommit=True) as database:

        def rows(query: str) -> list[Any]:
            return database.execute(query).fetchall()

        def has(query: str, count: int = 1) -> Callable[[], bool]:
            return lambda: len(rows(query)) >= count

        await _advertise(bluez, STREET[0], is_sos=False, until=has("SELECT FROM fix"))
        assert rows("SELECT DISTINCT tag_id, detector_id FROM sighting_by_name") == [("t-1", "gw-street")]
        await asyncio.sleep(4)
        await _advertise(bluez, SCHOOL[0], is_sos=False, until=has("SELECT FROM event WHERE kind = 'arrived'"))
        await _advertise(bluez, SCHOOL[0], is_sos=True, until=has("SELECT FROM event WHERE kind = 'sos'"))
        await _wait(has("SELECT FROM notice WHERE state = 'sent'", 2))
        await _wait(has("SELECT FROM detector_health"))
    subjects = [str(mail["To"]) for mail in mailbox[0].mails]
    assert subjects == ["family@example.jp"] * 2


async def _wait(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not is_so():  # noqa: ASYNC110 -- what is waited for happens in other processes
            await asyncio.sleep(0.1)
