"""Typed reading of the CBOR maps that messages are: one place that says what a number, a text or octets may be."""

from collections.abc import Mapping
from typing import Any, Final

from wire import cbor
from wire.errors import MessageError

VERSION: Final = 1
MAX_OCTETS: Final = 262_144
MAX_TEXT: Final = 200
UINT32: Final = 2**32
UINT53: Final = 2**53


def dumps(fields: Mapping[int, object]) -> bytes:
    """Return a message: the map with the version as its field 0."""
    return cbor.dumps({0: VERSION, **fields})


def loads(data: bytes, *, max_octets: int = MAX_OCTETS) -> dict[Any, Any]:
    """Return the fields of a message of our version.

    Raises:
        MessageError: malformed or of an unknown version.
    """
    try:
        fields = cbor.loads(data, max_octets=max_octets)
    except cbor.CborError as error:
        raise MessageError(f"not CBOR of ours: {error}") from error
    if not isinstance(fields, dict):
        raise MessageError("a message is a map")
    version = fields.get(0)
    if type(version) is not int or version != VERSION:
        raise MessageError("a version that we do not know")
    return fields


def uint(fields: Mapping[Any, Any], key: object, limit: int = UINT53) -> int:
    """Return the whole number at `key`, at least 0 and below `limit`.

    Raises:
        MessageError: it is none.
    """
    return below(fields.get(key), limit, f"field {key}")


def uint_or_none(fields: Mapping[Any, Any], key: object, limit: int = UINT53) -> int | None:
    """Return the whole number at `key`, None where there is none.

    Raises:
        MessageError: there is something else.
    """
    return None if fields.get(key) is None else uint(fields, key, limit)


def below(value: object, limit: int, name: str) -> int:
    """Return `value` if it is a whole number, at least 0 and below `limit`.

    Raises:
        MessageError: it is not; `name` says what was read.
    """
    if type(value) is not int or not 0 <= value < limit:
        raise MessageError(f"{name} is not a number in range")
    return value


def signed(fields: Mapping[Any, Any], key: object, limit: int) -> int:
    """Return the whole number at `key`, its magnitude below `limit`.

    Raises:
        MessageError: it is none.
    """
    value = fields.get(key)
    if type(value) is not int or not -limit < value < limit:
        raise MessageError(f"field {key} is not a number in range")
    return value


def text(fields: Mapping[Any, Any], key: object, longest: int = MAX_TEXT) -> str:
    """Return the text at `key`.

    Raises:
        MessageError: it is none, or longer than `longest` characters.
    """
    value = fields.get(key)
    if not isinstance(value, str) or len(value) > longest:
        raise MessageError(f"field {key} is not a short text")
    return value


def octets(fields: Mapping[Any, Any], key: object, length: int | None = None, longest: int = MAX_OCTETS) -> bytes:
    """Return the octets at `key`.

    Raises:
        MessageError: they are none, not `length` of them, or more than `longest`.
    """
    value = fields.get(key)
    if not isinstance(value, bytes) or len(value) > longest or (length is not None and len(value) != length):
        raise MessageError(f"field {key} is not octets of the right number")
    return value


def flag(fields: Mapping[Any, Any], key: object) -> bool:
    """Return the truth value at `key`.

    Raises:
        MessageError: it is none.
    """
    value = fields.get(key)
    if not isinstance(value, bool):
        raise MessageError(f"field {key} is neither true nor false")
    return value
