import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.camera.camera import Camera
from edge.camera.mask import BLACK
from edge.camera.senses import Senses
from edge.errors import CameraError, RingError
from tests.edge.camera.conftest import AREA, START_MS, CameraMaker, City, Diary, Film, running, seconds, stored, until
from wire.camera_settings import CameraSettings
from wire.errors import WireError
from wire.orders import Configure, Freeze, SetMask, Thaw

EVER = (0, 1 << 50)


def inside(width: int, height: int) -> NDArray[np.bool_]:
    """Which pixels the area touches, drawn by another hand than the painter's."""
    canvas = np.zeros((height, width), np.uint8)
    points = np.array([(round(x * width * 16) - 8, round(y * height * 16) - 8) for x, y in AREA], np.int32)
    cv2.fillPoly(canvas, [points], 1, shift=4)
    return canvas > 0


def colours(jpeg: bytes) -> NDArray[np.uint8]:
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return np.asarray(picture, np.uint8)


async def test_every_stored_pixel_inside_the_mask_is_black(make_camera: CameraMaker, film: Film, city: City) -> None:
    camera = make_camera(film())
    camera.set_mask(city.mask())
    async with running(camera):
        await until(seconds(camera, 3))
    area, pictures = inside(160, 96), 0
    for item in stored(camera):
        for picture in city.pictures(item):
            pictures += 1
            luma, chroma = picture[:96], picture[96:].reshape(2, 48, 80)
            assert np.abs(luma[area].astype(int) - BLACK[0]).max() <= 3
            assert np.abs(chroma[:, area.reshape(48, 2, 80, 2).any(axis=(1, 3))].astype(int) - 128).max() <= 3
            assert luma[~area].max() > 90  # what is outside is there
    assert pictures == camera.counts["frames_recorded"] > 30


async def test_thumbnails_are_of_masked_pictures(make_camera: CameraMaker, film: Film, city: City) -> None:
    camera = make_camera(film(size=(640, 384)))
    camera.set_mask(city.mask())
    async with running(camera):
        await until(seconds(camera, 2))
    thumbnails = [jpeg for item in stored(camera) for jpeg in city.contents(item)["thumbnail"]]
    assert len(thumbnails) == len(stored(camera))
    for jpeg in thumbnails:
        picture = colours(jpeg)
        assert picture.shape == (192, 320, 3)
        assert picture[inside(320, 192)].max() <= 3
        assert picture.max() > 90


async def test_segments_are_ten_aligned_seconds_in_one_chain(make_camera: CameraMaker, film: Film, city: City) -> None:
    camera = make_camera(film(size=(64, 48), seconds=1))
    camera.set_mask(city.mask())
    async with running(camera):
        await until(lambda: camera.counts["segments"] >= 2, 14)
        await until(seconds(camera, 1))
    first, second = stored(camera)
    assert first.end_ms == second.head.start_ms
    assert second.head.start_ms % 10_000 == 0
    assert second.head.previous == first.chain
    assert (first.head.began, second.head.began) == ("start", "next")
    assert first.tail is not None
    assert second.tail is not None
    assert camera.ring.chain == second.chain


async def test_without_a_mask_nothing_is_recorded_and_it_says_so(
    make_camera: CameraMaker, film: Film, city: City, diary: Diary
) -> None:
    camera = make_camera(film())
    async with running(camera):
        await until(lambda: camera.state == "no-mask")
        await until(lambda: camera.counts["camera_frames"] > 20)
        assert stored(camera) == []
        assert diary.of("mask.missing") == [{}]
        camera.set_mask(city.mask())
        await until(seconds(camera, 1))
        assert camera.state == "recording"
        assert camera.mask_version == 1


@pytest.mark.parametrize("harm", ["removed", "damaged", "foreign", "old"])
async def test_a_mask_file_that_is_not_the_citys_any_more_stops_recording(
    make_camera: CameraMaker, film: Film, city: City, diary: Diary, harm: str
) -> None:
    camera = make_camera(film())
    camera.set_mask(city.mask(2))
    async with running(camera):
        await until(seconds(camera, 1))
        file = camera.rules.mask_file
        if harm == "removed":
            file.unlink()
        else:
            file.write_bytes({"damaged": b"x", "foreign": City().mask(3), "old": city.mask(1)}[harm])
        await until(lambda: camera.state == "no-mask", 5)
        recorded = camera.counts["frames_recorded"]
        await asyncio.sleep(1.2)
        assert camera.counts["frames_recorded"] == recorded
        assert camera.mask_version is None
    assert all(item.tail is not None for item in stored(camera))
    assert diary.of("mask.missing") == [{}]
    assert {"state": "no-mask"} in diary.of("camera.state")


async def test_a_new_mask_begins_a_new_segment_and_is_in_force_in_it(
    make_camera: CameraMaker, film: Film, city: City
) -> None:
    camera = make_camera(film())
    camera.set_mask(city.mask())
    async with running(camera):
        await until(seconds(camera, 1))
        camera.set_mask(city.mask(2, ((0, 0), (1, 0), (1, 1), (0, 1))))
        await until(seconds(camera, 3))
    by_version = {item.head.mask_version: item for item in stored(camera)}
    assert set(by_version) == {1, 2}
    assert by_version[2].head.began == "mask"
    assert all(np.abs(picture[:96].astype(int) - 16).max() <= 3 for picture in city.pictures(by_version[2]))
    (thumbnail,) = city.contents(by_version[2])["thumbnail"]
    assert colours(thumbnail).max() <= 3


def test_masks_and_settings_of_others_or_of_before_are_refused(
    make_camera: CameraMaker, film: Film, city: City
) -> None:
    camera = make_camera(film())
    camera.set_mask(city.mask(5))
    camera.configure(city.settings(5, fps=5))
    for document in (b"", b"nothing", City().mask(6), city.settings(6)):
        with pytest.raises(WireError):
            camera.set_mask(document)
        with pytest.raises(WireError):
            camera.configure(document if document != city.settings(6) else city.mask(6))
    with pytest.raises(CameraError):
        camera.set_mask(city.mask(4))
    with pytest.raises(CameraError):
        camera.set_mask(city.mask(5, ((0, 0), (0.1, 0), (0.1, 0.1))))
    with pytest.raises(CameraError):
        camera.configure(city.settings(4))
    assert camera.mask_version == 5
    assert camera.rules.settings.fps == camera.source.fps == 5
    camera.ring.close()


def test_mask_and_settings_outlive_a_restart(make_camera: CameraMaker, film: Film, city: City) -> None:
    path = film()
    camera = make_camera(path)
    camera.set_mask(city.mask(5))
    camera.configure(city.settings(7, fps=3))
    camera.ring.close()
    again = make_camera(path)
    assert again.mask_version == 5
    assert again.source.fps == 3
    again.ring.close()


def test_damaged_settings_give_the_defaults_and_are_told(
    make_camera: CameraMaker, film: Film, city: City, diary: Diary
) -> None:
    path = film()
    camera = make_camera(path)
    camera.configure(city.settings(7, is_sound_approved=True, sound_opinion="12"))
    camera.rules.settings_file.write_bytes(b"x")
    camera.ring.close()
    again = make_camera(path)
    assert again.rules.settings == CameraSettings(1)
    assert diary.of("settings.missing") == [{}]
    again.ring.close()


async def test_the_picture_rate_is_capped_and_measured(make_camera: CameraMaker, film: Film, city: City) -> None:
    camera = make_camera(film(seconds=6))
    camera.set_mask(city.mask())
    camera.configure(city.settings(1, fps=5))
    async with running(camera):
        await until(seconds(camera, 4))
        assert 400 <= camera.fps_centi <= 600
    whole = [record for item in stored(camera) for record in item.records if record.kind == "second"][1:-1]
    assert all(4 <= record.frames <= 6 for record in whole)


@pytest.mark.parametrize("kind", ["rgb24", "yuv422p", "gray", "yuv420p10le", "nv12", "yuv444p", "yuvj420p", "yuyv422"])
async def test_other_colour_formats_are_recorded_as_they_look(
    make_camera: CameraMaker, film: Film, city: City, kind: str
) -> None:
    if kind == "yuvj420p":
        camera = make_camera(full_range(film.folder / "full.mkv"))
    else:
        camera = make_camera(film("scene.nut", kind=kind))
    camera.set_mask(city.mask())
    async with running(camera):
        await until(seconds(camera, 1))
    picture = next(city.pictures(stored(camera)[0]))
    assert np.abs(picture[:96][inside(160, 96)].astype(int) - 16).max() <= 3
    corner = picture[:8, :8].mean()
    assert abs(corner - (16 + 125 * 219 / 255)) < 8  # noise around 125 of 255


def full_range(path: Path) -> Path:
    with av.open(path, "w") as container:
        stream = container.add_stream("mjpeg", rate=15)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuvj420p"
        for _ in range(30):
            grey = av.VideoFrame.from_ndarray(np.full((96, 160), 125, np.uint8), "gray")
            container.mux(stream.encode(grey.reformat(format="yuvj420p")))
        container.mux(stream.encode(None))
    return path


async def test_large_and_odd_pictures_are_made_to_fit(make_camera: CameraMaker, film: Film, city: City) -> None:
    camera = make_camera(film(size=(322, 182)), max_width=100)
    camera.set_mask(city.mask())
    async with running(camera):
        await until(seconds(camera, 1))
    assert {(item.head.width, item.head.height) for item in stored(camera)} == {(100, 56)}


class Movable:
    def __init__(self, verdict: str) -> None:
        self.verdict = verdict
        self.seen: list[NDArray[np.uint8]] = []

    def see(self, grey: NDArray[np.uint8]) -> str:
        self.seen.append(grey)
        return self.verdict


async def test_a_camera_that_was_moved_records_nothing_until_it_has_a_new_mask(
    make_camera: CameraMaker, film: Film, city: City, diary: Diary
) -> None:
    watches = {1: Movable("moved"), 2: Movable("")}
    path, senses = film(), Senses(watch=lambda mask, _: watches[mask.version])
    camera = make_camera(path, senses=senses)
    camera.set_mask(city.mask())
    async with running(camera):
        await until(lambda: camera.state == "moved")
    assert stored(camera) == []
    assert diary.of("camera.moved") == [{"mask_version": 1}]
    assert watches[1].seen[0].shape == (96, 160)
    assert (watches[1].seen[0][inside(160, 96)] == 16).all()
    again = make_camera(path, senses=senses)
    async with running(again):
        await until(lambda: again.state == "moved")
        assert len(watches[1].seen) == 1
        again.set_mask(city.mask(2))
        await until(seconds(again, 1))
        assert again.state == "recording"


async def test_a_blind_camera_goes_on_recording(make_camera: CameraMaker, film: Film, city: City) -> None:
    camera = make_camera(
        film(), senses=Senses(watch=lambda _, painted: Movable("blind" if painted[48, 80] else "moved"))
    )
    camera.set_mask(city.mask())
    async with running(camera):
        await until(seconds(camera, 2))
        assert camera.state == "blind"


class Loud:
    def hear(self, piece: av.AudioFrame, at_ms: int) -> bytes | None:
        return b"%d" % piece.samples if at_ms > START_MS // 2 else None


def film_with_sound(path: Path) -> Path:
    with av.open(path, "w") as container:
        video, sound = container.add_stream("ffv1", rate=15), container.add_stream("pcm_s16le", rate=8000)
        assert isinstance(video, av.VideoStream)
        assert isinstance(sound, av.AudioStream)
        video.width, video.height, video.pix_fmt, sound.layout = 64, 48, "yuv420p", "mono"
        for number in range(30):
            container.mux(video.encode(av.VideoFrame.from_ndarray(np.full((72, 64), 90, np.uint8), "yuv420p")))
            piece = av.AudioFrame.from_ndarray(np.full((1, 533), 99, np.int16), "s16", "mono")
            piece.sample_rate, piece.pts = 8000, number * 533
            container.mux(sound.encode(piece))
        container.mux(video.encode(None))
    return path


@pytest.mark.parametrize("is_approved", [True, False])
async def test_sound_is_decoded_only_where_the_board_approved_it(
    make_camera: CameraMaker, city: City, tmp_path: Path, *, is_approved: bool
) -> None:
    made: list[CameraSettings] = []

    def ear(settings: CameraSettings) -> Any:
        made.append(settings)
        return Loud()

    camera = make_camera(film_with_sound(tmp_path / "loud.mkv"), senses=Senses(ear=ear))
    camera.set_mask(city.mask())
    camera.configure(city.settings(2, is_sound_approved=is_approved, sound_opinion="令和8年第3号"))
    async with running(camera):
        await until(seconds(camera, 2))
    sounds = [levels for item in stored(camera) for levels in city.contents(item)["sound"]]
    assert bool(sounds) == bool(made) == is_approved
    assert set(sounds) <= {b"533"}


async def test_what_it_says_of_its_footage_is_true(make_camera: CameraMaker, film: Film, city: City) -> None:
    camera = make_camera(film())
    assert (camera.footage_chain, camera.footage_from_ms, camera.footage_mb) == (None, None, 0)
    camera.set_mask(city.mask())
    async with running(camera):
        await until(seconds(camera, 1))
        frozen = camera.freeze(Freeze("case-1", camera.clock.now_ms() - 1000, camera.clock.now_ms(), 1 << 50))
        assert frozen["segments"] == 1
        assert frozen["strands"] == [[item.head.strand_id, item.head.strand_wrapped] for item in stored(camera)]
        assert camera.thaw(Thaw("case-1")) == {"case": "case-1", "windows": 1, "deleted": 0}
    assert camera.footage_chain == stored(camera)[-1].chain
    again = make_camera(film())
    again._sweep()
    assert again.footage_from_ms == stored(again)[0].head.start_ms
    assert [item.path for item in again.segments_in(*EVER)] == [item.path for item in stored(again)]
    again.ring.close()


def test_a_city_without_keys_for_cameras_is_refused(make_camera: CameraMaker, film: Film, city: City) -> None:
    bundle = city.bundle
    object.__setattr__(bundle, "footage_key", None)
    camera = make_camera(film())
    camera.ring.close()
    with pytest.raises(CameraError):
        Camera.open(camera.config, bundle, journal=camera.journal, clock=camera.clock)


async def test_orders_are_carried_out_and_say_what_they_did(make_camera: CameraMaker, film: Film, city: City) -> None:
    camera = make_camera(film())
    handlers = camera.handlers()
    assert await handlers[SetMask](SetMask(city.mask(4))) == {"mask_version": 4}
    assert await handlers[Configure](Configure(city.settings(3))) == {"settings_version": 3}
    frozen = await handlers[Freeze](Freeze("case-1", START_MS, START_MS + 1, 1 << 50))
    assert frozen["gaps"] == [[START_MS, START_MS + 1]]
    assert await handlers[Thaw](Thaw("case-1")) == {"case": "case-1", "windows": 1, "deleted": 0}
    with pytest.raises(WireError):
        await handlers[SetMask](SetMask(b"forged"))
    camera.ring.close()


async def test_footage_that_cannot_be_opened_is_tried_again(make_camera: CameraMaker, film: Film, city: City) -> None:
    path = film()
    folder = film.folder / "state" / "camera"
    folder.mkdir(parents=True)
    (folder / "footage").write_bytes(b"in the way")
    camera = make_camera(path)
    camera.set_mask(city.mask())
    async with running(camera):
        await until(lambda: camera.state == "disk-full")
        with pytest.raises(RingError):
            camera.freeze(Freeze("case-1", START_MS, START_MS + 1, 1 << 50))
        (folder / "footage").unlink()
        camera.recorder.pause_ms = 200
        await until(seconds(camera, 1), 20)
        assert camera.state == "recording"
    assert camera.state == "stopped"
    assert camera.counts["camera_crashes"] == 0


def test_a_gateway_without_a_camera_loads_no_video_library() -> None:
    program = "import edge.__main__, sys; sys.exit(bool({'av', 'cv2', 'edge.camera'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], check=False, cwd=Path.cwd()).returncode == 0
