"""Whether gpsd answers and knows where the vehicle is."""

import asyncio
import json
import time
from typing import Final

from edge.config import EdgeConfig
from edge.doctor.finding import Finding, fail, warn
from edge.position import connect
from wire import gpsd

NAME: Final = "gpsd"
FIX_S: Final = 10.0


async def check(config: EdgeConfig, wait_s: float = FIX_S) -> list[Finding]:
    """Return how gpsd is; nothing for a gateway that stands still. No position is shown."""
    if not config.position.gpsd:
        return []
    seen: set[str] = set()
    try:
        async with asyncio.timeout(wait_s):
            accuracy_m = await _fix(config, seen)
    except TimeoutError:
        return [_without_fix(seen)]
    except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return [
            fail(NAME, "gpsdに接続できません", "gpsd cannot be reached").to_do(
                "sudo systemctl enable --now gpsd。position.gpsdを確認してください",
                "sudo systemctl enable --now gpsd; check position.gpsd",
            )
        ]
    return [
        Finding.ok(NAME, f"測位できています(誤差{accuracy_m:.0f} m)", f"there is a fix (within {accuracy_m:.0f} m)")
    ]


async def _fix(config: EdgeConfig, seen: set[str]) -> float:
    reader, writer = await connect(config.position.gpsd)
    try:
        writer.write(gpsd.watch(config.position.gpsd_device(config.detector)))
        await writer.drain()
        while True:
            line = await reader.readuntil(b"\n")
            position = gpsd.read_tpv(line, lambda: time.time_ns() // 1_000_000)
            if position is not None:
                return position.accuracy_m
            seen.add(_kind(line))
    finally:
        writer.close()


def _kind(line: bytes) -> str:
    try:
        return str(json.loads(line)["class"])
    except (ValueError, TypeError, KeyError):
        return ""


def _without_fix(seen: set[str]) -> Finding:
    if "TPV" in seen or "SKY" in seen:
        return warn(NAME, "受信機は動作中、測位できていません", "the receiver works and has no fix").to_do(
            "空の見える場所で数分待ち、アンテナを確認してください",
            "wait some minutes under open sky, check the antenna",
        )
    return fail(NAME, "受信機から何も届きません", "nothing comes from the receiver").to_do(
        "配線と/etc/default/gpsdのDEVICESを確認してください", "check the cable, and DEVICES in /etc/default/gpsd"
    )
