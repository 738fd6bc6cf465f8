"""Who lives in the town and what they do all day: school, care centre, park, shops, patrols.

Walking speeds: children of 6-12 about 1.1-1.3 m/s, adults 1.2-1.4 m/s, elderly people 0.9-1.2 m/s (R. W. Bohannon and
A. Williams Andrews, "Normal walking speed: a descriptive meta-analysis", Physiotherapy 97 (2011) 182-189).
"""

import datetime as dt
from dataclasses import dataclass
from typing import Literal

import numpy as np

from firmware_sim.geometry import Floats, distance_to_line_m, length_m
from firmware_sim.movement import Itinerary, leave_s
from firmware_sim.streets import Spot
from firmware_sim.town import Town

Role = Literal["pupil", "elder", "commuter", "patrol", "shopkeeper", "dog-walker"]

PUPILS = 120
ELDERS = 80
VOLUNTEERS = 40
YUI = 0
"""Index of ward ゆい, whose family is the demo's: a long walk, to arrive at school at eight."""
YUI_LEAVES_S = 7 * 3600 + 39 * 60 + 40
YUI_ARRIVES_S = 8 * 3600
DRILL_S = 7 * 3600 + 40 * 60 + 25
"""When an elderly walker presses the SOS button every school day: a drill that any short run of the town can see."""


@dataclass(frozen=True, slots=True)
class Person:
    """One inhabitant; wards first, then volunteers.

    Attributes:
        worn_rad: where on the body the tag hangs, against the direction of walking; 0 = in front.
        aside_m: how far east and north of the street's middle the person keeps.
        goal: site id of school, work or walk.
    """

    role: Role
    home: int
    goal: str
    speed_mps: float
    worn_rad: float
    aside_m: tuple[float, float]


def inhabitants(town: Town) -> tuple[Person, ...]:
    """120 pupils (ゆい first), 80 elderly people, 40 volunteers; the same for the same town."""
    rng = np.random.default_rng([town.seed, 2])
    near = _homes(town)
    homes = [near[k] for k in rng.permutation(len(near))[: PUPILS + ELDERS]]
    far = [house for house in town.houses if house not in set(homes)]
    homes += [far[k] for k in rng.permutation(len(far))[:VOLUNTEERS]]
    wards: tuple[Role, Role] = ("pupil", "elder")
    volunteers: tuple[Role, ...] = ("commuter", "patrol", "shopkeeper", "dog-walker")
    roles = [wards[number >= PUPILS] for number in range(PUPILS + ELDERS)]
    roles += [volunteers[number % 4] for number in range(VOLUNTEERS)]
    people = [_person(role, home, rng) for role, home in zip(roles, homes, strict=True)]
    people[YUI] = _yui(town, people)
    return tuple(people)


def _homes(town: Town) -> list[int]:
    """Houses near a gateway, as families with a tag are where the city has detectors, and away from the schools."""
    schools = np.array([(s.spot.x_m, s.spot.y_m) for s in town.sites.values() if s.kind == "school"])
    near = [
        house
        for house in town.houses
        if np.linalg.norm(schools - np.array(town.buildings[house].middle), axis=1).min() > 140
    ]
    return near[: PUPILS + ELDERS + 40]


def _person(role: Role, home: int, rng: np.random.Generator) -> Person:
    goals = {
        "pupil": ("school", "school", "school-west"),
        "elder": ("care", "park-sakura", "park-keyaki", "shops", "library"),
        "commuter": ("station",),
        "patrol": ("school", "school-west"),
        "shopkeeper": ("shops", "library", "hall"),
        "dog-walker": ("park-sakura", "park-keyaki"),
    }[role]
    mean_mps, spread_mps = {"pupil": (1.2, 0.08), "elder": (1.05, 0.1)}.get(role, (1.3, 0.1))
    speed_mps = float(np.clip(rng.normal(mean_mps, spread_mps), 0.8, 1.6))
    goal = goals[int(rng.integers(len(goals)))]
    aside_m = (float(rng.uniform(-3, 3)), float(rng.uniform(-3, 3)))
    return Person(role, home, goal, speed_mps, float(rng.uniform(0, 2 * np.pi)), aside_m)


def _yui(town: Town, people: list[Person]) -> Person:
    """ゆい lives about 1,400 m of street from the primary school: 20 minutes and 20 seconds at 1.15 m/s.

    Of the houses at about that distance it is the one whose way to school passes the most gateways.
    """
    taken = {person.home for person in people} - {people[YUI].home}
    took_s = YUI_ARRIVES_S - YUI_LEAVES_S
    school = town.sites["school"].spot
    ways = {house: town.streets.route(town.door(house), school) for house in _homes(town)[:120] if house not in taken}
    right = {house: way for house, way in ways.items() if abs(length_m(way) / took_s - 1.15) < 0.1}
    home = max(right or ways, key=lambda house: _passed(town, ways[house]))
    return Person("pupil", home, "school", length_m(ways[home]) / took_s, np.pi / 2, (1.5, 1.5))


def _passed(town: Town, way: Floats) -> int:
    """Gateways within 40 m of a way."""
    posts = np.array([(gateway.x_m, gateway.y_m) for gateway in town.gateways])
    return int((distance_to_line_m(posts, way) < 40).sum())


def is_school_day(day: dt.date) -> bool:
    """Monday to Friday; the town keeps no holidays."""
    return day.weekday() < 5


def day_of(town: Town, people: tuple[Person, ...], day: dt.date) -> list[Itinerary]:
    """Everybody's itinerary on that local date; drawn from seed, date and person alone."""
    plans = _SCHOOL_DAY if is_school_day(day) else _FREE_DAY
    itineraries = []
    for number, person in enumerate(people):
        rng = np.random.default_rng([town.seed, 3, day.toordinal(), number])
        walker = _Walker(town, person, rng)
        if number == YUI and is_school_day(day):
            _yui_day(walker)
        elif number == PUPILS and is_school_day(day):
            _stroll(walker, DRILL_S - 60, 40)
        else:
            plans[person.role](walker)
        itineraries.append(walker.itinerary)
    return itineraries


def presses(day: dt.date) -> list[tuple[int, float]]:
    """SOS presses of that date as (person, seconds since midnight)."""
    return [(PUPILS, float(DRILL_S))] if is_school_day(day) else [(PUPILS + 1, 10 * 3600.0)]


class _Walker:
    """One person through one day."""

    def __init__(self, town: Town, person: Person, rng: np.random.Generator) -> None:
        self.town = town
        self.person = person
        self.rng = rng
        self.home = town.door(person.home)
        self.at = self.home
        self.itinerary = Itinerary(self.home.x_m, self.home.y_m, person.home)

    def uniform(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def go(self, goal: str, *, arrive_s: float = 0.0, speed_mps: float = 0.0) -> None:
        """Walk to a site, so as to arrive at `arrive_s` where that is still possible."""
        site = self.town.sites[goal]
        spread_m = 12.0 if site.building >= 0 else 45.0
        x_m, y_m = site.spot.x_m + self.uniform(-spread_m, spread_m), site.spot.y_m + self.uniform(-spread_m, spread_m)
        self._to(Spot(x_m, y_m, site.spot.edge, site.spot.part), site.building, arrive_s, speed_mps)

    def go_home(self) -> None:
        self._to(self.home, self.person.home, 0.0, 0.0)

    def _to(self, spot: Spot, building: int, arrive_s: float, speed_mps: float) -> None:
        way = self.town.streets.route(self.at, spot)
        way[1:-1] += self.person.aside_m
        speed_mps = speed_mps or self.person.speed_mps
        self.itinerary.stay(leave_s(arrive_s, way, speed_mps))
        self.itinerary.walk(way, speed_mps, building=building)
        self.at = spot

    def stay(self, until_s: float) -> None:
        self.itinerary.stay(until_s)


def _hours(hours: float) -> float:
    return hours * 3600


def _yui_day(walker: _Walker) -> None:
    walker.go("school", arrive_s=YUI_ARRIVES_S)
    walker.stay(_hours(15) + 600)
    walker.go_home()


def _pupil_school(walker: _Walker) -> None:
    """To school from 07:30 to 08:10, home from 15:00 to 15:40, one in four out again to a park or the library."""
    walker.go(walker.person.goal, arrive_s=walker.uniform(_hours(7.55), _hours(8.16)))
    walker.stay(walker.uniform(_hours(15), _hours(15.5)))
    walker.go_home()
    if walker.rng.random() < 0.25:
        _out(walker, ("park-sakura", "park-keyaki", "library"), walker.uniform(_hours(15.9), _hours(16.2)))


def _out(walker: _Walker, goals: tuple[str, ...], leave: float) -> None:
    walker.stay(leave)
    walker.go(goals[int(walker.rng.integers(len(goals)))])
    walker.stay(walker.itinerary.now_s + walker.uniform(1800, 3600))
    walker.go_home()


def _stroll(walker: _Walker, leave: float, minutes: float) -> None:
    """Out to the person's goal and back, at least twice round if the way is short."""
    walker.stay(leave)
    while walker.itinerary.now_s < leave + minutes * 60:
        walker.go(walker.person.goal)
        walker.stay(walker.itinerary.now_s + walker.uniform(300, 900))
        walker.go_home()


def _elder_weekday(walker: _Walker) -> None:
    kind = walker.rng.random()
    if kind < 0.35:
        _stroll(walker, walker.uniform(_hours(6.9), _hours(7.7)), 20)
    if walker.person.goal == "care":
        walker.stay(walker.uniform(_hours(8.8), _hours(9.4)))
        walker.go("care")
        walker.stay(walker.uniform(_hours(14.5), _hours(15.5)))
        walker.go_home()
    elif kind < 0.85:
        _out(walker, ("shops", walker.person.goal), walker.uniform(_hours(9.5), _hours(11)))
    if kind > 0.6:
        _stroll(walker, walker.uniform(_hours(15.5), _hours(16.5)), 20)


def _elder_free(walker: _Walker) -> None:
    _stroll(walker, walker.uniform(_hours(7), _hours(9.5)), 20)
    if walker.rng.random() < 0.5:
        _out(walker, ("shops", "library"), walker.uniform(_hours(12.5), _hours(15)))


def _pupil_free(walker: _Walker) -> None:
    if walker.rng.random() < 0.7:
        _out(walker, ("park-sakura", "park-keyaki", "library", "shops"), walker.uniform(_hours(9), _hours(11)))
    if walker.rng.random() < 0.5:
        _out(walker, ("park-sakura", "park-keyaki"), walker.uniform(_hours(13), _hours(15)))


def _commuter_weekday(walker: _Walker) -> None:
    walker.stay(walker.uniform(_hours(7.2), _hours(8.2)))
    walker.go("station")
    walker.stay(walker.uniform(_hours(17.5), _hours(19.5)))
    walker.go_home()


def _patrol_weekday(walker: _Walker) -> None:
    """A crossing guard: on the way to school from before half past seven, and again when school is out."""
    _stroll(walker, walker.uniform(_hours(7.2), _hours(7.4)), 45)
    _stroll(walker, walker.uniform(_hours(14.7), _hours(14.9)), 45)


def _shopkeeper(walker: _Walker) -> None:
    walker.stay(walker.uniform(_hours(7.4), _hours(8.8)))
    walker.go(walker.person.goal)
    walker.stay(walker.uniform(_hours(17), _hours(18.5)))
    walker.go_home()


def _dog_walker(walker: _Walker) -> None:
    _stroll(walker, walker.uniform(_hours(6.8), _hours(7.6)), 30)
    _stroll(walker, walker.uniform(_hours(16.5), _hours(17.5)), 30)


_SCHOOL_DAY = {
    "pupil": _pupil_school,
    "elder": _elder_weekday,
    "commuter": _commuter_weekday,
    "patrol": _patrol_weekday,
    "shopkeeper": _shopkeeper,
    "dog-walker": _dog_walker,
}
_FREE_DAY = _SCHOOL_DAY | {"pupil": _pupil_free, "elder": _elder_free, "commuter": _dog_walker, "patrol": _elder_free}
