"""Push subscriptions: kept, replaced, handed over, bounded, forgotten."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx

SignIn = Callable[[str], Awaitable[httpx.AsyncClient]]
Sql = Callable[..., list[tuple[Any, ...]]]
PATH = "/api/v1/push-subscription"
ENDPOINT = "https://fcm.googleapis.com/fcm/send/abc"
ROWS = "SELECT guardian_id, endpoint, auth FROM push_subscription ORDER BY id"


def subscription(endpoint: str = ENDPOINT, auth: str = "A" * 22) -> dict[str, Any]:
    return {"endpoint": endpoint, "expirationTime": None, "keys": {"p256dh": "B" + "x" * 86, "auth": auth}}


async def test_a_subscription_is_kept_and_replaced(signed_in: SignIn, sql: Sql) -> None:
    client = await signed_in("demo")
    for auth in ("A" * 22, "C" * 22):
        assert (await client.put(PATH, json=subscription(auth=auth))).status_code == 204
    assert sql(ROWS) == [("g-demo", ENDPOINT, "C" * 22)]


async def test_a_browser_that_changes_hands_takes_its_notices_along(signed_in: SignIn, sql: Sql) -> None:
    for login in ("demo", "other"):
        await (await signed_in(login)).put(PATH, json=subscription())
    assert [row[0] for row in sql(ROWS)] == ["g-other"]


async def test_forgetting_is_one_s_own_affair(signed_in: SignIn, sql: Sql) -> None:
    mine, theirs = await signed_in("demo"), await signed_in("other")
    await mine.put(PATH, json=subscription())
    for client, left in ((theirs, 1), (mine, 0), (mine, 0)):
        assert (await client.request("DELETE", PATH, json=subscription())).status_code == 204
        assert len(sql(ROWS)) == left


async def test_a_guardian_has_ten_browsers_at_most(signed_in: SignIn, sql: Sql) -> None:
    client = await signed_in("demo")
    for n in range(12):
        await client.put(PATH, json=subscription(f"{ENDPOINT}{n}"))
    assert [row[1] for row in sql(ROWS)] == [f"{ENDPOINT}{n}" for n in range(2, 12)]


REFUSED = (
    "http://fcm.googleapis.com/x",
    "https://10.0.0.1/x",
    "https://intranet/x",
    "https://fcm.googleapis.com.evil.example/x",
    "https://fcm.googleapis.com:8443/x",
    "https://user@fcm.googleapis.com/x",
    "https://evil.example/fcm.googleapis.com",
    "http://127.0.0.1:99999/x",
    "file:///etc/passwd",
    "https://fcm.googleapis.com/\nx",
    "",
)


async def test_our_notifier_is_sent_to_push_services_alone(signed_in: SignIn, sql: Sql) -> None:
    client = await signed_in("demo")
    for endpoint in REFUSED:
        assert (await client.put(PATH, json=subscription(endpoint))).status_code == 422, endpoint
    assert sql(ROWS) == []


async def test_the_demo_s_own_push_service_is_taken_on_loopback(signed_in: SignIn, sql: Sql) -> None:
    await (await signed_in("demo")).put(PATH, json=subscription("http://127.0.0.1:9999/push/1"))
    assert len(sql(ROWS)) == 1
