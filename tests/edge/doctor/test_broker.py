"""The way to the city, against real brokers and a real TLS server with certificates of all kinds."""

import asyncio
import contextlib
import dataclasses
import re
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.doctor import broker as checked
from edge.doctor.broker import judge_server
from server.embedded.broker import binary, free_port

HOST = "127.0.0.1"


@pytest.fixture
def serving_tls() -> Callable[..., Any]:
    """Listen with a certificate, and let nobody in."""

    @contextlib.asynccontextmanager
    async def served(certificate: Path, key: Path) -> AsyncIterator[int]:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key)

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            writer.close()

        server = await asyncio.start_server(answer, HOST, 0, ssl=context)
        async with server:
            yield server.sockets[0].getsockname()[1]

    return served


def to(config: Any, url: str, **changes: Any) -> Any:
    return dataclasses.replace(config, broker=dataclasses.replace(config.broker, url=url, **changes))


async def told(config: Any) -> list[tuple[str, str]]:
    return [(finding.verdict, finding.en) for finding in await checked.check(config)]


async def test_a_name_that_does_not_resolve_is_told_first(gateway: Any) -> None:
    assert await told(to(gateway(), "mqtt://no-such-host.invalid:1883")) == [
        ("fail", "the name no-such-host.invalid cannot be resolved")
    ]


async def test_a_port_where_nobody_listens_is_told(gateway: Any) -> None:
    assert (await told(gateway()))[-1] == ("fail", "no connection to 127.0.0.1:1")


@pytest.mark.parametrize("name", ["broker", "mosquitto"])
async def test_a_broker_that_lets_it_in_grants_its_topics(gateway: Any, name: str, request: Any) -> None:
    port = request.getfixturevalue(name).port
    found = await told(gateway("gw-1", port))
    assert [verdict for verdict, _ in found] == ["ok"] * 5
    assert found[-1][1] == "own topics are granted"


async def test_a_certificate_of_another_authority_is_not_trusted(
    gateway: Any, authority: Any, serving_tls: Any, tmp_path: Path
) -> None:
    other = type(authority)(tmp_path / "other")
    other.folder.mkdir()
    other.issue("authority")
    async with serving_tls(*authority.issue("broker")) as port:
        found = await told(to(gateway(), f"mqtts://{HOST}:{port}", ca_file=str(other.folder / "authority.crt")))
    assert found[-1][0] == "fail"
    assert "not trusted" in found[-1][1]


@pytest.mark.parametrize(("changes", "said"), [({"days": -1}, "expired"), ({"host": "10.1.2.3"}, "mismatch")])
async def test_a_certificate_that_has_ended_or_is_of_another_host_is_not_trusted(
    gateway: Any, authority: Any, serving_tls: Any, changes: dict[str, Any], said: str
) -> None:
    async with serving_tls(*authority.issue("broker", **changes)) as port:
        found = await told(to(gateway(), f"mqtts://{HOST}:{port}", ca_file=str(authority.folder / "authority.crt")))
    assert found[-1][0] == "fail"
    assert said in found[-1][1]


async def test_a_server_that_speaks_tls_and_no_mqtt_lets_nobody_in(
    gateway: Any, authority: Any, serving_tls: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checked, "ANSWER_S", 2.0)
    async with serving_tls(*authority.issue("broker")) as port:
        found = await told(to(gateway(), f"mqtts://{HOST}:{port}", ca_file=str(authority.folder / "authority.crt")))
    assert [verdict for verdict, _ in found[-2:]] == ["ok", "fail"]
    assert re.fullmatch("TLS works, server certificate good for (89|90) days", found[-2][1])
    assert found[-1][1] == "the broker refuses the sign-in"


async def test_a_broker_that_speaks_no_tls_and_a_missing_file_are_told(gateway: Any, broker: Any) -> None:
    url = f"mqtts://{HOST}:{broker.port}"
    assert (await told(to(gateway(), url)))[-1] == ("fail", "TLS cannot be established")
    missing = (await told(to(gateway(), url, ca_file="/nowhere")))[-1]
    assert missing == ("fail", "a certificate or key file cannot be read")


@pytest.fixture
def strict(open_dir: Path) -> Iterator[int]:
    """A NATS that lets a gateway sign in and hear nothing."""
    port, folder = free_port(), open_dir / "strict"
    folder.mkdir()
    (folder / "nats.conf").write_text(
        f"""server_name: strict
        host: {HOST}
        port: {free_port()}
        jetstream {{ store_dir: "{folder}" }}
        mqtt {{ host: {HOST}, port: {port} }}
        authorization {{ users: [
            {{ user: gw, password: word, permissions: {{ subscribe: {{ deny: "mimamori.>" }} }} }}
        ] }}
        """
    )
    with subprocess.Popen([binary(), "-c", folder / "nats.conf"], stderr=subprocess.DEVNULL) as process:
        while True:
            with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
                break
            time.sleep(0.02)
        yield port
        process.terminate()


async def test_a_topic_that_is_not_granted_is_told(gateway: Any, strict: int, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("word\n")
    files = {"username": "gw", "password_file": str(tmp_path / "password")}
    found = await told(to(gateway(), f"mqtt://{HOST}:{strict}", **files))
    assert found[-2:] == [("ok", "the broker lets this gateway in"), ("fail", "own topics may not be subscribed")]
    (tmp_path / "password").write_text("wrong\n")
    assert (await told(to(gateway(), f"mqtt://{HOST}:{strict}", **files)))[-1][1] == "the broker refuses the sign-in"


def test_a_server_certificate_that_soon_ends_is_told() -> None:
    def now_s() -> float:
        return ssl.cert_time_to_seconds("Nov 26 00:00:00 2026 GMT")

    assert judge_server("Dec  9 00:00:00 2026 GMT", now_s).verdict == "warn"
    assert judge_server("Dec 20 00:00:00 2026 GMT", now_s).verdict == "ok"
    assert judge_server("", now_s).verdict == "warn"
