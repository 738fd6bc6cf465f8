from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire import orders
from wire.errors import MessageError
from wire.messages import Order
from wire.orders import Command, Configure, Export, Freeze, Restart, RotateKeys, SetMask, Thaw

IDS = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
STARTS_S = st.integers(0, 2**40)
SPANS_S = st.integers(1, orders.MAX_WINDOW_MS // 1000)
STRANDS = st.dictionaries(st.binary(min_size=16, max_size=16), st.binary(min_size=32, max_size=32), max_size=3)


@st.composite
def _freezes(draw: Any) -> Freeze:
    from_ms = draw(STARTS_S)
    return Freeze(draw(IDS), from_ms, from_ms + draw(SPANS_S), draw(st.integers(0, 2**50)))


@st.composite
def _exports(draw: Any) -> Export:
    from_s = draw(STARTS_S)
    to_s = from_s + draw(SPANS_S)
    url = draw(st.sampled_from(["", "https://city.example/api/v1/exports/x"]))
    return Export(draw(IDS), draw(IDS), from_s * 1000, to_s * 1000, "age1qqq", url, draw(STRANDS))


COMMANDS = st.one_of(
    _freezes(),
    st.builds(Thaw, IDS),
    _exports(),
    st.builds(SetMask, st.binary(max_size=40)),
    st.builds(Configure, st.binary(max_size=40)),
    st.just(RotateKeys()),
    st.just(Restart()),
)


@given(COMMANDS)
def test_a_command_survives_its_order(command: Command) -> None:
    order = Order(7, 1_000, orders.kind_of(command), orders.body_of(command))
    assert orders.read(Order.decode(order.encode())) == command


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(MessageError, match="kind"):
        orders.read(Order(1, 1, "dance", {}))


EXPORT = {"export": "e", "case": "c", "from_ms": 1_000, "to_ms": 2_000, "recipient": "age1q", "strands": {}}


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("freeze", {"case": "c", "from_ms": 5, "to_ms": 5, "until_ms": 9}),
        ("freeze", {"case": "c", "from_ms": 5, "to_ms": 6 + orders.MAX_WINDOW_MS, "until_ms": 9}),
        ("freeze", {"case": "../c", "from_ms": 5, "to_ms": 6, "until_ms": 9}),
        ("freeze", {"case": "c", "from_ms": 5, "to_ms": 6}),
        ("thaw", {}),
        ("thaw", {"case": 3}),
        ("export", {**EXPORT, "from_ms": 1_001}),
        ("export", {**EXPORT, "to_ms": 1_999}),
        ("export", {**EXPORT, "recipient": "ssh-ed25519 AAAA"}),
        ("export", {**EXPORT, "strands": {b"short": bytes(32)}}),
        ("export", {**EXPORT, "strands": {bytes(16): bytes(31)}}),
        ("export", {**EXPORT, "strands": []}),
        ("export", {**EXPORT, "export": ""}),
        ("mask", {"mask": "text"}),
        ("configure", {}),
    ],
)
def test_a_body_that_is_not_of_its_kind_is_refused(kind: str, body: dict[str, Any]) -> None:
    with pytest.raises(MessageError):
        orders.read(Order(1, 1, kind, body))


def test_keys_do_not_show_in_a_printed_order() -> None:
    export = Export("e", "c", 0, 1_000, "age1q", strands={bytes(16): b"k" * 32})
    assert "kkk" not in repr(export)
