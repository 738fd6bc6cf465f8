"""Exports come in signed parts, over cuts and replays, and nobody brings what was not ordered of them."""

import asyncio
import base64
import dataclasses
import hashlib
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pyrage
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi import FastAPI

from edge.camera.bring import TRIES, Bearer
from edge.camera.credential import Device
from edge.camera.export import Exporter
from edge.camera.exports import Exports
from edge.errors import BringError, BringRefusedError
from server.accounts.sessions import wall_ms
from server.config import ServerConfig
from server.footage.check import Trust, examine
from server.store import export as store
from server.store.connection import connect
from server.store.errors import ExportExistsError
from server.store.export import Expected
from tests.certified import Authority
from tests.footage import NOON_MS, Footage
from wire import keys, upload
from wire.orders import Export
from wire.upload import PART_OCTETS, Part, Sender

Sql = Callable[..., list[tuple[Any, ...]]]
Client = Callable[[], httpx.AsyncClient]
COSE = {"content-type": "application/cose"}
KEYS = {name: keys.new_signing_key() for name in ("gw-1", "gw-2")}
WHOLE = random.Random(5).randbytes(3 * PART_OCTETS + 77)
SHA = hashlib.sha256(WHOLE).digest()
EXPECTED = Expected("e-1", "gw-1", "case-1", 1_795_402_800_000, 1_795_403_400_000, "age1recipient")
URL = "/api/v1/exports/e-1"


@pytest.fixture
async def town(town: ServerConfig, sql: Sql) -> ServerConfig:
    for name, key in KEYS.items():
        sql(
            "INSERT INTO detector (id, city_id, kind, label_ja, label_en, lat_deg, lon_deg, public_key)"
            " VALUES (%s, 'mimamori', 'fixed', '角', 'corner', 34.7, 134.8, %s)",
            name,
            _der(key),
        )
    conn = await connect(town.dsn())
    await store.expect(conn, EXPECTED)
    await conn.close()
    return town


def sender(name: str = "gw-1", key_of: str = "") -> Sender:
    return Sender("mimamori", name, KEYS[key_of or name])


def part(number: int, whole: bytes = WHOLE, export: str = "e-1") -> Part:
    data = whole[number * PART_OCTETS : (number + 1) * PART_OCTETS]
    return Part(export, number, upload.parts_of(len(whole)), hashlib.sha256(whole).digest(), data)


async def put(client: httpx.AsyncClient, body: bytes, number: int = 0, export: str = "e-1") -> httpx.Response:
    return await client.put(f"/api/v1/exports/{export}/{number}", content=body, headers=COSE)


async def ask(client: httpx.AsyncClient, asker: Sender | None = None) -> httpx.Response:
    signed = (asker or sender()).ask("e-1", at_ms=wall_ms())
    return await client.get(URL, headers={"authorization": signed})


def on_disk(town: ServerConfig) -> dict[str, bytes]:
    folder = town.state_dir / "exports"
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


async def test_parts_in_any_order_become_the_file_and_its_state_is_told(
    client: Client, town: ServerConfig, sql: Sql
) -> None:
    one = client()
    assert (await ask(one)).json() == {"export": "e-1", "state": "expected", "sha256": "", "parts": 0, "have": []}
    for number, have in ((2, [[2, 2]]), (0, [[0, 0], [2, 2]]), (3, [[0, 0], [2, 3]])):
        answer = await put(one, sender().sign(part(number), at_ms=wall_ms()), number)
        assert answer.status_code == 200, answer.text
        told = {"export": "e-1", "state": "arriving", "sha256": SHA.hex(), "parts": 4, "have": have}
        assert answer.json() == told == (await ask(one)).json()
    answer = await put(one, sender().sign(part(1), at_ms=wall_ms()), 1)
    assert (answer.json()["state"], answer.json()["have"]) == ("whole", [[0, 3]])
    assert on_disk(town) == {"e-1.age": WHOLE}
    assert sql("SELECT state, sha256, size_bytes, parts FROM export") == [("whole", SHA, len(WHOLE), 4)]
    assert sql("SELECT count(*) FROM export_part") == [(0,)]


async def test_a_part_played_back_changes_nothing(client: Client, town: ServerConfig) -> None:
    one = client()
    bodies = [sender().sign(part(number), at_ms=wall_ms()) for number in range(4)]
    for number in (0, 1, 1, 0, 2, 3, 3, 0):
        assert (await put(one, bodies[number], number)).status_code == 200
    assert on_disk(town) == {"e-1.age": WHOLE}
    assert (await ask(one)).json()["state"] == "whole"


async def test_the_last_part_sent_twice_at_once_makes_one_file(client: Client, town: ServerConfig) -> None:
    one = client()
    for number in range(3):
        await put(one, sender().sign(part(number), at_ms=wall_ms()), number)
    body = sender().sign(part(3), at_ms=wall_ms())
    answers = await asyncio.gather(*(put(client(), body, 3) for _ in range(4)))
    assert {answer.status_code for answer in answers} == {200}
    assert (await ask(one)).json()["state"] == "whole"
    assert on_disk(town) == {"e-1.age": WHOLE}


def foreign() -> dict[str, tuple[bytes, int, int, str]]:
    now_ms, other = wall_ms(), part(0, export="e-2")
    ours = sender().sign(part(0), at_ms=now_ms)
    return {
        "another gateway": (sender("gw-2").sign(part(0), at_ms=now_ms), 0, 404, "e-1"),
        "in another's name": (sender("gw-1", "gw-2").sign(part(0), at_ms=now_ms), 0, 404, "e-1"),
        "a gateway that is not there": (sender("gw-9", "gw-1").sign(part(0), at_ms=now_ms), 0, 404, "e-1"),
        "not ordered": (sender().sign(other, at_ms=now_ms), 0, 404, "e-2"),
        "for another export": (sender().sign(other, at_ms=now_ms), 0, 422, "e-1"),
        "at another number": (ours, 1, 422, "e-1"),
        "of another city": (Sender("other", "gw-1", KEYS["gw-1"]).sign(part(0), at_ms=now_ms), 0, 422, "e-1"),
        "changed on the way": (ours[:-1] + bytes((ours[-1] ^ 1,)), 0, 404, "e-1"),
        "no envelope": (b"octets", 0, 400, "e-1"),
        "nothing": (b"", 0, 400, "e-1"),
        "a question": (base64.urlsafe_b64decode(sender().ask("e-1", at_ms=now_ms)[5:]), 0, 422, "e-1"),
        "too large": (bytes(1_100_000), 0, 413, "e-1"),
    }


@pytest.mark.parametrize("name", list(foreign()))
async def test_what_was_not_ordered_of_the_sender_is_refused_and_counted(
    client: Client, town: ServerConfig, sql: Sql, name: str
) -> None:
    body, number, status, export = foreign()[name]
    one = client()
    answer = await put(one, body, number, export)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert on_disk(town) == {}
    assert sql("SELECT state FROM export") == [("expected",)]
    if status != 413:
        counted = f'mimamori_api_uploads_total{{outcome="{answer.json()["code"]}"}} 1.0'
        assert counted in (await one.get("/metrics")).text


async def test_a_rotated_key_is_believed_while_the_city_says_so(client: Client, sql: Sql) -> None:
    one, fresh = client(), keys.new_signing_key()
    old = base64.b64decode(keys.encode_public(KEYS["gw-1"].public_key()))
    rotated = "UPDATE detector SET public_key = %s, previous_key = %s, previous_until = now() + %s::interval"
    sql(rotated + " WHERE id = 'gw-1'", base64.b64decode(keys.encode_public(fresh.public_key())), old, "1 hour")
    assert (await put(one, sender().sign(part(0), at_ms=wall_ms()))).status_code == 200
    newer = dataclasses.replace(sender(), key=fresh)
    assert (await put(one, newer.sign(part(1), at_ms=wall_ms()), 1)).status_code == 200
    sql("UPDATE detector SET previous_until = now() - interval '1 second' WHERE id = 'gw-1'")
    assert (await put(one, sender().sign(part(2), at_ms=wall_ms()), 2)).status_code == 404
    assert (await put(one, newer.sign(part(2), at_ms=wall_ms()), 2)).status_code == 200


async def test_a_revoked_gateway_brings_nothing_more(client: Client, sql: Sql) -> None:
    one = client()
    assert (await put(one, sender().sign(part(0), at_ms=wall_ms()))).status_code == 200
    sql("UPDATE detector SET revoked_at = now() WHERE id = 'gw-1'")
    assert (await put(one, sender().sign(part(1), at_ms=wall_ms()), 1)).status_code == 404
    assert (await ask(one)).status_code == 404


async def test_only_its_gateway_hears_how_far_an_export_is(client: Client) -> None:
    one = client()
    unknown = await one.get("/api/v1/exports/e-9", headers={"authorization": sender().ask("e-9", at_ms=wall_ms())})
    old = {"authorization": sender().ask("e-1", at_ms=wall_ms() - upload.MAX_AGE_MS - 60_000)}
    other = {"authorization": sender().ask("e-2", at_ms=wall_ms())}
    answers = [
        unknown,
        await ask(one, sender("gw-2")),
        await ask(one, sender("gw-1", "gw-2")),
        await one.get(URL),
        await one.get(URL, headers={"authorization": "Bearer x"}),
        await one.get(URL, headers=old),
        await one.get(URL, headers=other),
    ]
    assert {(answer.status_code, answer.text) for answer in answers} == {(404, unknown.text)}


async def test_a_whole_export_cannot_be_replaced(client: Client, town: ServerConfig) -> None:
    one, small = client(), b"sealed"
    assert (await put(one, sender().sign(part(0, small), at_ms=wall_ms()))).json()["state"] == "whole"
    answer = await put(one, sender().sign(part(0), at_ms=wall_ms() + 1000))
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert on_disk(town) == {"e-1.age": small}


async def test_a_newer_try_takes_the_place_of_an_older_one_and_never_the_other_way(
    client: Client, town: ServerConfig
) -> None:
    one, now_ms, newer = client(), wall_ms(), b"made again"
    old = sender().sign(part(0), at_ms=now_ms)
    assert (await put(one, old)).json()["state"] == "arriving"
    assert (await put(one, sender().sign(part(0, newer + bytes(PART_OCTETS)), at_ms=now_ms + 1))).json()["parts"] == 2
    assert (await put(one, old)).status_code == 409
    last = part(1, newer + bytes(PART_OCTETS))
    assert (await put(one, sender().sign(last, at_ms=now_ms + 2), 1)).json()["state"] == "whole"
    assert on_disk(town) == {"e-1.age": newer + bytes(PART_OCTETS)}


async def test_a_clock_that_ran_ahead_keeps_no_later_try_out(client: Client, town: ServerConfig) -> None:
    one, small = client(), b"made again, by the right time"
    ahead_ms = wall_ms() + 100 * 365 * 86_400_000
    assert (await put(one, sender().sign(part(0), at_ms=ahead_ms))).json()["state"] == "arriving"
    await asyncio.sleep(0.01)
    assert (await put(one, sender().sign(part(0, small), at_ms=wall_ms()))).json()["state"] == "whole"
    assert on_disk(town) == {"e-1.age": small}


async def test_a_whole_that_is_not_what_was_signed_is_refused_and_may_be_brought_again(
    client: Client, town: ServerConfig
) -> None:
    one, small = client(), b"sealed"
    wrong = dataclasses.replace(part(0, small), data=b"seal3d")
    assert (await put(one, sender().sign(wrong, at_ms=wall_ms()))).json()["state"] == "refused"
    assert on_disk(town) == {}
    assert (await put(one, sender().sign(part(0, small), at_ms=wall_ms() + 5))).json()["state"] == "whole"
    assert on_disk(town) == {"e-1.age": small}


async def test_a_disk_that_takes_nothing_is_told_and_nothing_is_noted(
    client: Client, town: ServerConfig, sql: Sql
) -> None:
    (town.state_dir / "exports").write_text("a file where the folder should be")
    answer = await put(client(), sender().sign(part(0), at_ms=wall_ms()))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
    assert sql("SELECT count(*) FROM export_part") == [(0,)]


async def test_an_export_is_expected_once(town: ServerConfig) -> None:
    conn = await connect(town.dsn())
    await store.expect(conn, EXPECTED)
    with pytest.raises(ExportExistsError):
        await store.expect(conn, dataclasses.replace(EXPECTED, recipient="age1other"))
    assert [row.expected for row in await store.everything(conn)] == [EXPECTED]
    await conn.close()


class Cut(httpx.AsyncHTTPTransport):
    """A way that is cut off before or after every request, as often as it is told to."""

    def __init__(self, cuts: int) -> None:
        super().__init__()
        self.cuts, self.puts = cuts, 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.cuts and self.cuts % 2:
            self.cuts -= 1
            raise httpx.ConnectError("cut")
        answer = await super().handle_async_request(request)
        self.puts += request.method == "PUT"
        if self.cuts:
            self.cuts -= 1
            await answer.aclose()
            raise httpx.ReadError("cut")
        return answer


@pytest.fixture
async def way() -> AsyncIterator[Callable[[int], tuple[Bearer, Cut]]]:
    """Make a gateway whose way to the city is cut so many times."""
    made: list[httpx.AsyncClient] = []

    async def at_once(_: float) -> None:
        return

    def make(cuts: int) -> tuple[Bearer, Cut]:
        transport = Cut(cuts)
        made.append(httpx.AsyncClient(transport=transport, timeout=20))
        sleep: Callable[[float], Awaitable[object]] = at_once
        return Bearer(sender(), made[-1], wall_ms, sleep), transport

    yield make
    for one in made:
        await one.aclose()


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    path = tmp_path / "e-1.age"
    path.write_bytes(WHOLE)
    return path


Way = Callable[[int], tuple[Bearer, Cut]]


async def test_a_gateway_brings_its_export_over_a_way_that_is_cut(
    app: FastAPI, town: ServerConfig, way: Way, sealed: Path
) -> None:
    bearer, transport = way(5)
    await bearer.bring("e-1", sealed, app.state.url + URL)
    assert transport.cuts == 0
    assert on_disk(town) == {"e-1.age": WHOLE}


async def test_it_goes_on_where_it_was_when_it_was_cut_off(
    app: FastAPI, town: ServerConfig, way: Way, client: Client, sealed: Path
) -> None:
    for number in (0, 2):
        await put(client(), sender().sign(part(number), at_ms=wall_ms()), number)
    bearer, transport = way(0)
    await bearer.bring("e-1", sealed, app.state.url + URL)
    assert transport.puts == 2
    await bearer.bring("e-1", sealed, app.state.url + URL)
    assert transport.puts == 2
    assert on_disk(town) == {"e-1.age": WHOLE}


async def test_a_city_that_is_away_is_told_and_one_that_refuses_is_not_asked_again(
    app: FastAPI, way: Way, sealed: Path
) -> None:
    bearer, transport = way(2 * TRIES + 1)
    away = "http://127.0.0.1:9/api/v1/exports/e-1"
    with pytest.raises(BringError, match="ConnectError"):
        await bearer.bring("e-1", sealed, away)
    bearer, transport = way(0)
    with pytest.raises(BringRefusedError, match="404"):
        await bearer.bring("e-9", sealed, f"{app.state.url}/api/v1/exports/e-9")
    assert transport.puts == 0


@pytest.mark.parametrize("url", ["http://city.example/e-1", "ftp://127.0.0.1/e-1", "https:///e-1", "e-1"])
async def test_an_export_goes_by_https_or_not_at_all(way: Way, sealed: Path, url: str) -> None:
    with pytest.raises(BringRefusedError, match="https"):
        await way(0)[0].bring("e-1", sealed, url)


async def test_a_file_that_is_gone_or_empty_is_told(way: Way, tmp_path: Path) -> None:
    (tmp_path / "empty.age").touch()
    for name in ("gone.age", "empty.age"):
        with pytest.raises(BringRefusedError):
            await way(0)[0].bring("e-1", tmp_path / name, "https://city.example/e-1")


async def test_a_file_that_the_city_lost_on_the_way_is_brought_again(
    app: FastAPI, town: ServerConfig, way: Way, client: Client, sealed: Path
) -> None:
    for number in range(3):
        await put(client(), sender().sign(part(number), at_ms=wall_ms()), number)
    for path in (town.state_dir / "exports").iterdir():
        os.truncate(path, 0)
    bearer, transport = way(0)
    await bearer.bring("e-1", sealed, app.state.url + URL)
    assert transport.puts == 1 + 4
    assert on_disk(town) == {"e-1.age": WHOLE}


async def test_what_a_camera_recorded_comes_to_the_city_and_opens_for_the_officer_alone(
    app: FastAPI, town: ServerConfig, way: Way, sql: Sql, tmp_path: Path
) -> None:
    officer, authority = pyrage.x25519.Identity.generate(), Authority.new()
    own = authority.device("gw-1")
    sql("UPDATE detector SET public_key = %s WHERE id = 'gw-1'", _der(own.key))
    footage = Footage(tmp_path / "footage")
    segments = footage.record(NOON_MS, 20)
    bearer = dataclasses.replace(way(3)[0], sender=Sender("mimamori", "gw-1", own.key))
    url = app.state.url + URL
    window = NOON_MS + 3_000, NOON_MS + 18_000
    order = Export("e-1", "case-1", *window, str(officer.to_public()), url, footage.strands)
    with httpx.Client() as client:
        device = Device("mimamori", "gw-1", own.key, own.chain_pem, "mimamori-edge 0.1.0")
        exporter = Exporter(tmp_path / "exports", device, None, client, wall_ms)
        exports = Exports(lambda: exporter, lambda *_: segments, lambda: bearer)
        told = await exports.carry_out(order)
        assert await exports.carry_out(order) == told
    assert [path.name for path in (tmp_path / "exports").iterdir()] == ["e-1.json"]
    assert sql("SELECT state, sha256, size_bytes FROM export") == [("whole", told["sha256"], told["octets"])]
    report = examine(town.state_dir / "exports" / "e-1.age", [officer], Trust((authority.root,)))
    assert report.is_sound, report


def _der(key: ec.EllipticCurvePrivateKey) -> bytes:
    return base64.b64decode(keys.encode_public(key.public_key()))
