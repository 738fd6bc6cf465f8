import asyncio
import socket
import subprocess
import sys
from pathlib import Path

import aiomqtt
import psutil
import pytest

from server.config import BrokerConfig
from server.embedded.broker import Broker, BrokerError, BrokerRunsError, binary, free_port

pytestmark = pytest.mark.system


def _config() -> BrokerConfig:
    return BrokerConfig(tls=False, mqtt_port=free_port(), nats_port=free_port())


async def test_a_message_of_a_megabyte_goes_through(tmp_path: Path) -> None:
    config = _config()
    with Broker(tmp_path, config):
        async with asyncio.timeout(20), aiomqtt.Client("127.0.0.1", config.mqtt_port) as client:
            await client.subscribe("a/b", qos=1)
            await client.publish("a/b", b"x" * 1_048_576, qos=1)
            message = await anext(aiter(client.messages))
    assert len(bytes(message.payload)) == 1_048_576


def test_it_listens_on_loopback_alone(tmp_path: Path) -> None:
    with Broker(tmp_path, _config()) as broker:
        doors = psutil.Process(broker.process.pid).net_connections(kind="inet")
    assert {door.laddr.ip for door in doors if door.status == psutil.CONN_LISTEN} == {"127.0.0.1"}


def test_a_broker_left_by_a_killed_launcher_gives_its_port_back(tmp_path: Path) -> None:
    config = _config()
    code = (
        "import os, signal; from pathlib import Path; from server.config import BrokerConfig;"
        "from server.embedded.broker import Broker;"
        f"c = BrokerConfig(tls=False, mqtt_port={config.mqtt_port}, nats_port={config.nats_port});"
        f"b = Broker(Path({str(tmp_path)!r}), c);"
        "b.start(); print(b.process.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    with Broker(tmp_path, config) as broker:
        assert broker.process.pid != int(done.stdout)


def test_a_second_broker_is_refused_and_the_first_lives_on(tmp_path: Path) -> None:
    with Broker(tmp_path, _config()) as first:
        with pytest.raises(BrokerRunsError, match="stop that one first"):
            Broker(tmp_path, _config()).start()
        assert first.process.poll() is None
    with Broker(tmp_path, _config()):
        pass  # the first gave the directory back


def test_a_taken_port_is_an_error_that_names_the_log(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        config = BrokerConfig(tls=False, mqtt_port=free_port(), nats_port=taken.getsockname()[1])
        with pytest.raises(BrokerError, match=r"broker\.log"):
            Broker(tmp_path, config).start()


def test_a_binary_that_is_not_there_is_an_error_that_names_the_variable() -> None:
    with pytest.raises(BrokerError, match="MIMAMORI_NATS_SERVER"):
        binary("/nowhere/nats-server")


def test_without_certificates_it_does_not_run_unless_told_so(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match="mimamori init"):
        Broker(tmp_path, BrokerConfig(mqtt_port=free_port(), nats_port=free_port()))
