import hashlib
import io
from collections.abc import Iterable

import av
import numpy as np
import pytest

from edge.camera import encode
from edge.camera.encode import Encoder, Second, Shape
from edge.camera.mask import Painter
from edge.camera.segment import boxes, samples_of
from edge.errors import EncodeError
from privacy.masks import Mask

SHAPE = Shape(160, 96, 15)
START_MS = 1_800_000_000_000
AREA = ((0.25, 0.2), (0.75, 0.2), (0.6, 0.8), (0.25, 0.7))


def picture(number: int, seed: int = 0) -> av.VideoFrame:
    values = np.random.default_rng(seed).integers(16, 236, (144, 160), dtype=np.uint8)
    return av.VideoFrame.from_ndarray(np.roll(values, 2 * number, axis=1), "yuv420p")


def recorded(frames: Iterable[tuple[av.VideoFrame, int]]) -> tuple[Encoder, list[Second]]:
    encoder = Encoder("libx264", SHAPE)
    seconds = [item for frame, at_ms in frames for item in encoder.encode(frame, at_ms)]
    return encoder, seconds + encoder.finish()


def file_of(encoder: Encoder, seconds: list[Second]) -> bytes:
    start_ms = seconds[0].at_ms
    fragments = [item.fragment(start_ms, number) for number, item in enumerate(seconds, 1)]
    return encoder.init + b"".join(fragments)


def test_each_second_is_a_closed_group_that_begins_at_its_first_picture() -> None:
    times = [START_MS + 300 + 67 * number for number in range(60)]
    encoder, seconds = recorded((picture(number), at_ms) for number, at_ms in enumerate(times))
    assert [item.at_ms - START_MS for item in seconds] == [0, 1000, 2000, 3000, 4000]
    assert sum(item.frames for item in seconds) == 60
    for second in seconds:
        with av.open(io.BytesIO(encoder.init + second.fragment(second.at_ms, 1)), "r") as container:
            frames = list(container.decode(video=0))
        inside = [at_ms - second.at_ms for at_ms in times if at_ms // 1000 * 1000 == second.at_ms]
        assert [round(frame.time * 1000) for frame in frames] == inside
        assert [frame.key_frame for frame in frames] == [True] + [False] * (len(inside) - 1)


def test_all_seconds_together_are_one_mp4_with_the_wall_times_of_its_pictures() -> None:
    times = [START_MS + 10 + 67 * number + number % 3 for number in range(40)]
    encoder, seconds = recorded((picture(number), at_ms) for number, at_ms in enumerate(times))
    with av.open(io.BytesIO(file_of(encoder, seconds)), "r") as container:
        assert [round(float(f.time) * 1000) for f in container.decode(video=0)] == [at_ms - START_MS for at_ms in times]


def test_the_samples_hash_outlives_being_put_into_another_file() -> None:
    encoder, seconds = recorded((picture(number), START_MS + 67 * number) for number in range(30))
    for second in seconds:
        fragment = second.fragment(START_MS, 7)
        assert hashlib.sha256(samples_of(fragment)).digest() == second.samples_sha256
        target = io.BytesIO()
        with av.open(io.BytesIO(encoder.init + fragment), "r") as source, av.open(target, "w", format="mp4") as copy:
            stream = copy.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.dts is not None:
                    packet.stream = stream
                    copy.mux(packet)
        assert hashlib.sha256(samples_of(target.getvalue())).digest() == second.samples_sha256


def test_what_is_inside_a_mask_does_not_change_one_octet() -> None:
    painter = Painter(Mask("gate-1", 1, (AREA,), 1), SHAPE.width, SHAPE.height)
    outside = Painter(Mask("gate-1", 1, (AREA,), 1), SHAPE.width, SHAPE.height).rectangles

    def with_inside(value: int, number: int) -> av.VideoFrame:
        frame = picture(number)
        values = frame.to_ndarray()
        for top, bottom, left, right in outside:
            values[top:bottom, left:right] = value * number % 256
        return painter.paint(av.VideoFrame.from_ndarray(values, "yuv420p"))

    one = recorded((with_inside(90, number), START_MS + 67 * number) for number in range(20))
    other = recorded((with_inside(201, number), START_MS + 67 * number) for number in range(20))
    assert file_of(*one) == file_of(*other)


def test_a_second_of_one_picture_and_a_gap_of_hours_are_seconds_too() -> None:
    times = (START_MS, START_MS + 5_400_999, START_MS + 5_401_000)
    encoder, seconds = recorded((picture(number), at_ms) for number, at_ms in enumerate(times))
    assert [item.first_ms for item in seconds] == list(times)
    with av.open(io.BytesIO(file_of(encoder, seconds)), "r") as container:
        assert [round(float(f.time) * 1000) for f in container.decode(video=0)] == [at_ms - START_MS for at_ms in times]


def test_time_that_goes_back_needs_a_new_encoder() -> None:
    encoder = Encoder("libx264", SHAPE)
    encoder.encode(picture(0), START_MS)
    with pytest.raises(EncodeError, match="back"):
        encoder.encode(picture(1), START_MS)


def test_libx264_is_chosen_where_no_hardware_encodes() -> None:
    assert encode.choose("", SHAPE) in {*encode.HARDWARE, encode.SOFTWARE}
    assert encode.choose("libx264", SHAPE) == "libx264"


@pytest.mark.parametrize("name", ["h264_nosuch", "mp3", "rawvideo"])
def test_an_encoder_that_does_not_work_is_refused(name: str) -> None:
    with pytest.raises(EncodeError):
        encode.choose(name, SHAPE)


def test_a_size_that_no_encoder_takes_is_refused() -> None:
    with pytest.raises(EncodeError):
        Encoder("libx264", Shape(161, 97, 15))


def test_a_fragment_has_its_number_and_its_place_in_time() -> None:
    _, seconds = recorded([(picture(0), START_MS + 250)])
    fragment = seconds[0].fragment(START_MS - 3000, 9)
    kinds = [kind for kind, _, _ in boxes(fragment)]
    assert kinds == [b"moof", b"mdat"]
    assert (3250 * 90).to_bytes(8, "big") in fragment
    assert fragment[fragment.index(b"mfhd") + 8 :][:4] == (9).to_bytes(4, "big")
