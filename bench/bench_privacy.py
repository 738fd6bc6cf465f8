"""What privacy costs: decisions, row-level security on a family's queries, and the audit log.

make bench-privacy                     # a few minutes
make bench-privacy JSON=1 SMALL=1      # under a minute; the last line is JSON

Medians, each way in turn. The town is made up; database, policies, log and API are real, on this machine.
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Final

from bench import audit_log, family_queries, policy_decision
from bench.report import Report

PARTS: Final[dict[str, Callable[[bool], dict[str, float]]]] = {
    "queries": family_queries.measure,
    "decision": policy_decision.measure,
    "log": audit_log.measure,
}
GOALS: Final = (
    ("decision_us", "µs of the policies in a request", None),
    ("share_of_request", "the policies' part in the requests of a page, opened and refreshed once", 0.05),
    ("share_of_new_request", "the policies' part in a request that is decided anew", None),
    ("request_kept_ms", "ms a request whose token serves again", None),
    ("request_new_ms", "ms a request that is decided anew, written into the log and given a token", None),
    ("rls_request_ratio", "× the same request without row-level security", 1.3),
    ("rls_ratio", "× the same statements without it", 1.3),
    ("token_us", "µs for presenting a token, a transaction", None),
    ("append_per_s", "entries a second given their place in the log", None),
    ("verify_s", "s to verify the whole log offline", 60),
    ("proof_bytes", "octets of a proof file", None),
)
"""Name, what it is, and how much it may be at most."""


def main() -> None:
    """Measure, show and tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--small", action="store_true", help="a small town and a short log")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    report, start_s = Report("privacy"), time.monotonic()
    from bench.machine import processor_name  # noqa: PLC0415 - brings numba

    found = processor_name(), len(os.sched_getaffinity(0)), os.getloadavg()[0]
    report.say(f"{found[0]}, {found[1]} cores, load {found[2]:.1f}")
    report.figures |= {"processor": found[0], "cores": found[1], "load": found[2], "is_small": options.small}
    for measure in PARTS.values():
        report.figures |= measure(options.small)
    show(report)
    report.figures |= {"load_after": os.getloadavg()[0], "took_s": time.monotonic() - start_s}
    report.finish(as_json=options.json)


def show(report: Report) -> None:
    """Show the figures, and those that have goals beside them."""
    figures = report.figures
    kinds = [name.removeprefix("rls_ratio_") for name in figures if name.startswith("rls_ratio_")]
    rows = [[kind, *(figures[f"query_us_{kind}{way}"] for way in ("", "_unbound"))] for kind in kinds]
    title = "A family's queries by purpose token, and the same without row-level security"
    report.table(title, ["", "µs", "µs without", "×"], [[*row, figures[f"rls_ratio_{row[0]}"]] for row in rows])
    if kinds:
        bars = {kind: figures[f"rls_ratio_{kind}"] for kind in kinds}
        report.bars("rls", "The same query without row-level security is 1", bars, "times as long")  # type: ignore[arg-type]
    shown, met = [], dict[str, bool]()
    for name, what, most in GOALS:
        value = figures[name]
        if most is not None:
            met[name] = isinstance(value, int | float) and value <= most
        said = "" if most is None else "met" if met[name] else "NOT MET"
        shown.append([what, value, "" if most is None else f"≤ {most:g}", said])
    report.table("Figures and goals", ["", "figure", "goal", ""], shown)
    figures["goals_met"] = met


if __name__ == "__main__":
    main()
