"""The live air: in each step of one town second, who advertises, who hears it, how strongly.

The same town, seed and start give the same packets: every draw comes in one fixed order from one generator, whether or
not a detector listens. Only pairs within `RANGE_M` are worked out.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal
from zoneinfo import ZoneInfo

import numpy as np

from firmware_sim import people as inhabitants
from firmware_sim import radio, vehicles
from firmware_sim.fleet import Fleet
from firmware_sim.geometry import Flags, Floats, Ints
from firmware_sim.movement import Movement, Positions
from firmware_sim.strangers import SHOPS, Strangers
from firmware_sim.tag import Advert, Tag
from firmware_sim.town import GATEWAY_HEIGHT_M, Town

STEP_MS: Final = 1_000
RANGE_M: Final = 180.0
"""Farther pairs are left out: 15 dB below the floor even without a body between."""
FIDGET_MPS: Final = 0.05
"""Nobody stands like a post, and others walk about: shadows change within minutes even where a tag rests."""
TZ: Final = ZoneInfo("Asia/Tokyo")
PHONE_LOSS_DB: Final = 4.0
"""A phone in a pocket or bag."""
VEHICLE_LOSS_DB: Final = 5.0
"""Inside a car body."""

DetectorKind = Literal["fixed", "vehicle", "phone"]


@dataclass(frozen=True, slots=True)
class Receiver:
    """A detector as the radio sees it: fixed at a place, or carried by a mover (index, see `Air.movers`)."""

    id: str
    kind: DetectorKind
    mover: int
    x_m: float
    y_m: float
    height_m: float
    building: int
    loss_db: float


@dataclass(frozen=True, slots=True)
class Heard:
    """Packets of one step that arrived, ascending in time; all shape (n,).

    Attributes:
        receivers: index into `Air.receivers`.
        emitters: index of the tag; from `len(tags)` on strangers.
        at_us: Unix microseconds.
        rssi_dbm: rounded, at least the receiver's floor.
        channels: 37, 38 or 39.
        is_telemetry: the packet carries telemetry, not an id.
    """

    receivers: Ints
    emitters: Ints
    at_us: Ints
    rssi_dbm: Ints
    channels: Ints
    is_telemetry: Flags

    def __len__(self) -> int:
        return len(self.at_us)


def receivers_of(town: Town) -> tuple[Receiver, ...]:
    """All detectors: 60 gateways, 3 vehicles, 40 phones."""
    fixed = [Receiver(g.id, "fixed", -1, g.x_m, g.y_m, GATEWAY_HEIGHT_M, g.building, 0.0) for g in town.gateways]
    walkers = inhabitants.PUPILS + inhabitants.ELDERS
    cars = [
        Receiver(vehicle[0], "vehicle", walkers + inhabitants.VOLUNTEERS + n, 0, 0, 1.5, -1, VEHICLE_LOSS_DB)
        for n, vehicle in enumerate(vehicles.VEHICLES)
    ]
    phones = [
        Receiver(f"phone-{n + 1:02d}", "phone", walkers + n, 0, 0, 1.0, -1, PHONE_LOSS_DB)
        for n in range(inhabitants.VOLUNTEERS)
    ]
    return (*fixed, *cars, *phones)


class Air:
    """The town in motion. Movers are the people (wards, then volunteers) and then the vehicles.

    Args:
        town: what stands still.
        tags: tag k is carried by person k.
        start_ms: Unix milliseconds; cut down to a whole second.
    """

    def __init__(self, town: Town, tags: Sequence[Tag], start_ms: int) -> None:
        self.town = town
        self.people = inhabitants.inhabitants(town)
        self.receivers = receivers_of(town)
        self.now_ms = start_ms // STEP_MS * STEP_MS
        self._rng = np.random.default_rng([town.seed, 4, self.now_ms // STEP_MS])
        self.fleet = Fleet(tags, self.now_ms, self._rng)
        self.strangers = Strangers(town.seed, self.now_ms, self._rng)
        self._tags = len(tags)
        self._day = dt.date.min
        self._emitter_mover, self._fixed_emitter_m = self._emitters()
        self._worn_rad = np.array([person.worn_rad for person in self.people])
        self._shadowing = radio.Shadowing(len(self._emitter_mover), len(self.receivers))
        self._set_receivers()
        self._begin_day()
        self._heading_rad = np.zeros(len(self._movement))
        self._walked_m = np.zeros(len(self._movement))

    def positions(self, at_ms: float) -> Positions:
        """All movers at a time of the current local day; a little past its end counts as its end."""
        return self._movement.at(min((at_ms - self._midnight_ms) / 1000, 86_400.0))

    def step(self, listening: Flags | None = None) -> Heard:
        """The next second.

        Args:
            listening: shape (receivers,); packets of the others are left out of the answer, yet drawn all the same.
        """
        self._begin_day()
        start_ms, end_ms = self.now_ms, self.now_ms + STEP_MS
        for person, press_ms in self._presses:
            if start_ms <= press_ms < end_ms:
                self.fleet.press(person, press_ms)
        where = self.positions(start_ms + STEP_MS / 2)
        speeds_mps = where.speeds_mps
        self._walked_m += np.maximum(speeds_mps, FIDGET_MPS) * (STEP_MS / 1000)
        turned = speeds_mps > 0
        self._heading_rad[turned] = np.arctan2(where.north_mps, where.east_mps)[turned]
        self._place_receivers(where)
        rounds = list(self.fleet.events(start_ms, end_ms, speeds_mps[: self._tags], self._rng))
        others, others_ms = self.strangers.events(end_ms, self._rng)
        rounds.append((others + self._tags, others_ms, np.zeros(others.size, dtype=np.bool_)))
        self.now_ms = end_ms
        return self._heard(rounds, where, listening)

    def skip(self, skip_ms: int) -> None:
        """Let that time pass in silence; every rhythm goes on after it."""
        self.now_ms += skip_ms
        self.fleet.skip(skip_ms)
        self.strangers.skip(skip_ms)

    def advert(self, emitter: int, at_us: int, *, is_telemetry: bool) -> Advert:
        """What that emitter sent at a time of the last step."""
        if emitter >= self._tags:
            return self.strangers.advert(emitter - self._tags, at_us / 1000)
        return self.fleet.advert(emitter, at_us / 1000, is_telemetry=is_telemetry)

    def _emitters(self) -> tuple[Ints, Floats]:
        """Mover of each emitter, -1 for the shops' beacons, and where those stand, shape (shops, 2)."""
        carried = np.arange(self._tags)
        volunteers = np.arange(self.strangers.count - SHOPS) + inhabitants.PUPILS + inhabitants.ELDERS
        arcade = self.town.sites["shops"].spot
        around = np.linspace(0, 2 * np.pi, SHOPS, endpoint=False)
        shops_m = np.array((arcade.x_m, arcade.y_m)) + 70 * np.stack((np.cos(around), np.sin(around)), axis=1)
        return np.concatenate((carried, np.full(SHOPS, -1), volunteers)), shops_m

    def _set_receivers(self) -> None:
        columns = self.receivers
        self._mover = np.array([r.mover for r in columns])
        self._carried = np.flatnonzero(self._mover >= 0)
        self._rx_m = np.array([(r.x_m, r.y_m) for r in columns])
        self._rx_building = np.array([r.building for r in columns])
        self._rx_rise_m = np.array([r.height_m for r in columns]) - radio.TAG_HEIGHT_M
        self._rx_break_m = np.asarray(radio.breakpoint_m(np.array([r.height_m for r in columns])))
        self._rx_gain_db = radio.TX_POWER_DBM + radio.ANTENNA_DB - np.array([r.loss_db for r in columns])

    def _begin_day(self) -> None:
        local = dt.datetime.fromtimestamp(self.now_ms / 1000, TZ)
        if local.date() == self._day:
            return
        self._day = local.date()
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
        self._midnight_ms = midnight.timestamp() * 1000
        moving = inhabitants.day_of(self.town, self.people, self._day) + vehicles.day_of(self.town, self._day)
        self._movement = Movement(moving)
        self._presses = [(who, self._midnight_ms + at_s * 1000) for who, at_s in inhabitants.presses(self._day)]

    def _place_receivers(self, where: Positions) -> None:
        movers = self._mover[self._carried]
        self._rx_m[self._carried, 0] = where.x_m[movers]
        self._rx_m[self._carried, 1] = where.y_m[movers]
        self._rx_building[self._carried] = where.buildings[movers]

    def _heard(self, rounds: list[tuple[Ints, Floats, Flags]], where: Positions, listening: Flags | None) -> Heard:
        near = [self._near(emitters, where) for emitters, _, _ in rounds]
        in_range = np.zeros(len(self.receivers))
        for _, receiver, _, _ in near:
            in_range += np.bincount(receiver, minlength=len(self.receivers))
        lost = radio.collision_probability(np.maximum(in_range - 1, 0) * (1000 / STEP_MS))
        parts = []
        for (emitters, at_ms, is_telemetry), pairs in zip(rounds, near, strict=True):
            row, receiver, rssi_dbm = self._received(emitters, pairs, where, lost)
            channels = self._rng.integers(37, 40, row.size)
            at_us = np.floor(at_ms[row] * 1000).astype(np.int64)
            parts.append((receiver, emitters[row], at_us, rssi_dbm, channels, is_telemetry[row]))
        columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
        if listening is not None:
            kept = listening[columns[0]]
            columns = [column[kept] for column in columns]
        order = np.argsort(columns[2], kind="stable")
        return Heard(*(column[order] for column in columns))

    def _near(self, emitters: Ints, where: Positions) -> tuple[Ints, Ints, Floats, Floats]:
        """Pairs in range: row of the emitter, receiver, and metres east and north from emitter to receiver."""
        mover = self._emitter_mover[emitters]
        x_m, y_m = where.x_m[mover], where.y_m[mover]
        fixed = np.flatnonzero(mover < 0)
        stand_m = self._fixed_emitter_m[emitters[fixed] - self._tags]
        x_m[fixed], y_m[fixed] = stand_m[:, 0], stand_m[:, 1]
        east_m = self._rx_m[None, :, 0] - x_m[:, None]
        north_m = self._rx_m[None, :, 1] - y_m[:, None]
        # A phone does not hear what its own bearer carries as a stranger's tag.
        own = (mover[:, None] == self._mover[None, :]) & (mover[:, None] >= 0)
        row, receiver = np.nonzero((east_m * east_m + north_m * north_m < RANGE_M * RANGE_M) & ~own)
        return row, receiver, east_m[row, receiver], north_m[row, receiver]

    def _received(
        self, emitters: Ints, pairs: tuple[Ints, Ints, Floats, Floats], where: Positions, lost: Floats
    ) -> tuple[Ints, Ints, Ints]:
        """Which pairs' packets arrive: row of the emitter, receiver, RSSI in dBm."""
        row, receiver, east_m, north_m = pairs
        emitter = emitters[row]
        mover = self._emitter_mover[emitter]
        flat_m = np.hypot(east_m, north_m)
        gain_db = self._rx_gain_db[receiver] - radio.path_loss_db(
            np.hypot(flat_m, self._rx_rise_m[receiver]), self._rx_break_m[receiver]
        )
        gain_db -= self._body_db(mover, np.arctan2(north_m, east_m), emitter < self._tags)
        gain_db -= self._walls_db(np.where(mover < 0, -1, where.buildings[mover]), self._rx_building[receiver])
        walked_m = np.where(mover < 0, 0.0, self._walked_m[mover])
        walked_m += np.where(self._mover[receiver] < 0, 0.0, self._walked_m[self._mover[receiver]])
        normal = self._rng.standard_normal((2, row.size))
        gain_db += self._shadowing.at(emitter, receiver, walked_m, normal[0]) + radio.FADING_DB * normal[1]
        arrives = (gain_db >= radio.SENSITIVITY_DBM) & (self._rng.random(row.size) >= lost[receiver])
        return row[arrives], receiver[arrives], np.rint(gain_db[arrives]).astype(np.int64)

    def _body_db(self, mover: Ints, bearing_rad: Floats, is_worn: Flags) -> Floats:
        worn_rad = self._worn_rad[np.minimum(mover, len(self._worn_rad) - 1)]
        cos_angle = np.cos(bearing_rad - self._heading_rad[mover] - worn_rad)
        return np.where(is_worn, radio.body_loss_db(cos_angle), 0.0)

    def _walls_db(self, from_building: Ints, to_building: Ints) -> Floats:
        walls = (from_building >= 0).astype(np.float64) + (to_building >= 0)
        return np.where(from_building == to_building, 0.0, walls * radio.entry_loss_db())
