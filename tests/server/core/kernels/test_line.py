from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.core.kernels.jit import kernel
from server.core.kernels.layout import aligned
from server.core.kernels.line import bare, lowest, match, prefetch

words = st.integers(-(2**63), 2**63 - 1)


@kernel
def _match(array: Any, first: int, mask: int, value: int) -> int:
    here = bare(array)
    prefetch(here, first + 10**6)  # past the end: asking never faults
    return match(here, first, mask, value)


@kernel
def _lowest(bits: int) -> int:
    return lowest(bits)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(words | st.integers(0, 3), min_size=16, max_size=16), words, st.integers(0, 15), st.sampled_from([0, 8])
)
def test_match_sets_the_bit_of_each_word_that_matches(all_words: list[int], mask: int, like: int, first: int) -> None:
    array = aligned(16, np.int64)
    array[:] = all_words
    value = all_words[like] & mask
    expected = sum(1 << j for j in range(8) if all_words[first + j] & mask == value)
    assert _match(array, first, mask, value) == expected


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 255))
def test_lowest_is_the_first_match(bits: int) -> None:
    assert _lowest(bits) == f"{bits:08b}"[::-1].index("1")


@pytest.mark.parametrize("shape", [1, 7, (3, 5), (1000, 8)])
def test_arrays_begin_on_a_cache_line(shape: int | tuple[int, ...]) -> None:
    array = aligned(shape, np.int32, -1)
    assert array.ctypes.data % 64 == 0
    assert array.flags.c_contiguous
    assert (array == -1).all()
