import asyncio
import json
import re
from typing import Any

import pytest

from firmware_sim.push_service import Fault
from server.notify.desk import Pace
from server.notify.loop import run

PATIENT = Pace(look_s=0.2)
pytestmark = [pytest.mark.db, pytest.mark.usefixtures("notify")]


async def test_each_guardian_is_told_once_on_each_channel(city: Any, until: Any) -> None:
    city.subscribe("g-001")
    event_id = await asyncio.to_thread(city.happen)
    await until(lambda: {state for _, state, _ in city.states("push") + city.states("mail")} == {"sent"})
    assert city.arrived("push") == ["g-001"]
    assert city.arrived("mail") == ["g-001", "g-002"]
    push = json.loads(next(n.content for n in city.received if n.channel == "push"))
    assert push["web_push"] == 8030
    assert push["notification"]["navigate"] == f"{city.config.http.public_url}/?event={event_id}"


async def test_nothing_personal_leaves_in_a_notice(city: Any, until: Any) -> None:
    city.subscribe("g-001", "g-002")
    for kind in ("arrived", "sos"):
        await asyncio.to_thread(city.happen, kind)
    await until(lambda: len(city.received) == 8)
    everything = " ".join(n.content for n in city.received)
    assert not re.search("ゆい|Yui|小学校|School|着|到着|arriv|保護者|祖父|w-001|p-001|g-00", everything, re.IGNORECASE)


async def test_an_sos_is_urgent_and_an_arrival_is_not(city: Any, until: Any) -> None:
    for kind in ("arrived", "sos"):
        await asyncio.to_thread(city.happen, kind)
    await until(lambda: len(city.received) == 4)
    assert sum("至急ご確認ください / Please look now" in n.content for n in city.received) == 2


@pytest.mark.parametrize("status", [404, 410])
async def test_a_subscription_that_is_gone_is_forgotten_and_mail_still_comes(
    city: Any, until: Any, status: int
) -> None:
    city.subscribe("g-001", "g-002")
    city.family.push.fail("g-001", Fault(status))
    await asyncio.to_thread(city.happen)
    await until(lambda: sorted(s for _, s, _ in city.states("push")) == ["failed", "sent"])
    await until(lambda: city.arrived("mail") == ["g-001", "g-002"])
    assert city.execute("SELECT guardian_id FROM push_subscription") == [("g-002",)]


@pytest.mark.parametrize("status", [429, 500, 403])
async def test_a_refusal_is_tried_again_and_arrives_once(city: Any, until: Any, status: int) -> None:
    city.subscribe("g-001")
    city.family.push.fail("g-001", Fault(status), Fault(status))
    await asyncio.to_thread(city.happen, mail=False)
    await until(lambda: city.states("push") == [("g-001", "sent", 3)])
    assert city.arrived("push") == ["g-001"]


async def test_a_service_that_never_takes_it_is_given_up_after_its_tries(city: Any, until: Any) -> None:
    city.subscribe("g-001")
    city.family.push.fail("g-001", Fault(500), forever=True)
    await asyncio.to_thread(city.happen, mail=False)
    await until(lambda: city.states("push") == [("g-001", "failed", 4)])
    assert city.arrived("push") == []


async def test_a_slow_service_holds_up_nobody_else(city: Any, until: Any) -> None:
    city.subscribe("g-001", "g-002")
    city.family.push.fail("g-001", Fault(delay_s=0.8))
    await asyncio.to_thread(city.happen)
    await until(lambda: len(city.received) == 3)
    assert city.arrived("push") == ["g-002"]
    await until(lambda: city.arrived("push") == ["g-001", "g-002"])


async def test_a_mail_server_that_refuses_is_tried_again(city: Any, until: Any) -> None:
    city.family.mail.refuse = 2
    await asyncio.to_thread(city.happen)
    await until(lambda: city.arrived("mail") == ["g-001", "g-002"])
    await until(lambda: {state for _, state, _ in city.states("mail")} == {"sent"})


async def test_a_guardian_whose_right_ended_hears_nothing(city: Any, until: Any) -> None:
    city.subscribe("g-002")
    city.execute("UPDATE guardianship SET until = now() - interval '1 second' WHERE guardian_id = 'g-002'")
    await asyncio.to_thread(city.happen)
    await until(lambda: city.arrived("mail") == ["g-001"])
    await until(lambda: city.states("push") == [("g-002", "failed", 1)])
    assert "g-002" not in city.arrived("push") + city.arrived("mail")


async def test_a_broken_subscription_fails_alone(city: Any, until: Any) -> None:
    city.subscribe("g-001", "g-002")
    city.execute("UPDATE push_subscription SET p256dh = 'AAAA' WHERE guardian_id = 'g-001'")
    await asyncio.to_thread(city.happen, mail=False)
    await until(lambda: sorted(s for _, s, _ in city.states("push")) == ["failed", "sent"])
    assert city.arrived("push") == ["g-002"]


async def test_a_lost_wake_up_only_delays(city: Any, until: Any) -> None:
    city.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%%'")
    await asyncio.to_thread(city.happen)
    await until(lambda: city.arrived("mail") == ["g-001", "g-002"])


async def test_a_database_that_was_away_is_found_again(city: Any, until: Any) -> None:
    city.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'notify'")
    await asyncio.to_thread(city.happen)
    await until(lambda: {state for _, state, _ in city.states("mail")} == {"sent"})
    assert city.arrived("mail") == ["g-001", "g-002"]


async def test_two_notify_processes_share_the_work_and_double_nothing(city: Any, until: Any) -> None:
    city.subscribe("g-001", "g-002")
    second = asyncio.create_task(run(city.config, push_pace=PATIENT, mail_pace=PATIENT))
    for _ in range(10):
        await asyncio.to_thread(city.happen)
    await until(lambda: {state for _, state, _ in city.states("push") + city.states("mail")} == {"sent"})
    second.cancel()
    await asyncio.wait([second])
    assert len(city.received) == 40
    assert not any(notice.is_repeat for notice in city.received)
