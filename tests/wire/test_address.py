import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.address import names_host


@pytest.mark.parametrize("url", ["mqtt://broker", "mqtts://broker:8883", "mqtt://[::1]:1883", "mqtt://127.0.0.1:1"])
def test_a_host_with_or_without_a_port_is_named(url: str) -> None:
    assert names_host(url, "mqtt", "mqtts")


@pytest.mark.parametrize(
    "url",
    ["", "broker:1883", "http://broker", "mqtt://", "mqtt://:1883", "mqtt://h:0", "mqtt://h:65536", "mqtt://[::1"],
)
def test_anything_else_is_not(url: str) -> None:
    assert not names_host(url, "mqtt", "mqtts")


def test_a_port_can_be_asked_for() -> None:
    assert not names_host("tcp://gpsd", "tcp", needs_port=True)
    assert names_host("tcp://gpsd:2947", "tcp", needs_port=True)


@given(st.text())
def test_no_text_raises(url: str) -> None:
    names_host(url, "mqtt")
    names_host(f"mqtt://{url}", "mqtt")
