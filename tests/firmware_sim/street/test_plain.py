"""The plain scene: four colours, each where it belongs."""

import numpy as np
from numpy.typing import NDArray

from firmware_sim.street import plain

SQUARE = ((0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75))


def _is(picture: NDArray[np.uint8], colour: tuple[float, ...]) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = np.all(picture == colour, -1)
    return found


def test_a_square_of_half_the_picture_is_half_of_its_pixels() -> None:
    is_inside = plain.KnownColours(160, 80, (SQUARE,)).is_inside()
    assert is_inside[20:60, 40:120].all()
    assert np.count_nonzero(is_inside) <= 41 * 81


def test_every_pixel_has_the_colour_of_its_place_and_blocks_pass_through_both() -> None:
    scene = plain.KnownColours(160, 90, (SQUARE,))
    is_inside = scene.is_inside()
    for at_ms in (0, 1000, 5000):
        picture = scene.frame(at_ms)
        inner = _is(picture, plain.INSIDE) | _is(picture, plain.BLOCK_INSIDE)
        outer = _is(picture, plain.OUTSIDE) | _is(picture, plain.BLOCK_OUTSIDE)
        assert np.array_equal(inner, is_inside)
        assert np.array_equal(outer, ~is_inside)
        assert _is(picture, plain.BLOCK_INSIDE).any()
        assert _is(picture, plain.BLOCK_OUTSIDE).any()
    assert not np.array_equal(scene.frame(0), scene.frame(1000))
