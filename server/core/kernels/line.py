"""A cache line of eight 64-bit words, as the processor sees it: ask for it early, compare all its words at once.

LLVM makes one comparison out of `match` where the processor has 512-bit registers, two or four where it has less.
Source: LLVM language reference, "llvm.prefetch" and "llvm.cttz".
"""

from collections.abc import Callable
from typing import Any, Final, cast

import numpy as np
from llvmlite import ir
from numba import types as numba_types
from numba.core import cgutils as numba_cgutils
from numba.extending import intrinsic

WORDS = 8
types: Any = numba_types
cgutils: Any = numba_cgutils
_I1, _I8, _I32, _I64 = ir.IntType(1), ir.IntType(8), ir.IntType(32), ir.IntType(64)
_LINE = ir.VectorType(_I64, WORDS)


def _bare(_context: Any, array: Any) -> Any:
    """See `bare`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return context.make_array(signature.args[0])(context, builder, args[0]).data

    return types.CPointer(array.dtype)(array), generate


def _prefetch(_context: Any, array: Any, _index: Any) -> Any:
    """See `prefetch`."""

    def generate(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        address = builder.bitcast(builder.gep(args[0], [args[1]]), _I8.as_pointer())
        shape = ir.FunctionType(ir.VoidType(), [_I8.as_pointer(), _I32, _I32, _I32])
        function = cgutils.get_or_insert_function(builder.module, shape, "llvm.prefetch.p0")
        builder.call(function, [address, _I32(0), _I32(3), _I32(1)])  # to read, keep near, data
        return context.get_dummy_value()

    return types.void(array, types.int64), generate


def _match(_context: Any, array: Any, _first: Any, _mask: Any, _value: Any) -> Any:
    """See `match`."""

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        address = builder.bitcast(builder.gep(args[0], [args[1]]), _LINE.as_pointer())
        words = builder.load(address, align=64)
        wanted, masked = _spread(builder, args[3]), builder.and_(words, _spread(builder, args[2]))
        bits = builder.bitcast(builder.icmp_signed("==", masked, wanted), _I8)
        return builder.zext(bits, _I64)

    return types.int64(array, types.int64, types.int64, types.int64), generate


def _lowest(_context: Any, _bits: Any) -> Any:
    """See `lowest`."""

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], _I1(1))

    return types.int64(types.int64), generate


def _spread(builder: Any, word: Any) -> Any:
    one = builder.insert_element(ir.Constant(_LINE, ir.Undefined), word, _I32(0))
    return builder.shuffle_vector(one, ir.Constant(_LINE, ir.Undefined), ir.Constant(ir.VectorType(_I32, WORDS), None))


wide: Final = cast("Callable[[Any], int]", np.int64)
"""`wide(word)`: a small integer as one of 64 bits, so that sums and shifts do not overflow."""
bare: Final = cast("Callable[[Any], Any]", intrinsic(_bare))
"""`bare(array)`: the elements of a flat array without its count of references, for use within one kernel.

Indexed like the array, from 0, with nothing checked. numba counts references wherever an array is handed on to
another function, which costs more than what is done with it here.
"""
prefetch: Final = cast("Callable[[Any, int], None]", intrinsic(_prefetch))
"""`prefetch(array, index)`: ask for the cache line of the element `index` of a bare array; never faults."""
match: Final = cast("Callable[[Any, int, int, int], int]", intrinsic(_match))
"""`match(array, first, mask, value)`: bit j set where `array[first + j] & mask == value`, j = 0..7.

`array` is bare int64 on a 64-byte boundary, `first` a multiple of 8 within it. Nothing is checked.
"""
lowest: Final = cast("Callable[[int], int]", intrinsic(_lowest))
"""`lowest(bits)`: the number of the lowest set bit; `bits` is not 0."""
