"""MQTT topics: `mimamori/1/{city}/{detector}/{leaf}`, see docs/WIRE.md. No other module spells one."""

import re
from dataclasses import dataclass

from wire.errors import TopicError

_ROOT = "mimamori/1"
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_LEAVES = ("sightings", "heartbeat", "receipts", "orders", "reports")

ALL_SIGHTINGS = f"{_ROOT}/+/+/sightings"
ALL_HEARTBEATS = f"{_ROOT}/+/+/heartbeat"
ALL_RECEIPTS = f"{_ROOT}/+/+/receipts"
ALL_ORDERS = f"{_ROOT}/+/+/orders"
ALL_REPORTS = f"{_ROOT}/+/+/reports"


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic taken apart."""

    city: str
    detector: str
    leaf: str


def check_id(text: str) -> str:
    """Return `text` if it may name a city or a detector.

    Raises:
        TopicError: not 1 to 64 letters, digits, `_` or `-` of ASCII.
    """
    if not _ID.fullmatch(text):
        raise TopicError("an id is 1 to 64 of A-Z a-z 0-9 _ -")
    return text


def _topic(city: str, detector: str, leaf: str) -> str:
    return f"{_ROOT}/{check_id(city)}/{check_id(detector)}/{leaf}"


def sightings(city: str, detector: str) -> str:
    """Return where a detector publishes its sealed batches, QoS 1."""
    return _topic(city, detector, "sightings")


def heartbeat(city: str, detector: str) -> str:
    """Return where a detector publishes its heartbeats and its last will, QoS 1."""
    return _topic(city, detector, "heartbeat")


def receipts(city: str, detector: str) -> str:
    """Return where the server answers a detector's batches, QoS 0."""
    return _topic(city, detector, "receipts")


def orders(city: str, detector: str) -> str:
    """Return where the server sends signed orders to a detector, QoS 0."""
    return _topic(city, detector, "orders")


def reports(city: str, detector: str) -> str:
    """Return where a gateway publishes the signed entries of its own log, QoS 1."""
    return _topic(city, detector, "reports")


def of(city: str, detector: str, leaf: str) -> str:
    """Return the topic of one leaf of a detector.

    Raises:
        TopicError: not ids, or no such leaf.
    """
    return _topic(city, detector, _known(leaf))


def city_filter(city: str, leaf: str) -> str:
    """Return the filter for one leaf of all detectors of a city.

    Raises:
        TopicError: not a city id, or no such leaf.
    """
    return f"{_ROOT}/{check_id(city)}/+/{_known(leaf)}"


def subject(topic: str) -> str:
    """Return a topic or filter of ours as NATS spells it; for its permissions and its log."""
    return topic.replace("/", ".").replace("+", "*")


def _known(leaf: str) -> str:
    if leaf not in _LEAVES:
        raise TopicError(f"no such leaf; there are {', '.join(_LEAVES)}")
    return leaf


def parse(topic: str) -> Topic:
    """Return the parts of a topic.

    Raises:
        TopicError: not a topic of this version of ours.
    """
    head, _, rest = topic.partition(_ROOT + "/")
    parts = rest.split("/")
    if head or len(parts) != 3 or parts[2] not in _LEAVES:
        raise TopicError("not a topic of ours")
    return Topic(check_id(parts[0]), check_id(parts[1]), parts[2])
