"""Columns that the steps hand to each other, one row a tag, detector and window."""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

KIND_EID = 0
KIND_PLAIN_EID = 1
KIND_UID = 2
KIND_IBEACON = 3


@dataclass(frozen=True, slots=True)
class Heard:
    """Sightings of one step, opened and with the detectors' clocks corrected; all columns have n rows.

    Attributes:
        batches: int32, which of the step's batches a row came with.
        detectors: int32, `Detector.index`.
        kinds: uint8, 0 EID with status, 1 EID alone, 2 UID, 3 iBeacon.
        ids: uint64, the 8 octets read as a little-endian integer.
        sealed: uint8 (n, 6), the status beside the id at `last_ms`; zeros where kind is not 0.
        rssi_best_dbm: int16.
        rssi_mean_dbm: int16.
        counts: int32, packets in the window.
        first_ms: int64, UTC.
        last_ms: int64, UTC.
        lat_deg: float64 of a moving detector, NaN elsewhere.
        lon_deg: float64 likewise.
        accuracy_m: float32 likewise.
        clock_error_ms: int64, how far the times may be off, above what a disciplined clock is.
    """

    batches: NDArray[np.int32]
    detectors: NDArray[np.int32]
    kinds: NDArray[np.uint8]
    ids: NDArray[np.uint64]
    sealed: NDArray[np.uint8]
    rssi_best_dbm: NDArray[np.int16]
    rssi_mean_dbm: NDArray[np.int16]
    counts: NDArray[np.int32]
    first_ms: NDArray[np.int64]
    last_ms: NDArray[np.int64]
    lat_deg: NDArray[np.float64]
    lon_deg: NDArray[np.float64]
    accuracy_m: NDArray[np.float32]
    clock_error_ms: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> Self:
        """Return the rows that a mask or an index array selects."""
        return type(self)(*(getattr(self, field.name)[which] for field in fields(self)))

    @classmethod
    def none(cls) -> Self:
        """Return no rows."""
        kinds: dict[str, tuple[type[np.generic], tuple[int, ...]]] = {
            "batches": (np.int32, (0,)),
            "detectors": (np.int32, (0,)),
            "kinds": (np.uint8, (0,)),
            "ids": (np.uint64, (0,)),
            "sealed": (np.uint8, (0, 6)),
            "rssi_best_dbm": (np.int16, (0,)),
            "rssi_mean_dbm": (np.int16, (0,)),
            "counts": (np.int32, (0,)),
            "first_ms": (np.int64, (0,)),
            "last_ms": (np.int64, (0,)),
            "lat_deg": (np.float64, (0,)),
            "lon_deg": (np.float64, (0,)),
            "accuracy_m": (np.float32, (0,)),
            "clock_error_ms": (np.int64, (0,)),
        }
        return cls(*(np.empty(shape, dtype=dtype) for dtype, shape in kinds.values()))
