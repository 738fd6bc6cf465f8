"""The rows of many batches as the columns that the core takes, the detectors' clocks put right."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server.core.rows import Heard
from server.ingest.open import Opened


def gather(fresh: Sequence[Opened], corrections_ms: NDArray[np.int64], errors_ms: NDArray[np.int64]) -> Heard:
    """Return all rows of `fresh`, in order.

    A clock that is ahead by less than counts as wrong says times that have not come yet: they become the arrival.

    Args:
        fresh: batches; a row's `batches` is the number of its batch in them.
        corrections_ms: of each batch, to be added to its times.
        errors_ms: of each batch, how far its times may be off then.
    """
    if not fresh:
        return Heard.none()
    lengths = [len(opened.batch) for opened in fresh]
    numbers = np.repeat(np.arange(len(fresh), dtype=np.int32), lengths)
    received_ms = np.array([opened.received_ms for opened in fresh], np.int64)[numbers]
    corrected_ms = corrections_ms[numbers]
    return Heard(
        numbers,
        np.array([opened.detector.index for opened in fresh], np.int32)[numbers],
        _joined(fresh, "kinds", np.uint8),
        _joined(fresh, "ids", np.uint64),
        _joined(fresh, "sealed", np.uint8),
        _joined(fresh, "rssi_best_dbm", np.int16),
        _joined(fresh, "rssi_mean_dbm", np.int16),
        _joined(fresh, "counts", np.int32),
        np.minimum(_joined(fresh, "first_heard_ms", np.int64) + corrected_ms, received_ms),
        np.minimum(_joined(fresh, "last_heard_ms", np.int64) + corrected_ms, received_ms),
        _positions(fresh, "lat_deg", np.float64),
        _positions(fresh, "lon_deg", np.float64),
        _positions(fresh, "position_accuracy_m", np.float32),
        errors_ms[numbers],
    )


def _joined(fresh: Sequence[Opened], name: str, kind: type[np.generic]) -> NDArray[Any]:
    joined: NDArray[Any] = np.concatenate([getattr(opened.batch, name) for opened in fresh], dtype=kind)
    return joined


def _positions(fresh: Sequence[Opened], name: str, kind: type[np.floating[Any]]) -> NDArray[Any]:
    """Return a column that the batches of detectors that stand still do not have: NaN."""
    columns = [getattr(opened.batch, name) for opened in fresh]
    found = np.full(sum(len(opened.batch) for opened in fresh), np.nan, kind)
    at = 0
    for column, opened in zip(columns, fresh, strict=True):
        if column is not None:
            found[at : at + len(column)] = column
        at += len(opened.batch)
    return found
