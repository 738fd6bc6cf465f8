"""A gateway enrols, renews and rotates against the city's real API, authority and database, over loopback."""

import asyncio
import base64
import contextlib
import dataclasses
import datetime as dt
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from edge import config as configuration
from edge import enrol
from edge.config import EdgeConfig, EnrolmentConfig
from edge.credentials import Credentials
from edge.enrol import Enroller
from edge.errors import (
    AlreadyEnrolledError,
    EnrolError,
    ForgedError,
    NotEnrolledError,
    RefusedError,
    UnreachableError,
    WrongClockError,
)
from edge.renewal import Renewal
from server import config as server_configuration
from server import keys as server_keys
from server.api.app import Knobs, create_app, make_server, open_pools
from server.api.rates import EnrolmentLimits
from server.config import BrokerConfig, HttpConfig, ServerConfig
from server.config import EnrolmentConfig as ServerEnrolment
from server.enrolment.authority import Authority
from server.enrolment.tickets import Desk
from server.store import enrolment as store
from server.store.connection import connect
from wire import keys
from wire.enrolment import Grant, Ticket

pytestmark = pytest.mark.db
DAY = dt.timedelta(days=1)
OFTEN = EnrolmentLimits("999 per minute", "999 per minute")


@dataclass
class Office:
    """The city's side: its API is served at `url`, its wall clock is moved by the test."""

    config: ServerConfig
    url: str = ""
    ahead: dt.timedelta = field(default_factory=dt.timedelta)

    def now(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC) + self.ahead

    def now_ms(self) -> int:
        return round(self.now().timestamp() * 1000)

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.config.dsn(), autocommit=True) as conn:
            done = conn.execute(statement.encode(), values)
            return done.fetchall() if done.description else []

    async def ticket(self, detector: str = "gw-1") -> Ticket:
        conn = await connect(self.config.dsn())
        try:
            desk = dataclasses.replace(Desk.of(self.config), server_url=self.url)
            return await desk.ticket(conn, detector, os.urandom(16), now_ms=self.now_ms())
        finally:
            await conn.close()

    async def revoke(self) -> None:
        conn = await connect(self.config.dsn())
        assert await store.revoke(conn, "mimamori", "gw-1", now_ms=self.now_ms())
        await conn.close()

    def key_of(self, detector: str = "gw-1") -> bytes:
        [(spki,)] = self.sql("SELECT public_key FROM detector WHERE id = %s", detector)
        return bytes(spki)


@pytest.fixture
async def office(db: ServerConfig) -> AsyncIterator[Office]:
    config = dataclasses.replace(db, broker=BrokerConfig(url="mqtt://127.0.0.1:9", tls=False), http=HttpConfig(port=0))
    server_keys.make(config)
    made = Office(config)
    made.sql("INSERT INTO city VALUES ('mimamori', 'みまもり市', 'Mimamori City', 'Asia/Tokyo')")
    for detector in ("gw-1", "gw-2"):
        made.sql(
            "INSERT INTO detector (id, city_id, kind, label_ja, label_en, lat_deg, lon_deg)"
            " VALUES (%s, 'mimamori', 'fixed', '角', 'corner', 34.7, 134.8)",
            detector,
        )
    async with open_pools(config, max_size=2) as pools:
        server = make_server(create_app(config, pools, Knobs(now_ms=made.now_ms, enrolments=OFTEN)), "127.0.0.1", 0)
        task = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
            assert not task.done(), "the API did not start"
        made.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        try:
            yield made
        finally:
            server.should_exit = True
            await task


@pytest.fixture
def gateway(tmp_path: Path) -> EdgeConfig:
    """The configuration of a gateway that makes its own keys."""
    file = tmp_path / "gw.toml"
    file.write_text('city = "mimamori"\ndetector = "gw-1"\nstate_dir = "gateway"\n')
    return configuration.load(file, {})


def spki(identity: Any) -> bytes:
    return base64.b64decode(keys.encode_public(identity.pair.signing.public_key()))


async def test_a_gateway_gets_an_identity_for_a_ticket(office: Office, gateway: EdgeConfig) -> None:
    identity = await Enroller(gateway).enrol(await office.ticket())
    assert office.key_of() == spki(identity)
    assert identity.city == json.dumps(json.loads((office.config.keys_dir / "city.json").read_text()), indent=1) + "\n"
    assert (identity.server_url, identity.broker_url) == (office.url, "mqtt://127.0.0.1:9")
    now_ms = office.now_ms()
    assert now_ms + 29 * 86_400_000 < identity.until_ms <= now_ms + 30 * 86_400_000
    ready = await enrol.ready(gateway)
    assert ready.broker.url == "mqtt://127.0.0.1:9"
    assert keys.load_signing_key(ready.keys.signing_key_file).public_key() == identity.pair.signing.public_key()


async def test_private_keys_are_their_owners_alone(office: Office, gateway: EdgeConfig) -> None:
    await Enroller(gateway).enrol(await office.ticket())
    folder = gateway.state_dir / "identity"
    assert {name: (folder / name).stat().st_mode & 0o777 for name in ("signing.pem", "seal.pem")} == {
        "signing.pem": 0o600,
        "seal.pem": 0o600,
    }
    assert folder.resolve().stat().st_mode & 0o777 == 0o700
    assert sorted(one.name for one in gateway.state_dir.iterdir()) == ["identity", folder.readlink().name]


async def test_a_working_identity_is_replaced_only_by_force(office: Office, gateway: EdgeConfig) -> None:
    enroller = Enroller(gateway)
    first = await enroller.enrol(await office.ticket())
    again = await office.ticket()
    with pytest.raises(AlreadyEnrolledError, match="--force"):
        await enroller.enrol(again)
    second = await enroller.enrol(again, is_forced=True)
    assert office.key_of() == spki(second) != spki(first)
    # What waits in the outbox under the first key is still taken for a while.
    assert office.sql("SELECT previous_key FROM detector WHERE id = 'gw-1'") == [(spki(first),)]


@pytest.mark.parametrize("wrong", ["code", "used", "old", "revoked"])
async def test_a_ticket_that_is_of_no_use_is_refused_and_says_what_to_do(
    office: Office, gateway: EdgeConfig, tmp_path: Path, wrong: str
) -> None:
    ticket = await office.ticket()
    if wrong == "code":
        ticket = dataclasses.replace(ticket, code="AAAA-BBBB")
    elif wrong == "used":
        other = dataclasses.replace(gateway, state_dir=tmp_path / "other")
        await Enroller(other).enrol(ticket)
    elif wrong == "old":
        office.ahead = 2 * DAY
    else:
        await office.revoke()
    with pytest.raises(RefusedError, match="new ticket"):
        await Enroller(gateway).enrol(ticket)
    assert not Credentials(gateway.state_dir).exist()


async def test_a_ticket_for_another_gateway_is_refused_before_it_is_spent(office: Office, gateway: EdgeConfig) -> None:
    ticket = await office.ticket("gw-2")
    with pytest.raises(RefusedError, match="gw-2"):
        await Enroller(gateway).enrol(ticket)
    assert office.sql("SELECT attempts, used_at FROM enrolment_code") == [(0, None)]


async def test_another_authority_than_the_one_on_the_ticket_is_not_believed(
    office: Office, gateway: EdgeConfig, tmp_path: Path
) -> None:
    other = Authority.create(tmp_path / "ca", "mimamori", now=office.now())
    ticket = dataclasses.replace(await office.ticket(), ca_sha256=other.fingerprint)
    with pytest.raises(ForgedError, match="false server"):
        await Enroller(gateway).enrol(ticket)
    assert not Credentials(gateway.state_dir).exist()


def _swap_seal_key(grant: Grant) -> Grant:
    own = keys.encode_public(X25519PrivateKey.generate().public_key())
    return dataclasses.replace(grant, city={**grant.city, "seal_key": own})


TAMPERED: dict[str, Callable[[Grant], Grant]] = {
    "seal key": _swap_seal_key,
    "broker": lambda grant: dataclasses.replace(grant, broker_url="mqtts://evil:8883"),
    "certificate": lambda grant: dataclasses.replace(grant, certificate=grant.proof_chain),
    "proof": lambda grant: dataclasses.replace(grant, proof=b""),
    "chain": lambda grant: dataclasses.replace(grant, proof_chain=grant.certificate),
}


@pytest.mark.parametrize("what", TAMPERED)
async def test_an_answer_that_was_changed_on_its_way_is_not_believed(
    office: Office, gateway: EdgeConfig, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    read = Grant.from_json
    monkeypatch.setattr(Grant, "from_json", lambda text: TAMPERED[what](read(text)))
    ticket = await office.ticket()
    with pytest.raises(ForgedError):
        await Enroller(gateway).enrol(ticket)
    assert not Credentials(gateway.state_dir).exist()
    monkeypatch.undo()
    await Enroller(gateway).enrol(ticket)  # the same key and code are answered again


@pytest.mark.parametrize("off", [-400 * DAY, -DAY, 40 * DAY])
async def test_a_wrong_clock_is_named_and_the_ticket_is_good_once_it_is_right(
    office: Office, gateway: EdgeConfig, off: dt.timedelta
) -> None:
    ticket = await office.ticket()
    with pytest.raises(WrongClockError, match="clock is wrong"):
        await Enroller(gateway, lambda: office.now() + off).enrol(ticket)
    assert (await Enroller(gateway).enrol(ticket)).until_ms


async def test_a_server_that_is_away_is_told_from_one_that_refuses(office: Office, gateway: EdgeConfig) -> None:
    ticket = dataclasses.replace(await office.ticket(), server_url="http://127.0.0.1:9")
    with pytest.raises(UnreachableError, match="check the network"):
        await Enroller(gateway).enrol(ticket)


async def test_a_code_is_never_sent_in_clear(office: Office, gateway: EdgeConfig) -> None:
    ticket = dataclasses.replace(await office.ticket(), server_url="http://192.0.2.1")
    with pytest.raises(RefusedError, match="https"):
        await Enroller(gateway).enrol(ticket)


async def test_what_is_no_citys_server_is_not_believed(office: Office, gateway: EdgeConfig) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + b"x" * 10_000_000)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        ticket = dataclasses.replace(await office.ticket(), server_url=f"http://127.0.0.1:{port}")
        with pytest.raises(ForgedError, match="too long"):
            await Enroller(gateway).enrol(ticket)


async def test_a_renewal_keeps_the_keys_and_brings_a_later_certificate(office: Office, gateway: EdgeConfig) -> None:
    first = await Enroller(gateway).enrol(await office.ticket())
    office.ahead = 21 * DAY
    second = await Enroller(gateway, office.now).renew()
    assert spki(second) == spki(first) == office.key_of()
    assert second.until_ms > first.until_ms
    assert second.certificate.serial_number != first.certificate.serial_number


async def test_a_rotation_changes_both_keys(office: Office, gateway: EdgeConfig) -> None:
    first = await Enroller(gateway).enrol(await office.ticket())
    second = await Enroller(gateway).renew(is_rotation=True)
    assert spki(first) != spki(second) == office.key_of()
    [(seal_key, previous)] = office.sql("SELECT seal_key, previous_key FROM detector WHERE id = 'gw-1'")
    assert sealing(second) == bytes(seal_key) != sealing(first)
    assert bytes(previous) == spki(first)


def sealing(identity: Any) -> bytes:
    return base64.b64decode(keys.encode_public(identity.pair.seal.public_key()))


async def test_a_rotation_whose_answer_got_lost_is_finished_by_the_next_renewal(
    office: Office, gateway: EdgeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await Enroller(gateway).enrol(await office.ticket())

    def lose(*_: object) -> None:
        raise OSError("no power")

    monkeypatch.setattr(Credentials, "adopt", lose)
    with pytest.raises(OSError, match="no power"):
        await Enroller(gateway).renew(is_rotation=True)
    monkeypatch.undo()
    assert office.key_of() != spki(first)
    second = await Enroller(gateway).renew()
    assert office.key_of() == spki(second)


async def test_a_revoked_gateway_cannot_renew_and_keeps_what_it_has(office: Office, gateway: EdgeConfig) -> None:
    first = await Enroller(gateway).enrol(await office.ticket())
    await office.revoke()
    with pytest.raises(RefusedError):
        await Enroller(gateway).renew()
    assert spki(Credentials(gateway.state_dir).load()) == spki(first)


@dataclass
class Told:
    """Who was told of a renewal."""

    renewed: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    counts: Counter[str] = field(default_factory=Counter)

    def renewal(self, office: Office, gateway: EdgeConfig) -> Renewal:
        enroller = Enroller(gateway, office.now)
        return Renewal(enroller, self.counts, self.renewed.set, self.changed.set, look_s=0.02)


@contextlib.asynccontextmanager
async def at_work(renewal: Renewal) -> AsyncIterator[None]:
    task = asyncio.create_task(renewal.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_certificate_is_renewed_by_itself_after_two_thirds_and_the_uplink_is_told(
    office: Office, gateway: EdgeConfig
) -> None:
    await Enroller(gateway).enrol(await office.ticket())
    told = Told()
    async with at_work(told.renewal(office, gateway)):
        office.ahead = 19 * DAY
        await asyncio.sleep(0.2)
        assert not told.counts
        office.ahead = 22 * DAY
        async with asyncio.timeout(10):
            await told.renewed.wait()
    assert (told.counts, told.changed.is_set()) == (Counter(certificates_renewed=1), False)


async def test_a_renewal_is_tried_until_the_server_is_there(
    office: Office, gateway: EdgeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await Enroller(gateway).enrol(await office.ticket())
    away = dataclasses.replace(gateway, enrolment=EnrolmentConfig(server_url="http://127.0.0.1:9"))
    told = Told()
    renewal = told.renewal(office, away)
    monkeypatch.setattr("edge.renewal.wait_s", lambda *_, **__: 0.02)
    office.ahead = 25 * DAY
    async with at_work(renewal):
        async with asyncio.timeout(10):
            while told.counts["renewal_failures"] < 3:  # noqa: ASYNC110 - counted by another task
                await asyncio.sleep(0.02)
        renewal.enroller = Enroller(gateway, office.now)
        async with asyncio.timeout(10):
            await told.renewed.wait()


async def test_an_ordered_rotation_tells_whoever_holds_a_key(office: Office, gateway: EdgeConfig) -> None:
    await Enroller(gateway).enrol(await office.ticket())
    told = Told()
    identity = await told.renewal(office, gateway).rotate()
    assert (office.key_of(), told.changed.is_set()) == (spki(identity), True)


async def test_a_changed_city_file_is_told_too(office: Office, gateway: EdgeConfig) -> None:
    await Enroller(gateway).enrol(await office.ticket())
    (office.config.keys_dir / "order.pem").unlink()
    server_keys.make(office.config)
    office.ahead = 22 * DAY
    told = Told()
    async with at_work(told.renewal(office, gateway)), asyncio.timeout(10):
        await told.changed.wait()


async def test_an_agent_enrols_by_itself_at_its_first_start(
    office: Office, gateway: EdgeConfig, tmp_path: Path
) -> None:
    (tmp_path / "ticket.json").write_text((await office.ticket()).to_json())
    with pytest.raises(NotEnrolledError):
        await enrol.ready(gateway)
    with_ticket = dataclasses.replace(gateway, enrolment=EnrolmentConfig(ticket_file=tmp_path / "ticket.json"))
    await enrol.ready(with_ticket)
    (tmp_path / "ticket.json").unlink()
    assert (await enrol.ready(with_ticket)).broker.url == "mqtt://127.0.0.1:9"


async def test_damaged_files_are_named(office: Office, gateway: EdgeConfig) -> None:
    await Enroller(gateway).enrol(await office.ticket())
    (gateway.state_dir / "identity" / "signing.pem").write_text("")
    with pytest.raises(EnrolError, match="--force"):
        Credentials(gateway.state_dir).load()


CRASH = """
import asyncio, os, signal, sys
from pathlib import Path
from edge import config, credentials, enrol
from wire.enrolment import Ticket

cut = int(sys.argv[3])
calls = 0

def counted(step):
    def cutting(*args, **kwargs):
        global calls
        calls += 1
        if calls == cut:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(*args, **kwargs)
    return cutting

for name in ("symlink_to", "mkdir", "replace", "open"):
    setattr(Path, name, counted(getattr(Path, name)))
os.fsync = counted(os.fsync)
settings = config.load(Path(sys.argv[1]), {})
ticket = Ticket.from_json(Path(sys.argv[2]).read_text())
asyncio.run(enrol.Enroller(settings).enrol(ticket))
print(calls)
"""


@pytest.mark.timeout(180)
async def test_a_kill_at_any_step_leaves_a_ticket_that_still_works(
    office: Office, gateway: EdgeConfig, tmp_path: Path
) -> None:
    (tmp_path / "crash.py").write_text(CRASH)
    killed = 0
    for cut in range(3, 99, 4):
        office.sql(
            "UPDATE detector SET enrolled_at = NULL, public_key = NULL, previous_key = NULL, previous_until = NULL"
        )
        ticket_file = tmp_path / "ticket.json"
        ticket = await office.ticket()
        ticket_file.write_text(ticket.to_json())
        command = (sys.executable, str(tmp_path / "crash.py"), str(tmp_path / "gw.toml"), str(ticket_file), str(cut))
        process = await asyncio.create_subprocess_exec(
            *command, cwd=Path(__file__).parents[2], stdout=asyncio.subprocess.PIPE
        )
        await process.communicate()
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL
        killed += 1
        if not Credentials(gateway.state_dir).exist():
            await Enroller(gateway).enrol(ticket)
        assert office.key_of() == spki(Credentials(gateway.state_dir).load())
        for item in gateway.state_dir.iterdir():
            if item.is_symlink():
                item.unlink()
    assert (process.returncode, killed > 5) == (0, True)


@pytest.mark.timeout(120)
async def test_a_ticket_of_the_citys_command_enrols_a_gateway_by_its_own_command(
    office: Office, gateway: EdgeConfig, tmp_path: Path
) -> None:
    """Both programs as people run them."""
    served = dataclasses.replace(office.config, enrolment=ServerEnrolment(server_url=office.url))
    server_configuration.save(served, tmp_path / "mimamori.toml")
    ticket, file = tmp_path / "ticket.json", tmp_path / "gw.toml"
    code = ("server", "gateway", "code", "gw-1", "--out", str(ticket), "--config", str(tmp_path / "mimamori.toml"))
    for module, *words in (code, ("edge", "enrol", str(ticket), "--config", str(file))):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module, *words),
            cwd=Path(__file__).parents[2],
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        assert process.returncode == 0, said.decode()
    assert office.key_of() == spki(Credentials(gateway.state_dir).load())
