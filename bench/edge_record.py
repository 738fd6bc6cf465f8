"""Recording with masks beside ffmpeg: the same film, the same encoder with the same settings, one core each.

The processes that are measured are started from here and print one line of JSON:

    taskset -c 0 python -m bench.edge_record record FILM FOLDER    # decode, fit, paint, encode, seal, write
    python -m bench.edge_record gateway FOLDER [FILM]              # a gateway, with a camera or without: its memory
"""

import asyncio
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import psutil

from bench.edge_absent import absent
from bench.measure import alternate

SIZE: Final = (1920, 1080)
FPS: Final = 15
PRESET: Final = "superfast"
CRF: Final = 26
CAMERA: Final = "gate-1"
AREAS: Final = (
    ((0.05, 0.1), (0.4, 0.05), (0.38, 0.55), (0.08, 0.6)),
    ((0.6, 0.2), (0.95, 0.15), (0.97, 0.5), (0.75, 0.62), (0.58, 0.45)),
)
"""Two houses: about a third of the picture."""
_SCENE: Final = "testsrc2=size={0}x{1}:rate={2},noise=alls=4:allf=t"
_GATEWAY_S: Final = 8.0


@dataclass(frozen=True, slots=True)
class Recorded:
    """What recording costs; medians.

    Attributes:
        fps: frames in a second of one core, ours.
        ffmpeg_fps: likewise, ffmpeg.
        vs_ffmpeg: how many times as many frames as ffmpeg.
        paint_ms: of a frame, the mask alone.
        rss_mb: most memory of the process that records.
    """

    fps: float
    ffmpeg_fps: float
    vs_ffmpeg: float
    paint_ms: float
    rss_mb: float


def film(path: Path, seconds: int) -> None:
    """Make a film as a camera sends it: H.264 at 1080p, moving, with the noise of a sensor.

    Raises:
        AbsentError: no ffmpeg here.
    """
    if shutil.which("ffmpeg") is None:
        raise absent("ffmpeg", "apt-get install ffmpeg")
    scene = _SCENE.format(*SIZE, FPS)
    how = ["-f", "lavfi", "-i", scene, "-t", str(seconds), "-pix_fmt", "yuv420p", "-c:v", "libx264"]
    tuned = ["-preset", "superfast", "-tune", "zerolatency", "-b:v", "6M", "-g", str(2 * FPS)]
    _run(["ffmpeg", "-v", "error", "-y", *how, *tuned, str(path)])


def measure(source: Path, frames: int, runs: int) -> Recorded:
    """Return what recording costs, ours and ffmpeg in turn."""
    told: list[Mapping[str, float]] = []

    def ours() -> float:
        with tempfile.TemporaryDirectory(prefix="mimamori-bench-") as folder:
            told.append(
                json.loads(_run(_pinned([sys.executable, "-m", "bench.edge_record", "record", str(source), folder])))
            )
        return told[-1]["cpu_s"] * 1e9

    def ffmpeg() -> float:
        with tempfile.TemporaryDirectory(prefix="mimamori-bench-") as folder:
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            _run(_pinned(_ffmpeg(source, Path(folder) / "out.mp4")))
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e9

    race = alternate({"ours": ours, "ffmpeg": ffmpeg}, runs)
    return Recorded(
        fps=frames / race.median("ours") * 1e9,
        ffmpeg_fps=frames / race.median("ffmpeg") * 1e9,
        vs_ffmpeg=race.ratio("ffmpeg", "ours"),
        paint_ms=statistics.median(one["paint_ms"] for one in told[1:]),
        rss_mb=max(one["rss_mb"] for one in told),
    )


def gateway_mb(source: Path | None) -> float:
    """Return the memory of a gateway that has run for some seconds, recording `source` if there is one."""
    with tempfile.TemporaryDirectory(prefix="mimamori-bench-") as folder:
        command = [sys.executable, "-m", "bench.edge_record", "gateway", folder]
        return float(json.loads(_run([*command, *([] if source is None else [str(source)])]))["rss_mb"])


def _ffmpeg(source: Path, target: Path) -> list[str]:
    encoder = ["-c:v", "libx264", "-preset", PRESET, "-crf", str(CRF), "-tune", "zerolatency", "-bf", "0"]
    groups = ["-g", str(FPS), "-x264-params", "scenecut=0:open-gop=0", "-threads", "1"]
    shape = ["-f", "mp4", "-movflags", "frag_keyframe+empty_moov+default_base_moof"]
    read = ["ffmpeg", "-v", "error", "-y", "-threads", "1", "-i", str(source), "-an"]
    return [*read, *encoder, *groups, *shape, str(target)]


def _pinned(command: list[str]) -> list[str]:
    return ["taskset", "-c", str(min(os.sched_getaffinity(0))), *command]


def _run(command: list[str]) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def record(source: Path, folder: Path) -> dict[str, float]:
    """Record a film as the camera's threads do it, in one thread; return what it cost."""
    import av  # noqa: PLC0415 - the parent needs no codecs
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey  # noqa: PLC0415 - as above

    from edge.camera.mask import Painter  # noqa: PLC0415 - as above
    from edge.camera.record import Recorder  # noqa: PLC0415 - as above
    from edge.camera.ring import Ring  # noqa: PLC0415 - as above
    from edge.camera.source import Shot  # noqa: PLC0415 - as above
    from edge.clock import WallClock  # noqa: PLC0415 - as above
    from edge.config import CameraConfig  # noqa: PLC0415 - as above
    from privacy.masks import Mask  # noqa: PLC0415 - as above
    from wire.camera_settings import CameraSettings  # noqa: PLC0415 - as above

    clock, counts = WallClock(), Counter[str]()
    config = CameraConfig(encoder="libx264", preset=PRESET, crf=CRF, min_free_mb=0)
    ring = Ring(folder, clock, lambda _kind, _body: None, counts)
    ring.open()
    key = X25519PrivateKey.generate().public_key()
    recorder = Recorder(CAMERA, config, ring, key, clock, counts, lambda: os.urandom(16))
    start_ms = clock.now_ms() // 1000 * 1000
    mask, settings = Mask(CAMERA, 1, AREAS, start_ms), CameraSettings(1, fps=FPS)
    began_s = time.process_time()
    with av.open(str(source)) as container:
        container.streams.video[0].thread_count = 1
        for number, frame in enumerate(container.decode(video=0)):
            recorder.take(Shot(frame, start_ms + number * 1000 // FPS), mask, settings)
    recorder.interrupt("stop")
    cpu_s = time.process_time() - began_s
    if counts["frames_recorded"] != number + 1:
        raise RuntimeError(f"{counts['frames_recorded']} of {number + 1} frames were recorded")
    painter, copy = Painter(mask, *SIZE), frame.reformat(format="yuv420p")
    began_s = time.process_time()
    for _ in range(50):
        painter.paint(copy)
    paint_ms = (time.process_time() - began_s) / 50 * 1000
    return {"cpu_s": cpu_s, "paint_ms": paint_ms, "rss_mb": psutil.Process().memory_info().rss / 1e6}


async def gateway(folder: Path, source: Path | None) -> dict[str, float]:
    """Run a gateway, with a camera if there is a film for it, and return its memory."""
    from edge.agent import Agent  # noqa: PLC0415 - what it takes is to be measured

    config, bundle = _enrolled(folder, source)
    agent, stop = Agent.open(config), asyncio.Event()
    tasks = [asyncio.create_task(agent.run(stop))]
    if source is not None:
        from edge.camera.camera import Camera  # noqa: PLC0415 - loaded only where there is one
        from edge.clock import WallClock  # noqa: PLC0415 - as above

        camera = Camera.open(config, bundle, journal=lambda _kind, _body: None, clock=WallClock())
        tasks.append(asyncio.create_task(camera.run()))
    await asyncio.sleep(_GATEWAY_S)
    rss_mb = psutil.Process().memory_info().rss / 1e6
    if source is not None and not camera.counts["seconds_recorded"]:
        raise RuntimeError(f"the camera recorded nothing: {dict(camera.counts)}")
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return {"rss_mb": rss_mb}


def _enrolled(folder: Path, source: Path | None) -> tuple[Any, Any]:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey  # noqa: PLC0415 - as above

    from edge.config import BrokerConfig, CameraConfig, EdgeConfig, ScanConfig  # noqa: PLC0415 - as above
    from privacy import masks  # noqa: PLC0415 - as above
    from wire import camera_settings, keys  # noqa: PLC0415 - as above
    from wire.sections import KeyFiles  # noqa: PLC0415 - as above

    order_key, sealed_to = keys.new_signing_key(), X25519PrivateKey.generate().public_key()
    receipts = keys.new_signing_key().public_key()
    bundle = keys.CityBundle("bench", sealed_to, receipts, order_key.public_key(), sealed_to)
    bundle.save(folder / "city.json")
    keys.save_private(folder / "key.pem", keys.new_signing_key())
    config = EdgeConfig(
        "bench",
        CAMERA,
        folder / "state",
        KeyFiles(folder / "key.pem", folder / "city.json"),
        BrokerConfig("mqtt://127.0.0.1:1"),
        ScanConfig(source=f"unix:{folder}/no-radio"),
        camera=CameraConfig(
            url="" if source is None else str(source), is_looped=True, encoder="libx264", min_free_mb=0
        ),
    )
    if source is not None:
        place, now_ms = config.state_dir / "camera", time.time_ns() // 1_000_000
        place.mkdir(parents=True)
        mask = masks.sign(masks.Mask(CAMERA, 1, AREAS, now_ms), "bench", signer=order_key)
        settings = camera_settings.CameraSettings(1, fps=FPS)
        signed = camera_settings.sign(settings, "bench", CAMERA, signer=order_key, signed_at_ms=now_ms)
        (place / "mask.cose").write_bytes(mask)
        (place / "settings.cose").write_bytes(signed)
    return config, bundle


def main() -> None:
    """Be one of the processes that are measured."""
    what, *paths = sys.argv[1:]
    places = [Path(path) for path in paths]
    if what == "record":
        found = record(places[0], places[1])
    else:
        found = asyncio.run(gateway(places[0], places[1] if len(places) > 1 else None))
    print(json.dumps(cast("dict[str, float]", found)), flush=True)


if __name__ == "__main__":
    main()
