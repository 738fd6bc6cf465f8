"""The camera of one gateway: follows the city's mask and settings, records, keeps the ring, and says how it is.

One thread reads (edge/camera/source.py), one paints, encodes and seals; the event loop only supervises, so that nothing
of this holds the radio up. Without a valid mask nothing is recorded, and it says so.
"""

import asyncio
import logging
import secrets
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import av
import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from numpy.typing import NDArray

from edge.camera import disk
from edge.camera.anchor import Wall
from edge.camera.mask import Painter
from edge.camera.record import Recorder
from edge.camera.ring import Journal, Ring
from edge.camera.rules import Rules
from edge.camera.segment import FIRST, Segment
from edge.camera.senses import Senses, Watch
from edge.camera.source import Source
from edge.config import EdgeConfig
from edge.errors import CameraError, EdgeError, RingError
from privacy.masks import Mask
from wire import fields as _f
from wire.camera_settings import CameraSettings
from wire.errors import MessageError, WireError
from wire.keys import CityBundle
from wire.orders import Command, Configure, Freeze, SetMask, Thaw

log = logging.getLogger(__name__)

CHECK_MS: Final = 1_000
"""So often the mask's file is looked at."""
SWEEP_S: Final = 60.0
REOPEN_S: Final = 3.0
MOVED, BLIND = "moved", "blind"
_MEGABYTE: Final = 1_000_000
Handler = Callable[[Any], Awaitable[Mapping[str, Any]]]


@dataclass(slots=True)
class Camera:
    """One camera.

    Attributes:
        counts: by name, as edge/health.py shows them.
        beat: called by the recording thread, about four times a second, as long as it gets on.
    """

    config: EdgeConfig
    rules: Rules
    ring: Ring
    source: Source
    recorder: Recorder
    journal: Journal
    clock: Wall
    counts: Counter[str]
    senses: Senses = field(default_factory=Senses)
    beat: Callable[[], None] = field(default=lambda: None, repr=False)
    _state: str = "starting"
    _moved_version: int = 0
    _is_blind: bool = False
    _watch: tuple[Mask, Watch] | None = None
    _checked_ms: int = -CHECK_MS
    _had_mask: bool | None = None
    _footage: tuple[int, int | None] = (0, None)
    _stop: threading.Event = field(default_factory=threading.Event, repr=False)
    _thread: threading.Thread | None = None

    @classmethod
    def open(
        cls, config: EdgeConfig, city: CityBundle, *, journal: Journal, clock: Wall, senses: Senses | None = None
    ) -> Self:
        """Return the camera of a gateway, nothing read or recorded yet.

        A ring that cannot be opened is tried again while the camera runs: a disk's troubles take nothing else down.

        Args:
            config: with `camera.url`.
            city: with `order_key` and `footage_key`.
            journal: writes an entry into the gateway's log, on disk when it returns; called from several threads.
            clock: an edge.clock.WallClock.
            senses: what looks for drift and listens.

        Raises:
            CameraError: the city gives no keys for a camera.
        """
        footage_key = city.footage_key
        if city.order_key is None or footage_key is None:
            raise CameraError("the city file holds no keys for a camera")
        counts: Counter[str] = Counter()
        folder = config.state_dir / "camera"
        ring = Ring(folder, clock, journal, counts)
        rules = Rules(folder, city, config.detector)
        if not rules.load():
            journal("settings.missing", {})
        source = Source(config.camera, clock, counts, rules.settings.fps)
        recorder = _recorder(config, ring, footage_key, counts)
        camera = cls(config, rules, ring, source, recorder, journal, clock, counts, senses or Senses())
        camera._moved_version = camera._moved()
        recorder.watch = camera._look
        camera._open_ring()
        camera._listen()
        return camera

    @property
    def state(self) -> str:
        """Return how the camera is, one of wire.condition.CAMERA_STATES."""
        return self._state

    @property
    def fps_centi(self) -> int:
        """Return hundredths of a frame a second, recorded."""
        return self.recorder.fps_centi()

    @property
    def mask_version(self) -> int | None:
        """Return the version of the mask in force, None without one."""
        mask = self.rules.mask
        return None if mask is None else mask.version

    @property
    def footage_from_ms(self) -> int | None:
        """Return the start of the oldest footage kept, Unix milliseconds."""
        return self._footage[1]

    @property
    def footage_mb(self) -> int:
        """Return how much footage is kept."""
        return self._footage[0] // _MEGABYTE

    @property
    def footage_chain(self) -> bytes | None:
        """Return the newest value of the hash chain over all segments, None before the first."""
        return None if self.ring.chain == FIRST else self.ring.chain

    def set_mask(self, document: bytes) -> Mask:
        """Use a mask from now on, and return it.

        Raises:
            WireError: not signed by the city for this camera, or no mask.
            CameraError: older than the one in force.
            OSError: the disk is full, read-only or gone; nothing is changed.
        """
        mask = self.rules.set_mask(document)
        if mask.version > self._moved_version and self._moved_version:
            disk.remove(self._moved_file)
            self._moved_version = 0
        return mask

    def configure(self, document: bytes) -> CameraSettings:
        """Use settings from now on, and return them.

        Raises:
            WireError: not signed by the city for this camera, or no settings.
            CameraError: older than those in force.
            OSError: the disk is full, read-only or gone; nothing is changed.
        """
        settings = self.rules.configure(document)
        self.source.fps = settings.fps
        self._listen()
        return settings

    def freeze(self, order: Freeze) -> dict[str, Any]:
        """Freeze a window of footage and return what the log says of it.

        Raises:
            RingError: the disk is full, read-only or gone; nothing is frozen.
        """
        try:
            return self.ring.freeze(order)
        except OSError as error:
            raise RingError("the window cannot be written down as frozen") from error

    def thaw(self, order: Thaw) -> dict[str, Any]:
        """Let the frozen windows of a case go and return what the log says of it.

        Raises:
            RingError: the disk is full, read-only or gone.
        """
        try:
            return self.ring.thaw(order.case, self.rules.settings)
        except OSError as error:
            raise RingError("the windows cannot be thawed") from error

    def handlers(self) -> dict[type[Command], Handler]:
        """Return what carries out the orders that are for a camera; each returns what the log says of it."""

        async def freeze(order: Freeze) -> Mapping[str, Any]:
            return await asyncio.to_thread(self.freeze, order)

        async def thaw(order: Thaw) -> Mapping[str, Any]:
            return await asyncio.to_thread(self.thaw, order)

        async def set_mask(order: SetMask) -> Mapping[str, Any]:
            return {"mask_version": (await asyncio.to_thread(self.set_mask, order.mask)).version}

        async def configure(order: Configure) -> Mapping[str, Any]:
            return {"settings_version": (await asyncio.to_thread(self.configure, order.settings)).version}

        return {Freeze: freeze, Thaw: thaw, SetMask: set_mask, Configure: configure}

    def segments_in(self, from_ms: int, to_ms: int) -> list[Segment]:
        """Return the segments that share time with a window, in the order of their time.

        Raises:
            RingError: the index cannot be read.
        """
        return self.ring.segments_in(from_ms, to_ms)

    async def run(self) -> None:
        """Record for ever; cancelled, end the open segment first."""
        self.source.start()
        self._start()
        try:
            while True:
                await asyncio.to_thread(self._sweep)
                for _ in range(round(SWEEP_S if self.ring.is_open else REOPEN_S)):
                    await asyncio.sleep(1)
                    self._start()
        finally:
            self._stop.set()
            await asyncio.shield(asyncio.to_thread(self._finish))

    def _start(self) -> None:
        """Start the thread that records; it never ends by itself, but memory may be short."""
        if self._thread is None or not self._thread.is_alive():
            self.counts["camera_threads"] += 1
            self._thread = threading.Thread(target=self._work, name="camera-record", daemon=True)
            self._thread.start()

    def _finish(self) -> None:
        if self._thread is not None:
            self._thread.join()
        self.source.stop()
        self.ring.close()

    def _open_ring(self) -> None:
        try:
            self.ring.open()
        except (EdgeError, WireError, OSError) as error:
            self.counts["camera_open_failures"] += 1
            log.error("ring.unopened", extra={"reason": type(error).__name__})  # noqa: TRY400 -- the kind of error says it all

    def _sweep(self) -> None:
        if not self.ring.is_open:
            self._open_ring()
        if not self.ring.is_open:
            return
        try:
            self.ring.sweep(self.rules.settings)
            self._footage = self.ring.totals()
        except (EdgeError, WireError, OSError) as error:
            self.counts["camera_sweep_failures"] += 1
            log.error("ring.failed", extra={"reason": type(error).__name__})  # noqa: TRY400 -- the kind of error says it all

    def _work(self) -> None:
        while not self._stop.is_set():
            self.beat()
            try:
                self._step()
            except Exception:
                self.counts["camera_crashes"] += 1
                log.exception("camera.crashed")
                self.recorder.interrupt("start")
                self.recorder.trouble = "unreadable"
                self._stop.wait(1)
        self.recorder.interrupt("start")
        self._tell("stopped")

    def _step(self) -> None:
        """Record the next picture, if there is one and it may be."""
        shot = self.source.next(0.25)
        mask = self._mask_now()
        if shot is None:
            self.recorder.idle()
        elif mask is not None:
            self.recorder.take(shot, mask, self.rules.settings)
        self._tell(self._state_now(mask))
        self.counts["camera_cpu_ms"] = time.thread_time_ns() // 1_000_000

    def _mask_now(self) -> Mask | None:
        """Return the mask to record under, None where nothing may be recorded."""
        now_ms = self.clock.monotonic_ms()
        if now_ms - self._checked_ms >= CHECK_MS:
            self._checked_ms = now_ms
            self.rules.check()
        mask = self.rules.mask
        if (mask is not None) != self._had_mask:
            if mask is None:
                self.recorder.interrupt("mask")
                self.journal("mask.missing", {})
            self._had_mask = mask is not None
        if mask is not None and mask.version <= self._moved_version:
            return None
        return mask

    def _state_now(self, mask: Mask | None) -> str:
        if self.rules.mask is None:
            return "no-mask"
        if mask is None or mask.version <= self._moved_version:
            return MOVED
        if self.recorder.trouble == "disk-full" or not self.ring.is_open:
            return "disk-full"
        return self.source.state or self.recorder.trouble or (BLIND if self._is_blind else "recording")

    def _tell(self, state: str) -> None:
        if state != self._state:
            self._state = state
            log.info("camera.state", extra={"detector": self.config.detector, "state": state})
            self.journal("camera.state", {"state": state})

    def _look(self, grey: NDArray[np.uint8]) -> bool:
        """Return whether recording may go on; where the camera has moved, the mask covers the wrong things."""
        mask = self.rules.mask
        if self.senses.watch is None or mask is None:
            return True
        if self._watch is None or self._watch[0] is not mask:
            height, width = grey.shape
            self._watch = (mask, self.senses.watch(mask, Painter(mask, width, height).painted()))
        verdict = self._watch[1].see(grey)
        self._is_blind = verdict == BLIND
        if verdict != MOVED:
            return True
        self._moved_version = mask.version
        self.recorder.interrupt(MOVED)
        self.journal("camera.moved", {"mask_version": mask.version})
        disk.replace(self._moved_file, _f.dumps({1: mask.version}))
        return False

    def _listen(self) -> None:
        """Have sound decoded if, and only if, the city's signed settings say that the board approved it."""
        settings = self.rules.settings
        if self.senses.ear is None or not settings.is_sound_approved:
            self.source.hear = None
            return
        ear = self.senses.ear(settings)

        def hear(piece: av.AudioFrame, at_ms: int) -> None:
            levels = ear.hear(piece, at_ms)
            if levels is not None and self._state not in {"no-mask", MOVED}:
                self.recorder.hear(at_ms, levels)

        self.source.hear = hear

    @property
    def _moved_file(self) -> Path:
        return self.ring.folder / "moved.cbor"

    def _moved(self) -> int:
        """Return the version of the mask under which the camera was found moved, 0 if it was not."""
        try:
            return _f.uint(_f.loads(self._moved_file.read_bytes()), 1)
        except FileNotFoundError:
            return 0
        except (OSError, MessageError):
            return self.mask_version or 0  # somebody wrote that it moved; how far back, no longer matters


def _recorder(config: EdgeConfig, ring: Ring, footage_key: X25519PublicKey, counts: Counter[str]) -> Recorder:
    return Recorder(
        config.detector, config.camera, ring, footage_key, ring.clock, counts, lambda: secrets.token_bytes(16)
    )
