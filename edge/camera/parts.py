"""The parts of a segment: its head, the clear fields of its records, its tail; what each says, as CBOR."""

from dataclasses import dataclass, field
from typing import Final, Self

from wire import fields as _f
from wire.errors import MessageError

SEGMENT_MS: Final = 10_000
SECOND_MS: Final = 1_000
SUFFIX: Final = ".seg"
FIRST: Final = bytes(32)
"""What the first segment of a camera names as the one before."""
REASONS: Final = ("start", "next", "clock-jump", "reconnect", "mask", "settings", "size", "disk", "encoder", "moved")
"""Why a segment began: the program started; ten seconds were over; else what the one before was ended by."""
KINDS: Final = ("init", "second", "thumbnail", "sound")
MAX_HEAD_OCTETS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Head:
    """What a segment says of itself, in clear.

    Attributes:
        camera: id of the gateway.
        id: 16 octets, random.
        start_ms: wall time of the first second's start, Unix milliseconds.
        mask_version: of the mask that was painted into every picture.
        strand_id: 16 octets, see wire/strand.py.
        strand_wrapped: the strand's key, sealed to the city.
        width: pixels.
        height: pixels.
        fps: frames a second at most.
        codec: name of the encoder.
        previous: 32 octets, chain value of the segment before; `FIRST` in the first.
        is_clock_synced: whether the kernel held the clock for synchronised at the start.
        began: one of `REASONS`.
    """

    camera: str
    id: bytes
    start_ms: int
    mask_version: int
    strand_id: bytes
    strand_wrapped: bytes
    width: int
    height: int
    fps: int
    codec: str
    previous: bytes = FIRST
    is_clock_synced: bool = False
    began: str = "start"

    @property
    def name(self) -> str:
        """Return the file's name."""
        return f"{self.start_ms}-{self.id.hex()[:8]}{SUFFIX}"

    def encode(self) -> bytes:
        """Return the head as CBOR."""
        values = (getattr(self, name) for name in self.__slots__)
        return _f.dumps({1: "head", **dict(enumerate(values, 2))})

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the head in `data`.

        Raises:
            MessageError: malformed or of an unknown version.
        """
        fields = _of_kind(data, "head")
        head = cls(
            camera=_f.text(fields, 2),
            id=_f.octets(fields, 3, 16),
            start_ms=_f.uint(fields, 4),
            mask_version=_f.uint(fields, 5),
            strand_id=_f.octets(fields, 6, 16),
            strand_wrapped=_f.octets(fields, 7, longest=1_000),
            width=_f.uint(fields, 8, _f.UINT32),
            height=_f.uint(fields, 9, _f.UINT32),
            fps=_f.uint(fields, 10, _f.UINT32),
            codec=_f.text(fields, 11),
            previous=_f.octets(fields, 12, 32),
            is_clock_synced=_f.flag(fields, 13),
            began=_f.text(fields, 14),
        )
        if head.began not in REASONS:
            raise MessageError("a segment that began for no reason that we know")
        return head


@dataclass(frozen=True, slots=True)
class Record:
    """One record: what of it is in clear, and where the rest lies.

    Attributes:
        index: 0, 1, 2 …
        kind: one of `KINDS`.
        at_ms: wall time at which it begins, Unix milliseconds.
        frames: pictures in it.
        samples_sha256: 32 octets; of a second, over its samples as they stand in the fragment's mdat, so that it
            outlives being put into another file; of other kinds, over the content.
        offset: where the sealed octets begin in the file.
        octets: how many they are.
    """

    index: int
    kind: str
    at_ms: int
    frames: int
    samples_sha256: bytes
    offset: int = field(default=0, compare=False)
    octets: int = field(default=0, compare=False)

    def encode(self) -> bytes:
        """Return the clear fields as CBOR."""
        return _f.dumps({1: self.kind, 2: self.index, 3: self.at_ms, 4: self.frames, 5: self.samples_sha256})

    @classmethod
    def decode(cls, data: bytes, *, offset: int = 0, octets: int = 0) -> Self:
        """Return the record whose clear fields are `data`.

        Raises:
            MessageError: malformed, or of an unknown version or kind.
        """
        fields = _of_kind(data, *KINDS)
        return cls(
            index=_f.uint(fields, 2, _f.UINT32),
            kind=_f.text(fields, 1),
            at_ms=_f.uint(fields, 3),
            frames=_f.uint(fields, 4, _f.UINT32),
            samples_sha256=_f.octets(fields, 5, 32),
            offset=offset,
            octets=octets,
        )


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of a segment.

    Attributes:
        chain: 32 octets; the next segment names it, see `chain_value`.
        end_ms: wall time at which the last second ended, Unix milliseconds.
        is_cut: the program ended within the segment; the tail was written at the next start.
        proof: 16 octets under the strand's key, over head and tail; none where `is_cut`, the key is gone by then.
    """

    chain: bytes
    end_ms: int
    is_cut: bool = False
    proof: bytes = b""

    @property
    def claim(self) -> bytes:
        """Return the octets that the proof is over."""
        return _f.dumps({1: "tail", 2: self.chain, 3: self.end_ms, 4: self.is_cut})

    def encode(self) -> bytes:
        """Return the tail as CBOR."""
        return _f.dumps({1: "tail", 2: self.chain, 3: self.end_ms, 4: self.is_cut, 5: self.proof})

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the tail in `data`.

        Raises:
            MessageError: malformed or of an unknown version.
        """
        fields = _of_kind(data, "tail")
        is_cut = _f.flag(fields, 4)
        return cls(_f.octets(fields, 2, 32), _f.uint(fields, 3), is_cut, _f.octets(fields, 5, 0 if is_cut else 16))


def _of_kind(data: bytes, *kinds: str) -> dict[object, object]:
    fields = _f.loads(data, max_octets=MAX_HEAD_OCTETS)
    if _f.text(fields, 1) not in kinds:
        raise MessageError("something else stands here")
    return fields
