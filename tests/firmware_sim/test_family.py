import asyncio
import base64
import json
import smtplib
import socket
import sys
from asyncio import to_thread
from collections.abc import AsyncIterator
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from py_vapid import Vapid
from pywebpush import WebPushException, webpush

from firmware_sim.family import NOTICE_HEADER, Family, Received, push_subscriptions
from firmware_sim.push_service import Fault, PushRefusedError, check_vapid

SEED = 7


@pytest.fixture
def received() -> list[Received]:
    return []


@pytest.fixture
async def family(received: list[Received]) -> AsyncIterator[Family]:
    family = Family(["g-001"], {"g1@example.jp": "g-001"}, seed=SEED, on_notice=received.append)
    async with family.open():
        yield family


def _vapid() -> Vapid:
    vapid = Vapid()
    vapid.generate_keys()
    return vapid


def _push(family: Family, text: str, *, topic: str = "e1", seed: int = SEED, vapid: Vapid | None = None) -> int:
    base = f"http://127.0.0.1:{family.http_port}"
    one = push_subscriptions(base, ["g-001"], SEED)["g-001"]
    keys = push_subscriptions(base, ["g-001"], seed)["g-001"]
    info = {"endpoint": one["endpoint"], "keys": {"p256dh": keys["p256dh"], "auth": keys["auth"]}}
    claims: dict[str, str | int] = {"sub": "mailto:ops@example.jp"}
    try:
        answer = webpush(
            info, text, vapid_private_key=vapid or _vapid(), vapid_claims=claims, ttl=60, headers={"Topic": topic}
        )
    except WebPushException as error:
        return int(error.status_code or 0)
    return int(answer.status_code)


async def test_a_push_is_decrypted_by_the_guardian_it_was_meant_for(family: Family, received: list[Received]) -> None:
    assert await to_thread(_push, family, "お知らせ") == 201
    assert [(n.channel, n.guardian, n.reference, n.content, n.is_repeat) for n in received] == [
        ("push", "g-001", "e1", "お知らせ", False)
    ]


async def test_a_second_push_of_the_same_topic_is_a_repeat(family: Family, received: list[Received]) -> None:
    for topic in ("e1", "e1", "e2"):
        await to_thread(_push, family, "x", topic=topic)
    assert [n.is_repeat for n in received] == [False, True, False]


async def test_a_push_for_other_keys_is_refused(family: Family, received: list[Received]) -> None:
    assert await to_thread(_push, family, "x", seed=SEED + 1) == 400
    assert received == []


@pytest.mark.parametrize("status", [404, 410, 429, 500])
async def test_a_fault_is_shown_once_and_then_the_message_is_taken(family: Family, status: int) -> None:
    family.push.fail("g-001", Fault(status))
    assert [await to_thread(_push, family, "x"), await to_thread(_push, family, "x")] == [status, 201]


async def test_a_token_for_another_service_or_out_of_date_is_refused() -> None:
    token = _vapid().sign({"sub": "mailto:a@example.jp", "aud": "http://a", "exp": "1000"})["Authorization"]
    check_vapid(token, audience="http://a", now_s=900)
    for audience, now_s in (("http://b", 900), ("http://a", 1001), ("http://a", 1000 - 86_401)):
        with pytest.raises(PushRefusedError):
            check_vapid(token, audience=audience, now_s=now_s)
    with pytest.raises(PushRefusedError):
        check_vapid(token[:-8] + "AAAAAAAA", audience="http://a", now_s=900)


def test_subscriptions_are_the_same_for_a_seed_and_differ_between_seeds() -> None:
    once = push_subscriptions("http://127.0.0.1:1/", ["g-001", "g-002"], SEED)
    assert once == push_subscriptions("http://127.0.0.1:1", ["g-001", "g-002"], SEED)
    assert once["g-001"] != push_subscriptions("http://127.0.0.1:1", ["g-001"], SEED + 1)["g-001"]
    point = base64.urlsafe_b64decode(once["g-001"]["p256dh"] + "=")
    ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    assert urlsplit(once["g-001"]["endpoint"]).path.startswith("/push/")


async def test_a_mail_reaches_its_guardian_and_a_strange_address_nobody(
    family: Family, received: list[Received]
) -> None:
    for address in ("g1@example.jp", "who@example.jp"):
        mail = EmailMessage()
        mail["Subject"], mail["From"], mail["To"], mail[NOTICE_HEADER] = "お知らせ", "a@example.jp", address, "n1"
        mail.set_content("本文です")
        await to_thread(_send, family.smtp_port, mail)
    assert [(n.guardian, n.reference, n.content) for n in received] == [
        ("g-001", "n1", "お知らせ\n本文です\n"),
        ("", "n1", "お知らせ\n本文です\n"),
    ]


def _send(port: int, mail: EmailMessage) -> None:
    with smtplib.SMTP("127.0.0.1", port) as smtp:
        smtp.send_message(mail)


def test_the_log_line_carries_no_content() -> None:
    notice = Received(1, "push", "g-001", "e1", 9, is_repeat=False, content="ゆい")
    assert json.loads(notice.line()) == {
        "at_ms": 1,
        "channel": "push",
        "guardian": "g-001",
        "size_bytes": 9,
        "is_repeat": False,
    }
    assert "ゆい" not in repr(notice)


@pytest.mark.system
async def test_the_program_writes_a_line_for_each_notice_and_ends_when_told(tmp_path: Path) -> None:
    ports = [_free_port(), _free_port()]
    push = push_subscriptions(f"http://127.0.0.1:{ports[0]}", ["g-001"], SEED)["g-001"]
    guardian = {"id": "g-001", "email": "g1@example.jp", "push": push}
    (tmp_path / "town.json").write_text(json.dumps({"seed": SEED, "guardians": [guardian]}))
    command = ("family", "--dir", str(tmp_path), "--http-port", str(ports[0]), "--smtp-port", str(ports[1]))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "firmware_sim", *command, "--out", str(tmp_path / "out"), cwd=Path(__file__).parents[2]
    )
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = "x", "a@example.jp", "g1@example.jp"
    mail.set_content("ゆい")
    async with asyncio.timeout(30):
        while True:
            try:
                await to_thread(_send, ports[1], mail)
                break
            except ConnectionRefusedError:
                await asyncio.sleep(0.1)
    process.terminate()
    assert await process.wait() == 0
    line = (tmp_path / "out").read_text()
    assert json.loads(line)["guardian"] == "g-001"
    assert "ゆい" not in line


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
