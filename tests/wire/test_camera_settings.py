from dataclasses import replace
from typing import Any

import pytest

from wire import camera_settings, keys
from wire.camera_settings import CameraSettings
from wire.errors import MessageError, SealError

CITY = keys.new_signing_key()
SETTINGS = CameraSettings(3, retention_days=7, is_sound_approved=True, sound_opinion="審査会答申 第1号")
DOCUMENT = camera_settings.sign(SETTINGS, "town", "gw-001", signer=CITY, signed_at_ms=1_000)


def test_settings_of_the_city_are_read() -> None:
    assert camera_settings.verify(DOCUMENT, "town", "gw-001", verifier=CITY.public_key()) == SETTINGS


@pytest.mark.parametrize(("city", "camera"), [("other", "gw-001"), ("town", "gw-002")])
def test_settings_of_another_camera_are_refused(city: str, camera: str) -> None:
    with pytest.raises(SealError):
        camera_settings.verify(DOCUMENT, city, camera, verifier=CITY.public_key())


def test_settings_signed_by_another_key_are_refused() -> None:
    with pytest.raises(SealError):
        camera_settings.verify(DOCUMENT, "town", "gw-001", verifier=keys.new_signing_key().public_key())


@pytest.mark.parametrize(
    "change",
    [
        {"version": 0},
        {"retention_days": 0},
        {"retention_days": 32},
        {"max_mb": 0},
        {"fps": 0},
        {"fps": 61},
        {"sound_limit_db": 20},
        {"sound_opinion": ""},
    ],
)
def test_settings_that_no_camera_may_have_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(MessageError):
        replace(SETTINGS, **change)


def test_sound_is_off_unless_said_otherwise() -> None:
    assert not CameraSettings(1).is_sound_approved


@pytest.mark.parametrize("data", [b"", b"\xa0", b"\xa1\x00\x01", b"\xa1\x00\x02"])
def test_octets_that_are_no_settings_are_refused(data: bytes) -> None:
    with pytest.raises(MessageError):
        CameraSettings.decode(data)
