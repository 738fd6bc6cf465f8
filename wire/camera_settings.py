"""The settings of a camera that the ordinance rules: signed by the city, so that nobody at the pole can change them."""

from dataclasses import dataclass
from typing import Final, Self

from cryptography.hazmat.primitives.asymmetric import ec

from wire import fields as _f
from wire import keys, seal
from wire.errors import MessageError, SealError

MAX_OCTETS: Final = 10_000
MAX_RETENTION_DAYS: Final = 31


@dataclass(frozen=True, slots=True)
class CameraSettings:
    """What the city decided for one camera.

    Attributes:
        version: above that of the settings before.
        retention_days: footage is deleted when so old, but for frozen windows.
        max_mb: and before that, the oldest first, when there is more of it.
        fps: frames a second that are kept at most.
        is_sound_approved: whether the board has approved the sound gate; without it no sound is even decoded.
        sound_opinion: what of the board approves it, as it is cited.
        sound_limit_db: level at the microphone, dB SPL, above which the level is written.
        sound_full_scale_db: the level of a full-scale sine at this microphone, dB SPL.
    """

    version: int
    retention_days: int = 14
    max_mb: int = 200_000
    fps: int = 15
    is_sound_approved: bool = False
    sound_opinion: str = ""
    sound_limit_db: int = 90
    sound_full_scale_db: int = 120

    def __post_init__(self) -> None:
        """Refuse values that no camera may have.

        Raises:
            MessageError: which one.
        """
        ranges = (
            ("version", self.version, 1, _f.UINT53 - 1),
            ("retention_days", self.retention_days, 1, MAX_RETENTION_DAYS),
            ("max_mb", self.max_mb, 10, 100_000_000),
            ("fps", self.fps, 1, 60),
            ("sound_limit_db", self.sound_limit_db, 30, 150),
            ("sound_full_scale_db", self.sound_full_scale_db, 60, 180),
        )
        for name, value, least, most in ranges:
            if not least <= value <= most:
                raise MessageError(f"{name} is {least} to {most}")
        if self.is_sound_approved and not self.sound_opinion:
            raise MessageError("an approval of the sound gate names the board's opinion")

    def encode(self) -> bytes:
        """Return the settings as CBOR."""
        return _f.dumps({number: getattr(self, name) for number, name in enumerate(self.__slots__, 1)})

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the settings in `data`.

        Raises:
            MessageError: malformed, of an unknown version, or out of range.
        """
        fields = _f.loads(data, max_octets=MAX_OCTETS)
        return cls(
            version=_f.uint(fields, 1),
            retention_days=_f.uint(fields, 2),
            max_mb=_f.uint(fields, 3),
            fps=_f.uint(fields, 4),
            is_sound_approved=_f.flag(fields, 5),
            sound_opinion=_f.text(fields, 6),
            sound_limit_db=_f.uint(fields, 7),
            sound_full_scale_db=_f.uint(fields, 8),
        )


def sign(
    settings: CameraSettings, city: str, camera: str, *, signer: ec.EllipticCurvePrivateKey, signed_at_ms: int
) -> bytes:
    """Return the document that the city sends to the gateway of `camera`."""
    header = seal.Header(
        city, camera, 0, settings.version, signed_at_ms, b"", keys.kid(signer.public_key()), "settings"
    )
    return seal.sign(settings.encode(), header, signer=signer)


def verify(document: bytes, city: str, camera: str, *, verifier: ec.EllipticCurvePublicKey) -> CameraSettings:
    """Return the settings in a document of the city for `camera`.

    Raises:
        SealError: not signed by the city, or for another camera.
        MessageError: the settings are none.
    """
    header, payload = seal.verify(document, verifier=verifier)
    settings = CameraSettings.decode(payload)
    if (header.city, header.detector, header.content) != (city, camera, "settings"):
        raise SealError("settings of another camera")
    if header.sequence != settings.version:
        raise SealError("the header names another version")
    return settings
