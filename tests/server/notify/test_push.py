import asyncio
from pathlib import Path
from typing import Any

import pytest

from firmware_sim.family import push_subscriptions
from firmware_sim.push_service import Fault
from server.notify.outcome import SENT, Outcome, Result
from server.notify.push import PushMessage, PushSender, Subscription
from wire.keys import new_signing_key, save_private

MESSAGE = PushMessage("{}", "t" * 32, is_urgent=True)


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    save_private(tmp_path / "vapid.pem", new_signing_key())
    return tmp_path / "vapid.pem"


@pytest.fixture
def sender(key_file: Path) -> PushSender:
    return PushSender(key_file, "mailto:ops@example.jp", allow_loopback=True, timeout_s=(2.0, 2.0))


def _subscription(family: Any) -> Subscription:
    keys = push_subscriptions(f"http://127.0.0.1:{family.http_port}", ["g-001"], 7)["g-001"]
    return Subscription(keys["endpoint"], keys["p256dh"], keys["auth"])


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (Fault(), SENT),
        (Fault(410), Outcome(Result.GONE, "410")),
        (Fault(500), Outcome(Result.RETRY, "500")),
        (Fault(307), Outcome(Result.RETRY, "307")),
        (Fault(delay_s=4.0), Outcome(Result.RETRY, "unreachable")),
    ],
)
async def test_every_answer_has_its_outcome(family: Any, sender: PushSender, fault: Fault, outcome: Outcome) -> None:
    family.push.fail("g-001", fault)
    assert await asyncio.to_thread(sender.send, _subscription(family), MESSAGE) == outcome


async def test_an_urgent_message_is_kept_for_a_day_and_wakes_the_phone(family: Any, sender: PushSender) -> None:
    messages: list[Any] = []
    family.push.on_message = messages.append
    await asyncio.to_thread(sender.send, _subscription(family), MESSAGE)
    assert [(m.urgency, m.ttl_s, m.topic) for m in messages] == [("high", 86_400, "t" * 32)]


async def test_nobody_there_is_tried_again(sender: PushSender) -> None:
    keys = push_subscriptions("http://127.0.0.1:1", ["g-001"], 7)["g-001"]
    outcome = sender.send(Subscription(keys["endpoint"], keys["p256dh"], keys["auth"]), MESSAGE)
    assert outcome == Outcome(Result.RETRY, "unreachable")


@pytest.mark.parametrize(("p256dh", "auth"), [("AAAA", "AAAA"), ("", ""), ("!", "é"), ("A" * 88, "A" * 22)])
def test_broken_keys_are_refused_for_good(sender: PushSender, p256dh: str, auth: str) -> None:
    outcome = sender.send(Subscription("http://127.0.0.1:1/x", p256dh, auth), MESSAGE)
    assert outcome == Outcome(Result.REFUSED, "keys")


def test_a_host_that_is_no_push_service_is_never_called(key_file: Path) -> None:
    sender = PushSender(key_file, "mailto:ops@example.jp")
    outcome = sender.send(Subscription("http://127.0.0.1:1/x", "x", "x"), MESSAGE)
    assert outcome == Outcome(Result.REFUSED, "endpoint")


def test_references_tell_the_push_service_nothing(sender: PushSender, tmp_path: Path) -> None:
    references = {sender.reference(event, target) for event in range(20) for target in ("1", "2")}
    assert len(references) == 40
    assert all(len(reference) == 32 for reference in references)
    save_private(tmp_path / "other.pem", new_signing_key())
    assert PushSender(tmp_path / "other.pem", "mailto:a@b").reference(1, "1") not in references


def test_neither_a_subscription_nor_a_message_shows_itself_in_a_log() -> None:
    shown = repr(Subscription("https://e/secret", "p", "a")) + repr(PushMessage("payload", "t", is_urgent=False))
    assert "secret" not in shown
    assert "payload" not in shown
