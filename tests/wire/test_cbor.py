import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire import cbor

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64), 2**64 - 1) | st.binary(max_size=300) | st.text(max_size=30)
    | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=5)
    | st.dictionaries(st.text(max_size=5) | st.integers(0, 30), inner, max_size=5),
    max_leaves=20,
)  # fmt: skip


def depth(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max((depth(item) for item in value.values()), default=0)
    return 1 + max((depth(item) for item in value), default=0) if isinstance(value, list) else 0


@given(PLAIN)
def test_plain_values_survive(value: object) -> None:
    data = cbor.dumps(value)
    if depth(value) < cbor.MAX_DEPTH:
        assert cbor.loads(data, max_octets=100_000) == value
    else:
        with pytest.raises(cbor.CborError, match="deeper"):
            cbor.loads(data, max_octets=100_000)


@given(st.binary(max_size=400))
def test_any_octets_are_a_value_or_a_cbor_error(data: bytes) -> None:
    try:
        cbor.loads(data, max_octets=1_000, tags=cbor.TYPED_ARRAYS)
    except cbor.CborError:
        return


@pytest.mark.parametrize(
    ("text", "because"),
    [
        ("", "missing"),
        ("0000", "after the end"),
        ("9f00ff", "indefinite"),
        ("5f4100ff", "indefinite"),
        ("1c", "reserved"),
        ("19 01", "head runs past"),
        ("42 00", "string runs past"),
        ("9b7fffffffffffffff", "more items than"),
        ("bb7fffffffffffffff", "more items than"),
        ("82 00", "missing"),
        ("a100", "missing"),
        ("c11a00000000", "tag 1 "),
        ("d81c80", "tag 28"),
        ("d90102 82 00 00", "tag 258"),
        ("81" * 9 + "00", "deeper"),
        ("a2 00 01 00 02", "(?i)duplicate"),
        ("61ff", "."),
        ("f800", "."),
    ],
)
def test_what_none_of_our_formats_uses_is_refused(text: str, because: str) -> None:
    with pytest.raises(cbor.CborError, match=because):
        cbor.loads(bytes.fromhex(text), max_octets=100, tags=cbor.TYPED_ARRAYS)


def test_size_and_items_are_capped_before_anything_is_built() -> None:
    with pytest.raises(cbor.CborError, match="octets"):
        cbor.loads(cbor2.dumps(bytes(100)), max_octets=100)
    with pytest.raises(cbor.CborError, match="items"):
        cbor.loads(cbor2.dumps([0] * (cbor.MAX_ITEMS + 1)), max_octets=1_000_000)
