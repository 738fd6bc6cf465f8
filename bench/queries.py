"""Who is near, in an area, nearest: the core's index beside PostGIS GiST, the same places, the same questions."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bench import town_map
from bench.job import AbsentError, DisagreementError
from bench.measure import alternate, thread_ns_of
from bench.peers.postgis_places import PostGisPlaces
from bench.town_map import E7, People
from server.core.geo import M_PER_DEG
from server.core.kernels import fix, places

DAY_MS: Final = 86_400_000
ORIGIN_MS: Final = 1_700_000_000_000
SINCE_S: Final = 43_200
NEAREST: Final = 10
MAX_M: Final = 50_000.0
_BORDER: Final = 0.005
"""Our metric is flat round the middle, theirs is a sphere: within so much of the radius they may differ."""


@dataclass(frozen=True, slots=True)
class QueryCosts:
    """Costs of a question.

    Attributes:
        n_tags: last places asked.
        query_us: ours, processor time, by kind of question.
        peer_us: PostGIS, likewise; empty if it is absent.
        times_faster: median of the ratios.
        hits: mean length of an answer.
        rebuild_ns: of the index, a tag.
        absent: why there is no peer.
    """

    n_tags: int
    query_us: dict[str, float]
    peer_us: dict[str, float]
    times_faster: dict[str, float]
    hits: dict[str, float]
    rebuild_ns: float
    absent: str = ""


class Ours:
    """The core's snapshot of last places, asked from Python one question at a time."""

    def __init__(self, people: People) -> None:
        n = len(people.at_s)
        self._last = fix.create_last(n, 1)
        self._last.words[0::8], self._last.words[1::8] = people.lat_e7, people.lon_e7
        self._last.longs[1::4] = ORIGIN_MS + people.at_s * 1000
        self._cells = places.create_cells(n)
        fixes = fix.create_fixes(n)
        fixes.tags[:], fixes.kinds[:] = np.random.default_rng(4).permutation(n), int(fix.Kind.MOVED)
        places.move(self._cells, self._last, fixes)
        self._index = places.create_index(self._cells, n)
        self._found = places.create_found(n)
        self.rebuild()

    def rebuild(self) -> None:
        """Make the snapshot anew."""
        places.rebuild(self._index, self._cells, self._last, ORIGIN_MS + DAY_MS)

    def within(self, lat_e7: int, lon_e7: int, radius_m: float) -> NDArray[np.int32]:
        """Return the tags within `radius_m` heard in the last twelve hours."""
        n = places.within(self._index, lat_e7, lon_e7, radius_m, ORIGIN_MS + SINCE_S * 1000, self._found)
        return self._found.tags[:n]

    def nearest(self, lat_e7: int, lon_e7: int) -> NDArray[np.int32]:
        """Return the nearest tags, nearest first."""
        since_ms = ORIGIN_MS + SINCE_S * 1000
        n = places.nearest(self._index, lat_e7, lon_e7, NEAREST, since_ms, MAX_M, self._found)
        return self._found.tags[:n]

    def inside(self, corners_e7: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the tags in a polygon."""
        n = places.inside(self._index, corners_e7, ORIGIN_MS + SINCE_S * 1000, self._found)
        return self._found.tags[:n]


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of question: how it is asked of both, about person number i."""

    ours: Callable[[int], NDArray[np.int32]]
    theirs: Callable[[int], list[int]]
    radius_m: float = 0.0  # 0: answers are compared exactly, below 0: by distance


def measure(n_tags: int, *, questions: int = 200) -> QueryCosts:
    """Return what questions over `n_tags` last places cost.

    Raises:
        DisagreementError: PostGIS answers otherwise.
    """
    people = town_map.people(n_tags)
    ours = Ours(people)
    rebuild_ns = thread_ns_of(ours.rebuild) / n_tags
    rng = np.random.default_rng(6)
    asked = [int(i) for i in rng.integers(0, n_tags, questions)]
    try:
        with PostGisPlaces(people.lat_e7 / E7, people.lon_e7 / E7, people.at_s) as theirs:
            kinds = _kinds(people, ours, theirs, asked)
            for name, kind in kinds.items():
                _compare(name, kind, people, asked)
            return _race(n_tags, kinds, theirs, asked, rebuild_ns)
    except AbsentError as error:
        alone = {name: kind.ours for name, kind in _kinds(people, ours, None, asked).items()}
        query_us = {name: _each_us(ask, asked) for name, ask in alone.items()}
        return QueryCosts(n_tags, query_us, {}, {}, {}, rebuild_ns, str(error))


def _kinds(people: People, ours: Ours, theirs: PostGisPlaces | None, asked: list[int]) -> dict[str, _Kind]:
    lat_e7, lon_e7 = [int(v) for v in people.lat_e7], [int(v) for v in people.lon_e7]
    rng = np.random.default_rng(8)
    rings = {i: town_map.ring(lat_e7[i], lon_e7[i], 500.0, rng) for i in asked}

    def within(radius_m: float) -> _Kind:
        return _Kind(
            lambda i: ours.within(lat_e7[i], lon_e7[i], radius_m),
            lambda i: theirs.within(lat_e7[i] / E7, lon_e7[i] / E7, radius_m, SINCE_S) if theirs else [],
            radius_m,
        )

    return {
        "radius_100m": within(100.0),
        "radius_500m": within(500.0),
        "polygon_500m": _Kind(
            lambda i: ours.inside(rings[i]),
            lambda i: theirs.inside(rings[i][:, 0] / E7, rings[i][:, 1] / E7, SINCE_S) if theirs else [],
        ),
        "nearest_10": _Kind(
            lambda i: ours.nearest(lat_e7[i], lon_e7[i]),
            lambda i: theirs.nearest(lat_e7[i] / E7, lon_e7[i] / E7, NEAREST, SINCE_S) if theirs else [],
            -1.0,
        ),
    }


def _race(
    n_tags: int, kinds: dict[str, _Kind], theirs: PostGisPlaces, asked: list[int], rebuild_ns: float
) -> QueryCosts:
    costs = QueryCosts(n_tags, {}, {}, {}, {}, rebuild_ns)
    for name, kind in kinds.items():
        found = [len(kind.ours(i)) for i in asked]

        def ask_them(kind: _Kind = kind) -> float:
            start_ns = theirs.spent_ns()
            for i in asked:
                kind.theirs(i)
            return (theirs.spent_ns() - start_ns) / len(asked) / 1000

        race = alternate({"ours": lambda kind=kind: _each_us(kind.ours, asked), "postgis": ask_them})  # type: ignore[misc]
        costs.query_us[name], costs.peer_us[name] = race.median("ours"), race.median("postgis")
        costs.times_faster[name] = race.ratio("postgis", "ours")
        costs.hits[name] = float(np.mean(found))
    return costs


def _each_us(ask: Callable[[int], object], asked: list[int]) -> float:
    def all_of_them() -> None:
        for i in asked:
            ask(i)

    ask(asked[0])  # compiled by now
    return thread_ns_of(all_of_them) / len(asked) / 1000


def _compare(name: str, kind: _Kind, people: People, asked: list[int]) -> None:
    for i in asked[:50]:
        mine, other = kind.ours(i).copy(), np.array(kind.theirs(i), np.int32)
        away_m = _away_m(people, i, np.setxor1d(mine, other))
        if kind.radius_m < 0:
            mine_m, other_m = _away_m(people, i, mine), _away_m(people, i, other)
            is_same = len(mine) == len(other) and np.allclose(mine_m, other_m, rtol=_BORDER, atol=0.1)
        else:
            is_same = bool(np.all(np.abs(away_m - kind.radius_m) <= _BORDER * kind.radius_m))
        if not is_same:
            raise DisagreementError(f"{name}: PostGIS finds others: {len(mine)} and {len(other)} of them")


def _away_m(people: People, i: int, tags: NDArray[np.int32]) -> NDArray[np.float64]:
    north = (people.lat_e7[tags] - float(people.lat_e7[i])) / E7
    east = (people.lon_e7[tags] - float(people.lon_e7[i])) / E7 * np.cos(np.radians(people.lat_e7[i] / E7))
    return np.asarray(np.hypot(north, east) * M_PER_DEG)
