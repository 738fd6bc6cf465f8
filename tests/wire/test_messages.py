from collections.abc import Callable
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.errors import MessageError
from wire.messages import MAX_OCTETS, MAX_SETTLED, Heartbeat, Order, Receipt

UINT32, UINT53 = st.integers(0, 2**32 - 1), st.integers(0, 2**53 - 1)
TEXT = st.text(max_size=40)
HEARTBEATS = st.builds(
    Heartbeat, TEXT, UINT32, UINT53, UINT53, UINT53, st.none() | UINT53, UINT53, UINT53, UINT53, TEXT,
    st.sampled_from(["online", "offline"]), UINT53,
)  # fmt: skip
RECEIPTS = st.builds(
    Receipt,
    UINT32,
    st.lists(UINT53, max_size=9).map(tuple),
    st.lists(st.tuples(UINT53, TEXT), max_size=9).map(tuple),
)
BODIES = st.dictionaries(
    TEXT, st.integers(-9, 9) | TEXT | st.binary(max_size=9) | st.lists(TEXT, max_size=3), max_size=4
)
ORDERS = st.builds(Order, UINT53, UINT53, TEXT, BODIES)
KINDS = (Heartbeat, Receipt, Order)
Message = Heartbeat | Receipt | Order


@given(HEARTBEATS | RECEIPTS | ORDERS)
def test_a_message_survives_the_wire(message: Message) -> None:
    assert type(message).decode(message.encode()) == message


def test_our_vectors_hold(vectors: Callable[[str], Any]) -> None:
    kinds = {kind.__name__.lower(): kind for kind in KINDS}
    for case in vectors("messages.json")["cases"]:
        fields = dict(case["fields"])
        if case["kind"] == "receipt":
            fields["accepted"] = tuple(fields["accepted"])
            fields["refused"] = tuple((sequence, reason) for sequence, reason in fields["refused"])
        message = kinds[case["kind"]](**fields)
        assert message.encode().hex() == case["cbor"]
        assert kinds[case["kind"]].decode(bytes.fromhex(case["cbor"])) == message


@given(st.binary(max_size=200), st.sampled_from(KINDS))
def test_any_octets_are_a_message_or_a_message_error(data: bytes, kind: type[Message]) -> None:
    try:
        kind.decode(data)
    except MessageError:
        return


SCALARS = st.none() | st.booleans() | st.integers(-5, 2**60) | TEXT | st.binary(max_size=3) | st.floats()
ITEMS = st.integers(-1, 3) | TEXT | st.lists(st.integers(-1, 3) | TEXT, max_size=3)
ANYTHING = SCALARS | st.lists(ITEMS, max_size=3)


@given(st.dictionaries(st.integers(1, 13), ANYTHING), st.sampled_from(KINDS))
def test_any_fields_are_a_message_or_a_message_error(fields: dict[int, object], kind: type[Message]) -> None:
    try:
        kind.decode(cbor2.dumps({0: 1, **fields}))
    except MessageError:
        return


@pytest.mark.parametrize("message", [Heartbeat("gw-001"), Receipt(1), Order(1, 2, "scan")])
def test_unknown_fields_are_ignored_and_unknown_versions_refused(message: Message) -> None:
    fields = cbor2.loads(message.encode())
    assert type(message).decode(cbor2.dumps({**fields, 99: {"new": 1}})) == message
    for version in (2, None, True, "1"):
        with pytest.raises(MessageError, match="version"):
            type(message).decode(cbor2.dumps({**fields, 0: version}))


@pytest.mark.parametrize("data", [cbor2.dumps([1]), bytes(MAX_OCTETS + 1), b""])
def test_what_is_not_a_map_is_refused(data: bytes) -> None:
    with pytest.raises(MessageError):
        Receipt.decode(data)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [(Receipt, {1: 2**32}), (Receipt, {1: 1, 2: 3}), (Receipt, {1: 1, 3: {}}), (Receipt, {1: 1, 2: [-1]}),
     (Receipt, {1: 1, 2: [True]}), (Receipt, {1: 1, 3: [[1]]}), (Receipt, {1: 1, 3: [[1, 2]]}),
     (Receipt, {1: 1, 3: [5]}), (Receipt, {1: 1, 2: [0] * (MAX_SETTLED + 1)}), (Order, {1: 1, 2: 2, 3: "x", 4: []}),
     (Order, {1: 1, 2: 2, 3: "x", 4: {1: 2}}), (Order, {1: 1, 2: 2, 3: "x" * 201}), (Order, {1: 1, 2: 2})],
)  # fmt: skip
def test_a_message_with_one_mistake_is_refused(kind: type[Message], fields: dict[int, object]) -> None:
    with pytest.raises(MessageError):
        kind.decode(cbor2.dumps({0: 1, **fields}))


def test_a_heartbeat_is_online_or_offline() -> None:
    fields = cbor2.loads(Heartbeat("gw-001").encode())
    with pytest.raises(MessageError, match="state"):
        Heartbeat.decode(cbor2.dumps({**fields, 11: "asleep"}))


def test_a_last_will_says_offline() -> None:
    assert Heartbeat.decode(Heartbeat.will("gw-001", 7).encode()) == Heartbeat("gw-001", 7, state="offline")


def test_a_receipt_settles_only_so_many_and_cuts_its_reasons() -> None:
    with pytest.raises(MessageError, match="settles"):
        Receipt(1, tuple(range(MAX_SETTLED + 1))).encode()
    receipt = Receipt.decode(Receipt(1, (), ((1, "x" * 500),)).encode())
    assert receipt.refused == ((1, "x" * 200),)
