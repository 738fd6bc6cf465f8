"""What the city has decided for this camera: its mask and its settings, signed, in files, looked at every second."""

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from edge.camera import disk
from edge.errors import CameraError
from privacy import masks
from privacy.masks import Mask
from wire import camera_settings
from wire.camera_settings import CameraSettings
from wire.errors import MessageError, SealError
from wire.keys import CityBundle

DEFAULTS: Final = CameraSettings(version=1)
"""What holds until the city has said otherwise."""


@dataclass(slots=True)
class Rules:
    """Mask and settings of one camera.

    Attributes:
        folder: state_dir/camera; the documents are mask.cose and settings.cose.
        mask: in force; None = nothing may be recorded.
        settings: in force.
    """

    folder: Path
    city: CityBundle
    camera: str
    mask: Mask | None = None
    settings: CameraSettings = DEFAULTS
    _mask_document: bytes = b""
    _settings_document: bytes = b""
    _newest_mask: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def mask_file(self) -> Path:
        """Return the file of the mask."""
        return self.folder / "mask.cose"

    @property
    def settings_file(self) -> Path:
        """Return the file of the settings."""
        return self.folder / "settings.cose"

    def load(self) -> bool:
        """Take up what the files say, and return whether the settings are as the city signed them, if it ever did."""
        self.check()
        document = _read(self.settings_file)
        if not document:
            return True
        try:
            self.settings = self._verified_settings(document)
        except (SealError, MessageError, CameraError):
            return False
        self._settings_document = document
        return True

    def check(self) -> Mask | None:
        """Return the mask in force after a look at its file: None if that is gone, changed, forged or of before."""
        with self._lock:
            document = _read(self.mask_file)
            if self.mask is not None and document == self._mask_document:
                return self.mask
            try:
                mask = self._verified_mask(document)
            except (SealError, MessageError, CameraError):
                self.mask = None
            else:
                self._adopt(mask, document)
            return self.mask

    def set_mask(self, document: bytes) -> Mask:
        """Make this the mask, on disk when it returns.

        Raises:
            SealError: not signed by the city for this camera.
            MessageError: what is signed is no mask.
            CameraError: older than the one in force.
            OSError: the disk is full, read-only or gone; nothing is changed.
        """
        with self._lock:
            mask = self._verified_mask(document)
            disk.replace(self.mask_file, document)
            self._adopt(mask, document)
            return mask

    def configure(self, document: bytes) -> CameraSettings:
        """Make these the settings, on disk when it returns.

        Raises:
            SealError: not signed by the city for this camera.
            MessageError: what is signed are no settings.
            CameraError: older than those in force.
            OSError: the disk is full, read-only or gone; nothing is changed.
        """
        with self._lock:
            settings = self._verified_settings(document)
            disk.replace(self.settings_file, document)
            self.settings, self._settings_document = settings, document
            return settings

    def _adopt(self, mask: Mask, document: bytes) -> None:
        # The same object as long as it is the same mask: whoever draws asks by identity.
        if mask != self.mask:
            self.mask = mask
        self._mask_document, self._newest_mask = document, mask.version

    def _verified_mask(self, document: bytes) -> Mask:
        mask = masks.verify(document, self.city.city, self.camera, verifier=self._order_key)
        is_other = mask.version == self._newest_mask and document != self._mask_document
        if mask.version < self._newest_mask or (is_other and mask != self.mask):
            raise CameraError("a mask that is not newer than the one in force")
        return mask

    def _verified_settings(self, document: bytes) -> CameraSettings:
        settings = camera_settings.verify(document, self.city.city, self.camera, verifier=self._order_key)
        if self._settings_document and settings.version <= self.settings.version and settings != self.settings:
            raise CameraError("settings that are not newer than those in force")
        return settings

    @property
    def _order_key(self) -> ec.EllipticCurvePublicKey:
        if self.city.order_key is None:
            raise CameraError("the city file holds no key for orders")
        return self.city.order_key


def _read(path: Path) -> bytes:
    """Return what is in a file; nothing if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(1_000_000)
    except OSError:
        return b""
