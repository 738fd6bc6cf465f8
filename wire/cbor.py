"""CBOR (RFC 8949) from strangers: looked over before it is decoded, so that no input costs more than its own size.

A walk over the item heads refuses what none of our formats uses (indefinite lengths, tags that would build
dates, patterns or cycles) and bounds depth, items and lengths. Only then does cbor2 see the bytes.
"""

from typing import Any, Final

import cbor2

MAX_DEPTH: Final = 8
MAX_ITEMS: Final = 20_000
TYPED_ARRAYS: Final = frozenset(range(64, 88))
"""The tags of RFC 8746, section 2."""


class CborError(Exception):
    """Not CBOR, or CBOR of a shape that we never send."""


def dumps(value: object) -> bytes:
    """Return `value` in the shortest encoding, map keys in the order given."""
    return cbor2.dumps(value)


def loads(data: bytes, *, max_octets: int, tags: frozenset[int] = frozenset()) -> Any:  # noqa: ANN401 - any CBOR item
    """Return the one item that `data` holds.

    Args:
        data: all of it must be used up.
        max_octets: more is refused unread.
        tags: which tags may occur.

    Raises:
        CborError: anything at all is wrong with it.
    """
    if len(data) > max_octets:
        raise CborError(f"more than {max_octets} octets")
    _walk(data, tags)
    try:
        return cbor2.loads(data, max_depth=2 * MAX_DEPTH, allow_indefinite=False, allow_duplicate_keys=False)
    except (cbor2.CBORError, ValueError, TypeError) as error:
        raise CborError(str(error)) from error


def _walk(data: bytes, tags: frozenset[int]) -> None:
    """Check the heads of all items without building any of them."""
    at, items = 0, 0
    open_counts = [1]  # items still due, from the outermost container inwards
    while open_counts:
        if open_counts[-1] == 0:
            open_counts.pop()
            continue
        open_counts[-1] -= 1
        items += 1
        if items > MAX_ITEMS:
            raise CborError(f"more than {MAX_ITEMS} items")
        major, argument, at = _head(data, at)
        if major in (2, 3):
            at += argument
            if at > len(data):
                raise CborError("a string runs past the end")
        elif major in (4, 5, 6):
            _check_container(major, argument, len(data), tags)
            open_counts.append((argument, 2 * argument, 1)[major - 4])
            if len(open_counts) > MAX_DEPTH:
                raise CborError(f"nested deeper than {MAX_DEPTH}")
    if at != len(data):
        raise CborError("octets after the end of the item")


def _head(data: bytes, at: int) -> tuple[int, int, int]:
    """Return major type, argument and where the head ends."""
    if at >= len(data):
        raise CborError("an item is missing")
    major, low = data[at] >> 5, data[at] & 0x1F
    if low < 24:
        return major, low, at + 1
    if low > 27:
        raise CborError("indefinite or reserved length")
    end = at + 1 + (1 << (low - 24))
    if end > len(data):
        raise CborError("a head runs past the end")
    return major, int.from_bytes(data[at + 1 : end], "big"), end


def _check_container(major: int, argument: int, octets: int, tags: frozenset[int]) -> None:
    if major == 6:
        if argument not in tags:
            raise CborError(f"tag {argument} has no place here")
    elif argument > octets:
        raise CborError("a container of more items than there are octets")
