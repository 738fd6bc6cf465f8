import io

import av
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from shapely import Polygon, box

from edge.camera.encode import Encoder, Shape
from edge.camera.mask import BLACK, BLOCK_PX, Painter, pixels_of
from privacy.masks import Mask, MaskError

POINT = st.tuples(st.integers(0, 10_000), st.integers(0, 10_000)).map(lambda at: (at[0] / 10_000, at[1] / 10_000))
SIZE = st.integers(8, 100).map(lambda half: 2 * half)


def mask(*polygons: tuple[tuple[float, float], ...]) -> Mask:
    return Mask("gate-1", 1, polygons, 1, is_bare=not polygons)


def noise(width: int, height: int, seed: int = 1) -> av.VideoFrame:
    values = np.random.default_rng(seed).integers(30, 226, (height * 3 // 2, width), dtype=np.uint8)
    return av.VideoFrame.from_ndarray(values, "yuv420p")


def planes(frame: av.VideoFrame) -> list[NDArray[np.uint8]]:
    return [pixels_of(plane).copy() for plane in frame.planes]


@settings(max_examples=80, deadline=None)
@given(points=st.lists(POINT, min_size=3, max_size=8), width=SIZE, height=SIZE)
def test_every_pixel_that_an_area_touches_is_black_in_all_planes(
    points: list[tuple[float, float]], width: int, height: int
) -> None:
    try:
        drawn = mask(tuple(points))
    except MaskError:
        assume(False)
    area = Polygon([(x * width, y * height) for x, y in points])
    frame = Painter(drawn, width, height).paint(noise(width, height))
    for plane, value, scale in zip(planes(frame), BLACK, (1, 2, 2), strict=True):
        for row, column in zip(*np.nonzero(plane != value), strict=True):
            pixel = box(column * scale, row * scale, (column + 1) * scale, (row + 1) * scale)
            assert not area.intersects(pixel)


@settings(max_examples=40, deadline=None)
@given(points=st.lists(POINT, min_size=3, max_size=5), width=SIZE, height=SIZE)
def test_what_lies_far_from_an_area_stays_as_it_was(points: list[tuple[float, float]], width: int, height: int) -> None:
    try:
        drawn = mask(tuple(points))
    except MaskError:
        assume(False)
    far = Polygon([(x * width, y * height) for x, y in points]).buffer(2 * BLOCK_PX + 8)
    before = planes(noise(width, height))[0]
    after = planes(Painter(drawn, width, height).paint(noise(width, height)))[0]
    for row, column in zip(*np.nonzero(before != after), strict=True):
        assert far.intersects(box(column, row, column + 1, row + 1))


def test_a_whole_view_is_black_whatever_its_size() -> None:
    everything = mask(((0, 0), (1, 0), (1, 1), (0, 1)))
    for width, height in ((16, 16), (322, 182), (640, 362)):
        painter = Painter(everything, width, height)
        assert painter.painted_share() == 1
        for plane, value in zip(planes(painter.paint(noise(width, height))), BLACK, strict=True):
            assert (plane == value).all()


def test_a_bare_view_is_left_as_it_is() -> None:
    painter = Painter(mask(), 64, 48)
    assert painter.rectangles == ()
    assert all((a == b).all() for a, b in zip(planes(painter.paint(noise(64, 48))), planes(noise(64, 48)), strict=True))


def test_painting_does_not_smear_into_pictures_that_are_predicted_from_painted_ones() -> None:
    still = np.random.default_rng(5).integers(30, 226, (144, 160), dtype=np.uint8)
    encoder = Encoder("libx264", Shape(160, 96, 15))
    moving = (av.VideoFrame.from_ndarray(np.roll(still, 3 * number, axis=1), "yuv420p") for number in range(12))
    seconds = [item for number, frame in enumerate(moving) for item in encoder.encode(frame, 67 * number)]
    video = encoder.init + b"".join(item.fragment(0, 1) for item in seconds + encoder.finish())
    painter = Painter(mask(((0.3, 0.3), (0.7, 0.3), (0.7, 0.7))), 160, 96)
    ((top, bottom, left, right), *others) = painter.rectangles
    with av.open(io.BytesIO(video), "r") as clear, av.open(io.BytesIO(video), "r") as painted:
        for one, other in zip(clear.decode(video=0), painted.decode(video=0), strict=True):
            kept, now = planes(one)[0], planes(painter.paint(other))[0]
            for area in ((top, bottom, left, right), *others):
                kept[area[0] : area[1], area[2] : area[3]] = 16
            assert (kept == now).all()


@pytest.mark.parametrize("kind", ["rgb24", "yuv422p", "yuv444p", "gray"])
def test_a_picture_of_another_kind_is_refused(kind: str) -> None:
    painter = Painter(mask(), 64, 48)
    with pytest.raises(ValueError, match="another kind"):
        painter.paint(noise(64, 48).reformat(format=kind))
    with pytest.raises(ValueError, match="another kind"):
        painter.paint(noise(32, 48))
