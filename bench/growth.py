"""What a sighting costs the core, step by step, and how that grows with tags, detectors and cores."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from bench.core import Core
from bench.machine import Limits
from bench.measure import RUNS, Race, alternate, together
from bench.world import SIZES, Size, Stream, make

BYTES_A_SIGHTING: Final = 21
"""Id 8, detector 4, rssi 1, time 8."""
STEPS: Final = ("batches", "resolve", "suppress", "fix", "places", "fences")
_WARM: Final = 3


class LossError(Exception):
    """The core dropped what it should have kept; its speed means nothing."""


@dataclass(frozen=True, slots=True)
class CoreCosts:
    """Costs of a sighting in a town, ns of processor time.

    Attributes:
        size: of the town.
        ns: all steps, as ingest calls them.
        steps_ns: each kernel on its own.
        fix_ns: of `fix`, `places` and `fences` for each place found.
        bytes_by_part: of the whole state, each registered tag, by part of the engine.
        rebuild_ns: of the index, each registered tag.
        floor_ns: of memory alone, run in turn with the core, see `machine.Limits`.
        hard_floor_ns: likewise.
        latency_ns: of one dependent miss, likewise.
        to_floor: median of the ratios of neighbours.
        to_hard_floor: likewise.
        to_latency: likewise.
    """

    size: Size
    ns: float
    steps_ns: dict[str, float]
    fix_ns: dict[str, float]
    bytes_by_part: dict[str, float]
    rebuild_ns: float
    floor_ns: float
    hard_floor_ns: float
    latency_ns: float
    to_floor: float
    to_hard_floor: float
    to_latency: float

    @property
    def bytes_per_tag(self) -> float:
        """All parts together."""
        return sum(self.bytes_by_part.values())


def measure(size: Size, *, bytes_chased: int, runs: int = RUNS) -> CoreCosts:
    """Return the costs in a town of a size, beside the limits of memory for tables of that size.

    Raises:
        LossError: a sighting was lost.
    """
    core, stream = _warm(size)
    limits = Limits(
        bytes_read=core.engine.table.lines.nbytes,
        bytes_changed=size.n_active * 64,
        bytes_streamed=BYTES_A_SIGHTING,
        bytes_chased=bytes_chased,
    )

    def feed() -> float:
        heard = next(stream)
        return core.feed(heard) / len(heard)

    entrants = {"core": feed, "floor": limits.floor_ns, "hard": limits.hard_floor_ns, "latency": limits.latency_ns}
    race = alternate(entrants, runs)
    _check(core)
    core.flush()
    steps, fix_ns = _steps(core, stream, runs=2)
    sizes = {part: octets / size.n_tags for part, octets in core.engine.sizes().items()}
    return CoreCosts(
        size,
        race.median("core"),
        steps,
        fix_ns,
        sizes,
        core.rebuild_ns() / size.n_tags,
        race.median("floor"),
        race.median("hard"),
        race.median("latency"),
        race.ratio("core", "floor"),
        race.ratio("core", "hard"),
        race.ratio("core", "latency"),
    )


def by_detectors(n_tags: int, n_detectors: Sequence[int]) -> dict[int, float]:
    """Return the cost of a sighting by the number of detectors that hear the same tags."""
    return {n: _alone(Size(n_tags, n_tags, n)) for n in n_detectors}


def by_cores(size: Size, runs: int = RUNS) -> Race:
    """Return times of two halves of a town, each in its own engine.

    Entrants "one" and "two" are wall times of one half after the other and of both at once; "alone" and "beside" are
    the processor time that a half takes then.
    """
    half = Size(size.n_tags // 2, size.n_active // 2, size.n_detectors // 2)
    halves = [_warm(half), _warm(half)]
    ns = {"alone": [0.0, 0.0], "beside": [0.0, 0.0]}

    def take(which: int, how: str) -> None:
        core, stream = halves[which]
        ns[how][which] = core.feed(next(stream))

    def works(how: str) -> list[Callable[[], None]]:
        return [lambda which=which: take(which, how) for which in range(2)]  # type: ignore[misc]

    return alternate(
        {
            "one": lambda: sum(together([work]) for work in works("alone")),
            "two": lambda: together(works("beside")),
            "alone": lambda: sum(ns["alone"]),
            "beside": lambda: sum(ns["beside"]),
        },
        runs,
    )


def _warm(size: Size) -> tuple[Core, Stream]:
    world = make(size)
    core, stream = Core(world), Stream(world)
    for _ in range(_WARM):
        core.feed(next(stream))
    return core, stream


def _alone(size: Size) -> float:
    core, stream = _warm(size)
    costs = []
    for _ in range(RUNS):
        heard = next(stream)
        costs.append(core.feed(heard) / len(heard))
    _check(core)
    return statistics.median(costs)


def _steps(core: Core, stream: Stream, *, runs: int) -> tuple[dict[str, float], dict[str, float]]:
    found: dict[str, list[float]] = {step: [] for step in STEPS}
    rows = 1
    for run in range(runs + 1):
        heard = next(stream)
        rows = len(heard)
        for step, ns in core.by_step(heard).items():
            if run:
                found[step].append(ns)
    medians = {step: statistics.median(each) for step, each in found.items()}
    n_active = core.world.size.n_active
    per_fix = {step: medians[step] / n_active for step in ("fix", "places", "fences")}
    return {step: ns / rows for step, ns in medians.items()}, per_fix


def _check(core: Core) -> None:
    """Refuse to report a core that lost something, or kept other than one sighting in ten."""
    counters = core.engine.counters()
    ours = sum(counters[name] for name in ("kept", "repeat"))
    missed = [name for name, n in counters.items() if n and (name.startswith("lost_") or name in _NEVER)]
    if missed or not 0.104 < counters["kept"] / ours < 0.1065:
        raise LossError(f"counters are not what this town must give: {counters}")


_NEVER: Final = frozenset({"late", "early", "ghost", "crowded", "nowhere", "full"})

__all__ = ["SIZES", "STEPS", "CoreCosts", "LossError", "by_cores", "by_detectors", "measure"]
