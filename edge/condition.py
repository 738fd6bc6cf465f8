"""The condition of one gateway, gathered for its heartbeat: from the machine, the radio, the outbox and the camera."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from edge import machine
from edge.clock import WallClock
from edge.parked import Whereabouts
from wire.condition import Condition
from wire.outbox import Totals

MINUTE_S: Final = 60.0
SAMPLE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class CameraVitals:
    """How the camera is; the fields as in `wire.condition.Condition`."""

    state: str
    fps_centi: int | None = None
    mask_version: int | None = None
    footage_from_ms: int | None = None
    footage_mb: int | None = None
    footage_chain: bytes | None = None


@dataclass(slots=True)
class MinuteRate:
    """How much a counter that only grows has grown in the last minute."""

    _samples: deque[tuple[float, int]] = field(default_factory=deque, repr=False)

    def sample(self, count: int, now_s: float) -> None:
        """Take the counter; one sample in `SAMPLE_S` is kept."""
        samples = self._samples
        if samples and now_s - samples[-1][0] < SAMPLE_S:
            return
        samples.append((now_s, count))
        while len(samples) > 1 and now_s - samples[1][0] >= MINUTE_S:
            samples.popleft()

    def per_min(self, count: int, now_s: float) -> int | None:
        """Return the growth of a minute; of a shorter time since the start what it would be; None before any sample."""
        if not self._samples or now_s - self._samples[0][0] < 1.0:
            return None
        since_s, before = self._samples[0]
        return round((count - before) * MINUTE_S / (now_s - since_s))


@dataclass(slots=True)
class Gauges:
    """Everything that a condition is read from.

    Attributes:
        state_dir: of the volume that may run full; None = say nothing of a disk.
        clock: of the machine.
        whereabouts: of a vehicle, None for what does not move.
        camera: how the camera is; None without one.
        order_sequence: of the newest order carried out or refused; None where there was none.
        certificate_until_ms: when the certificate ends; None without one.
    """

    state_dir: Path | None = None
    clock: WallClock = field(default_factory=WallClock)
    whereabouts: Whereabouts | None = None
    camera: Callable[[], CameraVitals] | None = None
    order_sequence: Callable[[], int | None] = lambda: None
    certificate_until_ms: Callable[[], int | None] = lambda: None
    adverts: MinuteRate = field(default_factory=MinuteRate)
    processor: machine.Processor = field(default_factory=machine.Processor)

    def read(self, advertisements: int, totals: Totals) -> Condition:
        """Return the condition now.

        Args:
            advertisements: heard since the start.
            totals: of the outbox.
        """
        camera = CameraVitals("") if self.camera is None else self.camera()
        return Condition(
            is_clock_synced=self.clock.is_synced(),
            clock_error_ms=self.clock.error_ms(),
            adverts_per_min=self.adverts.per_min(advertisements, time.monotonic()),
            disk_free_mb=None if self.state_dir is None else machine.disk_free_mb(self.state_dir),
            temp_cdeg=machine.temp_cdeg(),
            cpu_permille=self.processor.permille(time.monotonic(), time.process_time()),
            rss_mb=machine.rss_mb(),
            rows_thinned=totals.thinned_rows,
            order_sequence=self.order_sequence(),
            camera=camera.state,
            camera_fps_centi=camera.fps_centi,
            mask_version=camera.mask_version,
            footage_from_ms=camera.footage_from_ms,
            footage_mb=camera.footage_mb,
            footage_chain=camera.footage_chain,
            is_parked=None if self.whereabouts is None else self.whereabouts.is_parked,
            certificate_until_ms=self.certificate_until_ms(),
        )
