"""A residential street as a camera on a pole sees it: drawn, so that no real street and nobody real is ever needed."""

import dataclasses
from dataclasses import dataclass, field
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from firmware_sim.street import houses, light, scenery, traffic
from firmware_sim.street.brush import Brush, Colour, Picture
from firmware_sim.street.lens import Lens, View

_LIGHT_STEP_MS: Final = 60_000
"""The light is drawn anew once a minute; in between only what moves is."""
_NOISE: Final = 3.0
_ROLL_PX: Final = 61


@dataclass(frozen=True, slots=True)
class Conditions:
    """What can befall the camera and its street.

    Attributes:
        view: how the camera hangs.
        darkness: 0 to 1, taken off the light of the hour.
        rain: 0 to 1: streaks and haze.
        fog: 0 to 1: 1 hides everything.
        is_covered: something hangs before the lens.
        is_empty: nobody passes.
        noise: standard deviation of the sensor's noise by day, steps of 255; at night it is three times that.
    """

    view: View = field(default_factory=View)
    darkness: float = 0.0
    rain: float = 0.0
    fog: float = 0.0
    is_covered: bool = False
    is_empty: bool = False
    noise: float = _NOISE


class Scene:
    """The street of one seed. The same seed, conditions and time give the same picture.

    Args:
        width: pixels.
        height: pixels.
        seed: which street, and who passes when.
        conditions: may be changed between frames.
    """

    def __init__(self, width: int, height: int, seed: int = 7, conditions: Conditions | None = None) -> None:
        self.width = width
        self.height = height
        self.seed = seed
        self.conditions = conditions or Conditions()
        self._passers = traffic.passers(seed)
        self._lens = Lens(width, height, self.conditions.view)
        self._still = scenery.build(self._lens, seed)
        self._lit: Picture = self._still.things
        self._lit_for: object = None
        self._grain: tuple[float, Picture, Picture] = (-1.0, self._lit, self._lit)

    def frame(self, at_ms: int) -> Picture:
        """Return the picture at `at_ms`, Unix milliseconds: shape (height, width, 3), red, green, blue."""
        now = self.conditions
        if now.is_covered:
            return self._noisy(np.full((self.height, self.width, 3), 9, np.uint8), at_ms, now.noise)
        if now.view != self._lens.view:
            self._lens = Lens(self.width, self.height, now.view)
            self._still = scenery.build(self._lens, self.seed)
            self._lit_for = None
        sun = light.at(at_ms - at_ms % _LIGHT_STEP_MS, now.darkness)
        if self._lit_for != (at_ms // _LIGHT_STEP_MS, now.darkness):
            self._lit = _light_up(self._still, self._lens, sun)
            self._lit_for = (at_ms // _LIGHT_STEP_MS, now.darkness)
        picture = self._lit.copy()
        if not now.is_empty:
            self._pass(picture, at_ms, sun)
        self._weather(picture, at_ms)
        return self._noisy(picture, at_ms, now.noise * (1 + 2 * sun.night))

    def houses(self) -> tuple[houses.House, ...]:
        """Return the houses in the street."""
        return self._still.houses

    @property
    def lens(self) -> Lens:
        """Where things are in the picture."""
        return self._lens

    def _pass(self, picture: Picture, at_ms: int, sun: light.Light) -> None:
        brush = Brush(picture, self._lens)
        gain: Colour = tuple(float(value) + 0.12 * sun.night for value in sun.gain)  # type: ignore[assignment]
        here = [(passer, passer.pose(at_ms / 1000)) for passer in self._passers]
        seen = [(passer, pose, self._lens.distance_m(pose.x_m, pose.z_m)) for passer, pose in here if pose]
        for passer, pose, far_m in sorted(seen, key=lambda one: -one[2]):
            x_px, y_px, per_m = self._lens.point(pose.x_m, 0.8, pose.z_m)
            if not per_m or far_m < 1:
                continue
            reach = 3.2 * per_m
            rows = slice(max(0, int(y_px - reach)), max(0, int(y_px + reach) + 1))
            columns = slice(max(0, int(x_px - reach)), max(0, int(x_px + reach) + 1))
            part = picture[rows, columns]
            if part.size:
                before = part.copy()
                passer.paint(brush, pose, gain, sun.night)
                # What stands nearer to the camera hides who passes behind it.
                np.copyto(part, before, where=(self._still.depth[rows, columns] < far_m - 0.6)[..., None])

    def _weather(self, picture: Picture, at_ms: int) -> None:
        now = self.conditions
        if haze := max(now.fog, now.rain * 0.25):
            tone = 205.0 * float(light.at(at_ms, now.darkness).gain.mean())
            cv2.addWeighted(picture, 1 - haze, np.full_like(picture, int(tone)), haze, 0, dst=picture)
        if now.rain:
            rng = np.random.default_rng((self.seed, at_ms))
            starts = rng.random((round(260 * now.rain), 2)) * (self.width, self.height)
            ends = starts + np.array([-0.012, 0.06]) * self.height
            drops = np.stack([starts, ends], 1).astype(np.int32)
            cv2.polylines(picture, list(drops), False, (196, 200, 204), 1, cv2.LINE_AA)

    def _noisy(self, picture: Picture, at_ms: int, deviation: float) -> Picture:
        if deviation <= 0:
            return picture
        if self._grain[0] != deviation:
            rng = np.random.default_rng((self.seed, 3))
            size = (2, self.height + _ROLL_PX, self.width + _ROLL_PX)
            grey = np.clip(np.round(rng.normal(3 * deviation, deviation / 2**0.5, size)), 0, 255).astype(np.uint8)
            self._grain = (deviation, _rgb(grey[0]), _rgb(grey[1]))
        rolls = np.random.default_rng((self.seed, at_ms)).integers(0, _ROLL_PX, (2, 2))
        # One is added, the other taken away, each from anywhere: so the grain of two frames is never the same, moved.
        for grain, (y, x), put in zip(self._grain[1:], rolls, (cv2.add, cv2.subtract), strict=True):
            put(picture, grain[y : y + self.height, x : x + self.width], dst=picture)
        return picture


def private_polygons(scene: Scene) -> tuple[tuple[tuple[float, float], ...], ...]:
    """Return what of the scene is nobody's business, normalised: each house's windows, and each garden.

    The windows of a front are one area: who comes to them must not show between two panes.
    """
    found = []
    for house in scene.houses():
        road = [corner for pane in house.windows() for corner in pane if abs(corner[0] - house.inner_m) < 1e-6]
        end = [corner for pane in house.windows() for corner in pane if abs(corner[2] - house.near_m) < 1e-6]
        for corners in (road, end, house.garden()):
            outline = _outline(scene.lens, np.array(corners, np.float64))
            if outline:
                found.append(outline)
    return tuple(found)


def _rgb(grey: NDArray[np.uint8]) -> Picture:
    return cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB).astype(np.uint8)


def _outline(lens: Lens, corners: NDArray[np.float64]) -> tuple[tuple[float, float], ...]:
    """Return the hull of `corners` in the picture, cut at its edges; nothing where it is too small to see."""
    points = [lens.point(*corner) for corner in corners]
    flat = np.array([point[:2] for point in points if point[2]], np.float32)
    if len(flat) < 3:
        return ()
    frame = np.array([[0, 0], [lens.width, 0], [lens.width, lens.height], [0, lens.height]], np.float32)
    hull = cv2.convexHull(flat)
    middle = hull.mean(0)
    area, cut = cv2.intersectConvexConvex(middle + (hull - middle) * 1.04, frame)
    if area < 4e-4 * lens.width * lens.height:
        return ()
    simple = cv2.approxPolyDP(cv2.convexHull(cut.astype(np.float32)), 0.5, True)[:, 0]
    return tuple((round(float(x) / lens.width, 4), round(float(y) / lens.height, 4)) for x, y in simple)


def _light_up(still: scenery.Scenery, lens: Lens, sun: light.Light) -> Picture:
    """Return the scenery in the light of an hour: shadows, lamps and sky."""
    steps = np.arange(256)[:, None] * sun.gain
    lit = cv2.LUT(still.things, np.clip(steps, 0, 255).astype(np.uint8)[None].transpose(1, 0, 2))
    if sun.sun:
        shade = cv2.multiply(scenery.shadows(lens, still.houses, sun), still.is_ground, scale=0.34 * sun.sun / 255)
        lit = cv2.multiply(lit, cv2.cvtColor(255 - shade, cv2.COLOR_GRAY2RGB), scale=1 / 255)
    if sun.night:
        lit = cv2.addWeighted(lit, 1, still.lamps, 0.7 * sun.night, 0)
    is_sky = still.is_sky[..., None].astype(np.float32) / 255
    return (lit * (1 - is_sky) + _sky(still, lens, sun) * is_sky).astype(np.uint8)


def _sky(still: scenery.Scenery, lens: Lens, sun: light.Light) -> NDArray[np.float32]:
    up = np.linspace(0, 1, lens.height) * lens.height
    share = np.clip((lens.horizon_px - up) / (0.55 * lens.height), 0, 1)[:, None, None] ** 0.8
    clear = sun.sky_low + (sun.sky_top - sun.sky_low) * share
    cloud = still.clouds[..., None].astype(np.float32) / 255 * 0.75
    tone = np.array([250.0, 250.0, 250.0]) * (0.25 + 0.75 * sun.gain) * (1 - 0.75 * sun.night)
    return (clear * (1 - cloud) + tone * cloud).astype(np.float32)


def turned(scene: Scene, view: View) -> None:
    """Hang the camera of `scene` in another way; the rest of its conditions stays."""
    scene.conditions = dataclasses.replace(scene.conditions, view=view)
