import os
import time
from pathlib import Path

import pytest

from edge import machine
from edge.condition import MinuteRate
from edge.machine import Processor


def test_the_rate_is_that_of_the_last_minute_whenever_it_is_asked_for() -> None:
    rate = MinuteRate()
    for second in range(200):
        rate.sample(second * 10 if second < 100 else 1_000 + (second - 100) * 2, float(second))
    assert rate.per_min(1_198, 199.0) == pytest.approx(120, abs=10)


def test_the_rate_of_the_first_seconds_is_scaled_and_of_none_is_unknown() -> None:
    rate = MinuteRate()
    assert rate.per_min(5, 100.0) is None
    rate.sample(0, 100.0)
    assert rate.per_min(5, 100.0) is None
    assert rate.per_min(50, 110.0) == 300


def test_few_samples_are_kept() -> None:
    rate = MinuteRate()
    for tick in range(10_000):
        rate.sample(tick, tick * 0.5)
    assert len(rate._samples) <= 14


def _zone(root: Path, number: int, kind: str, temp: str) -> None:
    zone = root / f"thermal_zone{number}"
    zone.mkdir()
    (zone / "type").write_text(kind)
    (zone / "temp").write_text(temp)


def test_the_temperature_is_the_processors_and_not_another_parts(tmp_path: Path) -> None:
    assert machine.temp_cdeg(tmp_path) is None
    _zone(tmp_path, 0, "wifi", "91000\n")
    assert machine.temp_cdeg(tmp_path) == 9_100
    _zone(tmp_path, 1, "cpu-thermal\n", "61234\n")
    _zone(tmp_path, 2, "cpu-thermal\n", "broken\n")
    assert machine.temp_cdeg(tmp_path) == 6_123


def test_what_the_machine_does_not_say_is_none(tmp_path: Path) -> None:
    assert machine.disk_free_mb(tmp_path / "none") is None
    assert machine.rss_mb(tmp_path / "none") is None
    (tmp_path / "statm").write_text("1")
    assert machine.rss_mb(tmp_path / "statm") is None
    (tmp_path / "statm").write_text("9 1000 3")
    assert machine.rss_mb(tmp_path / "statm") == 1000 * os.sysconf("SC_PAGE_SIZE") // 1_000_000


def test_the_processor_is_counted_since_the_last_call_in_thousandths_of_a_core() -> None:
    processor = Processor(10.0, 1.0)
    assert processor.permille(20.0, 3.5) == 250
    assert processor.permille(20.0, 3.5) is None
    assert processor.permille(21.0, 5.5) == 2_000
    busy = Processor()
    until_s = time.monotonic() + 0.1
    while time.monotonic() < until_s:
        pass
    found = busy.permille(time.monotonic(), time.process_time())
    assert found is not None
    assert found > 200
