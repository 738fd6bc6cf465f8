"""Everything of the street that stands still: road, crossing, houses, poles and wires, trees, hills."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from firmware_sim.street import houses
from firmware_sim.street.brush import GROUND_M, SKY_M, Brush, Colour, Picture
from firmware_sim.street.lens import Lens
from firmware_sim.street.light import Light

_ROAD_M: Final = 2.9
_KERB_M: Final = 3.1
_PAVED_M: Final = 5.3
_CROSS_M: Final = (20.5, 26.0)
_END_M: Final = 68.0
_ASPHALT: Final = (104, 106, 110)
_PAVING: Final = (168, 162, 154)
_WHITE: Final = (228, 228, 222)
_POLES: Final = ((4.6, 11.2), (4.6, 27.4), (-4.7, 19.3), (-4.7, 36.0), (4.6, 44.0), (-4.7, 54.0))
_TREES: Final = (
    (-6.4, 26.9, 6.2, (206, 168, 52)),
    (9.4, 19.3, 5.0, (86, 124, 62)),
    (-12, 33, 8.5, (70, 108, 56)),
    (8.5, 35.6, 4.6, (188, 92, 52)),
    (-7.2, 45, 5.0, (84, 120, 60)),
    (13, 47, 8.0, (76, 112, 58)),
)
_STOP: Final = (
    # 止まれ as it is painted on the road, read by those who drive away: strokes in a field of 1 × 1, from its far edge.
    (((0.5, 0.0), (0.5, 0.92)), ((0.5, 0.42), (0.82, 0.42)), ((0.22, 0.4), (0.22, 0.92)), ((0.05, 0.94), (0.95, 0.94))),
    (
        ((0.12, 0.2), (0.88, 0.2)),
        ((0.16, 0.46), (0.84, 0.46)),
        ((0.5, 0.0), (0.5, 0.84), (0.4, 0.96), (0.24, 0.94), (0.2, 0.82), (0.34, 0.74), (0.6, 0.78), (0.9, 0.95)),
    ),
    (
        ((0.28, 0.0), (0.28, 1.0)),
        ((0.08, 0.26), (0.42, 0.24), (0.06, 0.84)),
        ((0.3, 0.5), (0.62, 0.2), (0.72, 0.3), (0.68, 0.85), (0.95, 0.84)),
    ),
)


@dataclass(frozen=True, slots=True)
class Scenery:
    """The street without light and without anybody in it.

    Attributes:
        things: the whole picture but the sky, in full light.
        depth: metres, shape (height, width).
        is_ground: 0 to 255, shape (height, width): how much of a pixel is ground.
        is_sky: the same for the sky.
        clouds: 0 to 255, shape (height, width).
        lamps: what shines at night.
        houses: as they were built.
    """

    things: Picture
    depth: NDArray[np.float32]
    is_ground: NDArray[np.uint8]
    is_sky: NDArray[np.uint8]
    clouds: NDArray[np.uint8]
    lamps: Picture
    houses: tuple[houses.House, ...]


def build(lens: Lens, seed: int, fine: int = 2) -> Scenery:
    """Return the street of `seed` through `lens`; each pixel is the mean of `fine` × `fine`."""
    width, height = lens.width * fine, lens.height * fine
    picture = np.zeros((height, width, 3), np.uint8)
    depth = np.full((height, width), SKY_M, np.float32)
    row = houses.row(np.random.default_rng(seed))
    brush = Brush(picture, lens, depth=depth, scale=fine)
    rng = np.random.default_rng((seed, 1))
    _far(brush, rng)
    _ground(brush, rng)
    for paint in _things(lens, row, rng):
        paint(brush)
    lamps = np.zeros_like(picture)
    _shine(Brush(lamps, lens, scale=fine), row, depth)
    size = (lens.width, lens.height)
    return Scenery(
        _small(picture, size),
        cv2.resize(depth, size, interpolation=cv2.INTER_NEAREST).astype(np.float32),
        _small(np.where(depth == GROUND_M, 255, 0).astype(np.uint8), size),
        _small(np.where(depth == SKY_M, 255, 0).astype(np.uint8), size),
        _clouds(lens, rng),
        _small(lamps, size),
        tuple(row),
    )


def shadows(lens: Lens, row: tuple[houses.House, ...], light: Light) -> NDArray[np.uint8]:
    """Return where the sun does not reach the ground: 255 in the shade, shape (height, width)."""
    shade = np.zeros((lens.height, lens.width, 3), np.uint8)
    brush = Brush(shade, lens)
    for house in row:
        foot = [(x, z) for x in (house.inner_m, house.outer_m) for z in (house.near_m, house.far_m)]
        _shadow(brush, foot, house.height_m + 1.0, light.shadow_m)
        wall = house.side * _PAVED_M
        _shadow(brush, [(wall, house.near_m - 1), (wall, house.far_m + 1)], 1.15, light.shadow_m)
    for x, z in _POLES:
        _shadow(brush, [(x - 0.15, z), (x + 0.15, z)], 9.0, light.shadow_m)
    for x, z, high, _ in _TREES:
        _shadow(brush, [(x + dx, z + dz) for dx in (-1, 1) for dz in (-1, 1)], high, light.shadow_m)
    soft = max(3, lens.width // 320) | 1
    return cv2.GaussianBlur(shade[..., 0], (soft, soft), 0).astype(np.uint8)


def _small(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8)


def _shadow(brush: Brush, foot: list[tuple[float, float]], high_m: float, per_m: tuple[float, float]) -> None:
    ends = np.array([*foot, *((x + per_m[0] * high_m, z + per_m[1] * high_m) for x, z in foot)], np.float32)
    hull = cv2.convexHull(ends)[:, 0]
    brush.area([(float(x), 0.0, float(z)) for x, z in hull], (255, 255, 255))


def _clouds(lens: Lens, rng: np.random.Generator) -> NDArray[np.uint8]:
    picture = np.zeros((lens.height, lens.width, 3), np.uint8)
    brush = Brush(picture, lens)
    for _ in range(16):
        x, y = rng.uniform(-900, 1100), rng.uniform(110, 620)
        for _ in range(14):
            at = (x + rng.normal(0, 70), y + rng.normal(0, 9), 900.0)
            size = rng.uniform(12, 42)
            x_px, y_px, per_m = lens.point(*at)
            brush.oval((x_px, y_px), (size * 1.9 * per_m, size * 0.55 * per_m), (210, 210, 210))
    soft = max(3, lens.width // 40) | 1
    return cv2.GaussianBlur(picture[..., 0], (soft, soft), 0).astype(np.uint8)


def _far(brush: Brush, rng: np.random.Generator) -> None:
    """Paint hills and far roofs; the sky comes with the light."""
    brush.distance_m = 500.0
    x = np.linspace(-900, 900, 60)
    for base, high, colour in ((40, 26, (128, 148, 158)), (22, 14, (104, 128, 118))):
        top = base + high * (np.sin(x / 170 + base) + 0.5 * np.sin(x / 61 + 2 * base)) * 0.5
        outline = [(float(u), float(y), 500.0) for u, y in zip(x, top, strict=True)]
        brush.area([*outline, (900.0, -5.0, 500.0), (-900.0, -5.0, 500.0)], colour)
    brush.area(_flat(-400, 400, 60, 480), (122, 124, 104))
    brush.distance_m = 90.0
    for at in map(float, np.arange(-130, 150, 7.5)):
        tone, far = float(rng.integers(130, 200)), 90 + 8 * rng.random()
        tall = 4 + 4.5 * rng.random()
        wall = (tone, tone - 4, tone - 12)
        left, right = at - 3.4, at + 3.4
        brush.area([(left, 0, far), (right, 0, far), (right, tall, far), (left, tall, far)], wall)
        brush.area([(left - 0.4, tall, far), (right + 0.4, tall, far), (at, tall + 2.2, far)], (96, 94, 98))
        for u in (-1.6, 1.4):
            brush.area(
                [(at + u, 2, far), (at + u + 1, 2, far), (at + u + 1, 3.2, far), (at + u, 3.2, far)], (104, 120, 132)
            )


def _ground(brush: Brush, rng: np.random.Generator) -> None:
    brush.distance_m = GROUND_M
    brush.area(_flat(-90, 90, 0.5, 88), (140, 126, 102))
    for side in (-1, 1):
        brush.area(_flat(side * _KERB_M, side * _PAVED_M, 0.5, _END_M), _PAVING)
        for z in np.arange(1.0, 60, 0.6):
            brush.line([(side * 3.2, 0, z), (side * _PAVED_M, 0, z)], (154, 148, 140), 0.025)
    brush.area(_flat(-80, 80, *_CROSS_M), _ASPHALT)
    brush.area(_flat(-_ROAD_M, _ROAD_M, 0.5, 88), _ASPHALT)
    _grain(brush, rng)
    for side in (-1, 1):
        for start, stop in ((0.5, _CROSS_M[0] - 0.2), (_CROSS_M[1] + 0.2, _END_M)):
            brush.area(_flat(side * _ROAD_M, side * _KERB_M, start, stop), (196, 192, 186))
            brush.area(_flat(side * 2.55, side * 2.7, start, stop), _WHITE)
    for x in np.arange(-2.45, 2.3, 0.9):
        brush.area(_flat(x, x + 0.46, 16.2, 19.4), _WHITE)
    brush.area(_flat(-2.5, -0.15, 14.7, 15.15), _WHITE)
    for number, strokes in enumerate(reversed(_STOP)):
        near = 7.0 + number * 2.6
        for stroke in strokes:
            brush.line([(-2.25 + 1.8 * u, 0, near + 2.15 * (1 - v)) for u, v in stroke], _WHITE, 0.13)
    brush.oval(brush.lens.point(0.9, 0, 10.5)[:2], _ring(brush, 0.9, 10.5, 0.34), (84, 84, 86))
    brush.oval(brush.lens.point(0.9, 0, 10.5)[:2], _ring(brush, 0.9, 10.5, 0.28), (96, 95, 95))


def _ring(brush: Brush, x_m: float, z_m: float, radius_m: float) -> tuple[float, float]:
    per_m = brush.lens.point(x_m, 0, z_m)[2]
    return radius_m * per_m, radius_m * per_m * 0.42


def _grain(brush: Brush, rng: np.random.Generator) -> None:
    """Paint specks and mended patches of the asphalt, which lie where they lie."""
    for _ in range(420):
        x, z = rng.uniform(-2.8, 2.8), rng.uniform(1, 40) ** 0.98
        tone = float(rng.integers(86, 124))
        brush.area(_flat(x, x + rng.uniform(0.05, 0.3), z, z + rng.uniform(0.05, 0.4)), (tone, tone, tone + 3))
    for x, z, w, d in ((-1.2, 5.0, 1.6, 1.2), (0.6, 13.0, 1.3, 0.7), (-2.0, 30, 1.8, 2.2), (0.2, 22.0, 2.2, 1.8)):
        brush.area(_flat(x, x + w, z, z + d), (92, 94, 98))


def _things(lens: Lens, row: list[houses.House], rng: np.random.Generator) -> list[Callable[[Brush], None]]:
    """Return what stands in the street, the farthest first."""
    found: list[tuple[float, float, Callable[[Brush], None]]] = [
        *((house.inner_m, (house.near_m + house.far_m) / 2, _house(house, rng)) for house in row),
        *((x, z, _tree((x, z), high, colour, rng)) for x, z, high, colour in _TREES),
        *((x, z, _pole(x, z)) for x, z in _POLES),
        (4.4, 19.9, _mirror),
        (-4.2, 15.6, _sign),
        (5.0, 27.2, _machine),
    ]
    found.sort(key=lambda one: -lens.distance_m(one[0], one[1]))
    return [*(paint for _, _, paint in found), _wires]


def _house(house: houses.House, rng: np.random.Generator) -> Callable[[Brush], None]:
    return lambda brush: houses.paint(house, brush, rng)


def _tree(at: tuple[float, float], high_m: float, colour: Colour, rng: np.random.Generator) -> Callable[[Brush], None]:
    def paint(brush: Brush) -> None:
        x, z = at
        brush.distance_m = brush.lens.distance_m(x, z)
        brush.line([(x, 0, z), (x, high_m * 0.6, z)], (92, 74, 58), 0.3)
        for number in range(240):
            turn, out = rng.uniform(0, 2 * np.pi), np.sqrt(rng.random()) * high_m * 0.32
            up = high_m * 0.68 + np.sin(turn) * out * 1.05
            tone = 0.62 + 0.45 * number / 240 + 0.15 * rng.random()
            leaf = tuple(min(255.0, value * tone) for value in colour)
            brush.disc((x + np.cos(turn) * out, up, z), high_m * 0.045, leaf)  # type: ignore[arg-type]

    return paint


def _pole(x: float, z: float) -> Callable[[Brush], None]:
    def paint(brush: Brush) -> None:
        brush.distance_m = brush.lens.distance_m(x, z)
        brush.line([(x, 0, z), (x, 9.5, z)], (152, 150, 146), 0.32)
        brush.line([(x + 0.09, 0, z), (x + 0.09, 9.5, z)], (128, 126, 122), 0.12)
        for y in np.arange(0.5, 1.8, 0.3):
            brush.line([(x - 0.16, y, z), (x + 0.16, y + 0.18, z)], (222, 186, 40), 0.14)
        for y in (8.9, 8.2):
            brush.line([(x - 0.9, y, z), (x + 0.9, y, z)], (120, 120, 118), 0.1)
        brush.line([(x - 0.42, 6.5, z), (x - 0.42, 7.6, z)], (176, 178, 178), 0.5)
        brush.line([(x, 5.7, z), (x - np.sign(x) * 1.1, 5.9, z)], (150, 150, 150), 0.07)
        brush.line([(x - np.sign(x) * 1.0, 5.85, z), (x - np.sign(x) * 1.5, 5.9, z)], (222, 222, 216), 0.16)

    return paint


def _mirror(brush: Brush) -> None:
    """Paint the round mirror at the corner."""
    brush.distance_m = brush.lens.distance_m(4.4, 19.9)
    brush.line([(4.4, 0, 19.9), (4.4, 3.3, 19.9)], (232, 112, 32), 0.12)
    brush.disc((4.4, 3.1, 19.9), 0.52, (232, 112, 32))
    brush.disc((4.4, 3.1, 19.9), 0.42, (150, 172, 186))
    brush.disc((4.3, 3.2, 19.9), 0.2, (206, 220, 228))


def _sign(brush: Brush) -> None:
    """Paint the blue sign of the crossing."""
    brush.distance_m = brush.lens.distance_m(-4.2, 15.6)
    x, z = -4.2, 15.6
    brush.line([(x, 0, z), (x, 3.0, z)], (190, 190, 190), 0.08)
    brush.area([(x - 0.42, 2.3, z), (x + 0.42, 2.3, z), (x, 3.05, z)], (28, 84, 176))
    brush.line([(x - 0.12, 2.38, z), (x, 2.6, z), (x + 0.1, 2.38, z)], _WHITE, 0.06)
    brush.disc((x, 2.72, z), 0.07, _WHITE)


def _machine(brush: Brush) -> None:
    """Paint the drinks machine at the corner."""
    x, z = 5.0, 27.0
    brush.distance_m = brush.lens.distance_m(x, z)
    brush.area([(x - 0.5, 0, z), (x + 0.5, 0, z), (x + 0.5, 1.85, z), (x - 0.5, 1.85, z)], (196, 40, 44))
    brush.area([(x - 0.4, 0.95, z), (x + 0.4, 0.95, z), (x + 0.4, 1.7, z), (x - 0.4, 1.7, z)], (226, 232, 236))
    for number in range(10):
        u, y = x - 0.32 + 0.16 * (number % 5), 1.08 + 0.34 * (number // 5)
        tone = ((200, 60, 50), (60, 120, 200), (70, 160, 80), (230, 180, 60))[number % 4]
        brush.line([(u, y, z), (u, y + 0.2, z)], tone, 0.1)


def _wires(brush: Brush) -> None:
    brush.distance_m = 8.0
    right = [(4.6, -14.0), *(pole for pole in sorted(_POLES, key=lambda at: at[1]) if pole[0] > 0), (4.6, 74.0)]
    left = [(-4.7, -4.0), *(pole for pole in sorted(_POLES, key=lambda at: at[1]) if pole[0] < 0), (-4.7, 78.0)]
    spans = [*pairwise(right), *pairwise(left), ((4.6, 27.4), (-4.7, 19.3))]
    for (x0, z0), (x1, z1) in spans:
        for by, y in ((-0.8, 8.95), (0.8, 8.95), (0.3, 8.25), (0.0, 7.1)):
            share = np.linspace(0, 1, 13)
            sag = 0.45 * 4 * share * (1 - share)
            points = [(x0 + (x1 - x0) * s + by, y - d, z0 + (z1 - z0) * s) for s, d in zip(share, sag, strict=True)]
            brush.line([tuple(map(float, point)) for point in points], (58, 60, 64), 0.02)  # type: ignore[misc]


def _shine(brush: Brush, row: list[houses.House], depth: NDArray[np.float32]) -> None:
    """Paint the light that lamps throw on the ground, then lit windows, the drinks machine and the lamps."""
    lamps = [(x - float(np.sign(x)) * 1.3, z) for x, z in _POLES]
    for number in range(24):
        share, tone = 1 - number / 24, 5.0 * (number + 1)
        for x, z in lamps:
            x_px, y_px, per_m = brush.lens.point(x, 0, z)
            brush.oval((x_px, y_px), (4.6 * share * per_m, 1.9 * share * per_m), (tone, tone * 0.95, tone * 0.8))
    brush.picture[depth != GROUND_M] = 0
    panes, whose = np.zeros_like(brush.picture), np.zeros_like(depth)
    painter = Brush(panes, brush.lens, depth=whose, scale=brush.scale)
    for house in row:
        painter.distance_m = houses.distance_m(house, brush.lens)
        houses.light(house, painter)
    # Only where the house itself was painted last: light does not shine through what stands before it.
    np.copyto(brush.picture, panes, where=(np.abs(depth - whose) < 1e-3)[..., None])
    brush.area([(4.6, 0.95, 26.9), (5.4, 0.95, 26.9), (5.4, 1.7, 26.9), (4.6, 1.7, 26.9)], (220, 235, 245))
    for x, z in lamps:
        brush.disc((x, 5.85, z), 0.16, (255, 250, 230))


def _flat(x0: float, x1: float, z0: float, z1: float) -> list[tuple[float, float, float]]:
    return [(x0, 0.0, z0), (x1, 0.0, z0), (x1, 0.0, z1), (x0, 0.0, z1)]
