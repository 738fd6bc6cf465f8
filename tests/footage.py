"""Footage as a gateway keeps it: real pictures, really encoded, really sealed, of a camera that never was."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import av
import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from edge.camera import segment
from edge.camera.encode import Encoder, Second, Shape
from edge.camera.segment import SEGMENT_MS, Head, Segment, Writer
from wire.strand import STRAND_MS, Strand

NOON_MS = 1_795_402_800_000
SHAPE = Shape(96, 64, 5, preset="ultrafast")


def picture(number: int, shape: Shape) -> av.VideoFrame:
    """Return a picture that tells its number: a bright column that wanders over noise."""
    values = np.random.default_rng(number % 7).integers(40, 90, (shape.height * 3 // 2, shape.width), np.uint8)
    values[: shape.height, number % shape.width] = 230
    return av.VideoFrame.from_ndarray(values, "yuv420p")


@dataclass
class Footage:
    """What a camera has recorded.

    Attributes:
        folder: where the segments are.
        strands: every key, by the id of its strand.
    """

    folder: Path
    camera: str = "gw-1"
    footage_key: X25519PrivateKey = field(default_factory=X25519PrivateKey.generate)
    strands: dict[bytes, bytes] = field(default_factory=dict)
    previous: bytes = segment.FIRST

    def record(
        self, start_ms: int, seconds: int, *, shape: Shape = SHAPE, mask_version: int = 3, is_closed: bool = True
    ) -> list[Segment]:
        """Record pictures from a moment on, and return the segments; `is_closed`: the last one has its tail."""
        encoder = Encoder("libx264", shape)
        step_ms = 1000 // shape.fps
        times = range(start_ms, start_ms + 1000 * seconds, step_ms)
        encoded = (item for n, at in enumerate(times) for item in encoder.encode(picture(n, shape), at))
        groups = list(_tens([*encoded, *encoder.finish()]))
        made = []
        for number, group in enumerate(groups):
            last = number == len(groups) - 1
            made.append(self._write(encoder, group, mask_version, is_closed=is_closed or not last))
        return made

    def _write(self, encoder: Encoder, group: list[Second], mask_version: int, *, is_closed: bool) -> Segment:
        start_ms = group[0].at_ms
        strand = self._strand(start_ms)
        shape = encoder.shape
        head = Head(
            self.camera,
            start_ms.to_bytes(8, "big") + self.previous[:8],
            start_ms,
            mask_version,
            strand.id,
            strand.wrapped,
            shape.width,
            shape.height,
            shape.fps,
            encoder.codec,
            self.previous,
            is_clock_synced=True,
        )
        writer = Writer(self.folder / "day" / head.name, head, strand.key)
        writer.init(encoder.init)
        writer.thumbnail(b"a small picture", at_ms=start_ms)
        for number, second in enumerate(group, 1):
            fragment = second.fragment(start_ms, number)
            digest = second.samples_sha256
            writer.second(fragment, at_ms=second.at_ms, frames=second.frames, samples_sha256=digest)
        if is_closed:
            self.previous = writer.close(group[-1].at_ms + 1000).chain
        else:
            writer.abandon()
        return segment.read(writer.path)

    def _strand(self, at_ms: int) -> Strand:
        number = (at_ms // STRAND_MS).to_bytes(16, "big")
        made = Strand.new(self.camera, self.footage_key.public_key())
        return replace(made, id=number, key=self.strands.setdefault(number, made.key))


def _tens(seconds: Iterable[Second]) -> Iterator[list[Second]]:
    group: list[Second] = []
    for second in seconds:
        if group and second.at_ms // SEGMENT_MS != group[0].at_ms // SEGMENT_MS:
            yield group
            group = []
        group.append(second)
    if group:
        yield group
