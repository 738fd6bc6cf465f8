"""The camera and its mask. PyAV is loaded only where a camera is configured."""

import time
from typing import Final, NamedTuple

from edge.config import CameraConfig, EdgeConfig
from edge.doctor.finding import Finding, fail, warn
from privacy import masks
from wire import keys
from wire.errors import WireError

LOOK_S: Final = 4.0
FRAMES: Final = 60
FEW_FPS: Final = 5.0


class Look(NamedTuple):
    """What was seen of a camera: its codec, the picture's size, and how many pictures came a second."""

    codec: str
    width: int
    height: int
    fps: float


def check(config: EdgeConfig) -> list[Finding]:
    """Return how camera and mask are; nothing where no camera is configured."""
    camera = config.camera
    if not camera.url:
        return []
    return [_camera(camera), mask(config)]


def _camera(camera: CameraConfig) -> Finding:
    try:
        return judge(look(camera))
    except ImportError:
        return fail("camera", "映像用の部品がありません", "the parts for a camera are not installed").to_do(
            "pip install 'mimamori[edge,camera]'", "pip install 'mimamori[edge,camera]'"
        )
    except (OSError, ValueError) as error:  # PyAV's errors are one of these, or both
        reason = type(error).__name__
        if "Busy" in reason or getattr(error, "errno", None) == 16:
            return warn("camera", "カメラは使用中です", "the camera is in use").to_do(
                "ゲートウェイが動作中なら正常です", "as it should be while the gateway runs"
            )
        return fail("camera", f"カメラを開けません({reason})", f"the camera cannot be opened ({reason})").to_do(
            "camera.url、パスワード、電源、配線を確認してください", "check camera.url, its password, power and cable"
        )


def look(camera: CameraConfig) -> Look:
    """Return what the camera shows in `LOOK_S` seconds.

    Raises:
        OSError: it cannot be opened, or shows nothing.
        ValueError: likewise.
        ImportError: PyAV is not installed.
    """
    from edge.camera.source import opened  # noqa: PLC0415 -- only where a camera is configured

    with opened(camera) as source:
        if not source.streams.video:
            raise ValueError("no picture")
        video = source.streams.video[0]
        seen, began_s = 0, 0.0
        for frame in source.decode(video):
            began_s = began_s or time.monotonic()
            seen += 1
            size = (frame.width, frame.height)
            if seen >= FRAMES or time.monotonic() - began_s >= LOOK_S:
                break
        if not seen:
            raise ValueError("no picture")
        took_s = max(time.monotonic() - began_s, 1e-3)
        measured = (seen - 1) / took_s
        told = float(video.average_rate or 0)
        # A file is read as fast as it can be: there the rate it tells is the better one.
        return Look(video.codec_context.name, *size, min(measured, told) if told else measured)


def judge(seen: Look) -> Finding:
    """Return what a look at the camera means."""
    what = f"{seen.codec} {seen.width}x{seen.height}, {seen.fps:.1f} fps"
    if seen.fps < FEW_FPS:
        return warn("camera", f"映像が少ないです({what})", f"few pictures come ({what})").to_do(
            "照明(低速シャッター)、回線、カメラの設定を確認してください",
            "check the light (slow shutter), the line and the camera's settings",
        )
    return Finding.ok("camera", f"映像は正常です({what})", f"pictures come ({what})")


def mask(config: EdgeConfig) -> Finding:
    """Return whether the mask in force is one of the city for this camera."""
    file = config.state_dir / "camera" / "mask.cose"
    ask_ja, ask_en = "市の担当者にマスクの配信を頼んでください", "ask the city to send a mask"
    try:
        document = file.read_bytes()
    except OSError:
        return fail("mask", "マスクがなく録画できません", "there is no mask, so nothing is recorded").to_do(
            ask_ja, ask_en
        )
    try:
        bundle = keys.CityBundle.load(config.keys.city_file)
        if bundle.order_key is None:
            return fail("mask", "市の指示用の鍵がありません", "the city file has no key for orders").to_do(
                "新しいcity.jsonを受け取ってください", "get a newer city.json"
            )
        found = masks.verify(document, config.city, config.detector, verifier=bundle.order_key)
    except (WireError, OSError):
        return fail(
            "mask", "マスクの署名が正しくありません", "the mask is not signed by the city for this camera"
        ).to_do(ask_ja, ask_en)
    return Finding.ok("mask", f"マスク第{found.version}版は有効です", f"mask version {found.version} is valid")
