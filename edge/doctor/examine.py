"""All checks in the order in which a person would make them, each alone: one that fails hinders no other."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from edge import config as configuration
from edge import identity as files
from edge.clock import WallClock
from edge.config import EdgeConfig
from edge.doctor import broker, camera, identity, machine, radio, satellites
from edge.doctor.finding import Finding, fail
from wire.errors import ConfigError

_NOT_ENROLLED: Final = fail("identity", "市に登録されていません", "this gateway is not enrolled").to_do(
    "登録票を受け取り、mimamori-edge enrol を実行してください", "get a ticket from the city, run mimamori-edge enrol"
)
Check = Callable[[EdgeConfig], Awaitable[list[Finding]]]


async def examine(path: Path, environment: Mapping[str, str], server: str = "") -> list[Finding]:
    """Return all findings about the gateway of one configuration file.

    Args:
        path: TOML file.
        environment: variables that win over it.
        server: URL of the city's web server, to compare the clock with; "" = the one enrolled at, if any.
    """
    try:
        config = configuration.load(path, environment)
    except ConfigError as error:
        found = fail("configuration", f"設定に誤りがあります: {error}", f"the configuration is wrong: {error}")
        return [found.to_do("設定ファイルを直してください(docs/GATEWAY.md)", "mend the file (docs/GATEWAY.md)")]
    findings = [Finding.ok("configuration", "設定は正常です", "the configuration is sound")]
    server_url, broker_url = files.addresses(config.state_dir)
    server = server or server_url
    if not config.broker.url:
        if not broker_url:
            return [*findings, _NOT_ENROLLED]
        config = replace(config, broker=replace(config.broker, url=broker_url))
    for name, check in _checks(server).items():
        findings += await _alone(name, check, config)
    return findings


def _checks(server: str) -> dict[str, Check]:
    return {
        "identity": lambda config: asyncio.to_thread(identity.check, config),
        "clock": lambda _: machine.clock(server, WallClock()),
        "disk": lambda config: asyncio.to_thread(machine.disk, config),
        "outbox": lambda config: asyncio.to_thread(lambda: [machine.queue(config, config.clock.now_ms)]),
        "adapter": radio.check,
        "gpsd": satellites.check,
        "camera": lambda config: asyncio.to_thread(camera.check, config),
        "broker": broker.check,
    }


async def _alone(name: str, check: Check, config: EdgeConfig) -> list[Finding]:
    began_s = time.monotonic()
    try:
        return await check(config)
    except Exception as error:  # noqa: BLE001 -- told as a finding: the other checks are worth having
        reason, took_s = type(error).__name__, time.monotonic() - began_s
        found = fail(
            name, f"確認できませんでした({reason}、{took_s:.0f}秒)", f"could not be checked ({reason}, {took_s:.0f} s)"
        )
        return [found.to_do("この表示を市の担当者に伝えてください", "tell the city what is shown here")]


def is_well(findings: list[Finding]) -> bool:
    """Return whether nothing failed."""
    return all(finding.verdict != "fail" for finding in findings)
