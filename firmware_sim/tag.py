"""One tag as its firmware is: identity, clock, frames. Rotation and sealed status as in docs/WIRE.md.

The counter starts at 65,280 s, as google/eddystone's eid-computation.md asks, so that the first change of temporary key
comes 256 s later and is seen in every test. It is saved once a day; after a power loss the tag goes on from the saved
value and says so.
"""

import dataclasses
import hashlib
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import numpy as np

from wire import eid, frames, status, telemetry

Kind = Literal["eid", "uid", "ibeacon"]

COUNTER_START_S: Final = 65_280
SAVED_EVERY_S: Final = 86_400
ROTATION_EXPONENT: Final = 10
TX_POWER_AT_0_M_DBM: Final = -4
"""Received power at 1 m (0 - 5 - 40.2 dBm) plus 41 dB, which is what Eddystone calls power at 0 m."""
TX_POWER_AT_1_M_DBM: Final = -45
MAX_DRIFT_PPM: Final = 40.0
"""A tag's crystal at room temperature; Eddystone-EID allows 150."""
UID_NAMESPACE: Final = hashlib.sha1(b"mimamori.example", usedforsecurity=False).digest()[:10]
"""As Eddystone-UID advises: the first 10 octets of the SHA-1 of a domain name."""
IBEACON_UUID: Final = hashlib.sha256(b"mimamori.example/ibeacon").digest()[:16]


class Advert(NamedTuple):
    """What goes on air: address most significant octet first, AdvData of at most 31 octets."""

    address: bytes
    data: bytes


class State(NamedTuple):
    """What of a tag changes from event to event: button, accelerometer, cell and count of events."""

    sos: bool
    moving: bool
    battery_mv: int
    adv_count: int


@dataclass(frozen=True, slots=True)
class Tag:
    """What was burnt into a tag, and its crystal.

    Attributes:
        identity_key: 16 octets; empty for the old kinds.
        static: namespace and instance (16 octets) or UUID, major, minor (20); empty for "eid".
        started_ms: Unix milliseconds when the counter stood at `COUNTER_START_S`.
        drift_ppm: how much faster than true its clock runs.
        depth: share of the cell that was used up when the town began, 0 to 1.
        clock_lost: the tag lost power since it was provisioned.
    """

    id: str
    kind: Kind
    identity_key: bytes
    static: bytes
    started_ms: int
    drift_ppm: float
    depth: float
    clock_lost: bool = False

    def beacon_ms(self, at_ms: float) -> float:
        """The tag's own clock at a Unix time, milliseconds."""
        return COUNTER_START_S * 1000 + (at_ms - self.started_ms) * (1 + self.drift_ppm * 1e-6)

    def offset_ms(self, at_ms: int) -> int:
        """Unix time less the tag's clock, as the city notes it down at provisioning."""
        return round(at_ms - self.beacon_ms(at_ms))

    def step(self, at_ms: float) -> int:
        """Number of the 4-second step since the counter was 0."""
        return int(self.beacon_ms(at_ms) // (1000 * status.STEP_S))

    def restarted(self, at_ms: int) -> "Tag":
        """The tag after a change of cell: back at the value that was saved last, clock lost, cell full."""
        saved_s = self.beacon_ms(at_ms) / 1000 // SAVED_EVERY_S * SAVED_EVERY_S
        started_ms = at_ms - (max(saved_s, COUNTER_START_S) - COUNTER_START_S) * 1000
        return dataclasses.replace(self, started_ms=round(started_ms), clock_lost=True, depth=0.0)

    def sighting_frame(self, at_ms: float, state: State) -> frames.Frame:
        """The frame by which a detector sees the tag."""
        if self.kind == "uid":
            return frames.UidFrame(TX_POWER_AT_0_M_DBM, self.static[:10], self.static[10:])
        if self.kind == "ibeacon":
            major, minor = int.from_bytes(self.static[16:18], "big"), int.from_bytes(self.static[18:], "big")
            return frames.IBeaconFrame(self.static[:16], major, minor, TX_POWER_AT_1_M_DBM)
        beacon_s = int(self.beacon_ms(at_ms) // 1000)
        now_id = eid.derive(self.identity_key, ROTATION_EXPONENT, beacon_s)
        said = status.TagStatus(
            step=status.step_of(beacon_s),
            sos=state.sos,
            moving=state.moving,
            clock_lost=self.clock_lost,
            battery_dv=status.battery_dv(state.battery_mv),
        )
        sealed = status.seal(status.StatusKeys.of(self.identity_key), now_id, said)
        return frames.EidFrame(TX_POWER_AT_0_M_DBM, now_id, sealed)

    def telemetry_frame(self, at_ms: float, state: State) -> frames.Frame:
        """The frame interleaved now and then: plain TLM for old kinds, encrypted for rotating ones."""
        beacon_ms = self.beacon_ms(at_ms)
        uptime_ds = int(beacon_ms - COUNTER_START_S * 1000) // 100 & 0xFFFFFFFF
        tlm = frames.TlmFrame(state.battery_mv, 2_000, state.adv_count & 0xFFFFFFFF, uptime_ds)
        if self.kind != "eid":
            return tlm
        salt = hashlib.blake2b(self.identity_key + state.adv_count.to_bytes(8, "big"), digest_size=2).digest()
        return telemetry.encrypt_tlm(self.identity_key, ROTATION_EXPONENT, int(beacon_ms // 1000), tlm=tlm, salt=salt)

    def address(self, at_ms: float) -> bytes:
        """Non-resolvable private address (top bits 00), new with each id; the old kinds keep one (static, 11)."""
        if self.kind != "eid":
            return _address(self.static, 0, top_bits=0xC0)
        return _address(self.identity_key, int(self.beacon_ms(at_ms) // 1000) >> ROTATION_EXPONENT, top_bits=0x00)


def _address(key: bytes, number: int, *, top_bits: int) -> bytes:
    """48 bits of a keyed hash in the place of the firmware's random generator, so that a seed gives the same town."""
    raw = hashlib.blake2b(number.to_bytes(8, "big"), key=key, digest_size=6).digest()
    return bytes((raw[0] & 0x3F | top_bits,)) + raw[1:]


def provision(seed: int, count: int, provisioned_ms: int) -> tuple[Tag, ...]:
    """That many tags, set going within the last twelve hours; one in 25 is an old UID tag, one in 25 an iBeacon.

    Keys come from the seed: simulated tags guard nothing, and a recording must come out the same again.
    """
    rng = np.random.default_rng([seed, 5])
    return tuple(_tag(seed, number, provisioned_ms, rng) for number in range(count))


def _tag(seed: int, number: int, provisioned_ms: int, rng: np.random.Generator) -> Tag:
    running_ms = int(rng.uniform(60e3, 12 * 3600e3))
    drift_ppm, depth = float(rng.uniform(-MAX_DRIFT_PPM, MAX_DRIFT_PPM)), float(rng.uniform(0.0, 0.97))
    secret = hashlib.sha256(f"mimamori-sim/tag/{seed}/{number}".encode()).digest()[:16]
    kind, static = _kind(number)
    key = secret if kind == "eid" else b""
    depth = min(depth, 0.6) if number % 10 else depth
    return Tag(f"tag-{number + 1:03d}", kind, key, static, provisioned_ms - running_ms, drift_ppm, depth)


def _kind(number: int) -> tuple[Kind, bytes]:
    if number % 25 == 7:
        return "uid", UID_NAMESPACE + number.to_bytes(6, "big")
    if number % 25 == 19:
        return "ibeacon", IBEACON_UUID + (1).to_bytes(2, "big") + number.to_bytes(2, "big")
    return "eid", b""
