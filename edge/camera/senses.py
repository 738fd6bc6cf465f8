"""What may be plugged into a camera: something that sees whether it was moved, something that hears how loud it is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import av
import numpy as np
from numpy.typing import NDArray

from privacy.masks import Mask
from wire.camera_settings import CameraSettings


class Watch(Protocol):
    """Compares the view with the one that the mask was drawn for."""

    def see(self, grey: NDArray[np.uint8]) -> str:
        """Return "moved" or "blind", or another word where neither: what the painted picture shows.

        Args:
            grey: shape (height, width), its luma as it is encoded.
        """


class Ear(Protocol):
    """Measures sound, and gives levels alone."""

    def hear(self, piece: av.AudioFrame, at_ms: int) -> bytes | None:
        """Return levels to be written, None where nothing may be."""


@dataclass(frozen=True, slots=True)
class Senses:
    """What may be plugged in.

    Attributes:
        watch: makes the watch for a mask that came into force, given too which pixels of the picture are painted,
            shape (height, width); None: nobody looks whether the camera moved.
        ear: makes the ear for settings in which sound is approved; None: no sound.
    """

    watch: Callable[[Mask, NDArray[np.bool_]], Watch] | None = None
    ear: Callable[[CameraSettings], Ear] | None = None
