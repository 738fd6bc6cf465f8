"""Three official vehicles that drive round the town from 07:00 to 18:30, stop at corners, sleep at city hall."""

import datetime as dt
from typing import Final

import numpy as np

from firmware_sim.movement import OUTSIDE, Itinerary
from firmware_sim.streets import Spot
from firmware_sim.town import Town

VEHICLES: Final = (
    ("car-1", "青色防犯パトロール車", "Patrol car", 6.5),
    ("car-2", "公用車", "City car", 7.5),
    ("bike-1", "郵便バイク", "Postal bike", 5.0),
)
"""Id, Japanese and English label, speed in m/s in streets with a 30 km/h limit."""
_FROM_S = 7.0 * 3600
_UNTIL_S = 18.5 * 3600


def day_of(town: Town, day: dt.date) -> list[Itinerary]:
    """The vehicles' itineraries on that local date; drawn from seed and date alone."""
    return [
        _round_trips(town, speed_mps, np.random.default_rng([town.seed, 6, day.toordinal(), number]))
        for number, (_, _, _, speed_mps) in enumerate(VEHICLES)
    ]


def _round_trips(town: Town, speed_mps: float, rng: np.random.Generator) -> Itinerary:
    hall = town.sites["hall"].spot
    yard_x_m, yard_y_m = town.streets.foot(hall)
    yard = at = Spot(float(yard_x_m), float(yard_y_m), hall.edge, hall.part)
    drive = Itinerary(yard.x_m, yard.y_m, OUTSIDE)
    drive.stay(_FROM_S - rng.uniform(0, 1800))
    while drive.now_s < _UNTIL_S:
        goal = town.streets.spot(*town.streets.nodes[int(rng.integers(len(town.streets.nodes)))])
        drive.walk(town.streets.route(at, goal), speed_mps)
        drive.stay(drive.now_s + rng.uniform(10, 60))
        at = goal
    drive.walk(town.streets.route(at, yard), speed_mps)
    return drive
