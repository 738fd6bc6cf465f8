"""The machine under the gateway: its clock, its disk, its queue."""

import asyncio
import email.utils
import http.client
import os
import sqlite3
import ssl
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from edge.clock import WallClock
from edge.config import EdgeConfig
from edge.doctor.finding import Finding, fail, warn

OFFSET_S: Final = 2.0
"""An HTTP date has whole seconds, and travels."""
ERROR_MS: Final = 1_000
BUILT_S: Final = 1_790_000_000
"""September 2026: a clock that says less has lost its time."""
FREE_MB: Final = 1_000
FREE_INODES: Final = 10_000
SLOW_MS: Final = 250.0
QUEUE_S: Final = 3_600.0
ANSWER_S: Final = 8.0
_SYNC_JA: Final = "chronyを入れてください(sudo apt install chrony; chronyc tracking)"
_SYNC_EN: Final = "install chrony (sudo apt install chrony; chronyc tracking)"


async def clock(server: str, wall: WallClock) -> list[Finding]:
    """Return how right the clock is.

    Args:
        server: URL of the city's web server, to compare with its Date; "" = not compared.
        wall: the machine's clock.
    """
    found = [judge_clock(wall)]
    if server:
        found.append(judge_offset(await asyncio.to_thread(_offset_s, server)))
    return found


def judge_clock(wall: WallClock) -> Finding:
    """Return what the kernel says of its clock."""
    error_ms = wall.error_ms()
    if wall.now_ms() / 1000 < BUILT_S:
        return fail("clock", "時計が過去を示しています", "the clock shows a time in the past").to_do(
            f"RTC(電池)を確認し、{_SYNC_JA}", f"check the RTC and its battery; {_SYNC_EN}"
        )
    if not wall.is_synced():
        return warn("clock", "時計が同期されていません", "the clock is not synchronised").to_do(_SYNC_JA, _SYNC_EN)
    if error_ms is not None and error_ms > ERROR_MS:
        return warn("clock", f"時計の誤差が最大{error_ms}ミリ秒です", f"the clock may be off by {error_ms} ms").to_do(
            _SYNC_JA, _SYNC_EN
        )
    return Finding.ok(
        "clock", f"時計は同期済み、誤差{error_ms}ミリ秒以内", f"the clock is synchronised within {error_ms} ms"
    )


def _offset_s(server: str) -> float | None:
    parts = urlsplit(server)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=ANSWER_S)
    try:
        before_s = time.time()
        connection.request("HEAD", parts.path or "/")
        date = connection.getresponse().getheader("Date")
        middle_s = (before_s + time.time()) / 2
        # The date is cut to whole seconds: on average it is half a second later than it says.
        return None if date is None else middle_s - email.utils.parsedate_to_datetime(date).timestamp() - 0.5
    except (OSError, http.client.HTTPException, ssl.SSLError, ValueError):
        return None
    finally:
        connection.close()


def judge_offset(offset_s: float | None) -> Finding:
    """Return what a difference to the server means; None = the server said no date."""
    if offset_s is None:
        return warn("clock", "サーバの時刻を確認できません", "the server's time could not be read").to_do(
            "--serverのURLと回線を確認してください", "check the URL of --server and the line"
        )
    if abs(offset_s) > OFFSET_S:
        return fail(
            "clock",
            f"時計がサーバと{offset_s:+.0f}秒違います",
            f"the clock differs from the server's by {offset_s:+.0f} s",
        ).to_do(_SYNC_JA, _SYNC_EN)
    return Finding.ok("clock", "サーバと同じ時刻です", "the clock agrees with the server's")


@dataclass(frozen=True, slots=True)
class Volume:
    """What was measured of the volume of the state directory.

    Attributes:
        sync_ms: median of writing four kilobytes for good.
        is_card: whether it lies on an SD card or eMMC.
        faults: errors that the file system has counted.
    """

    free_mb: int
    free_inodes: int
    sync_ms: float
    is_card: bool
    faults: int


def disk(config: EdgeConfig) -> list[Finding]:
    """Return how the disk under the state directory is; a missing one is not made: it would have the wrong owner."""
    if not config.state_dir.exists():
        return [
            warn("disk", "state_dirがまだありません", "there is no state_dir yet").to_do(
                "初回の起動時に作られます。親フォルダの所有者を確認してください",
                "the first start makes it; check the owner of its parent",
            )
        ]
    try:
        return judge_disk(measure(config.state_dir))
    except OSError as error:
        return [
            fail(
                "disk",
                f"state_dirに書き込めません({error.strerror})",
                f"state_dir cannot be written ({error.strerror})",
            ).to_do(
                "所有者を確認し、読み取り専用ならfsckして再マウントしてください",
                "check its owner; if it is mounted read-only, run fsck and mount it again",
            )
        ]


def measure(directory: Path, rounds: int = 5) -> Volume:
    """Return what the volume of a directory can do; nothing is left behind.

    Raises:
        OSError: it cannot be written.
    """
    took_ms = []
    with tempfile.NamedTemporaryFile(dir=directory, prefix=".doctor-") as file:
        for _ in range(rounds):
            began_s = time.perf_counter()
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
            took_ms.append((time.perf_counter() - began_s) * 1000)
    stat = os.statvfs(directory)
    device = _device(directory.stat().st_dev)
    free_inodes = stat.f_favail if stat.f_files else FREE_INODES
    return Volume(
        stat.f_bavail * stat.f_frsize // 1_000_000,
        free_inodes,
        statistics.median(took_ms),
        device.startswith("mmcblk"),
        _faults(device),
    )


def _device(number: int) -> str:
    link = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
    return link.resolve().name if link.exists() else ""


def _faults(device: str) -> int:
    try:
        return int((Path("/sys/fs/ext4") / device / "errors_count").read_text(encoding="ascii")) if device else 0
    except (OSError, ValueError):  # another file system, which counts none
        return 0


def judge_disk(volume: Volume) -> list[Finding]:
    """Return what the figures of a volume mean."""
    found = []
    if volume.free_mb < FREE_MB:
        found.append(
            fail("disk", f"空きが{volume.free_mb:,} MBしかありません", f"only {volume.free_mb:,} MB are free").to_do(
                "不要なファイルを消すか、大きいディスクにしてください",
                "delete what is not needed, or use a larger disk",
            )
        )
    if volume.free_inodes < FREE_INODES:
        found.append(
            fail(
                "disk", f"iノードの空きが{volume.free_inodes:,}です", f"only {volume.free_inodes:,} inodes are free"
            ).to_do("小さいファイルの多いフォルダを探してください", "look for a folder with very many small files")
        )
    if volume.faults:
        found.append(
            fail(
                "disk",
                f"ファイルシステムの誤りが{volume.faults}件あります",
                f"the file system counts {volume.faults} errors",
            ).to_do("fsckを行い、カードを交換してください", "run fsck and replace the card")
        )
    if volume.sync_ms > SLOW_MS:
        found.append(
            warn(
                "disk",
                f"書き込みの確定に{volume.sync_ms:.0f}ミリ秒かかります",
                f"a write takes {volume.sync_ms:.0f} ms to be safe",
            ).to_do("産業用(高耐久)のカードかSSDにしてください", "use an industrial card or an SSD")
        )
    if volume.is_card and not found:
        hint_ja, hint_en = "SDカードは摩耗を知らせません", "an SD card does not tell of its wear"
        found.append(
            warn("disk", hint_ja, hint_en).to_do(
                "高耐久カードを使い、2年で交換", "use a high-endurance card, replace it in two years"
            )
        )
    return found or [
        Finding.ok(
            "disk",
            f"空き{volume.free_mb:,} MB、書き込み{volume.sync_ms:.1f}ミリ秒",
            f"{volume.free_mb:,} MB free, a safe write takes {volume.sync_ms:.1f} ms",
        )
    ]


def queue(config: EdgeConfig, now_ms: Callable[[], int]) -> Finding:
    """Return what waits in the outbox; read beside a running gateway."""
    file = config.state_dir / "outbox.db"
    if not file.exists():
        return Finding.ok("outbox", "まだ記録はありません", "nothing has been recorded yet")
    try:
        database = sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=ANSWER_S)
        try:
            pending, rows, oldest_ms = database.execute(
                "SELECT count(*), coalesce(sum(rows), 0), min(created_ms) FROM batch"
            ).fetchone()
        finally:
            database.close()
    except sqlite3.Error:
        return fail("outbox", "記録のファイルが読めません", "the outbox cannot be read").to_do(
            "ゲートウェイを再起動してください。壊れていれば新しく作り直します",
            "restart the gateway: a damaged outbox is put aside and made anew",
        )
    age_s = 0.0 if oldest_ms is None else (now_ms() - oldest_ms) / 1000
    broken = file.with_name(file.name + ".broken").exists()
    said_ja, said_en = f"未送信{pending:,}件({rows:,}行)", f"{pending:,} batches wait ({rows:,} rows)"
    if age_s > QUEUE_S:
        return warn(
            "outbox", f"{said_ja}、最古は{age_s / 3600:.1f}時間前", f"{said_en}, the oldest for {age_s / 3600:.1f} h"
        ).to_do(
            "通信の項目を直してください。記録は失われません",
            "mend what the broker check says; nothing is lost meanwhile",
        )
    if broken:
        return warn("outbox", f"{said_ja}。壊れた古い記録があります", f"{said_en}; a damaged one lies beside").to_do(
            "disk の項目を確認し、outbox.db.brokenを市に渡してから消してください",
            "look at the disk check; hand outbox.db.broken to the city, then delete it",
        )
    return Finding.ok("outbox", said_ja, said_en)
