"""Arrays that begin on a cache line, so that a line of state is one line of memory."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

LINE_BYTES = 64


def aligned(shape: int | tuple[int, ...], dtype: DTypeLike, fill: int | None = 0) -> NDArray[Any]:
    """Return a C-contiguous array that begins on a 64-byte boundary.

    Args:
        shape: of the array; 0 elements are allowed.
        dtype: of the elements.
        fill: what it holds; None leaves it unset, and its pages untouched until used.
    """
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.empty(size + LINE_BYTES, np.uint8)
    start = -raw.ctypes.data % LINE_BYTES
    array: NDArray[Any] = raw[start : start + size].view(dtype).reshape(shape)
    if fill is not None:
        array[...] = fill
    return array
