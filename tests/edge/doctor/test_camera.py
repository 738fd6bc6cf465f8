"""Camera and mask, with a real file of video and real signatures."""

import dataclasses
import fractions
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from edge.config import CameraConfig
from edge.doctor import camera
from privacy import masks
from privacy.masks import Mask
from wire import keys


def configured(url: str, password_file: str = "") -> CameraConfig:
    """Return what a configuration says of a camera."""
    return CameraConfig(url=url, password_file=password_file, open_timeout_s=2.0, read_timeout_s=2.0)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Two seconds of grey at ten pictures a second."""
    av = pytest.importorskip("av")
    import numpy as np  # noqa: PLC0415 -- with av

    file = tmp_path / "film.mp4"
    with av.open(str(file), "w") as container:
        stream = container.add_stream("mpeg4", rate=fractions.Fraction(10))
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for _ in range(20):
            picture = av.VideoFrame.from_ndarray(np.full((240, 320, 3), 128, np.uint8), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return file


def test_a_camera_is_opened_and_described(film: Path) -> None:
    seen = camera.look(configured(str(film)))
    assert (seen.codec, seen.width, seen.height, seen.fps) == ("mpeg4", 320, 240, 10.0)
    assert camera.judge(seen).verdict == "ok"
    assert camera.judge(seen._replace(fps=2.0)).verdict == "warn"


@pytest.mark.parametrize("content", [None, b"no film at all" * 100])
def test_a_camera_that_shows_nothing_fails_and_its_password_is_not_shown(tmp_path: Path, content: bytes | None) -> None:
    pytest.importorskip("av")
    file = tmp_path / "film.mp4"
    if content is not None:
        file.write_bytes(content)
    found = camera._camera(configured(str(file)))
    assert found.verdict == "fail"


def test_a_camera_that_does_not_answer_fails(tmp_path: Path) -> None:
    pytest.importorskip("av")
    (tmp_path / "password").write_text("s3cret/word\n")
    asked = configured("rtsp://admin@127.0.0.1:1/stream", str(tmp_path / "password"))
    found = camera._camera(asked)
    assert found.verdict == "fail"
    assert "s3cret" not in str(found)


@pytest.fixture
def masked(gateway: Any, city: Any) -> Any:
    """A gateway and what signs its masks."""
    signer = keys.new_signing_key()
    config = gateway()
    bundle = dataclasses.replace(
        city.bundle, order_key=signer.public_key(), footage_key=X25519PrivateKey.generate().public_key()
    )
    bundle.save(config.keys.city_file)
    (config.state_dir / "camera").mkdir(parents=True)
    return config, signer, config.state_dir / "camera" / "mask.cose"


def _mask(camera_id: str) -> Mask:
    return Mask(camera=camera_id, version=3, made_at_ms=1_000, polygons=(((0.0, 0.0), (1.0, 0.0), (1.0, 1.0)),))


def test_only_a_mask_of_the_city_for_this_camera_will_do(masked: Any) -> None:
    config, signer, file = masked
    assert camera.mask(config).verdict == "fail"
    file.write_bytes(masks.sign(_mask("gw-1"), config.city, signer=signer))
    assert camera.mask(config).en == "mask version 3 is valid"
    for document in (
        masks.sign(_mask("gw-2"), config.city, signer=signer),
        masks.sign(_mask("gw-1"), config.city, signer=keys.new_signing_key()),
        b"",
    ):
        file.write_bytes(document)
        assert camera.mask(config).verdict == "fail"


def test_a_gateway_without_a_camera_has_nothing_to_look_at(gateway: Any) -> None:
    assert camera.check(gateway()) == []
