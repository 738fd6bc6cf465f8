"""Enrolment and renewal over HTTP, with a real authority and database: who gets a certificate, and who does not."""

import asyncio
import base64
import dataclasses
import datetime as dt
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from fastapi import FastAPI

from server.api.app import Knobs
from server.api.rates import EnrolmentLimits, EnrolmentRates
from server.config import ServerConfig
from server.enrolment.authority import Authority
from server.store import enrolment as store
from server.store.connection import connect
from wire import enrolment, keys, seal
from wire.enrolment import Grant, Renewal
from wire.errors import EnrolmentError

CITY = "mimamori"
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
COSE = {"content-type": "application/cose"}
Client = Callable[[], httpx.AsyncClient]
Sql = Callable[..., list[tuple[Any, ...]]]


@dataclass
class WallClock:
    """The wall clock of the API, moved by the test."""

    now_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)


@pytest.fixture
def clock() -> WallClock:
    return WallClock()


@pytest.fixture
def knobs(knobs: Knobs, clock: WallClock) -> Knobs:
    return dataclasses.replace(
        knobs, now_ms=lambda: clock.now_ms, enrolments=EnrolmentLimits("999 per minute", "999 per minute")
    )


@dataclass
class Box:
    """A gateway with keys of its own, and the requests that it makes."""

    detector: str
    code: str = ""
    key: ec.EllipticCurvePrivateKey = field(default_factory=keys.new_signing_key)
    seal_key: X25519PrivateKey = field(default_factory=X25519PrivateKey.generate)

    def first(self, **over: Any) -> dict[str, Any]:
        csr = enrolment.pem_of(enrolment.request(self.detector, self.key))
        seal_key = keys.encode_public(self.seal_key.public_key())
        return {"detector": self.detector, "code": self.code, "csr": csr, "seal_key": seal_key, **over}

    def renewal(self, to: "Box | None" = None, signer: ec.EllipticCurvePrivateKey | None = None, **over: Any) -> bytes:
        new, signer = to or self, signer or self.key
        csr = enrolment.request(new.detector, new.key).public_bytes(serialization.Encoding.DER)
        payload = Renewal(csr, base64.b64decode(keys.encode_public(new.seal_key.public_key())))
        kid = keys.kid(signer.public_key())
        header = seal.Header(CITY, self.detector, 1, 1, 1_795_416_300_000, b"", kid, "renewal")
        return seal.sign(payload.encode(), dataclasses.replace(header, **over), signer=signer)


@pytest.fixture
async def box(town: ServerConfig, sql: Sql, clock: WallClock) -> Box:
    """A gateway in the registry without a key, and a code for it."""
    for detector in ("gw-1", "gw-2"):
        sql(
            "INSERT INTO detector (id, city_id, kind, label_ja, label_en, lat_deg, lon_deg)"
            " VALUES (%s, 'mimamori', 'fixed', '角', 'corner', 34.7, 134.8)",
            detector,
        )
    made = Box("gw-1", enrolment.code_of(bytes(range(16))))
    conn = await connect(town.dsn())
    until_ms = clock.now_ms + 48 * HOUR_MS
    code_hash = enrolment.code_sha256(made.code)
    await store.save_code(conn, "gw-1", code_hash, now_ms=clock.now_ms, until_ms=until_ms)
    await conn.close()
    return made


async def enrol(client: Client, box: Box, **over: Any) -> httpx.Response:
    return await client().post(enrolment.ENROL_PATH, json=box.first(**over))


async def renew(client: Client, data: bytes) -> httpx.Response:
    return await client().post(enrolment.RENEW_PATH, content=data, headers=COSE)


def told(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code", "")


REFUSED = (403, "enrolment-refused")
INVALID = (422, "invalid-input")


async def test_a_gateway_with_a_code_gets_a_certificate_for_its_own_key(
    client: Client, app: FastAPI, box: Box, town: ServerConfig, sql: Sql, clock: WallClock
) -> None:
    answer = await enrol(client, box)
    assert answer.status_code == 200, answer.text
    grant = Grant.from_json(answer.content)
    authority = Authority.load(town.keys_dir / "ca", CITY)
    now = dt.datetime.fromtimestamp(clock.now_ms / 1000, dt.UTC)
    root = enrolment.root_of(grant.ca, authority.fingerprint)
    grant.check("gw-1", root, now=now)
    chain = enrolment.certificates(grant.certificate)
    assert enrolment.verified(chain, root, now=now) == "urn:mimamori:mimamori:gateway:gw-1"
    assert chain[0].public_key() == box.key.public_key()
    assert grant.city == keys.CityBundle.load(town.keys_dir / "city.json").to_table()
    spki = base64.b64decode(keys.encode_public(box.key.public_key()))
    sealing = base64.b64decode(keys.encode_public(box.seal_key.public_key()))
    assert sql("SELECT public_key, seal_key, previous_key FROM detector WHERE id = 'gw-1'") == [(spki, sealing, None)]
    serials = sql("SELECT serial, subject, not_after FROM certificate")
    assert serials == [(f"{chain[0].serial_number:x}", "gw-1", chain[0].not_valid_after_utc)]
    assert app.state.parts.metrics.enrolments.labels("enrol", "granted")._value.get() == 1


@pytest.mark.parametrize(
    "change", [{"certificate": "x"}, {"broker_url": "mqtts://evil:1"}, {"city": {"city": "mimamori"}}, {"proof": b""}]
)
async def test_an_answer_that_was_changed_on_its_way_is_not_believed(
    client: Client, box: Box, clock: WallClock, change: dict[str, Any]
) -> None:
    grant = Grant.from_json((await enrol(client, box)).content)
    root = enrolment.certificates(grant.ca)[0]
    now = dt.datetime.fromtimestamp(clock.now_ms / 1000, dt.UTC)
    with pytest.raises(EnrolmentError):
        dataclasses.replace(grant, **change).check("gw-1", root, now=now)
    with pytest.raises(EnrolmentError):
        grant.check("gw-2", root, now=now)


async def test_an_answer_signed_by_a_gateway_is_not_believed(client: Client, box: Box, clock: WallClock) -> None:
    grant = Grant.from_json((await enrol(client, box)).content)
    forged = grant.signed("gw-1", grant.certificate, box.key)
    now = dt.datetime.fromtimestamp(clock.now_ms / 1000, dt.UTC)
    with pytest.raises(EnrolmentError, match="city's API"):
        forged.check("gw-1", enrolment.certificates(grant.ca)[0], now=now)


@pytest.mark.parametrize("typed", ["lower", "wide", "unhyphened"])
async def test_a_code_is_right_however_it_is_typed(client: Client, box: Box, typed: str) -> None:
    wide = "".join(chr(ord(c) + 0xFEE0) for c in box.code)
    code = {"lower": box.code.lower(), "wide": wide, "unhyphened": box.code.replace("-", " ")}[typed]
    assert (await enrol(client, box, code=code)).status_code == 200


async def test_wrong_codes_are_counted_and_burn_nobodys_ticket(client: Client, box: Box, sql: Sql) -> None:
    for _ in range(25):
        assert told(await enrol(client, box, code="WRONG")) == REFUSED
    assert sql("SELECT attempts FROM enrolment_code") == [(25,)]
    assert sql("SELECT count(*) FROM certificate") == [(0,)]
    assert (await enrol(client, box)).status_code == 200


async def test_a_used_code_is_of_no_use_to_another_key(client: Client, box: Box, sql: Sql) -> None:
    assert (await enrol(client, box)).status_code == 200
    assert told(await enrol(client, Box("gw-1", box.code))) == REFUSED
    spki = base64.b64decode(keys.encode_public(box.key.public_key()))
    assert sql("SELECT public_key FROM detector WHERE id = 'gw-1'") == [(spki,)]


async def test_of_many_who_come_with_one_code_at_once_one_gets_a_certificate(
    client: Client, box: Box, sql: Sql
) -> None:
    boxes = [box, *(Box("gw-1", box.code) for _ in range(7))]
    answers = await asyncio.gather(*(enrol(client, one) for one in boxes))
    assert sorted(answer.status_code for answer in answers) == [200, *[403] * 7]
    winner = boxes[[answer.status_code for answer in answers].index(200)]
    spki = base64.b64decode(keys.encode_public(winner.key.public_key()))
    assert sql("SELECT public_key FROM detector WHERE id = 'gw-1'") == [(spki,)]
    assert sql("SELECT count(*) FROM certificate") == [(1,)]


async def test_the_same_key_and_code_are_answered_again_for_ten_minutes(
    client: Client, box: Box, clock: WallClock
) -> None:
    for later_ms, status in ((0, 200), (9 * 60_000, 200), (10 * 60_000, 403)):
        clock.now_ms += later_ms - (9 * 60_000 if later_ms == 10 * 60_000 else 0)
        assert (await enrol(client, box)).status_code == status


async def test_an_old_code_is_refused(client: Client, box: Box, clock: WallClock) -> None:
    clock.now_ms += 48 * HOUR_MS
    assert told(await enrol(client, box)) == REFUSED


async def test_a_code_is_good_for_its_own_gateway_alone(client: Client, box: Box) -> None:
    assert told(await enrol(client, Box("gw-2", box.code))) == REFUSED
    assert told(await enrol(client, Box("gw-none", box.code))) == REFUSED


async def test_a_request_for_another_gateway_is_refused(client: Client, box: Box) -> None:
    other = enrolment.pem_of(enrolment.request("gw-2", box.key))
    assert told(await enrol(client, box, csr=other)) == INVALID


@pytest.mark.parametrize("kind", ["rsa", "ed25519", "p384"])
async def test_a_request_of_another_kind_of_key_is_refused(client: Client, box: Box, kind: str, sql: Sql) -> None:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "gw-1")])
    builder = x509.CertificateSigningRequestBuilder(name)
    made = {
        "rsa": lambda: builder.sign(rsa.generate_private_key(65537, 2048), hashes.SHA256()),
        "ed25519": lambda: builder.sign(Ed25519PrivateKey.generate(), None),
        "p384": lambda: builder.sign(ec.generate_private_key(ec.SECP384R1()), hashes.SHA256()),
    }[kind]()
    assert told(await enrol(client, box, csr=enrolment.pem_of(made))) == INVALID
    assert sql("SELECT used_at FROM enrolment_code") == [(None,)]


async def test_a_request_that_another_key_signed_is_refused(client: Client, box: Box) -> None:
    mine, victim = (base64.b64decode(keys.encode_public(key.public_key())) for key in (box.key, keys.new_signing_key()))
    der = enrolment.request("gw-1", box.key).public_bytes(serialization.Encoding.DER).replace(mine, victim)
    assert told(await enrol(client, box, csr=enrolment.pem_of(x509.load_der_x509_csr(der)))) == INVALID


async def test_a_request_of_another_version_is_refused(client: Client, box: Box) -> None:
    der = enrolment.request("gw-1", box.key).public_bytes(serialization.Encoding.DER)
    other = base64.encodebytes(der.replace(b"\x02\x01\x00", b"\x02\x01\x22", 1)).decode()
    csr = f"-----BEGIN CERTIFICATE REQUEST-----\n{other}-----END CERTIFICATE REQUEST-----\n"
    assert told(await enrol(client, box, csr=csr)) == INVALID


@pytest.mark.parametrize("seal_key", ["AAAA", "MCow", "A=A"])
async def test_a_seal_key_that_is_none_is_refused(client: Client, box: Box, seal_key: str) -> None:
    assert told(await enrol(client, box, seal_key=seal_key)) == INVALID


async def test_a_gateway_renews_with_its_key(client: Client, box: Box, sql: Sql, clock: WallClock) -> None:
    await enrol(client, box)
    before = sql("SELECT version FROM registry_version")
    clock.now_ms += 40 * DAY_MS  # long after its certificate ended: it may have been without a network
    answer = await renew(client, box.renewal())
    assert answer.status_code == 200, answer.text
    certificate = enrolment.certificates(Grant.from_json(answer.content).certificate)[0]
    assert certificate.public_key() == box.key.public_key()
    assert sql("SELECT version FROM registry_version") == before  # ingest need not read anything again
    assert sql("SELECT previous_key FROM detector WHERE id = 'gw-1'") == [(None,)]


async def test_a_rotation_takes_the_new_key_and_keeps_the_old_one_for_seven_days(
    client: Client, box: Box, sql: Sql, clock: WallClock
) -> None:
    await enrol(client, box)
    new = Box("gw-1")
    assert (await renew(client, box.renewal(new))).status_code == 200
    old_spki, new_spki = (base64.b64decode(keys.encode_public(one.key.public_key())) for one in (box, new))
    until = dt.datetime.fromtimestamp(clock.now_ms / 1000, dt.UTC) + dt.timedelta(days=7)
    kept = sql("SELECT public_key, previous_key, previous_until FROM detector WHERE id = 'gw-1'")
    assert kept == [(new_spki, old_spki, until)]
    assert sql("SELECT reason FROM certificate ORDER BY reason") == [("replaced",), (None,)]


async def test_a_rotation_whose_answer_got_lost_is_answered_again(client: Client, box: Box) -> None:
    await enrol(client, box)
    new = Box("gw-1")
    for _ in range(2):
        answer = await renew(client, box.renewal(new))
        certificate = enrolment.certificates(Grant.from_json(answer.content).certificate)[0]
        assert certificate.public_key() == new.key.public_key()


async def test_an_old_key_can_neither_rotate_on_nor_change_the_seal_key(client: Client, box: Box, sql: Sql) -> None:
    await enrol(client, box)
    new = Box("gw-1")
    await renew(client, box.renewal(new))
    kept = sql("SELECT public_key, seal_key FROM detector WHERE id = 'gw-1'")
    assert told(await renew(client, box.renewal(Box("gw-1")))) == REFUSED
    assert told(await renew(client, box.renewal())) == REFUSED
    assert told(await renew(client, box.renewal(Box("gw-1", key=new.key)))) == REFUSED
    assert sql("SELECT public_key, seal_key FROM detector WHERE id = 'gw-1'") == kept


async def test_renewals_of_strangers_are_refused(client: Client, box: Box) -> None:
    await enrol(client, box)
    forged = [
        box.renewal(signer=keys.new_signing_key()),
        box.renewal(city="mura"),
        box.renewal(content="heartbeat"),
        box.renewal(detector="gw-2"),
        box.renewal(detector="gw-none"),
        Box("gw-2").renewal(),
    ]
    assert {told(await renew(client, data)) for data in forged} == {REFUSED}


async def test_a_renewal_for_another_gateway_is_invalid(client: Client, box: Box) -> None:
    await enrol(client, box)
    assert told(await renew(client, box.renewal(Box("gw-2", key=box.key)))) == INVALID


async def test_what_is_no_envelope_is_malformed(client: Client) -> None:
    assert told(await renew(client, b"junk")) == (400, "malformed-body")
    answer = await client().post(enrolment.RENEW_PATH, json={})
    assert told(answer) == (415, "unsupported-media-type")


async def test_a_revoked_gateway_gets_nothing_and_a_restored_one_needs_a_new_code(
    client: Client, box: Box, town: ServerConfig, sql: Sql, clock: WallClock
) -> None:
    await enrol(client, box)
    conn = await connect(town.dsn())
    assert await store.revoke(conn, CITY, "gw-1", now_ms=clock.now_ms)
    assert not await store.revoke(conn, CITY, "gw-1", now_ms=clock.now_ms)
    assert told(await renew(client, box.renewal())) == REFUSED
    await store.save_code(
        conn, "gw-1", enrolment.code_sha256(box.code), now_ms=clock.now_ms, until_ms=clock.now_ms + DAY_MS
    )
    assert told(await enrol(client, box)) == REFUSED
    assert sql("SELECT reason FROM certificate") == [("revoked",)]
    assert await store.restore(conn, CITY, "gw-1")
    assert told(await renew(client, box.renewal())) == REFUSED
    assert (await enrol(client, Box("gw-1", box.code))).status_code == 200
    assert sql("SELECT previous_key FROM detector WHERE id = 'gw-1'") == [(None,)]
    await conn.close()


async def test_whoever_listens_hears_of_a_revocation_at_once(
    client: Client, box: Box, town: ServerConfig, clock: WallClock
) -> None:
    await enrol(client, box)
    async with await psycopg.AsyncConnection.connect(town.dsn("gate"), autocommit=True) as gate:
        await gate.execute(f"LISTEN {store.CHANNEL}".encode())
        owner = await connect(town.dsn())
        await store.revoke(owner, CITY, "gw-1", now_ms=clock.now_ms)
        await owner.close()
        heard = [told.payload async for told in gate.notifies(timeout=5, stop_after=1)]
    assert heard == ["gateway:gw-1"]


async def test_a_server_without_its_authority_says_that_it_cannot_and_spends_no_code(
    client: Client, box: Box, town: ServerConfig, sql: Sql
) -> None:
    (town.keys_dir / "ca" / "issuing.pem").rename(town.keys_dir / "away.pem")
    assert told(await enrol(client, box)) == (503, "unavailable")
    assert sql("SELECT used_at FROM enrolment_code") == [(None,)]
    (town.keys_dir / "away.pem").rename(town.keys_dir / "ca" / "issuing.pem")
    assert (await enrol(client, box)).status_code == 200


async def test_an_authority_that_has_ended_spends_no_code(client: Client, box: Box, sql: Sql, clock: WallClock) -> None:
    clock.now_ms += 800 * DAY_MS
    sql("UPDATE enrolment_code SET expires_at = 'infinity'")
    assert told(await enrol(client, box)) == (503, "unavailable")
    assert sql("SELECT used_at FROM enrolment_code") == [(None,)]


@pytest.mark.parametrize(
    "limits", [EnrolmentLimits(per_detector="2 per minute"), EnrolmentLimits(per_client="2 per minute")]
)
async def test_more_tries_than_the_rates_allow_are_for_later(
    app: FastAPI, client: Client, box: Box, limits: EnrolmentLimits
) -> None:
    app.state.parts = dataclasses.replace(app.state.parts, enrolment_rates=EnrolmentRates(limits))
    answers = [await enrol(client, box, code="WRONG") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [403, 403, 429]
    assert 0 < int(answers[2].headers["retry-after"]) <= 60


@pytest.mark.usefixtures("box")
async def test_the_api_cannot_put_a_key_on_a_gateway_by_itself(town: ServerConfig) -> None:
    async with await psycopg.AsyncConnection.connect(town.dsn("api"), autocommit=True) as api:
        for statement in (
            "UPDATE detector SET public_key = ''",
            "INSERT INTO enrolment_code (detector_id) VALUES ('gw-2')",
            "SELECT code_hash FROM enrolment_code",
            "UPDATE certificate SET revoked_at = NULL",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await api.execute(statement.encode())
