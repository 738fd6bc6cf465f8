"""What each of the city's machines and programs may say and hear on the broker: its own topics and no others."""

from dataclasses import dataclass
from typing import Final

from server.enrolment.profile import Subject
from server.gate.errors import RefusedError
from wire import topics
from wire.errors import TopicError

_DETECTOR_SAYS: Final = ("sightings", "heartbeat", "reports")
_DETECTOR_HEARS: Final = ("receipts", "orders")
_PROGRAM_SAYS: Final = {
    "ingest": ("receipts",),
    "api": ("sightings",),
    "gate": ("orders", "receipts"),
}
_PROGRAM_HEARS: Final = {
    "ingest": ("sightings", "heartbeat"),
    "api": ("receipts",),
    "gate": ("reports",),
}
PROGRAMS: Final = tuple(_PROGRAM_SAYS)
"""Programs of the server that come to the broker."""


@dataclass(frozen=True, slots=True)
class Rights:
    """Subjects in the broker's own spelling."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


def of(subject: Subject) -> Rights:
    """Return what the holder of a certificate may do.

    Raises:
        RefusedError: a program that has nothing to do with the broker, or a name that fits no topic.
    """
    says, hears = leaves(subject)
    subjects = _own if subject.kind == "gateway" else _everybodys
    try:
        return Rights(subjects(subject, says), subjects(subject, hears))
    except TopicError as error:
        raise RefusedError("malformed") from error


def leaves(subject: Subject) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the leaves that a holder may publish and subscribe: a gateway its own, a program those of all detectors.

    Raises:
        RefusedError: it has nothing to do with the broker.
    """
    if subject.kind == "gateway":
        return _DETECTOR_SAYS, _DETECTOR_HEARS
    if subject.kind != "service" or subject.id not in PROGRAMS:
        raise RefusedError("no-business")
    return _PROGRAM_SAYS[subject.id], _PROGRAM_HEARS[subject.id]


def is_own_client_id(subject: Subject, client_id: str) -> bool:
    """Return whether an MQTT client id belongs to `subject`: a second one with the same id would end the first.

    A gateway has one id, its own. Programs may run several times: `ingest:` and anything. No detector's id has a colon.
    """
    if subject.kind == "gateway":
        return client_id == subject.id
    return client_id.startswith(f"{subject.id}:")


def _own(subject: Subject, which: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(topics.subject(topics.of(subject.city, subject.id, leaf)) for leaf in which)


def _everybodys(subject: Subject, which: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(topics.subject(topics.city_filter(subject.city, leaf)) for leaf in which)
