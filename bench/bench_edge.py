"""A gateway: recording with masks beside ffmpeg, advertisements through bleak beside bleak alone, memory, the outbox.

make bench-edge                     # about five minutes
make bench-edge JSON=1 SMALL=1      # under a minute; the last line is JSON

Ratios are of processor time on one core, medians over runs in turn. Simulated are film, bluetoothd and air.
"""

import argparse
import math
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from bench import edge_air, edge_record
from bench.job import AbsentError
from bench.pipeline import Site
from bench.report import Report
from tests.system import outage
from wire.outbox import Outbox


@dataclass(frozen=True, slots=True)
class Scope:
    """How much is measured.

    Attributes:
        film_s: length of the film.
        record_runs: of each recorder.
        adverts: of one run.
        air_runs: of each listener.
        puts: into an outbox.
        outage_hours: of the clock, whose queue is then sent.
    """

    film_s: int
    record_runs: int
    adverts: int
    air_runs: int
    puts: int
    outage_hours: float


FULL: Final = Scope(film_s=20, record_runs=5, adverts=20_000, air_runs=7, puts=5_000, outage_hours=3.0)
SMALL: Final = Scope(film_s=3, record_runs=3, adverts=4_000, air_runs=3, puts=500, outage_hours=0.25)
PUT_ROWS: Final = 120
PUT_OCTETS: Final = 3_600
"""A batch of so many rows that nothing merged in, see docs/GATEWAY.md."""
GOALS: Final = (
    ("fps", "frames of 1080p a second, masked and sealed, one core", None),
    ("vs_ffmpeg", "× ffmpeg, same encoder and settings, no mask", 0.9),
    ("paint_ms", "ms a frame for the mask alone", None),
    ("adv_per_s", "advertisements a second, one core", None),
    ("us_per_adv", "µs an advertisement", None),
    ("vs_bleak", "× bleak with a call-back that counts", 0.7),
    ("rss_mb", "memory of a gateway, MB", None),
    ("rss_camera_mb", "memory of a gateway that records, MB", None),
    ("puts_per_s", "batches a second put on disk for good", None),
    ("recovery_rows_per_s", "rows a second sent and committed after an outage", None),
    ("lost", "sightings lost in it", None),
)


def main() -> None:
    """Measure, show and tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--small", action="store_true", help="short films and few runs")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    scope, report, start_s = SMALL if options.small else FULL, Report("edge"), time.monotonic()
    from bench.machine import processor_name  # noqa: PLC0415 - brings numba

    found = processor_name(), len(os.sched_getaffinity(0)), os.getloadavg()[0]
    report.say(f"{found[0]}, {found[1]} cores, load {found[2]:.1f}")
    report.figures |= {"processor": found[0], "cores": found[1], "load": found[2], "is_small": options.small}
    report.figures["absent"] = absent = dict[str, str]()
    for show in (show_camera, show_air, show_outbox):
        _unless_absent(show, report, scope, absent)
    show_goals(report)
    report.figures |= {"load_after": os.getloadavg()[0], "took_s": time.monotonic() - start_s}
    report.finish(as_json=options.json)


def _unless_absent(show: Callable[[Report, Scope], None], report: Report, scope: Scope, absent: dict[str, str]) -> None:
    try:
        show(report, scope)
    except AbsentError as error:
        absent[error.peer] = error.how
        report.say(f"{error.peer}: ABSENT, {error.how}")


def show_camera(report: Report, scope: Scope) -> None:
    """Record, and look at the memory with a camera and without."""
    with tempfile.TemporaryDirectory(prefix="mimamori-bench-") as folder:
        source = Path(folder) / "film.mp4"
        edge_record.film(source, scope.film_s)
        found = edge_record.measure(source, scope.film_s * edge_record.FPS, scope.record_runs)
        plain_mb, camera_mb = edge_record.gateway_mb(None), edge_record.gateway_mb(source)
    report.table(
        f"1080p, H.264 in, libx264 {edge_record.PRESET} crf {edge_record.CRF} out, a closed group a second, one core",
        ["", "frames/s", "× ffmpeg"],
        [
            ["gateway: decode, mask, encode, seal, write", found.fps, found.vs_ffmpeg],
            ["ffmpeg: decode, encode, write", found.ffmpeg_fps, 1],
        ],
    )
    bars = {"gateway, masked and sealed": found.fps, "ffmpeg, plain": found.ffmpeg_fps}
    report.bars("record", "Recording 1080p on one core", bars, "frames per second")
    figures = asdict(found)
    report.figures |= {name: figures[name] for name in ("fps", "ffmpeg_fps", "vs_ffmpeg", "paint_ms")}
    report.figures |= {"rss_mb": plain_mb, "rss_camera_mb": camera_mb}


def show_air(report: Report, scope: Scope) -> None:
    """Listen through bleak."""
    found = edge_air.measure(scope.adverts, scope.air_runs)
    report.table(
        f"Advertisements of {edge_air.TAGS} tags through bleak's BlueZ back end, one core",
        ["", "adverts/s", "µs each", "× bleak"],
        [
            ["gateway: to the merged row", found.adv_per_s, found.us_per_adv, found.vs_bleak],
            ["bleak: to a call-back that counts", 1e6 / found.bleak_us, found.bleak_us, 1],
        ],
    )
    report.figures |= asdict(found)


def show_outbox(report: Report, scope: Scope) -> None:
    """Put batches, then send a queue to a real ingest."""
    took_s = put_times_s(scope.puts)
    asked = outage.Asked(hours=scope.outage_hours)
    with Site(outage.town_for(asked.rate)) as site:
        found = outage.play(asked, site)
    report.table(
        f"The outbox: batches of {PUT_ROWS} rows; then {asked.hours:g} h without a network at {asked.rate} sightings/s",
        ["", "figure"],
        [
            ["batches a second put, each on disk for good", 1 / statistics.median(took_s)],
            ["ms of the slowest in a hundred", sorted(took_s)[len(took_s) * 99 // 100] * 1000],
            ["rows a second sent, committed and receipted", found.recovery_rows_per_s],
            ["sightings a second in them", found.recovery_sightings_per_s],
            ["seconds of a call for help behind the queue", found.sos_s],
            ["octets a row on disk", found.octets_per_row],
        ],
    )
    report.figures |= {
        "puts_per_s": 1 / statistics.median(took_s),
        "recovery_rows_per_s": found.recovery_rows_per_s,
        "recovery_sightings_per_s": found.recovery_sightings_per_s,
        "octets_per_row": found.octets_per_row,
        "sos_s": found.sos_s,
        "lost": found.lost,
        "doubled": found.doubled,
    }


def put_times_s(puts: int) -> list[float]:
    """Return how long each of so many puts took, by the clock: they wait for the disk."""
    took_s = []
    with (
        tempfile.TemporaryDirectory(prefix="mimamori-bench-") as folder,
        Outbox.open(Path(folder) / "outbox.db", max_bytes=1 << 30) as outbox,
    ):
        for _ in range(puts):
            began_s = time.perf_counter()
            outbox.put(PUT_ROWS, 1, lambda *_: bytes(PUT_OCTETS))
            took_s.append(time.perf_counter() - began_s)
    return took_s


def show_goals(report: Report) -> None:
    """Show the figures beside their goals."""
    rows, met = [], dict[str, bool | None]()
    for name, title, least in GOALS:
        value = report.figures.get(name)
        is_figure = isinstance(value, int | float) and not math.isnan(value)
        if least is not None:
            met[name] = value >= least if is_figure else None  # type: ignore[operator] # it is a figure
        said = {True: "met", False: "NOT MET", None: "not measured"}[met[name]] if least is not None else ""
        rows.append([title, value if is_figure else "–", "" if least is None else f"≥ {least:g}", said])
    report.table("Figures and goals", ["", "figure", "goal", ""], rows)
    report.figures["goals_met"] = met


if __name__ == "__main__":
    main()
