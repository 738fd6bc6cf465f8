"""Which gateways need somebody, and why: one table of limits, one rule a reason, in Japanese and English.

Read by `mimamori status`; the API's counters say only how many there are of each reason: which camera does not record
is nobody's business.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Self

from server.store.health import Standing

_DAY_MS: Final = 86_400_000
_RECORDS: Final = frozenset({None, "", "off", "starting", "recording", "no-mask", "moved", "blind"})
"""No fault, or a reason of their own: "off" is what the city has set, "blind" is every night."""


class Reason(StrEnum):
    """Why a gateway needs somebody."""

    SILENT = "silent"
    CLOCK_OFF = "clock-off"
    DISK_LOW = "disk-low"
    HOT = "hot"
    QUEUE_OLD = "queue-old"
    ROWS_THINNED = "rows-thinned"
    NO_MASK = "no-mask"
    CAMERA_MOVED = "camera-moved"
    CAMERA_SILENT = "camera-not-recording"
    CERTIFICATE_ENDS = "certificate-ends"


@dataclass(frozen=True, slots=True)
class Limits:
    """Beyond these somebody is called.

    Attributes:
        silent_s: without a heartbeat; they come every 30 s.
        clock_error_ms: what the gateway's kernel supposes at most; a status of a tag is valid for seconds.
        disk_free_mb: below, the outbox may soon not grow any more.
        temp_cdeg: a Raspberry Pi slows itself down from 80 degrees on.
        queue_age_s: of the oldest batch without a receipt.
        thinned_s: for so long after rows were thinned it is told.
        certificate_s: left of a certificate; it renews itself with ten days to go.
    """

    silent_s: float = 300
    clock_error_ms: int = 1_000
    disk_free_mb: int = 1_000
    temp_cdeg: int = 8_000
    queue_age_s: float = 3_600
    thinned_s: float = 86_400
    certificate_s: float = 7 * 86_400

    def at_speed(self, speed: float) -> Self:
        """Return the limits for a town whose clock runs faster than the wall, by which machines work."""
        return replace(self, silent_s=self.silent_s * max(1, speed), queue_age_s=self.queue_age_s * max(1, speed))


@dataclass(frozen=True, slots=True)
class Call:
    """One gateway that needs somebody, for one reason.

    Attributes:
        reason: why.
        ja: the same with its figure.
        en: likewise.
    """

    detector: str
    label_ja: str
    label_en: str
    reason: Reason
    ja: str
    en: str


@dataclass(frozen=True, slots=True)
class Moment:
    """When is looked: town time for what the server stamped, wall time for certificates. Unix milliseconds."""

    town_ms: int
    wall_ms: int


Words = tuple[str, str] | None


def calls(standings: Iterable[Standing], now: Moment, limits: Limits | None = None) -> list[Call]:
    """Return every gateway with every reason for which it needs somebody."""
    limits = limits or Limits()
    return [
        Call(standing.detector, standing.label_ja, standing.label_en, reason, *words)
        for standing in standings
        for reason, words in _reasons(standing, now, limits)
    ]


def counted(found: Iterable[Call]) -> dict[Reason, int]:
    """Return how many gateways there are of each reason, 0 of most."""
    counts = dict.fromkeys(Reason, 0)
    for call in found:
        counts[call.reason] += 1
    return counts


def _reasons(standing: Standing, now: Moment, limits: Limits) -> Iterator[tuple[Reason, tuple[str, str]]]:
    for reason, rule in _RULES.items():
        words = rule(standing, now, limits)
        if words is not None:
            yield reason, words
        if reason is Reason.SILENT and words is not None and standing.received_at_ms is None:
            return  # it has never said anything else


def _silent(standing: Standing, now: Moment, limits: Limits) -> Words:
    if standing.received_at_ms is None:
        return "一度も通信がありません", "has never been heard of"
    away_s = (now.town_ms - standing.received_at_ms) / 1000
    if standing.state == "online" and away_s <= limits.silent_s:
        return None
    minutes = max(0, round(away_s / 60))
    return f"{minutes}分前から通信がありません", f"silent for {minutes} min"


def _clock(standing: Standing, _: Moment, limits: Limits) -> Words:
    said, offset_s = standing.condition, standing.clock_offset_ms / 1000
    if standing.clock_offset_ms:
        return f"時計が{abs(offset_s):.0f}秒ずれています", f"clock off by {abs(offset_s):.0f} s"
    if said.is_clock_synced is False:
        return "時計が同期されていません", "clock is not synchronised"
    if said.clock_error_ms is not None and said.clock_error_ms > limits.clock_error_ms:
        return f"時計の誤差が最大{said.clock_error_ms}ミリ秒です", f"clock may be off by {said.clock_error_ms} ms"
    return None


def _disk(standing: Standing, _: Moment, limits: Limits) -> Words:
    free_mb = standing.condition.disk_free_mb
    if free_mb is None or free_mb >= limits.disk_free_mb:
        return None
    return f"ディスクの空きが{free_mb:,} MBです", f"{free_mb:,} MB of disk left"


def _hot(standing: Standing, _: Moment, limits: Limits) -> Words:
    temp_cdeg = standing.condition.temp_cdeg
    if temp_cdeg is None or temp_cdeg < limits.temp_cdeg:
        return None
    return f"温度が{temp_cdeg / 100:.0f}度です", f"{temp_cdeg / 100:.0f} degrees Celsius"


def _queue(standing: Standing, _: Moment, limits: Limits) -> Words:
    if standing.oldest_queued_ms is None or standing.sent_at_ms is None:
        return None
    age_s = (standing.sent_at_ms - standing.oldest_queued_ms) / 1000
    if age_s <= limits.queue_age_s:
        return None
    return f"{age_s / 3600:.1f}時間前の記録が未送信です", f"oldest unsent batch is {age_s / 3600:.1f} h old"


def _thinned(standing: Standing, now: Moment, limits: Limits) -> Words:
    if standing.thinned_at_ms is None or now.town_ms - standing.thinned_at_ms > limits.thinned_s * 1000:
        return None
    rows = standing.condition.rows_thinned or 0
    return f"満杯のため記録を間引きました(累計{rows:,}行)", f"queue was full, rows thinned ({rows:,} in all)"


def _no_mask(standing: Standing, _: Moment, __: Limits) -> Words:
    if standing.condition.camera != "no-mask":
        return None
    return "有効なマスクがなく録画していません", "no valid mask, nothing is recorded"


def _moved(standing: Standing, _: Moment, __: Limits) -> Words:
    if standing.condition.camera != "moved":
        return None
    return "カメラの向きが変わり録画を止めました", "the camera has moved, nothing is recorded"


def _camera(standing: Standing, _: Moment, __: Limits) -> Words:
    state = standing.condition.camera
    if state in _RECORDS:
        return None
    return f"録画していません({state})", f"not recording ({state})"


def _certificate(standing: Standing, now: Moment, limits: Limits) -> Words:
    until_ms = standing.condition.certificate_until_ms
    if until_ms is None or until_ms - now.wall_ms > limits.certificate_s * 1000:
        return None
    days = (until_ms - now.wall_ms) // _DAY_MS
    if until_ms <= now.wall_ms:
        return "証明書の期限が切れました", "certificate has ended"
    return f"証明書の期限まであと{days}日です", f"certificate ends in {days} days"


_RULES: Final[dict[Reason, Callable[[Standing, Moment, Limits], Words]]] = {
    Reason.SILENT: _silent,
    Reason.CLOCK_OFF: _clock,
    Reason.DISK_LOW: _disk,
    Reason.HOT: _hot,
    Reason.QUEUE_OLD: _queue,
    Reason.ROWS_THINNED: _thinned,
    Reason.NO_MASK: _no_mask,
    Reason.CAMERA_MOVED: _moved,
    Reason.CAMERA_SILENT: _camera,
    Reason.CERTIFICATE_ENDS: _certificate,
}
