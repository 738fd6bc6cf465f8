import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_sim.geometry import Plane, distance_to_line_m, length_m

METRES = st.floats(-2000, 2000)


def test_a_degree_is_as_long_as_published_tables_say() -> None:
    # Wikipedia, "Latitude", table for WGS 84 at 30 degrees.
    plane = Plane(lat_deg=30.0)
    assert plane.metres_per_lat_deg == pytest.approx(110_852, abs=2)
    assert plane.metres_per_lon_deg == pytest.approx(96_486, abs=2)


@given(METRES, METRES)
def test_there_and_back_again_is_the_same_point(x_m: float, y_m: float) -> None:
    plane = Plane()
    assert plane.to_plane(*plane.to_geo(x_m, y_m)) == pytest.approx((x_m, y_m), abs=1e-6)


def test_distance_to_a_bent_line_is_to_its_nearest_piece() -> None:
    line = np.array([(0.0, 0.0), (10.0, 0.0), (10.0, 10.0)])
    points = np.array([(5.0, 3.0), (14.0, 5.0), (-3.0, -4.0), (10.0, 0.0)])
    assert distance_to_line_m(points, line) == pytest.approx([3, 4, 5, 0])
    assert length_m(line) == 20
