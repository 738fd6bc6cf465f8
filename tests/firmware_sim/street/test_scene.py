"""The street as a picture: the same again by seed and time, alive, lit by the hour, with its private part named."""

import datetime as dt
from dataclasses import replace

import cv2
import numpy as np
import pytest

from firmware_sim.street import scene as street
from firmware_sim.street.lens import View
from privacy.masks import Mask

SIZE = (320, 180)
MORNING_MS = int(dt.datetime.fromisoformat("2026-11-24T07:40:00+09:00").timestamp() * 1000)
NIGHT_MS = MORNING_MS + 13 * 3_600_000
QUIET = street.Conditions(is_empty=True, noise=0.0)


def test_the_same_seed_and_time_give_the_same_picture() -> None:
    one, other = (street.Scene(*SIZE, seed=7) for _ in range(2))
    one.frame(MORNING_MS - 5000)
    assert np.array_equal(one.frame(MORNING_MS), other.frame(MORNING_MS))
    assert not np.array_equal(one.frame(MORNING_MS), street.Scene(*SIZE, seed=8).frame(MORNING_MS))


def test_a_frame_is_red_green_blue_of_the_size_asked_for() -> None:
    picture = street.Scene(*SIZE).frame(MORNING_MS)
    assert picture.shape == (180, 320, 3)
    assert picture.dtype == np.uint8
    sky = picture[:8, 240:].mean((0, 1))
    assert sky[2] > sky[0]


def test_people_and_cars_move_through_it() -> None:
    scene = street.Scene(*SIZE, conditions=street.Conditions(noise=0.0))
    empty = street.Scene(*SIZE, conditions=QUIET).frame(MORNING_MS)
    moving = [scene.frame(MORNING_MS + step) for step in range(0, 60_000, 500)]
    shares = [float((frame != empty).any(-1).mean()) for frame in moving]
    assert max(shares) > 0.02
    assert np.count_nonzero(np.array(shares) > 0.001) > 60
    assert not np.array_equal(moving[4], moving[5])


def test_nobody_passes_before_what_stands_nearer() -> None:
    scene = street.Scene(*SIZE, conditions=street.Conditions(noise=0.0))
    empty = street.Scene(*SIZE, conditions=QUIET).frame(MORNING_MS)
    x_px, y_px, _ = scene.lens.point(4.6, 3.0, 11.2)  # the pole on the right, nearer than most of the pavement
    for step in range(0, 60_000, 1000):
        frame = scene.frame(MORNING_MS + step)
        assert np.array_equal(frame[int(y_px), int(x_px)], empty[int(y_px), int(x_px)])


def test_night_is_darker_than_dusk_and_dusk_than_noon() -> None:
    scene = street.Scene(*SIZE, conditions=QUIET)
    noon, dusk, night = (float(scene.frame(MORNING_MS + ms).mean()) for ms in (15_600_000, 36_000_000, 46_800_000))
    assert noon > dusk + 20 > night + 40
    scene.conditions = replace(QUIET, darkness=1.0)
    assert float(scene.frame(MORNING_MS).mean()) < noon / 2


@pytest.mark.parametrize(("pan_px", "tilt_px"), [(12, 0), (0, -9), (7, 5)])
def test_a_turned_camera_moves_the_picture_by_as_much(pan_px: int, tilt_px: int) -> None:
    scene = street.Scene(*SIZE, conditions=QUIET)
    before = scene.frame(MORNING_MS)
    street.turned(scene, View(pan_px=pan_px, tilt_px=tilt_px))
    after = scene.frame(MORNING_MS)
    height, width = before.shape[:2]
    was = before[max(0, tilt_px) : height + min(0, tilt_px), max(0, pan_px) : width + min(0, pan_px)]
    now = after[max(0, -tilt_px) : height + min(0, -tilt_px), max(0, -pan_px) : width + min(0, -pan_px)]
    lower = slice(height // 2, None)  # the sky's colour goes with the picture's height
    assert float(np.abs(was[lower].astype(int) - now[lower]).mean()) < 2.0
    assert float(np.abs(before.astype(int) - after).mean()) > 5.0


def test_zoom_and_roll_are_about_the_middle() -> None:
    scene = street.Scene(*SIZE, conditions=QUIET)
    before = scene.frame(MORNING_MS)
    street.turned(scene, View(zoom=1.1, roll_deg=4))
    turn = cv2.getRotationMatrix2D((159.5, 89.5), -4, 1.1)
    moved = cv2.warpAffine(before, turn, SIZE, flags=cv2.INTER_AREA)
    inner = (slice(100, 150), slice(80, 240))
    assert float(np.abs(moved[inner].astype(int) - scene.frame(MORNING_MS)[inner]).mean()) < 7.0


def test_a_covered_lens_and_a_thick_fog_show_nothing() -> None:
    for hidden in (replace(QUIET, is_covered=True), replace(QUIET, fog=1.0)):
        assert float(street.Scene(*SIZE, conditions=hidden).frame(MORNING_MS).std()) < 1.0


def test_noise_does_not_change_how_bright_it_is() -> None:
    clean = street.Scene(*SIZE, conditions=QUIET).frame(MORNING_MS).astype(int)
    noisy = street.Scene(*SIZE, conditions=replace(QUIET, noise=4.0)).frame(MORNING_MS).astype(int)
    assert abs(float((noisy - clean).mean())) < 0.3
    assert 2.5 < float((noisy - clean).std()) < 4.5


@pytest.mark.parametrize("seed", [1, 7, 23])
def test_the_private_part_is_a_mask_that_hides_every_lit_window(seed: int) -> None:
    scene = street.Scene(*SIZE, seed=seed, conditions=QUIET)
    mask = Mask("cam-1", 1, street.private_polygons(scene), MORNING_MS)
    assert Mask.decode(mask.encode()).polygons == mask.polygons
    hidden = np.zeros(SIZE[::-1], np.uint8)
    for polygon in mask.polygons:
        cv2.fillPoly(hidden, [np.round(np.array(polygon) * SIZE).astype(np.int32)], 1)
    assert 0.1 < float(hidden.mean()) < 0.6
    night = scene.frame(NIGHT_MS).astype(int)
    is_lit_pane = (night[..., 0] > 150) & (night[..., 0] - night[..., 2] > 40)
    assert np.count_nonzero(is_lit_pane) > 30
    assert not np.count_nonzero(is_lit_pane & (hidden == 0))
