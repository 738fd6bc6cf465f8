"""The houses of the street: boxes with roofs, windows, gardens behind block walls. The private part of the picture."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from firmware_sim.street.brush import Brush, Colour
from firmware_sim.street.lens import Lens

_EAVES_M: Final = 0.45
_STOREY_M: Final = 2.75
_WALL_M: Final = 1.15
_WALL_AT_M: Final = 5.35
_WALLS: Final = ((226, 214, 190), (205, 203, 198), (236, 232, 222), (190, 172, 148), (214, 196, 176), (178, 188, 192))
_ROOFS: Final = ((74, 78, 86), (92, 84, 80), (66, 82, 104), (110, 78, 64), (84, 92, 90))
_GLASS: Final = (112, 140, 158)
_LIT: Final = (255, 214, 140)
_BLOCKS: Final = ((172, 170, 164), (186, 180, 168), (158, 160, 162))

Corner = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class House:
    """One house beside the road.

    Attributes:
        side: -1 left of the road, 1 right of it.
        near_m: where it begins along the road.
        far_m: where it ends.
        storeys: 1 or 2.
        wall: colour of its walls.
        roof: colour of its roof.
        blocks: colour of the garden's wall.
        is_home: whether somebody has the light on at night.
    """

    side: int
    near_m: float
    far_m: float
    storeys: int
    wall: Colour
    roof: Colour
    blocks: Colour
    is_home: bool

    @property
    def inner_m(self) -> float:
        """Where its front stands, metres from the road's middle."""
        return self.side * 7.6

    @property
    def outer_m(self) -> float:
        """Where its back stands."""
        return self.side * 15.5

    @property
    def height_m(self) -> float:
        """Up to the eaves."""
        return self.storeys * _STOREY_M + 0.3

    def windows(self) -> list[list[Corner]]:
        """Return the windows' corners, metres: those towards the road, then those towards the camera."""
        x, found = self.inner_m, []
        count = max(2, round((self.far_m - self.near_m) / 2.6))
        places = np.linspace(self.near_m + 1.3, self.far_m - 1.3, count)
        for storey in range(self.storeys):
            low = storey * _STOREY_M + 0.9
            for number, z in enumerate(places):
                if storey or number != 1:  # there the door is
                    found.append(
                        [(x, low, z - 0.8), (x, low, z + 0.8), (x, low + 1.3, z + 0.8), (x, low + 1.3, z - 0.8)]
                    )
            for share in (0.25, 0.7):
                u = self.inner_m + (self.outer_m - self.inner_m) * share
                z = self.near_m
                found.append([(u - 0.8, low, z), (u + 0.8, low, z), (u + 0.8, low + 1.2, z), (u - 0.8, low + 1.2, z)])
        return found

    def garden(self) -> list[Corner]:
        """Return corners around what is seen of the garden over its wall, up to a person's height."""
        over, front = self.side * _WALL_AT_M, self.inner_m
        ends = (self.near_m - 0.9, self.far_m + 0.9)
        return [(x, y, z) for x, y in ((over, _WALL_M), (front, 0.2), (front, 1.8)) for z in ends]


def row(rng: np.random.Generator) -> list[House]:
    """Return the houses of the street, in no order."""
    places = {-1: ((8.2, 17.0), (28.5, 35.5), (37.5, 44), (46, 53), (55, 63)), 1: ((3.8, 10.2), (12, 17.2))}
    places[1] = (*places[1], (28.5, 34.5), (36.5, 43), (45, 51.5), (53.5, 62))
    return [
        House(
            side,
            near,
            far,
            int(rng.choice([1, 2], p=[0.15, 0.85])),
            _WALLS[rng.integers(len(_WALLS))],
            _ROOFS[rng.integers(len(_ROOFS))],
            _BLOCKS[rng.integers(len(_BLOCKS))],
            bool(rng.random() < 0.75),
        )
        for side, ends in places.items()
        for near, far in ends
    ]


def distance_m(house: House, lens: Lens) -> float:
    """Return how far away the house is."""
    return lens.distance_m(house.inner_m, house.near_m)


def paint(house: House, brush: Brush, rng: np.random.Generator) -> None:
    """Paint a house, its garden and its wall."""
    brush.distance_m = distance_m(house, brush.lens)
    _body(house, brush)
    for corners in house.windows():
        _window(corners, brush)
    _door(house, brush)
    _roof(house, brush)
    brush.distance_m = brush.lens.distance_m(house.side * _WALL_AT_M, (house.near_m + house.far_m) / 2)
    _bushes(house, brush, rng)
    _block_wall(house, brush)


def light(house: House, brush: Brush) -> None:
    """Paint only what shines at night."""
    if house.is_home:
        for number, corners in enumerate(house.windows()):
            if (number * 7 + round(house.near_m)) % 3:
                brush.area(corners, _LIT)


def _body(house: House, brush: Brush) -> None:
    x0, x1, z0, z1, top = house.inner_m, house.outer_m, house.near_m, house.far_m, house.height_m
    side = _shade(house.wall, 0.88)
    brush.area([(x0, 0, z0), (x1, 0, z0), (x1, top, z0), (x0, top, z0)], side)
    brush.area([(x0, 0, z0), (x0, 0, z1), (x0, top, z1), (x0, top, z0)], house.wall)
    for y in np.arange(0.45, top, 0.45):
        brush.line([(x1, y, z0), (x0, y, z0)], _shade(side, 0.94), 0.03)
        brush.line([(x0, y, z0), (x0, y, z1)], _shade(house.wall, 0.95), 0.03)
    brush.area([(x0, 0, z0), (x0, 0, z1), (x0, 0.35, z1), (x0, 0.35, z0)], _shade(house.wall, 0.6))
    brush.area([(x0, 0, z0), (x1, 0, z0), (x1, 0.35, z0), (x0, 0.35, z0)], _shade(side, 0.6))


def _window(corners: list[Corner], brush: Brush) -> None:
    middle = np.mean(np.array(corners), 0)
    frame = [tuple(middle + (np.array(corner) - middle) * 1.12) for corner in corners]
    brush.area(frame, (238, 238, 236))
    brush.area(corners, _GLASS)
    low, high = np.array(corners[0]), np.array(corners[2])
    half = (low + high) / 2
    upper = [(half[0], low[1], half[2]), tuple(corners[1]), tuple(high), (half[0], high[1], half[2])]
    brush.area(upper, _shade(_GLASS, 1.18))
    brush.line([(half[0], low[1], half[2]), (half[0], high[1], half[2])], (232, 232, 230), 0.06)


def _door(house: House, brush: Brush) -> None:
    count = max(2, round((house.far_m - house.near_m) / 2.6))
    z = float(np.linspace(house.near_m + 1.3, house.far_m - 1.3, count)[1])
    x = house.inner_m
    brush.area([(x, 0, z - 0.55), (x, 0, z + 0.55), (x, 2.1, z + 0.55), (x, 2.1, z - 0.55)], (104, 70, 48))
    out = x - house.side * 0.9
    brush.area([(x, 2.35, z - 0.9), (x, 2.35, z + 0.9), (out, 2.25, z + 0.9), (out, 2.25, z - 0.9)], house.roof)


def _roof(house: House, brush: Brush) -> None:
    """Paint a hipped roof: the slopes towards the road and towards the camera."""
    e, top = _EAVES_M, house.height_m
    x0, x1 = house.inner_m - house.side * e, house.outer_m + house.side * e
    z0, z1, ridge = house.near_m - e, house.far_m + e, top + 2.1
    x_mid, inset = (x0 + x1) / 2, min((z1 - z0) / 2.4, 3.2)
    near, far = (x_mid, ridge, z0 + inset), (x_mid, ridge, z1 - inset)
    front = [(x0, top, z0), (x1, top, z0), near]
    slope = [(x0, top, z0), (x0, top, z1), far, near]
    brush.area(front, _shade(house.roof, 0.9))
    brush.area(slope, house.roof)
    for share in np.linspace(0.12, 0.94, 9):
        one = np.array(slope[0]) * (1 - share) + np.array(near) * share
        other = np.array(slope[1]) * (1 - share) + np.array(far) * share
        brush.line([tuple(one), tuple(other)], _shade(house.roof, 0.82), 0.05)
        left = np.array(front[1]) * (1 - share) + np.array(near) * share
        brush.line([tuple(left), tuple(one)], _shade(house.roof, 0.76), 0.05)
    brush.line([near, far], _shade(house.roof, 1.25), 0.14)
    brush.line([(x0, top, z1), (x0, top, z0), (x1, top, z0)], (226, 224, 220), 0.16)


def _bushes(house: House, brush: Brush, rng: np.random.Generator) -> None:
    for z in np.arange(house.far_m - 0.6, house.near_m, -1.1):
        if rng.random() < 0.3:
            continue
        green = np.array((62, 98, 52)) + rng.integers(-14, 22, 3)
        x = house.side * (_WALL_AT_M + 0.9 + rng.random() * 0.5)
        for _ in range(26):
            by = np.clip(rng.normal(0, 0.26, 3), -0.42, 0.42)
            at = (x + by[0], 0.95 + by[1] * 1.4, z + by[2])
            brush.disc(at, 0.13, tuple(green * (0.8 + 0.45 * rng.random())))


def _block_wall(house: House, brush: Brush) -> None:
    x, high = house.side * _WALL_AT_M, _WALL_M
    z0, z1 = house.near_m - 0.9, house.far_m + 0.9
    gate = house.near_m + 2.4
    end = [(x, 0, z0), (house.outer_m, 0, z0), (house.outer_m, high, z0), (x, high, z0)]
    brush.area(end, _shade(house.blocks, 0.86))
    for start, stop in ((gate + 1.2, z1), (z0, gate)):
        brush.area([(x, 0, start), (x, 0, stop), (x, high, stop), (x, high, start)], house.blocks)
        for y in (0.3, 0.6, 0.9):
            brush.line([(x, y, start), (x, y, stop)], _shade(house.blocks, 0.86), 0.025)
        for number, z in enumerate(np.arange(start, stop, 0.8)):
            y = 0.3 * (number % 4)
            brush.line([(x, y, z), (x, y + 0.3, z)], _shade(house.blocks, 0.86), 0.025)
        brush.line([(x, high, start), (x, high, stop)], _shade(house.blocks, 1.12), 0.1)
    brush.area([(x, 0.15, gate), (x, 0.15, gate + 1.2), (x, 1.1, gate + 1.2), (x, 1.1, gate)], (70, 66, 62))
    for z in np.linspace(gate + 0.2, gate + 1, 4):
        brush.line([(x, 0.2, z), (x, 1.05, z)], (112, 106, 100), 0.03)


def _shade(colour: Colour, share: float) -> Colour:
    red, green, blue = (min(255.0, value * share) for value in colour)
    return red, green, blue
