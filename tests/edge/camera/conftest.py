"""A city with the keys of a camera, pictures of known colours, and what a stored second looks like when opened."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from numpy.typing import NDArray

from edge.camera import segment
from edge.camera.camera import Camera
from edge.camera.segment import Segment
from edge.camera.senses import Senses
from edge.clock import WallClock
from edge.config import BrokerConfig, CameraConfig, EdgeConfig
from privacy import masks
from privacy.masks import Mask, Polygon
from wire import camera_settings, keys, strand
from wire.camera_settings import CameraSettings
from wire.keys import CityBundle
from wire.sections import KeyFiles

CAMERA = "gate-1"
AREA: Polygon = ((0.3, 0.25), (0.72, 0.2), (0.65, 0.8), (0.35, 0.7))
START_MS = 1_800_000_000_000


@dataclass
class SetClock:
    """A clock that a test sets."""

    wall_ms: int = START_MS
    passed_ms: int = 0
    set_ms: int = 0
    synced: bool = True

    def now_ms(self) -> int:
        return self.wall_ms + self.passed_ms + self.set_ms

    def monotonic_ms(self) -> int:
        return self.passed_ms

    def is_synced(self) -> bool:
        return self.synced

    def jumped_ms(self) -> int:
        return self.set_ms


@dataclass
class Diary:
    """Where journal entries go in tests."""

    entries: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)

    def __call__(self, kind: str, body: Mapping[str, Any]) -> None:
        self.entries.append((kind, body))

    def of(self, kind: str) -> list[Mapping[str, Any]]:
        return [body for name, body in self.entries if name == kind]


@dataclass
class City:
    """The city's side: signs masks and settings, opens strands."""

    order_key: ec.EllipticCurvePrivateKey = field(default_factory=keys.new_signing_key)
    footage_key: X25519PrivateKey = field(default_factory=X25519PrivateKey.generate)

    @property
    def bundle(self) -> CityBundle:
        return CityBundle(
            "tsukuba",
            X25519PrivateKey.generate().public_key(),
            keys.new_signing_key().public_key(),
            self.order_key.public_key(),
            self.footage_key.public_key(),
        )

    def mask(self, version: int = 1, *polygons: Polygon) -> bytes:
        return masks.sign(Mask(CAMERA, version, polygons or (AREA,), START_MS), "tsukuba", signer=self.order_key)

    def settings(self, version: int = 1, **values: Any) -> bytes:
        settings = CameraSettings(version, **values)
        return camera_settings.sign(settings, "tsukuba", CAMERA, signer=self.order_key, signed_at_ms=START_MS)

    def key_of(self, item: Segment) -> bytes:
        return strand.unwrap(CAMERA, item.head.strand_id, item.head.strand_wrapped, self.footage_key)

    def contents(self, item: Segment) -> dict[str, list[bytes]]:
        found: dict[str, list[bytes]] = {kind: [] for kind in segment.KINDS}
        for record, content in segment.opened(item.path, self.key_of(item)):
            found[record.kind].append(content)
        return found

    def pictures(self, item: Segment) -> Iterator[NDArray[np.uint8]]:
        """Every stored picture: shape (height * 3 / 2, width), yuv420p."""
        contents = self.contents(item)
        with av.open(io.BytesIO(b"".join(contents["init"] + contents["second"])), "r") as container:
            for frame in container.decode(video=0):
                yield np.asarray(frame.to_ndarray(format="yuv420p"), np.uint8)


@pytest.fixture
def city() -> City:
    return City()


@pytest.fixture
def diary() -> Diary:
    return Diary()


@dataclass
class Film:
    """Writes a video file of noise with a bright area, so that anything of it that gets out is seen."""

    folder: Path

    def __call__(
        self, name: str = "scene.mkv", *, size: tuple[int, int] = (160, 96), seconds: float = 2, kind: str = "yuv420p"
    ) -> Path:
        path = self.folder / name
        with av.open(path, "w") as container:
            codec = "rawvideo" if kind in {"rgb24", "nv12", "gray", "yuyv422"} else "ffv1"
            stream = container.add_stream(codec, rate=15)
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height, stream.pix_fmt = *size, kind
            for number in range(round(seconds * 15)):
                frame = picture(number, size).reformat(format=kind)
                frame.pts, frame.time_base = number, Fraction(1, 15)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path


def picture(number: int, size: tuple[int, int] = (160, 96)) -> av.VideoFrame:
    width, height = size
    values = np.random.default_rng(number).integers(100, 150, (height, width, 3), dtype=np.uint8)
    values[height // 4 : -height // 4, width // 4 : -width // 4] = (250, 220 - number % 40, 40)
    return av.VideoFrame.from_ndarray(values, "rgb24").reformat(format="yuv420p")


@pytest.fixture
def film(tmp_path: Path) -> Film:
    return Film(tmp_path)


CameraMaker = Callable[..., Camera]


@pytest.fixture
def make_camera(tmp_path: Path, city: City, diary: Diary) -> CameraMaker:
    def make(url: Path | str, *, clock: Any = None, senses: Senses | None = None, **values: Any) -> Camera:
        camera = CameraConfig(url=str(url), **{"is_looped": True, "min_free_mb": 0, "encoder": "libx264", **values})
        key_files = KeyFiles(tmp_path / "key.pem", tmp_path / "city.json")
        config = EdgeConfig(
            "tsukuba", CAMERA, tmp_path / "state", key_files, BrokerConfig("mqtt://127.0.0.1:1"), camera=camera
        )
        return Camera.open(config, city.bundle, journal=diary, clock=clock or WallClock(), senses=senses)

    return make


@asynccontextmanager
async def running(camera: Camera) -> AsyncIterator[Camera]:
    task = asyncio.create_task(camera.run())
    try:
        yield camera
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(holds: Callable[[], bool], limit_s: float = 10.0) -> None:
    async with asyncio.timeout(limit_s):
        while not holds():  # noqa: ASYNC110 -- what is waited for happens in a thread
            await asyncio.sleep(0.02)


def seconds(camera: Camera, least: int) -> Callable[[], bool]:
    already = camera.counts["seconds_recorded"]
    return lambda: camera.counts["seconds_recorded"] >= already + least


def stored(camera: Camera) -> list[Segment]:
    return [segment.read(path) for path in sorted(camera.ring.footage.glob("*/*.seg"))]
