import numpy as np
import pytest

from firmware_sim.geometry import Plane
from firmware_sim.gps import SIGMA_M, Gps
from firmware_sim.movement import Positions

N = 400


def _where(building: int) -> Positions:
    zeros = np.zeros(N)
    return Positions(zeros, zeros, zeros + 3.0, zeros, np.full(N, building))


def _errors_m(building: int, gps: Gps) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    points = [Plane().to_plane(fix.lat_deg, fix.lon_deg) for fix in gps.fixes(_where(building))]
    return np.asarray(np.hypot(*np.array(points).T))


def test_nineteen_of_twenty_fixes_lie_within_the_error_that_is_reported() -> None:
    gps = Gps(Plane(), np.arange(N), 7)
    reported_m = gps.fixes(_where(-1))[0].error_95_m
    inside = [(_errors_m(-1, gps) <= reported_m).mean() for _ in range(200)][::20]
    assert reported_m == pytest.approx(4.9, abs=0.05)
    assert np.mean(inside) == pytest.approx(0.95, abs=0.02)


def test_errors_wander_slowly_and_grow_inside() -> None:
    gps = Gps(Plane(), np.arange(N), 7)
    first, second = _errors_m(-1, gps), _errors_m(-1, gps)
    assert np.abs(second - first).max() < SIGMA_M * 1.5
    assert np.median(_errors_m(3, gps)) > 3 * np.median(first)


def test_a_report_has_gpsds_fields() -> None:
    tpv = Gps(Plane(), np.arange(N), 7).fixes(_where(-1))[0].tpv("car-1", "2026-11-24T00:00:00.000Z")
    assert tpv["class"] == "TPV"
    assert (tpv["speed"], tpv["track"]) == (3.0, 90.0)
    assert {"device", "mode", "time", "lat", "lon", "eph", "epx", "epy"} <= set(tpv)
