"""The 6 sealed octets beside an id: the tag's step and status, private and authenticated for one step of 4 seconds.

Our own construction from standard parts (AES-128, CMAC as of RFC 4493, the synthetic-nonce idea of RFC 5297);
layout, reasoning and limits in docs/WIRE.md, vectors in tests/vectors/status.json.
"""

import hmac
from dataclasses import dataclass
from typing import Final, Self

from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.cmac import CMAC

from wire.eid import encrypt_blocks
from wire.errors import SealError

STEP_S: Final = 4
"""A step of the tag's clock: sealed octets change this often, and a replay dies with them."""
MIN_BATTERY_DV: Final = 20
MAX_BATTERY_DV: Final = 35

MAC_LABEL: Final = b"MIMAMORI-mac-v1\x01"
ENC_LABEL: Final = b"MIMAMORI-enc-v1\x02"
"""Blocks that a tag's identity key encrypts into its two status keys."""
SOS, MOVING, CLOCK_LOST, BATTERY = 0x80, 0x40, 0x20, 0x0F
"""Bits of the second octet of a body."""


@dataclass(frozen=True, slots=True)
class TagStatus:
    """What a tag says of itself.

    Attributes:
        step: beacon time in steps of 4 s, modulo 256, so one lap of a 1024 s quantum.
        sos: the button was held within the last ten minutes.
        moving: the accelerometer felt a step within the last minute.
        clock_lost: the tag lost power and runs on a clock restored from memory.
        battery_dv: tenths of a volt, 20 to 35.
    """

    step: int
    sos: bool = False
    moving: bool = False
    clock_lost: bool = False
    battery_dv: int = 30


@dataclass(frozen=True, slots=True, repr=False)
class StatusKeys:
    """The two keys of a tag's status, 16 octets each, made once from its identity key."""

    mac_key: bytes
    enc_key: bytes

    @classmethod
    def of(cls, identity_key: bytes) -> Self:
        """Return the keys of a tag.

        Raises:
            ValueError: the identity key has not 16 octets.
        """
        both = encrypt_blocks(identity_key, MAC_LABEL + ENC_LABEL)
        return cls(both[:16], both[16:])


def step_of(beacon_time_s: int) -> int:
    """Return the step (0 to 255) of a beacon time."""
    return (beacon_time_s // STEP_S) & 0xFF


def battery_dv(battery_mv: float) -> int:
    """Return a battery's voltage as a status carries it: tenths of a volt, kept within 20 to 35."""
    return max(MIN_BATTERY_DV, min(MAX_BATTERY_DV, int(battery_mv // 100)))


def seal(keys: StatusKeys, eid: bytes, status: TagStatus) -> bytes:
    """Return the 6 sealed octets: 4 of CMAC over id and body, 2 of body under a mask that the first 4 select.

    Raises:
        SealError: step or battery out of range, or the id has not 8 octets.
    """
    if len(eid) != 8:
        raise SealError("an id has 8 octets")
    body = _body(status)
    tag = _mac(keys, eid, body)
    return tag + _masked(keys, eid, tag, body)


def open_(keys: StatusKeys, eid: bytes, sealed: bytes) -> TagStatus:
    """Return the status in 6 sealed octets. Whether its step is the step of now is for the caller to check.

    Raises:
        SealError: wrong lengths, or not sealed by this tag beside this id.
    """
    if len(eid) != 8 or len(sealed) != 6:
        raise SealError("an id has 8 octets, a sealed status 6")
    tag = bytes(sealed[:4])
    body = _masked(keys, eid, tag, sealed[4:])
    if not hmac.compare_digest(_mac(keys, eid, body), tag):
        raise SealError("not the status of this tag")
    step, bits = body
    return TagStatus(
        step=step,
        sos=bool(bits & SOS),
        moving=bool(bits & MOVING),
        clock_lost=bool(bits & CLOCK_LOST),
        battery_dv=MIN_BATTERY_DV + (bits & BATTERY),
    )


def _body(status: TagStatus) -> bytes:
    if not 0 <= status.step <= 0xFF:
        raise SealError("a step is 0 to 255")
    if not MIN_BATTERY_DV <= status.battery_dv <= MAX_BATTERY_DV:
        raise SealError("a battery has 20 to 35 tenths of a volt")
    bits = status.battery_dv - MIN_BATTERY_DV
    bits |= SOS * status.sos | MOVING * status.moving | CLOCK_LOST * status.clock_lost
    return bytes((status.step, bits))


def _mac(keys: StatusKeys, eid: bytes, body: bytes) -> bytes:
    cmac = CMAC(algorithms.AES128(keys.mac_key))
    cmac.update(bytes(eid) + body)
    return cmac.finalize()[:4]


def _masked(keys: StatusKeys, eid: bytes, tag: bytes, body: bytes) -> bytes:
    mask = encrypt_blocks(keys.enc_key, bytes(eid) + tag + bytes(4))
    return bytes((body[0] ^ mask[0], body[1] ^ mask[1]))
