"""`mimamori-sim street`: the street scene, written to a file or served as a camera would."""

import asyncio
import datetime as dt
import json
import re
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from firmware_sim.errors import FeedError

if TYPE_CHECKING:
    from firmware_sim.street.feed import Camera

_JST = dt.timezone(dt.timedelta(hours=9))


def street(  # noqa: PLR0913 - a command's options are its parameters
    *,
    out: Annotated[Path | None, typer.Option(help="書き出す動画。Video to write: .mp4, .mkv or .ts.")] = None,
    serve: Annotated[
        str, typer.Option(help="ライブ配信。Serve live: rtsp://127.0.0.1:PORT, tcp://127.0.0.1:PORT or unix:/PATH.")
    ] = "",
    seconds: Annotated[int, typer.Option(min=1, max=86_400, help="動画の秒数。Seconds to write.")] = 60,
    size: Annotated[str, typer.Option(help="画面の大きさ。Picture size, WIDTHxHEIGHT, even numbers.")] = "1280x720",
    fps: Annotated[int, typer.Option(min=1, max=60, help="毎秒のコマ数。Frames a second.")] = 15,
    seed: Annotated[int, typer.Option(min=0, help="乱数の種。The same seed gives the same street.")] = 7,
    start: Annotated[str, typer.Option(help="始まる時刻。Local start time, ISO 8601; default: now.")] = "",
    loud_at: Annotated[
        str, typer.Option(help="大きな音の秒。Seconds at which something is loud, e.g. 10,40; `-`: a silent track.")
    ] = "",
    turn_at: Annotated[
        float, typer.Option(help="カメラの向きが変わる秒。Second at which the camera is turned; -1: never.")
    ] = -1.0,
    turn_px: Annotated[float, typer.Option(help="その画素数。By so many pixels, to the right.")] = 0.0,
    masks: Annotated[
        bool, typer.Option("--masks", help="私有地の範囲を JSON で表示。Print the private areas as JSON and end.")
    ] = False,
) -> None:
    """街角を映す。Film a generated street: to a file with --out, or live with --serve."""
    if bool(out) + bool(serve) + masks != 1:
        raise typer.BadParameter("--out か --serve か --masks の一つを。Give one of --out, --serve, --masks")
    try:
        import cv2  # noqa: PLC0415 - OpenCV and FFmpeg are not needed elsewhere

        from firmware_sim.street import feed, noise, scene  # noqa: PLC0415 - as above
    except ImportError as error:
        raise FeedError(f"カメラの部品がありません。Install the extra `sim`: {error.name} is missing") from error
    cv2.setNumThreads(1)
    width, height = _size(size)
    sight = scene.Scene(width, height, seed)
    if masks:
        typer.echo(json.dumps(scene.private_polygons(sight)))
        return

    def turn(at_s: float) -> None:
        if 0 <= turn_at <= at_s and sight.conditions.view.pan_px != turn_px:
            sight.conditions = replace(sight.conditions, view=replace(sight.conditions.view, pan_px=turn_px))

    heard = noise.Noise(loud_at_s=_seconds(loud_at), seed=seed) if loud_at else None
    camera = feed.Camera(sight, _start_ms(start), fps, heard, turn)
    if out:
        _write(camera, out, seconds)
    else:
        _serve(camera, serve)


def _write(camera: "Camera", out: Path, seconds: int) -> None:
    from firmware_sim.street import feed  # noqa: PLC0415 - as above

    with Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task("録画 / filming", total=seconds * camera.fps)
        feed.write(camera, out, seconds=seconds, on_frame=lambda: progress.advance(bar))
    typer.echo(json.dumps({"file": str(out), "frames": seconds * camera.fps}))


def _serve(camera: "Camera", url: str) -> None:
    from firmware_sim.street import feed  # noqa: PLC0415 - as above

    if url.startswith("rtsp:"):
        asyncio.run(_serve_rtsp(camera, url))
        return
    stop = threading.Event()
    live = feed.Feed(camera, url)
    ender: Callable[[int, Any], None] = lambda *_: stop.set()  # noqa: E731 - the signature is the library's
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ender)
    _tell(live.url)
    live.serve(stop)


async def _serve_rtsp(camera: "Camera", url: str) -> None:
    from firmware_sim.street import feed, rtsp  # noqa: PLC0415 - as above

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with rtsp.RtspCamera(camera, feed.port_of(url, "rtsp")) as live:
        _tell(live.url)
        await stop.wait()


def _tell(url: str) -> None:
    sys.stdout.write(json.dumps({"url": url}) + "\n")
    sys.stdout.flush()


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{2,4})x(\d{2,4})", text)
    width, height = (int(found[1]), int(found[2])) if found else (0, 0)
    if width < 64 or height < 48 or width % 2 or height % 2:
        raise typer.BadParameter("--size: 1280x720 のように、偶数で。Such as 1280x720, even numbers")
    return width, height


def _seconds(text: str) -> tuple[float, ...]:
    if text == "-":
        return ()
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise typer.BadParameter("--loud-at: 10,40 のように。Such as 10,40") from error


def _start_ms(text: str) -> int:
    try:
        at = dt.datetime.fromisoformat(text) if text else dt.datetime.now(_JST)
    except ValueError as error:
        raise typer.BadParameter(f"--start: 時刻ではありません。Not a time: {error}") from error
    return int((at if at.tzinfo else at.replace(tzinfo=_JST)).timestamp() * 1000)
