"""docs/EDGE.md names what there is, with the limits that hold."""

import re
from pathlib import Path

from edge import parked
from edge.config import PositionConfig
from edge.doctor.examine import _checks
from server.attention import Limits, Reason

TEXT = (Path(__file__).parents[2] / "docs" / "EDGE.md").read_text(encoding="utf-8")


def test_every_check_of_the_doctor_is_in_the_table() -> None:
    table = set(re.findall(r"^\| ([a-z]+) \|", TEXT.partition("## The doctor")[2], re.MULTILINE)) - {"check"}
    assert table == {"configuration", "mask", *_checks("")}


def test_every_reason_and_limit_of_the_citys_list_is_there() -> None:
    section = TEXT.partition("## What the city sees")[2].partition("## The doctor")[0]
    assert all(reason.value in section for reason in Reason)
    limits = Limits()
    for said in (
        f"for {limits.silent_s / 60:.0f} min",
        f"{limits.disk_free_mb:,} MB",
        f"{limits.temp_cdeg // 100} °C",
        f"less than {limits.certificate_s / 86_400:.0f} days",
        f"more than {limits.clock_error_ms // 1000} s",
    ):
        assert said in section


def test_what_is_said_of_parking_is_what_is_done() -> None:
    section = TEXT.partition("## Vehicle")[2].partition("## systemd")[0]
    assert parked.STILL_S == 120
    assert f"{parked.STILL_MPS} m/s" in section
    assert f"within {parked.SPREAD_M:.0f} m" in section
    assert f"{parked.UNSEEN_ACCURACY_M:.0f} m at best" in section
    assert f"({PositionConfig().parked_max_age_s / 3600:.0f} h)" in section
