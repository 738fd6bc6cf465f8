import asyncio
import re
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from firmware_sim.push_service import Fault
from server.config import ServerConfig
from server.embedded.broker import free_port
from server.errors import ConfigError
from server.notify.loop import run

pytestmark = pytest.mark.db


async def test_a_process_killed_while_sending_repeats_what_the_phone_then_replaces(
    city: Any, config_file: Path, until: Any
) -> None:
    city.subscribe("g-001", "g-002")
    for guardian in ("g-001", "g-002"):
        city.family.push.fail(guardian, Fault(delay_s=0.5), Fault(delay_s=0.5))
    city.family.mail.delay_s = 0.3
    events = [await asyncio.to_thread(city.happen) for _ in range(5)]
    for kill_after_s in (1.2, 1.5, 1.9):
        process = await _notify_process(config_file)
        await until(lambda: any(state == "sending" for _, state, _ in city.states("push")))
        await asyncio.sleep(kill_after_s - 1.0)
        process.send_signal(signal.SIGKILL)
        await process.wait()
    city.family.mail.delay_s = 0.0
    process = await _notify_process(config_file)
    await until(lambda: {state for _, state, _ in city.states("push") + city.states("mail")} == {"sent"})
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0
    shown = {(n.channel, n.guardian, n.reference) for n in city.received}
    assert len(shown) == 4 * len(events)
    assert sum(not n.is_repeat for n in city.received) == 4 * len(events)


async def _notify_process(config_file: Path) -> asyncio.subprocess.Process:
    code = (
        "import asyncio, signal, sys; from pathlib import Path\n"
        "from server.config import load; from server.notify.loop import run; from server.notify.desk import Pace\n"
        "from server.notify.outcome import Backoff\n"
        "pace = Pace(at_once=3, lease_s=1.0, look_s=0.2, backoff=Backoff(first_s=0.05, most_s=0.2, tries=30))\n"
        "async def main():\n"
        "    task = asyncio.ensure_future(run(load(Path(sys.argv[1]), {}), push_pace=pace, mail_pace=pace))\n"
        "    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)\n"
        "    try: await task\n"
        "    except asyncio.CancelledError: pass\n"
        "asyncio.run(main())\n"
    )
    root = Path(__file__).parents[3]
    return await asyncio.create_subprocess_exec(sys.executable, "-c", code, str(config_file), cwd=root)


async def test_the_counters_are_served_on_loopback_without_names(city: Any, until: Any) -> None:
    port = free_port()
    config = replace(city.config, notify=replace(city.config.notify, metrics_port=port))
    task = asyncio.create_task(run(config))
    await asyncio.to_thread(city.happen)
    await until(lambda: {state for _, state, _ in city.states("mail")} == {"sent"})
    text = await asyncio.to_thread(lambda: urlopen(f"http://127.0.0.1:{port}/metrics").read().decode())
    task.cancel()
    await asyncio.wait([task])
    assert 'notices_sent_total{channel="mail"} 2.0' in text
    assert 'notice_latency_seconds_count{channel="mail"} 2.0' in text
    assert not re.search(r"g-00|w-00|example|127\.0", text)


async def test_without_a_key_it_says_what_to_do(db: ServerConfig) -> None:
    with pytest.raises(ConfigError, match="mimamori init"):
        await run(db)


async def test_a_mail_service_that_apprise_does_not_know_is_named(city: Any) -> None:
    config = replace(city.config, notify=replace(city.config.notify, mail_url="nonsense://x"))
    with pytest.raises(ConfigError, match="mail_url"):
        await run(config)
