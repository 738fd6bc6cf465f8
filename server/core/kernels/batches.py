"""Batches that come again: a sliding window over the newest sequences of each detector's epochs."""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from server.core.kernels.jit import inlined, kernel
from server.core.kernels.layout import aligned


class Delivery(IntEnum):
    """What is known of a batch."""

    SEEN = 0
    NEW = 1
    UNSURE = 2  # too old for the window, or of an epoch that was forgotten: ask the database


_SEEN, _NEW, _UNSURE = int(Delivery.SEEN), int(Delivery.NEW), int(Delivery.UNSURE)


def windows(detectors: int) -> NDArray[np.int64]:
    """Return the memory of `accept`: int64 (detectors, 8), two epochs a detector, each epoch, newest, bits, state."""
    return aligned((detectors, 8), np.int64)


@kernel
def accept(
    memory: NDArray[np.int64],
    detectors: NDArray[np.int32],
    epochs: NDArray[np.int64],
    sequences: NDArray[np.int64],
    deliveries: NDArray[np.uint8],
) -> int:
    """Write into `deliveries` what is known of each batch, remember it, and return how many are `NEW`.

    The window slides over the newest 64 sequences of an epoch, as the anti-replay window of RFC 4303, 3.4.3. A
    detector has two epochs in memory; a third takes the place of the one not used last, and from then on all that is
    not known to be seen is `UNSURE`, for what was forgotten may come again. So is all of an unknown detector.
    """
    fresh = 0
    for i in range(detectors.size):
        deliveries[i] = _UNSURE
        if not 0 <= detectors[i] < memory.shape[0]:
            continue
        mine = memory[detectors[i]]
        if mine[3] == 0 or mine[0] != epochs[i]:
            _turn(mine, epochs[i])
        deliveries[i] = _deliver(mine, sequences[i])
        fresh += deliveries[i] == _NEW
    return fresh


@inlined
def _turn(mine: NDArray[np.int64], epoch: int) -> None:
    """Bring an epoch to the front of its detector's two; states: 0 unused, 1 whole, 2 something was forgotten."""
    is_known, state = mine[7] != 0 and mine[4] == epoch, mine[7]
    if not is_known:
        state = 1 if mine[7] == 0 else 2
    newest = mine[5] if is_known else -1
    bits = mine[6] if is_known else 0
    for j in range(4):
        mine[4 + j] = mine[j]
    mine[0], mine[1], mine[2], mine[3] = epoch, newest, bits, state


@inlined
def _deliver(mine: NDArray[np.int64], sequence: int) -> int:
    step = sequence - mine[1]
    fresh = _NEW if mine[3] == 1 else _UNSURE
    if mine[1] < 0 or step > 0:
        mine[2] = (mine[2] << step if mine[1] >= 0 and step < 64 else 0) | 1
        mine[1] = sequence
        return fresh
    if step <= -64:
        return _UNSURE
    if (mine[2] >> -step) & 1:
        return _SEEN
    mine[2] |= np.int64(1) << -step
    return fresh
