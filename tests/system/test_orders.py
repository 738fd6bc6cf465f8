"""From the city's command line to a gateway and back: real broker, real PostgreSQL, a gateway that really runs."""

import asyncio
import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from cryptography.hazmat.primitives import serialization
from typer.testing import CliRunner

from edge import journal as journals
from edge.agent import Agent
from edge.config import BrokerConfig as EdgeBroker
from edge.config import EdgeConfig, ScanConfig
from edge.journal import wall_ms
from server import config as configuration
from server import keys as server_keys
from server.cli import app
from server.config import BrokerConfig, CityConfig, ServerConfig
from server.embedded.broker import Broker, free_port
from server.gate.order_metrics import OrderMetrics
from server.gate.orders import OrderDesk
from server.store import gateway_log
from server.store import order as orders
from server.store.connection import Connection, connect
from wire import keys, topics
from wire.orders import Freeze, Thaw
from wire.sections import KeyFiles

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

_DER = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
FREEZE = {"case": "c-1", "from_ms": 1_000, "to_ms": 9_000, "until_ms": 2_000_000_000_000}


@dataclasses.dataclass
class Town:
    """A city with one gateway, each with its settings."""

    server: ServerConfig
    edge: EdgeConfig
    owner: Connection

    async def give(self, kind: str = "thaw", body: Any = None) -> int:
        said = {"case": "c-1"} if body is None else body
        return await orders.add(self.owner, detector="gw-1", kind=kind, body=said, now_ms=wall_ms())

    async def state(self, sequence: int) -> str:
        found = await orders.find(self.owner, "gw-1", sequence)
        assert found is not None
        return found.state

    async def until(self, is_so: Callable[[], Awaitable[bool]], limit_s: float = 40.0) -> None:
        async with asyncio.timeout(limit_s):
            while not await is_so():  # noqa: ASYNC110 -- what is waited for is in a database
                await asyncio.sleep(0.05)

    async def settled(self, sequence: int, state: str = "done") -> None:
        async def is_settled() -> bool:
            return await self.state(sequence) in {"done", "failed", "refused"}

        await self.until(is_settled)
        assert await self.state(sequence) == state

    @contextlib.asynccontextmanager
    async def sending(self) -> AsyncIterator[OrderDesk]:
        """Run what sends orders inside the block."""
        desk = OrderDesk.of(self.server, OrderMetrics())
        task = asyncio.create_task(desk.run())
        try:
            yield desk
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    @contextlib.asynccontextmanager
    async def gateway(self, **handlers: Any) -> AsyncIterator[Agent]:
        """Run the gateway inside the block, with handlers for Freeze and Thaw."""
        agent, stop = Agent.open(self.edge), asyncio.Event()
        agent.handlers[Thaw] = handlers.get("thaw", lambda _: {})
        agent.handlers[Freeze] = handlers.get("freeze", lambda _: {"strands": []})
        task = asyncio.create_task(agent.run(stop))
        try:
            yield agent
        finally:
            stop.set()
            await task


@pytest.fixture
def any_broker(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(getattr(request, "param", "broker"))


@pytest.fixture
def mortal_broker(open_dir: Path) -> Iterator[Any]:
    """A broker of this test alone, to be killed."""
    config = BrokerConfig(tls=False, mqtt_port=free_port(), nats_port=free_port())
    running = RunningBroker(config, open_dir / f"mortal-{os.urandom(3).hex()}")
    running.start()
    yield running
    running.server.stop()


@dataclasses.dataclass
class RunningBroker:
    """A broker that comes back on the same port after its death."""

    settings: BrokerConfig
    folder: Path
    server: Broker = dataclasses.field(init=False)

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.settings.mqtt_port}"

    @property
    def config(self) -> BrokerConfig:
        return BrokerConfig(tls=False, url=self.url)

    def start(self) -> None:
        self.server = Broker(self.folder, self.settings)
        self.server.start()

    def die_and_rise(self) -> None:
        self.server.process.kill()
        self.server.stop()
        self.start()


@pytest.fixture
async def town(db: ServerConfig, any_broker: Any, tmp_path: Path) -> AsyncIterator[Town]:
    city = f"c{os.urandom(4).hex()}"
    server = dataclasses.replace(db, city=CityConfig(id=city), broker=any_broker.config)
    server_keys.make(server)
    key = keys.new_signing_key()
    keys.save_private(tmp_path / "gw-1.pem", key)
    edge = EdgeConfig(
        city=city,
        detector="gw-1",
        state_dir=tmp_path / "gw-1",
        keys=KeyFiles(tmp_path / "gw-1.pem", server.keys_dir / "city.json"),
        broker=EdgeBroker(any_broker.url, heartbeat_s=0.5, receipt_timeout_s=1.0),
        scan=ScanConfig(source=f"unix:{tmp_path}/no-radio"),
    )
    async with await connect(server.dsn()) as owner:
        await owner.execute("INSERT INTO city VALUES (%s, '町', 'Town', 'Asia/Tokyo')", (city,))
        await owner.execute(
            """INSERT INTO detector (id, city_id, kind, label_ja, label_en, public_key)
               VALUES ('gw-1', %s, 'vehicle', '車', 'car', %s)""",
            (city, key.public_key().public_bytes(*_DER)),
        )
        yield Town(server, edge, owner)


@pytest.mark.parametrize("any_broker", ["broker", "mosquitto"], indirect=True)
async def test_an_order_reaches_the_gateway_and_its_outcome_the_city(town: Town) -> None:
    done: list[Any] = []

    async def freeze(command: Freeze) -> dict[str, Any]:
        done.append(command)
        return {"strands": [[bytes(16), b"wrapped"]]}

    async with town.sending(), town.gateway(freeze=freeze) as agent:
        for sequence in (await town.give("freeze", FREEZE), await town.give(), await town.give("rotate-keys", {})):
            await town.settled(sequence, "refused" if sequence == 3 else "done")
        assert agent.journal.verify() is None
        await town.until(lambda: _is_sent(agent))
    assert len(done) == 1
    kept = await gateway_log.whole(town.owner, "gw-1")
    kinds = [one.kind for one in kept]
    assert kinds == ["gateway.started", "order.received", "order.done", "order.received", "order.done", "order.refused"]
    assert not any(one.is_broken for one in kept)


async def _is_sent(agent: Agent) -> bool:
    return not agent.journal.unsent(1)


async def test_an_order_waits_for_a_gateway_that_is_away_and_for_a_gate_that_is(town: Town) -> None:
    first = await town.give()
    async with town.sending() as desk:
        await town.until(lambda: _is_counted(desk))
    assert await town.state(first) == "sent"
    async with town.gateway():
        second = await town.give()
        async with town.sending():
            await town.settled(first)
            await town.settled(second)


async def _is_counted(desk: OrderDesk) -> bool:
    return bool(desk.metrics.sent._value.get())


@pytest.mark.parametrize("any_broker", ["mortal_broker"], indirect=True)
async def test_no_order_and_no_report_is_lost_to_a_broker_that_is_killed(town: Town, any_broker: RunningBroker) -> None:
    done: list[Any] = []

    async def thaw(command: Thaw) -> dict[str, Any]:
        done.append(command)
        await asyncio.sleep(0.05)
        return {}

    async with town.sending(), town.gateway(thaw=thaw) as agent:
        given = []
        for _ in range(3):
            given += [await town.give("thaw", {"case": f"c-{n}"}) for n in range(4)]
            await asyncio.sleep(0.4)
            await asyncio.to_thread(any_broker.die_and_rise)
        for sequence in given:
            await town.settled(sequence)
        await town.until(lambda: _is_sent(agent))
    assert len(done) == len(given)
    kept = await gateway_log.whole(town.owner, "gw-1")
    assert [one.sequence for one in kept] == list(range(1, len(kept) + 1))
    assert not any(one.is_broken for one in kept)


async def test_a_captured_order_played_back_is_done_no_second_time(town: Town) -> None:
    done: list[Any] = []

    def thaw(command: Thaw) -> dict[str, Any]:
        done.append(command)
        return {}

    parts = town.edge.broker.parts
    topic = topics.orders(town.edge.city, "gw-1")
    async with aiomqtt.Client("127.0.0.1", parts.port or 0) as thief:
        await thief.subscribe(topic)
        async with town.sending(), town.gateway(thaw=thaw) as agent:
            await town.settled(await town.give())
            captured = (await anext(aiter(thief.messages))).payload
            for _ in range(20):
                await thief.publish(topic, captured)
                await thief.publish(topic, captured[:-1] + bytes([captured[-1] ^ 1]))
            await town.until(lambda: _has(agent, orders_repeated=20, orders_forged=20))
    assert len(done) == 1


async def _has(agent: Agent, **counts: int) -> bool:
    return all(agent.health.counts[name] >= count for name, count in counts.items())


async def test_an_export_without_a_key_to_seal_to_is_refused_and_keeps_no_other_order_waiting(town: Town) -> None:
    body = {"export": "e", "case": "c-1", "from_ms": 1_000, "to_ms": 9_000, "recipient": "age1x", "upload_url": ""}
    async with town.sending(), town.gateway():
        first, second = await town.give("export", body), await town.give()
        await town.settled(first, "refused")
        await town.settled(second)
    found = await orders.find(town.owner, "gw-1", first)
    assert found is not None
    assert found.reason == "no-seal-key"


async def test_a_gateway_killed_while_it_carries_out_orders_carries_out_all_of_them(town: Town, tmp_path: Path) -> None:
    program = tmp_path / "gateway.py"
    program.write_text(_PROGRAM.format(state=tmp_path / "gw-1", keys=town.edge.keys, edge=town.edge))
    command = [sys.executable, str(program)]
    root = Path(__file__).parents[2]
    with _process(command, root) as start:
        async with town.sending():
            given = [await town.give() for _ in range(12)]
            for _ in range(4):
                running = start()
                await asyncio.sleep(1.6)
                running.send_signal(signal.SIGKILL)
                await asyncio.to_thread(running.wait)
            start()
            for sequence in given:
                await town.settled(sequence)
    done = [line for line in (tmp_path / "done").read_text().split("\n") if line]
    assert len(done) >= len(given)
    kept = [one for one in await gateway_log.whole(town.owner, "gw-1") if one.kind == "order.done"]
    assert len(kept) == len(given)


_PROGRAM = """
import asyncio, pathlib
from edge.agent import Agent
from edge.config import BrokerConfig, EdgeConfig, ScanConfig
from wire.orders import Thaw
from wire.sections import KeyFiles
config = EdgeConfig("{edge.city}", "gw-1", pathlib.Path("{state}"),
    KeyFiles(pathlib.Path("{keys.signing_key_file}"), pathlib.Path("{keys.city_file}")),
    BrokerConfig("{edge.broker.url}", heartbeat_s=0.5, receipt_timeout_s=0.5), ScanConfig(source="{edge.scan.source}"))
async def thaw(command):
    with open("{state}/../done", "a") as file:
        file.write(command.case + "\\n")
    await asyncio.sleep(0.1)
    return {{}}
async def main():
    agent = Agent.open(config)
    agent.handlers[Thaw] = thaw
    await agent.run(asyncio.Event())
asyncio.run(main())
"""


@contextlib.contextmanager
def _process(command: list[str], root: Path) -> Iterator[Callable[[], "subprocess.Popen[bytes]"]]:
    started: list[subprocess.Popen[bytes]] = []

    def start() -> "subprocess.Popen[bytes]":
        environment = {**os.environ, "PYTHONPATH": str(root)}
        started.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=root, env=environment))
        return started[-1]

    try:
        yield start
    finally:
        for process in started:
            process.kill()
            process.wait()


async def _go_live(town: Town, cli: Callable[..., Any], picture: Path) -> None:
    """Let the three roles put the camera on record, approve its mask and let it go live."""
    await town.owner.execute(
        """INSERT INTO account (id, login, name_ja, name_en, role)
           SELECT role, role, '職員', 'Staff', role FROM unnest(ARRAY['handler', 'supervisor', 'manager']) AS role"""
    )
    for kind in ("sign", "consultation", "notice", "location"):
        done = await cli("duty", "record", "gw-1", kind, "--on", "2026-11-01", "--reference", "市報", "--as", "handler")
        assert done.exit_code == 0, done.output
    drawn = await cli("duty", "mask-draw", "gw-1", str(picture), "--reason", "設置", "--as", "handler")
    assert (drawn.exit_code, "変更1" in drawn.output) == (0, True), drawn.output
    twice = await cli("duty", "mask-check", "1", "--as", "handler")
    assert (twice.exit_code, "規則" in twice.output) == (1, True)
    assert (await cli("duty", "mask-check", "1", "--as", "supervisor")).exit_code == 0
    assert (await cli("duty", "mask-approve", "1", "--as", "manager")).exit_code == 0
    assert (await cli("duty", "missing", "gw-1")).exit_code == 0
    live = await cli("duty", "live", "gw-1", "--as", "manager")
    assert live.exit_code == 0, live.output


async def test_the_command_line_gives_orders_waits_and_shows_both_logs(town: Town, tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    configuration.save(town.server, file)
    picture = tmp_path / "mask.json"
    picture.write_text("[[[0.1, 0.1], [0.5, 0.1], [0.5, 0.5]]]")

    async def cli(*words: str) -> Any:
        return await asyncio.to_thread(CliRunner().invoke, app, [*words, "--config", str(file)])

    async with town.sending(), town.gateway() as agent:
        times = ["--from", "2026-11-26T12:00:00+09:00", "--to", "2026-11-26T12:10:00+09:00",
                 "--until", "2099-01-01T00:00:00Z"]  # fmt: skip
        done = await cli("order", "freeze", "gw-1", "--case", "c-1", *times)
        assert (done.exit_code, "完了 done" in done.output) == (0, True), done.output
        assert "NotLive" in repr((await cli("order", "mask", "gw-1")).exception)
        await _go_live(town, cli, picture)
        refused = await cli("order", "mask", "gw-1")
        assert (refused.exit_code, "no-camera" in refused.output, "第1版" in refused.output) == (1, True, True)
        assert (await cli("order", "thaw", "gw-1", "--case", "../x")).exit_code == 1
        await town.until(lambda: _is_sent(agent))
        listed = await cli("order", "list", "gw-1", "--json")
        states = [json.loads(line)["state"] for line in listed.stdout.splitlines()]
        assert states == ["refused", "done"]
        assert "freeze" in (await cli("order", "list")).output
        log = await cli("gateway", "log", "gw-1", "--verify")
        assert (log.exit_code, "order.done" in log.output, "改ざんなし" in log.output) == (0, True, True)
        await town.owner.execute("DELETE FROM gateway_log WHERE sequence = 1")
        assert (await cli("gateway", "log", "gw-1", "--verify")).exit_code == 1
    assert journals.look(town.edge.state_dir / journals.FILE, 9, verify=True).fault is None


async def test_an_order_to_restart_ends_the_program_for_its_service_manager(town: Town, tmp_path: Path) -> None:
    file = tmp_path / "gw-1.toml"
    edge = town.edge
    file.write_text(
        f'city = "{edge.city}"\ndetector = "gw-1"\nstate_dir = "{edge.state_dir}"\n'
        f'[keys]\nsigning_key_file = "{edge.keys.signing_key_file}"\ncity_file = "{edge.keys.city_file}"\n'
        f'[broker]\nurl = "{edge.broker.url}"\n[scan]\nsource = "{edge.scan.source}"\n'
    )
    root = Path(__file__).parents[2]
    with _process([sys.executable, "-m", "edge", "run", "--config", str(file)], root) as start:
        async with town.sending():
            running = start()
            sequence = await town.give("restart", {})
            assert await asyncio.wait_for(asyncio.to_thread(running.wait), 40) == 75
            await town.settled(sequence)
    command = [sys.executable, "-m", "edge", "log", "--config", str(file), "--verify"]
    shown = await asyncio.to_thread(
        subprocess.run,
        command,
        capture_output=True,
        text=True,
        cwd=root,
        check=False,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert (shown.returncode, "order.done" in shown.stdout, "改ざんなし" in shown.stderr) == (0, True, True)
