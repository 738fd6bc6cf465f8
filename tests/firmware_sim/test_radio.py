"""The model against the numbers it is meant to reproduce and a real walk."""

import csv
from pathlib import Path

import numpy as np
import pytest

from firmware_sim import radio


@pytest.mark.parametrize(
    ("near_exponent", "distance_m", "chance"),
    [(2.1, 20, 0.94), (2.1, 50, 0.67), (2.1, 80, 0.44),
     (2.8, 10, 0.93), (2.8, 20, 0.63), (2.8, 30, 0.36), (2.8, 50, 0.12)],
)  # fmt: skip
def test_reception_falls_with_distance_as_tabulated(near_exponent: float, distance_m: float, chance: float) -> None:
    found = radio.reception_probability(distance_m, near_exponent=near_exponent)
    assert found == pytest.approx(chance, abs=0.006)


@pytest.mark.parametrize(
    ("tags", "interval_s", "chance"), [(10, 1.0, 0.10), (100, 1.0, 0.16), (300, 1.0, 0.28), (300, 2.0, 0.19)]
)
def test_collisions_grow_with_the_crowd_as_tabulated(tags: int, interval_s: float, chance: float) -> None:
    lost = radio.collision_probability(np.array([(tags - 1) / interval_s]))
    assert lost[0] == pytest.approx(chance, abs=0.006)


def test_the_slope_breaks_at_104_m_without_a_step() -> None:
    assert radio.breakpoint_m(4.0) == pytest.approx(104, abs=0.5)
    loss_db = radio.path_loss_db(np.array([1.0, 10.0, 104.0, 104.001, 1040.0]), 104.0)
    assert loss_db[0] == radio.LOSS_AT_1_M_DB
    assert loss_db[1] - loss_db[0] == pytest.approx(10 * radio.NEAR_EXPONENT)
    assert loss_db[3] - loss_db[2] < 0.01
    assert loss_db[4] - loss_db[2] == pytest.approx(10 * radio.FAR_EXPONENT)


def test_a_wall_costs_the_median_of_p2109_and_a_body_up_to_15_db() -> None:
    assert radio.entry_loss_db() == pytest.approx(14.2, abs=0.05)
    assert radio.body_loss_db(np.array([1.0, 0.0, -1.0])).tolist() == [0.0, 7.5, 15.0]


def test_shadowing_has_its_deviation_and_forgets_within_its_distance() -> None:
    rng, n = np.random.default_rng(1), 20_000
    shadowing, pair = radio.Shadowing(n, 1), (np.arange(n), np.zeros(n, dtype=np.int64))
    at = {m: shadowing.at(*pair, np.full(n, m), rng.standard_normal(n)) for m in (0.0, 7.0, 100.0)}
    assert at[7.0].std() == pytest.approx(radio.SHADOW_DB, rel=0.03)
    assert np.corrcoef(at[0.0], at[7.0])[0, 1] == pytest.approx(np.exp(-1), abs=0.03)
    assert abs(np.corrcoef(at[0.0], at[100.0])[0, 1]) < 0.03
    assert (shadowing.at(*pair, np.full(n, 100.0), rng.standard_normal(n)) == at[100.0]).all()


def _sal_walk(vectors: Path) -> dict[str, list[float]]:
    file = vectors / "captures" / "sal" / "walk_sensor_1_measurement_1.csv"
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    return {name: [float(row[name]) for row in rows] for name in rows[0] if "-" in name}


def test_fading_and_floor_are_those_of_a_real_walk(vectors: Path) -> None:
    columns = _sal_walk(vectors)
    spreads, floors = [], []
    for column in columns.values():
        rssi_dbm = np.array(column)
        both = (rssi_dbm[1:] > -100) & (rssi_dbm[:-1] > -100)
        spreads.append(np.diff(rssi_dbm)[both].std())
        floors.append(rssi_dbm[rssi_dbm > -100].min())
    assert len(columns) == 10
    assert min(spreads) < radio.FADING_DB * np.sqrt(2) < max(spreads)
    assert np.median(floors) == pytest.approx(radio.SENSITIVITY_DBM, abs=2)
