"""The same bucket by the core and by what a user would pick instead, in one run, with the answers compared."""

import importlib
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Final, cast

from bench.core import Core, answer_of
from bench.job import AbsentError, Job, Peer, check_same
from bench.measure import RUNS, alternate
from bench.world import Size, Stream, World, hear, make, sample, weights

PEERS: Final = {
    "duckdb": "bench.peers.duckdb_sql:Sql",
    "polars": "bench.peers.polars_frames:Frames",
    "numpy": "bench.peers.arrays:Arrays",
    "python": "bench.peers.dicts:Dicts",
    "redis": "bench.peers.redis_server:Redis",
    "postgis": "bench.peers.postgis_server:PostGis",
}
_MOST_ROWS: Final = {"python": 1_000_000, "redis": 100_000, "postgis": 300_000}
"""What is slow gets the sightings of fewer tags, with as many repeats and places for each; its tables stay whole."""


@dataclass(slots=True)
class Rivalry:
    """What came of it.

    Attributes:
        size: of the town.
        ns: by name, of a sighting, all steps; "core" is ours.
        steps_ns: of those that tell, by name and step, each sighting.
        times: by name, how many times longer than the core: the median of the ratios of neighbours.
        upsert_times: by name, how many times longer one changed place takes than in our index.
        server_times: by name, like `times`, for its server alone where `ns` is that of server and client.
        titles: by name, with versions.
        apart_m: by name, how far their places are from ours at most.
        rows: by name, how many sightings it was given.
        absent: by name, why it is not here.
    """

    size: Size
    ns: dict[str, float] = field(default_factory=dict)
    steps_ns: dict[str, dict[str, float]] = field(default_factory=dict)
    times: dict[str, float] = field(default_factory=dict)
    upsert_times: dict[str, float] = field(default_factory=dict)
    server_times: dict[str, float] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)
    apart_m: dict[str, float] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)


def race(size: Size, *, most_rows: dict[str, int] | None = None, runs: int = RUNS) -> Rivalry:
    """Return how the core and all peers that are here compare.

    Args:
        size: of the town.
        most_rows: sightings that a peer is given at most, where that is fewer than a bucket has.
        runs: of each.

    Raises:
        DisagreementError: a peer gives another answer.
    """
    world, result = make(size), Rivalry(size)
    core, stream = Core(world), Stream(world)
    for _ in range(4):
        core.feed(next(stream))

    def feed() -> float:
        heard = next(stream)
        return core.feed(heard) / len(heard)

    with ExitStack() as stack:
        entrants: dict[str, Callable[[], float]] = {"core": feed}
        peers: dict[str, Peer] = {}
        for name, job in _jobs(world, most_rows or _MOST_ROWS).items():
            try:
                peer = peers[name] = stack.enter_context(_peer(name, job))
            except AbsentError as error:
                result.absent[name] = error.how
                continue
            result.rows[name], result.titles[name] = len(job), peer.title
            entrants[name] = _each(peer, len(job))
            peer.run()
            result.apart_m[name] = check_same(peer.title, answer_of(job), peer.answer())
        found = alternate(entrants, runs)
        result.ns = {name: found.median(name) for name in entrants}
        result.times = {name: found.ratio(name, "core") for name in peers}
        core.flush()
        place_ns = core.by_step(next(stream))["places"] / size.n_active
        for name, peer in peers.items():
            _add_steps(result, name, peer, place_ns)
    return result


def _add_steps(result: Rivalry, name: str, peer: Peer, place_ns: float) -> None:
    """Add what a peer with a server says about its newest run."""
    steps: dict[str, float] = getattr(peer, "steps", {})
    if steps:
        result.steps_ns[name] = {step: ns / result.rows[name] for step, ns in steps.items()}
        result.upsert_times[name] = steps["place"] / len(peer.answer().tags) / place_ns
    if hasattr(peer, "server_ns"):
        result.server_times[name] = peer.server_ns / result.rows[name] / result.ns["core"]


def _each(peer: Peer, rows: int) -> Callable[[], float]:
    return lambda: peer.run() / rows


def _jobs(world: World, most_rows: dict[str, int]) -> dict[str, Job]:
    heard, weight = hear(world, 0), weights()
    jobs = {}
    for name in PEERS:
        one_in = max(1, round(len(heard) / most_rows.get(name, len(heard))))
        jobs[name] = Job(world, sample(heard, one_in), weight)
    return jobs


def _peer(name: str, job: Job) -> Peer:
    module, _, kind = PEERS[name].partition(":")
    return cast("Peer", getattr(importlib.import_module(module), kind)(job))
