"""The watch for a camera that has moved: no false alarm by light, weather or traffic; every real move within 20 s."""

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.camera.drift import Verdict, Watch, excluded
from edge.camera.reference import MAX_VIEWS, Reference
from edge.errors import ReferenceViewError
from firmware_sim.street.lens import View
from firmware_sim.street.scene import Conditions, Scene, private_polygons
from privacy.masks import Mask

WIDTH, HEIGHT = 640, 360
LOOK_MS = 5000
MIDNIGHT_MS = int(dt.datetime.fromisoformat("2026-11-24T00:00:00+09:00").timestamp() * 1000)
LOOKS_IN_20_S = 4


@dataclass
class Pole:
    """A camera over the street, with a mask."""

    scene: Scene
    exclude: NDArray[np.bool_]
    at_ms: int = 0

    def grey(self, right_share: float = 0.0) -> NDArray[np.uint8]:
        """Return the next look, masked, the picture moved left by a share of its width."""
        self.at_ms += LOOK_MS
        grey = cv2.cvtColor(self.scene.frame(self.at_ms), cv2.COLOR_RGB2GRAY)
        if right_share:
            turn = np.array([[1, 0, -right_share * WIDTH], [0, 1, 0]])
            grey = cv2.warpAffine(grey, turn, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)
        masked = np.array(grey, np.uint8)
        masked[self.exclude] = 0
        return masked

    def hour(self, hour: float) -> None:
        self.at_ms = MIDNIGHT_MS + round(hour * 3_600_000)

    def looks(self, watch: Watch, count: int = 4) -> list[Verdict]:
        return [watch.see(self.grey()) for _ in range(count)]


@pytest.fixture(scope="module")
def street() -> Pole:
    cv2.setNumThreads(1)
    scene = Scene(WIDTH, HEIGHT, 7)
    filled = np.zeros((HEIGHT, WIDTH), np.uint8)
    for polygon in private_polygons(scene):
        cv2.fillPoly(filled, [np.round(np.array(polygon) * (WIDTH, HEIGHT)).astype(np.int32)], 1)
    return Pole(scene, filled.astype(bool))


@pytest.fixture
def pole(street: Pole) -> Pole:
    street.scene.conditions = Conditions()
    street.hour(8)
    return street


@pytest.fixture
def learnt(pole: Pole, tmp_path: Path) -> Callable[..., Watch]:
    """Return a watch that has learnt its reference at an hour."""

    def learn(hour: float = 8.0) -> Watch:
        pole.hour(hour)
        watch = Watch.open(tmp_path / f"{hour}.ref", 1, pole.exclude)
        while watch.see(pole.grey()) != Verdict.SAME:
            assert pole.at_ms < MIDNIGHT_MS + hour * 3_600_000 + 60_000
        return watch

    return learn


def _through(pole: Pole, watch: Watch, hours: Iterable[float]) -> list[Verdict]:
    found = []
    for hour in hours:
        pole.hour(hour)
        found.append(watch.see(pole.grey()))
    return found


def test_two_days_and_nights_raise_no_alarm(pole: Pole, learnt: Callable[..., Watch]) -> None:
    found = _through(pole, learnt(), np.arange(8, 56, 1 / 3))
    assert len(found) == 144
    assert set(found) == {Verdict.SAME}


def test_people_and_cars_raise_no_alarm(pole: Pole, learnt: Callable[..., Watch]) -> None:
    assert set(pole.looks(learnt(), 120)) == {Verdict.SAME}


@pytest.mark.parametrize("rain", [0.3, 1.0])
def test_rain_through_dusk_and_a_clear_night_after_it_raise_no_alarm(
    pole: Pole, learnt: Callable[..., Watch], rain: float
) -> None:
    watch = learnt()
    pole.scene.conditions = Conditions(rain=rain)
    wet = _through(pole, watch, np.arange(14, 21, 1 / 10))
    pole.scene.conditions = Conditions()
    assert Verdict.MOVED not in wet
    assert set(pole.looks(watch, 20)) == {Verdict.SAME}


def test_an_hour_of_pouring_rain_before_a_dark_street_is_no_strange_place(
    pole: Pole, learnt: Callable[..., Watch]
) -> None:
    watch = learnt()
    pole.scene.conditions = Conditions(rain=1.0)
    pole.hour(18.5)
    wet = pole.looks(watch, 720)
    assert wet.count(Verdict.BLIND) > 360
    assert Verdict.MOVED not in wet


@pytest.mark.parametrize("conditions", [Conditions(noise=12), Conditions(fog=0.9), Conditions(darkness=1.0)])
def test_noise_fog_and_sudden_dark_raise_no_alarm(
    pole: Pole, learnt: Callable[..., Watch], conditions: Conditions
) -> None:
    watch = learnt()
    pole.scene.conditions = conditions
    assert Verdict.MOVED not in pole.looks(watch, 30)


@pytest.mark.parametrize("conditions", [Conditions(is_covered=True), Conditions(fog=1.0)])
def test_where_nothing_is_to_be_seen_it_says_blind_and_knows_the_place_again(
    pole: Pole, learnt: Callable[..., Watch], conditions: Conditions
) -> None:
    watch = learnt()
    pole.scene.conditions = conditions
    assert set(pole.looks(watch, 20)) == {Verdict.BLIND}
    pole.scene.conditions = Conditions()
    assert pole.looks(watch, 1) == [Verdict.SAME]


def test_a_lens_that_sees_by_its_own_infrared_lamp_from_now_on_raises_no_alarm(
    pole: Pole, learnt: Callable[..., Watch]
) -> None:
    watch = learnt()
    pole.scene.conditions = Conditions(is_empty=True, noise=5)
    y, x = np.mgrid[-0.5 : 0.5 : HEIGHT * 1j, -0.5 : 0.5 : WIDTH * 1j]
    lamp = np.clip(1 - 1.5 * np.hypot(x, y), 0, 1) * 0.7
    pole.hour(12)
    assert {watch.see((pole.grey() * lamp).astype(np.uint8)) for _ in range(20)} == {Verdict.SAME}


@pytest.mark.parametrize("hour", [8.0, 22.0])
@pytest.mark.parametrize(
    "view",
    [
        View(pan_px=0.03 * WIDTH),
        View(pan_px=-0.4 * WIDTH),
        View(pan_px=1.5 * WIDTH),
        View(tilt_px=0.03 * WIDTH),
        View(tilt_px=-0.1 * WIDTH),
        View(zoom=1.05),
        View(zoom=0.9),
        View(roll_deg=3),
        View(roll_deg=25),
    ],
)
def test_every_real_move_is_found_within_20_s_and_stays_found(
    pole: Pole, learnt: Callable[..., Watch], view: View, hour: float
) -> None:
    watch = learnt(hour)
    pole.scene.conditions = Conditions(view=view)
    found = pole.looks(watch, LOOKS_IN_20_S)
    assert found[-1] == Verdict.MOVED
    assert found[0] != Verdict.MOVED
    pole.scene.conditions = Conditions()
    assert set(pole.looks(watch)) == {Verdict.MOVED}
    assert set(pole.looks(Watch.open(watch.path, 1, pole.exclude))) == {Verdict.MOVED}


def test_a_view_moved_by_one_per_cent_is_the_same_and_is_measured(pole: Pole, learnt: Callable[..., Watch]) -> None:
    watch = learnt()
    pole.scene.conditions = Conditions(view=View(pan_px=0.01 * WIDTH))
    assert set(pole.looks(watch, 10)) == {Verdict.SAME}
    assert watch.shift
    assert abs(watch.shift.across + 0.01) < 0.001


def test_a_bump_that_swings_back_is_no_move(pole: Pole, learnt: Callable[..., Watch]) -> None:
    watch = learnt()
    for _ in range(4):
        pole.scene.conditions = Conditions(view=View(pan_px=0.05 * WIDTH))
        assert Verdict.MOVED not in pole.looks(watch, 2)
        pole.scene.conditions = Conditions()
        assert set(pole.looks(watch, 1)) == {Verdict.SAME}


@pytest.mark.parametrize("share", [0.03, 0.4])
def test_clock_and_name_in_the_picture_do_not_hide_a_move(
    pole: Pole, learnt: Callable[..., Watch], share: float
) -> None:
    def written(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
        cv2.putText(grey, "2026-11-24 08:00:00", (6, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (255,), 2)
        cv2.putText(grey, "CAM-01 KAKOGAWA", (380, 350), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (255,), 2)
        return grey

    watch = learnt()
    pole.scene.conditions = Conditions(view=View(pan_px=share * WIDTH))
    assert [watch.see(written(pole.grey())) for _ in range(LOOKS_IN_20_S)][-1] == Verdict.MOVED


def test_writing_amid_the_picture_does_not_hide_a_move_for_a_minute(pole: Pole, tmp_path: Path) -> None:
    def written() -> NDArray[np.uint8]:
        grey = pole.grey()
        cv2.putText(grey, "CAM-01 KAKOGAWA", (180, 150), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (255,), 2)
        return grey

    pole.hour(22)
    watch = Watch.open(tmp_path / "a.ref", 1, pole.exclude)
    assert [watch.see(written()) for _ in range(8)][-1] == Verdict.SAME
    pole.scene.conditions = Conditions(view=View(pan_px=1.5 * WIDTH))
    assert [watch.see(written()) for _ in range(12)][-1] == Verdict.MOVED


@pytest.mark.parametrize("seed", [8, 9])
@pytest.mark.parametrize("pan", [-1.5, 1.5])
def test_a_camera_turned_away_by_night_is_found_in_other_streets_too(tmp_path: Path, seed: int, pan: float) -> None:
    pole = Pole(Scene(WIDTH, HEIGHT, seed), np.zeros((HEIGHT, WIDTH), bool))
    pole.hour(22)
    watch = Watch.open(tmp_path / "a.ref", 1, None)
    assert pole.looks(watch, 8)[-1] == Verdict.SAME
    pole.scene.conditions = Conditions(view=View(pan_px=pan * WIDTH))
    assert pole.looks(watch, LOOKS_IN_20_S)[-1] == Verdict.MOVED


def test_paint_beyond_the_mask_does_not_hide_a_move(pole: Pole, tmp_path: Path) -> None:
    tall, wide = HEIGHT // 8, WIDTH // 16
    touched = np.array(pole.exclude.reshape(tall, 8, wide, 16).any((1, 3)), np.uint8)
    blocks = cv2.dilate(touched, np.ones((3, 3), np.uint8)).repeat(8, 0).repeat(16, 1).astype(bool)

    def painted() -> NDArray[np.uint8]:
        grey = np.array(cv2.cvtColor(pole.scene.frame(pole.at_ms), cv2.COLOR_RGB2GRAY), np.uint8)
        grey[blocks] = 16
        pole.at_ms += LOOK_MS
        return np.array(cv2.resize(grey, (1280, 720), interpolation=cv2.INTER_NEAREST), np.uint8)

    watch = Watch.open(tmp_path / "a.ref", 1, pole.exclude)
    assert [watch.see(painted()) for _ in range(8)][-1] == Verdict.SAME
    pole.scene.conditions = Conditions(view=View(pan_px=1.5 * WIDTH))
    assert [watch.see(painted()) for _ in range(LOOKS_IN_20_S)][-1] == Verdict.MOVED


def test_creeping_by_a_thousandth_an_hour_cannot_walk_the_mask_away(pole: Pole, learnt: Callable[..., Watch]) -> None:
    watch, crept = learnt(), 0.0
    for step in range(6 * 40):
        pole.hour(8 + step / 6)
        crept = 0.001 * step / 6
        if watch.see(pole.grey(crept)) == Verdict.MOVED:
            break
    assert 0.005 < crept < 0.0225


def test_another_shape_of_picture_is_a_move(pole: Pole, learnt: Callable[..., Watch]) -> None:
    watch = learnt()
    assert [watch.see(pole.grey()[:, 80:560]) for _ in range(3)][-1] == Verdict.MOVED


def test_another_resolution_of_the_same_view_is_the_same(pole: Pole, learnt: Callable[..., Watch]) -> None:
    watch = learnt()
    larger = [np.array(cv2.resize(pole.grey(), (1280, 720)), np.uint8) for _ in range(4)]
    assert {watch.see(grey) for grey in larger} == {Verdict.SAME}


def test_a_mask_is_laid_out_for_a_picture_of_any_size(pole: Pole, tmp_path: Path) -> None:
    mask = Mask("cam-1", 1, private_polygons(pole.scene), MIDNIGHT_MS)
    laid = excluded(mask)
    small = np.array(cv2.resize(laid.astype(np.uint8), (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST), bool)
    assert float((small == pole.exclude).mean()) > 0.98
    watch = Watch.open(tmp_path / "a.ref", 1, laid)
    assert pole.looks(watch, 8)[-1] == Verdict.SAME


def test_what_a_mask_hides_is_no_evidence(pole: Pole, tmp_path: Path) -> None:
    everything = np.ones((HEIGHT, WIDTH), bool)
    everything[100:120, 300:330] = False
    watch = Watch.open(tmp_path / "a.ref", 1, everything)
    assert set(pole.looks(watch, 6)) == {Verdict.BLIND}
    assert not watch.path.exists()


def test_a_camera_turned_while_learning_is_not_learnt_anew(pole: Pole, tmp_path: Path) -> None:
    watch = Watch.open(tmp_path / "a.ref", 1, pole.exclude)
    assert pole.looks(watch, 2) == [Verdict.LEARNING] * 2
    pole.scene.conditions = Conditions(view=View(pan_px=0.2 * WIDTH))
    assert pole.looks(watch)[-1] == Verdict.MOVED


def test_a_new_mask_is_learnt_though_the_camera_had_moved_under_the_old_one(
    pole: Pole, learnt: Callable[..., Watch]
) -> None:
    watch = learnt()
    pole.scene.conditions = Conditions(view=View(pan_px=0.2 * WIDTH))
    assert pole.looks(watch)[-1] == Verdict.MOVED
    again = Watch.open(watch.path, 2, pole.exclude)
    assert pole.looks(again, 6)[-1] == Verdict.SAME
    pole.scene.conditions = Conditions()
    assert pole.looks(again)[-1] == Verdict.MOVED


def test_after_a_restart_the_view_is_compared_with_what_was_learnt(pole: Pole, learnt: Callable[..., Watch]) -> None:
    path = learnt().path
    assert pole.looks(Watch.open(path, 1, pole.exclude), 1) == [Verdict.SAME]
    pole.scene.conditions = Conditions(view=View(pan_px=0.2 * WIDTH))
    assert pole.looks(Watch.open(path, 1, pole.exclude))[-1] == Verdict.MOVED


def test_the_reference_of_a_later_mask_is_a_move_and_stays_what_it_is(pole: Pole, learnt: Callable[..., Watch]) -> None:
    path = learnt().path
    kept = Reference(5, (Reference.load(path) or Reference(0, [])).views)
    kept.save(path)
    before = path.read_bytes()
    assert pole.looks(Watch.open(path, 4, pole.exclude), 1) == [Verdict.MOVED]
    assert path.read_bytes() == before


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(place=st.integers(0, 10**6), bit=st.integers(0, 7), cut=st.booleans())
def test_a_damaged_file_is_a_move_until_another_mask(
    pole: Pole, learnt: Callable[..., Watch], tmp_path: Path, *, place: int, bit: int, cut: bool
) -> None:
    whole = tmp_path / "8.0.ref"
    if not whole.exists():
        learnt()
    data = bytearray(whole.read_bytes())
    place %= len(data)
    if cut:
        del data[place:]
    else:
        data[place] ^= 1 << bit
    path = tmp_path / "damaged.ref"
    path.write_bytes(data)
    with pytest.raises(ReferenceViewError):
        Reference.load(path)
    assert Watch.open(path, 1, pole.exclude).see(pole.grey()) == Verdict.MOVED
    assert Watch.open(path, 2, pole.exclude).see(pole.grey()) == Verdict.LEARNING


def test_the_file_holds_no_picture_and_no_more_than_eight_views(pole: Pole, learnt: Callable[..., Watch]) -> None:
    watch = learnt()
    _through(pole, watch, np.arange(8, 32, 0.5))
    kept = Reference.load(watch.path)
    assert kept
    assert 1 < len(kept.views) <= MAX_VIEWS
    assert watch.path.stat().st_size < 40 * 480 * MAX_VIEWS + 2000
    assert watch.path.stat().st_mode & 0o777 == 0o600


def test_a_disk_that_takes_nothing_stops_no_look_and_is_tried_again(
    pole: Pole, learnt: Callable[..., Watch], tmp_path: Path
) -> None:
    folder = tmp_path / "gone"
    folder.write_bytes(b"no folder")
    watch = learnt()
    watch.path = folder / "a.ref"
    pole.scene.conditions = Conditions(view=View(pan_px=0.2 * WIDTH))
    assert pole.looks(watch)[-1] == Verdict.MOVED
    folder.unlink()
    assert pole.looks(watch, 1) == [Verdict.MOVED]
    kept = Reference.load(watch.path)
    assert kept
    assert kept.is_moved
