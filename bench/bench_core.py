"""The core: ns per sighting, step by step and in all, beside this machine's limits and what one would pick instead.

make bench-core                     # up to ten million tags, about ten minutes
make bench-core JSON=1 SMALL=1      # up to a million, under a minute; the last line is JSON
"""

import argparse
import os
import time
from dataclasses import dataclass
from typing import Final

from bench import area_fences, eids, growth, machine, queries, rivals
from bench.measure import slope
from bench.report import Report
from bench.world import SIZES

_REFERENCE: Final = 1_000_000
"""Tags at which the limits are stated and the goals are set."""


@dataclass(frozen=True, slots=True)
class Scope:
    """How much is measured."""

    sizes: tuple[int, ...]
    rivals_at: int
    most_rows: dict[str, int] | None
    queries_at: tuple[int, ...]
    questions: int
    fences_at: tuple[int, ...]
    eids_at: tuple[int, ...]
    detectors_at: tuple[int, ...]
    cores_at: int
    bytes_chased: int


FULL: Final = Scope(
    sizes=(10_000, 100_000, 1_000_000, 10_000_000),
    rivals_at=1_000_000,
    most_rows=None,
    queries_at=(10_000, 100_000, 1_000_000),
    questions=200,
    fences_at=(10_000, 100_000, 1_000_000),
    eids_at=(10_000, 100_000, 1_000_000),
    detectors_at=(150, 1_500, 15_000),
    cores_at=1_000_000,
    bytes_chased=1 << 30,
)
SMALL: Final = Scope(
    sizes=(10_000, 100_000, 1_000_000),
    rivals_at=100_000,
    most_rows={
        "duckdb": 1_500_000,
        "polars": 1_500_000,
        "numpy": 500_000,
        "python": 200_000,
        "redis": 20_000,
        "postgis": 100_000,
    },
    queries_at=(100_000,),
    questions=50,
    fences_at=(10_000, 100_000),
    eids_at=(100_000, 1_000_000),
    detectors_at=(150, 1_500),
    cores_at=100_000,
    bytes_chased=256 << 20,
)


def main() -> None:
    """Measure, show and tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--small", action="store_true", help="no ten million tags, slow peers get less to do")
    options = parser.parse_args()
    scope, report, start_s = SMALL if options.small else FULL, Report("core"), time.monotonic()
    show_machine(report, is_small=options.small)
    took_s = {}
    for show in (show_growth, show_rivals, show_queries, show_fences, show_eids, show_cores):
        began_s = time.monotonic()
        show(report, scope)
        took_s[show.__name__.removeprefix("show_")] = time.monotonic() - began_s
    report.figures |= {
        "is_small": options.small,
        "load_after": os.getloadavg()[0],
        "took_s": time.monotonic() - start_s,
        "took_s_by_part": took_s,
    }
    report.finish(as_json=options.json)


def show_machine(report: Report, *, is_small: bool) -> None:
    """Say what the figures were measured on."""
    found = machine.look(is_small=is_small)
    report.say(f"{found.processor}, {found.cores} cores, load {found.load:.1f}")
    report.figures |= {
        "processor": found.processor,
        "cores": found.cores,
        "load": found.load,
        "copy_gb_s": found.copy_gb_s,
        "random_line_ns": found.random_line_ns,
        "random_change_ns": found.random_change_ns,
    }


def show_growth(report: Report, scope: Scope) -> None:
    """Show the cost of a sighting by the number of tags, and how near that is to the limits."""
    costs = {n: growth.measure(SIZES[n], bytes_chased=scope.bytes_chased) for n in scope.sizes}
    rows = [
        [f"{n:,}", c.ns, *(c.steps_ns[step] for step in growth.STEPS), c.to_floor, c.to_latency, c.bytes_per_tag]
        for n, c in costs.items()
    ]
    columns = ["tags", "ns a sighting", *growth.STEPS, "× floor", "× DRAM miss", "bytes a tag"]
    report.table("Core, ns per sighting, one thread", columns, rows)
    at = costs[_REFERENCE]
    report.table(
        f"Limits at {_REFERENCE:,} tags",
        ["", "ns"],
        [
            ["memory floor of a sighting, lines fetched ahead", at.hard_floor_ns],
            ["memory floor of a sighting, plain loads", at.floor_ns],
            ["core", at.ns],
            ["one dependent DRAM miss", at.latency_ns],
        ],
    )
    ns = {n: c.ns for n, c in costs.items()}
    report.growth(
        "growth",
        "A sighting, all steps, by registered tags",
        {
            "core, all steps": ns,
            "memory floor, plain loads": {n: c.floor_ns for n, c in costs.items()},
            "memory floor, fetched ahead": {n: c.hard_floor_ns for n, c in costs.items()},
        }
        | {step: {n: c.steps_ns[step] for n, c in costs.items()} for step in ("resolve", "suppress", "fences")},
        ("registered tags", "ns per sighting"),
    )
    report.figures |= {
        "ns_per_sighting": ns,
        "ns_per_step": {n: c.steps_ns for n, c in costs.items()},
        "ns_per_fix": {n: c.fix_ns for n, c in costs.items()},
        "slope_per_decade_of_tags": slope(ns),
        "dram_latency_ns": at.latency_ns,
        "floor_ns": at.floor_ns,
        "hard_floor_ns": at.hard_floor_ns,
        "ratio_to_hard_floor": at.to_hard_floor,
        "ratio_to_dram": at.to_latency,
        "ratio_to_floor": at.to_floor,
        "bytes_per_tag": at.bytes_per_tag,
        "bytes_per_tag_by_part": at.bytes_by_part,
        "bytes_per_tag_by_tags": {n: c.bytes_per_tag for n, c in costs.items()},
        "index_rebuild_ns_per_tag": at.rebuild_ns,
    }


def show_rivals(report: Report, scope: Scope) -> None:
    """Show the same work done by others, with the same answers."""
    found = rivals.race(SIZES[scope.rivals_at], most_rows=scope.most_rows)
    names = [name for name in rivals.PEERS if name in found.ns]
    report.table(
        f"The same bucket, {scope.rivals_at:,} tags: the same pairs kept, the same places found",
        ["", "ns a sighting", "× core", "sightings", "places apart, m"],
        [["core, all steps and fences", found.ns["core"], 1, "", ""]]
        + [[found.titles[n], found.ns[n], found.times[n], found.rows[n], found.apart_m[n]] for n in names]
        + [[f"{name}: ABSENT, {how}", "", "", "", ""] for name, how in found.absent.items()],
    )
    for name, times in found.server_times.items():
        report.say(f"{name}, the server alone, without its client: {times:.0f} × core")
    if found.upsert_times:
        rows = [[found.titles[name], times] for name, times in found.upsert_times.items()]
        report.table("One changed place in a spatial index", ["", "× core"], rows)
    bars = {"core, all steps": found.ns["core"]} | {
        found.titles[name].removesuffix(", one thread"): found.ns[name]
        for name in sorted(names, key=found.ns.__getitem__)
    }
    report.bars("peers", f"A sighting, {scope.rivals_at:,} tags, ns of processor time", bars, "ns per sighting")
    report.figures |= {f"vs_{name}": found.times.get(name) for name in rivals.PEERS}
    report.figures |= {
        "rivals_at_tags": scope.rivals_at,
        "rivals_ns": found.ns,
        "rivals_steps_ns": found.steps_ns,
        "vs_redis_server_only": found.server_times.get("redis"),
        "vs_redis_geoadd": found.upsert_times.get("redis"),
        "vs_postgis_upsert": found.upsert_times.get("postgis"),
        "agreed_within_m": found.apart_m,
        "absent": found.absent,
    }


def show_queries(report: Report, scope: Scope) -> None:
    """Show who is near, in an area, nearest."""
    found = [queries.measure(n, questions=scope.questions) for n in scope.queries_at]
    last = found[-1]
    rows = [
        [f"{c.n_tags:,} {kind}", us, c.peer_us.get(kind, c.absent), c.times_faster.get(kind, ""), c.hits.get(kind, "")]
        for c in found
        for kind, us in c.query_us.items()
    ]
    report.table("Questions to the geo-index, last 12 h", ["tags, kind", "µs", "PostGIS µs", "× core", "found"], rows)
    series = {kind: {c.n_tags: c.query_us[kind] for c in found} for kind in last.query_us}
    series |= {f"PostGIS {kind}": {c.n_tags: c.peer_us[kind] for c in found} for kind in list(last.peer_us)[1:3]}
    report.growth("queries", "A question to the geo-index", series, ("tags with a place", "µs"))
    report.figures |= {
        "query_us": last.query_us,
        "vs_postgis_query": last.times_faster or None,
        "query_at_tags": last.n_tags,
        "query_us_by_tags": {c.n_tags: c.query_us for c in found},
        "vs_postgis_query_by_tags": {c.n_tags: c.times_faster for c in found},
    }


def show_fences(report: Report, scope: Scope) -> None:
    """Show which of many areas a place is in."""
    found = [area_fences.measure(n) for n in scope.fences_at]
    rows = [[f"{c.n_fences:,}", c.ns, c.peer_ns or c.absent, c.times_faster or "", c.hits] for c in found]
    report.table("Areas that a place is in", ["areas", "ns a place", f"{found[0].title} ns", "× core", "hits"], rows)
    ns = {c.n_fences: c.ns for c in found}
    series = {"core": ns} | ({"shapely STRtree": {c.n_fences: c.peer_ns for c in found}} if found[0].peer_ns else {})
    report.growth("fences", "Which areas is a place in", series, ("areas of 12 corners", "ns per place"))
    report.figures |= {
        "fence_ns": ns,
        "vs_shapely": {c.n_fences: c.times_faster or None for c in found},
        "fence_slope_per_decade": slope(ns),
    }


def show_eids(report: Report, scope: Scope) -> None:
    """Show what the ids of all tags cost a rotation."""
    found = {n: eids.measure(n) for n in scope.eids_at}
    rows = [
        [f"{n:,}", c.derive_ns, c.plain_ns, c.times_faster, c.rotate_ns, c.table_s, f"{c.share:.3%}"]
        for n, c in found.items()
    ]
    report.table(
        f"New ids for all tags, every {eids.ROTATION_S} s",
        ["tags", "ns to derive one", "by a call a tag", "× faster", "ns to put it in", "s a rotation", "of one core"],
        rows,
    )
    last = found[max(found)]
    report.figures |= {
        "eid_table_s": last.table_s,
        "share_of_rotation": last.share,
        "eid_table_s_by_tags": {n: c.table_s for n, c in found.items()},
        "eid_times_faster_than_a_call_a_tag": last.times_faster,
    }


def show_cores(report: Report, scope: Scope) -> None:
    """Show how the cost changes with detectors and with a second core."""
    detectors = growth.by_detectors(100_000, scope.detectors_at)
    report.table(
        "100,000 tags by detectors", ["detectors", "ns a sighting"], [[f"{n:,}", ns] for n, ns in detectors.items()]
    )
    report.figures["ns_per_sighting_by_detectors"] = detectors
    if len(os.sched_getaffinity(0)) < 2:
        report.say("one core only: nothing to show about two")
        return
    race = growth.by_cores(SIZES[scope.cores_at])
    faster, wall = 2 * race.ratio("alone", "beside"), race.ratio("one", "two")
    report.say(
        f"two halves of a town on two cores: {faster:.2f} × one core by processor time (what they cost each other), "
        f"{wall:.2f} × by the clock (what others on this machine left them)"
    )
    report.figures |= {"times_faster_on_two_cores": faster, "times_faster_on_two_cores_by_the_clock": wall}


if __name__ == "__main__":
    main()
