"""Sightings as the kernels read them: flat columns, one row a tag heard by a detector."""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

_NO_POSES = np.empty(0, np.int32)


class Columns(NamedTuple):
    """Input of one step, n rows in any order.

    Attributes:
        tags: int32 (n,), whose they are; below 0: nobody's, or nobody to be placed.
        detectors: int32 (n,), rows of the station table; below 0 or beyond it: heard nowhere.
        rssi_dbm: int8 (n,).
        heard_at_ms: int64 (n,), UTC, detector's clock corrected.
        lat_deg: float64 (n,) or (0,): where a moving detector was at that moment, NaN for one that stands.
        lon_deg: likewise.
        accuracy_m: float32 likewise; not a number or below 0: the detector does not say.
    """

    tags: NDArray[np.int32]
    detectors: NDArray[np.int32]
    rssi_dbm: NDArray[np.int8]
    heard_at_ms: NDArray[np.int64]
    lat_deg: NDArray[np.float64]
    lon_deg: NDArray[np.float64]
    accuracy_m: NDArray[np.float32]

    @classmethod
    def of(
        cls,
        tags: NDArray[np.int32],
        detectors: NDArray[np.int32],
        rssi_dbm: NDArray[np.int8] | NDArray[np.int16],
        heard_at_ms: NDArray[np.int64],
        *,
        lat_deg: NDArray[np.float64] | None = None,
        lon_deg: NDArray[np.float64] | None = None,
        accuracy_m: NDArray[np.float32] | None = None,
    ) -> Self:
        """Return the columns of resolved rows; nothing is copied that has the right type already.

        Raises:
            ValueError: the columns differ in length.
        """
        columns = cls(
            np.ascontiguousarray(tags, np.int32),
            np.ascontiguousarray(detectors, np.int32),
            np.ascontiguousarray(np.clip(rssi_dbm, -128, 127) if rssi_dbm.dtype != np.int8 else rssi_dbm, np.int8),
            np.ascontiguousarray(heard_at_ms, np.int64),
            np.ascontiguousarray(() if lat_deg is None else lat_deg, np.float64),
            np.ascontiguousarray(() if lon_deg is None else lon_deg, np.float64),
            np.ascontiguousarray(() if accuracy_m is None else accuracy_m, np.float32),
        )
        lengths = {column.size for column in columns[:4]} | {len(columns.lat_deg) or len(columns.tags)}
        if len(lengths) != 1 or len({column.size for column in columns[4:]}) != 1:
            raise ValueError("the columns differ in length")
        return columns
