"""The air between a tag and a detector at 2.44 GHz: loss, shadow, body, fading, collisions. All functions vectorised.

The exponents, deviations and losses are engineering choices within published ranges; a street test should replace them.
"""

import math
from typing import Final

import numpy as np

from firmware_sim.geometry import Floats, Ints

TX_POWER_DBM: Final = 0.0
ANTENNA_DB: Final = -5.0
"""A coin-sized tag's antenna and case."""
SENSITIVITY_DBM: Final = -92.0
"""The floor seen in the SAL data set (-90 to -92); nRF52840's data sheet says -95."""
LOSS_AT_1_M_DB: Final = 40.2
"""Free space at 1 m and 2.44 GHz: 20 log10(4 pi / 0.1229)."""
WAVELENGTH_M: Final = 0.1229
TAG_HEIGHT_M: Final = 0.8
NEAR_EXPONENT: Final = 2.2
"""A residential street; open 2.1, busy 2.5 to 2.8, obstructed 3.2."""
FAR_EXPONENT: Final = 3.5
SHADOW_DB: Final = 6.0
SHADOW_CORRELATION_M: Final = 7.0
"""Shadowing fades into independence over 5 to 10 m in streets."""
FADING_DB: Final = 4.2
"""Per packet: successive samples of the SAL walk differ by 5.1 to 6.3 dB, which is sqrt(2) times this."""
BODY_DB: Final = 7.5
"""Half of the 15 dB that a body between tag and detector costs; 0 in front, 8 at the side (after Januszkiewicz,
Sensors 18 (2018) 3412)."""
PACKET_S: Final = 376e-6
"""A PDU with 31 octets of data, 47 octets on air at 1 Mbit/s."""
FOREIGN_RATE_HZ: Final = 150.0
"""Other packets a second on one advertising channel of a busy street (assumed)."""
FOREIGN_PACKET_S: Final = 300e-6


def breakpoint_m(height_m: float | Floats, tag_height_m: float = TAG_HEIGHT_M) -> float | Floats:
    """Where the slope gets steeper: 4 h1 h2 / lambda, 104 m for a camera at 4 m and a tag at 0.8 m.

    Source: ITU-R P.1411, line of sight in street canyons.
    """
    return 4 * height_m * tag_height_m / WAVELENGTH_M


def path_loss_db(distance_m: Floats, break_m: float | Floats = 104.0, near_exponent: float = NEAR_EXPONENT) -> Floats:
    """Dual-slope loss: 40.2 + 10 n1 log10 d up to the break point, then n2 = 3.5 (ITU-R P.1411's form).

    Args:
        distance_m: any shape; less than 1 m counts as 1 m.
        break_m: see `breakpoint_m`; a scalar or of the same shape.
        near_exponent: n1.
    """
    distance_m = np.maximum(distance_m, 1.0)
    near_m = np.minimum(distance_m, break_m)
    loss: Floats = (
        LOSS_AT_1_M_DB
        + 10 * near_exponent * np.log10(near_m)
        + 10 * FAR_EXPONENT * np.log10(np.maximum(distance_m / break_m, 1.0))
    )
    return loss


def entry_loss_db(frequency_ghz: float = 2.44) -> float:
    """Median loss through the wall of a traditional building, 14.2 dB. Source: ITU-R P.2109, r, s, t of its table 1."""
    log_f = math.log10(frequency_ghz)
    return 12.64 + 3.72 * log_f + 0.96 * log_f * log_f


def body_loss_db(cos_angle: Floats) -> Floats:
    """Loss by the wearer's body; `cos_angle` is 1 with the tag's side towards the detector, -1 with the back to it."""
    loss: Floats = BODY_DB * (1.0 - cos_angle)
    return loss


def reception_probability(
    distance_m: float, *, body_db: float = 8.0, near_exponent: float = NEAR_EXPONENT, sigma_db: float = SHADOW_DB
) -> float:
    """Chance that one packet arrives above the floor: a Gaussian margin of shadow and fading together."""
    loss_db = float(path_loss_db(np.array([distance_m]), near_exponent=near_exponent)[0])
    margin_db = TX_POWER_DBM + ANTENNA_DB - loss_db - body_db - SENSITIVITY_DBM
    return 0.5 * math.erfc(-margin_db / math.hypot(sigma_db, FADING_DB) / math.sqrt(2))


def collision_probability(rate_hz: Floats, foreign_hz: float = FOREIGN_RATE_HZ) -> Floats:
    """Chance that a packet is lost to another on its channel: unslotted ALOHA, no capture effect, so pessimistic.

    Args:
        rate_hz: other tags' events a second within range, (N-1)/T.
        foreign_hz: other packets a second on the channel.

    Source: N. Abramson, "The ALOHA System" (1970): exp(-2 tau rate); the second term for packets of another length.
    """
    exposed = 2 * PACKET_S * rate_hz + foreign_hz * (PACKET_S + FOREIGN_PACKET_S)
    lost: Floats = 1.0 - np.exp(-exposed)
    return lost


class Shadowing:
    """Log-normal shadowing of every (emitter, detector) pair, correlated over the way walked.

    Source: M. Gudmundson, "Correlation model for shadow fading in mobile radio systems", Electronics Letters 27 (1991):
    correlation exp(-moved / d_corr), as a first-order autoregression.
    """

    def __init__(self, emitters: int, detectors: int) -> None:
        self._shadow_db = np.zeros((emitters, detectors))
        self._seen_at_m = np.full((emitters, detectors), -1e9)

    def at(self, emitter: Ints, detector: Ints, walked_m: Floats, normal: Floats) -> Floats:
        """Shadow of each pair in dB; the pairs must differ from each other.

        Args:
            emitter: shape (n,), index.
            detector: shape (n,), index.
            walked_m: shape (n,), metres that both ends together have moved so far.
            normal: shape (n,), standard normal draws.
        """
        kept = np.exp((self._seen_at_m[emitter, detector] - walked_m) / SHADOW_CORRELATION_M)
        shadow_db = kept * self._shadow_db[emitter, detector] + np.sqrt(1 - kept * kept) * SHADOW_DB * normal
        self._shadow_db[emitter, detector] = shadow_db
        self._seen_at_m[emitter, detector] = walked_m
        moved: Floats = shadow_db
        return moved
