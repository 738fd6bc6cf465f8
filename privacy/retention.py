"""How long each class of data is kept: one schedule, read by every job that deletes.

Source: docs/ORDINANCE.md, "What is kept"; the 72 hours of raw sightings are the store's promise, footage and copies are
the city's ordinance, the other limits are proposals.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from privacy.ordinance import Profile

_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS
_YEAR_MS: Final = 365 * _DAY_MS
_RECORD_MS: Final = 5 * _YEAR_MS


class DataClass(StrEnum):
    """A kind of record that has a limit of its own."""

    # of wards, by the town's clock
    SIGHTING = "sighting"
    FIX = "fix"
    DOUBTFUL_FIX = "doubtful_fix"
    LAST_PLACE = "last_place"
    HELD_PLACE = "held_place"
    EVENT = "event"
    BATCH = "batch"
    DEAD_LETTER = "dead_letter"
    STATISTIC = "statistic"
    # of people who sign in, by wall time
    NOTICE = "notice"
    SESSION = "session"
    TOKEN = "token"  # noqa: S105 - a class of data
    CHALLENGE = "challenge"
    CARD = "card"
    NEWS = "news"
    MEASURE = "measure"
    HOLD = "hold"
    # of footage and cases
    FOOTAGE = "footage"
    COPY = "copy"
    EXPORT = "export"
    DRAFT = "draft"
    CASE_PAPER = "case_paper"
    CASE = "case"
    # of devices and of the city's own doings
    ORDER = "order"
    GATEWAY_LOG = "gateway_log"
    CERTIFICATE = "certificate"
    MASK_CHANGE = "mask_change"
    DISASTER = "disaster"
    OVERSIGHT = "oversight"
    OPENING = "opening"
    RETENTION_RUN = "retention_run"


TOWN: Final = frozenset({
    DataClass.SIGHTING,
    DataClass.FIX,
    DataClass.DOUBTFUL_FIX,
    DataClass.LAST_PLACE,
    DataClass.HELD_PLACE,
    DataClass.EVENT,
    DataClass.BATCH,
    DataClass.DEAD_LETTER,
    DataClass.STATISTIC,
})  # fmt: skip
"""Classes whose age is told by the town's clock; all others go by wall time."""


@dataclass(frozen=True, slots=True)
class Limit:
    """How long a class of data may live.

    Attributes:
        keep_ms: age in milliseconds after which a record must be gone.
        reason: why it is kept at all, for the public register of processing.
    """

    keep_ms: int
    reason: str


SCHEDULE: Final[dict[DataClass, Limit]] = {
    DataClass.SIGHTING: Limit(72 * _HOUR_MS, "to place a tag again when late uploads arrive"),
    DataClass.FIX: Limit(14 * _DAY_MS, "the family's track of the last days, sealed by ward and hour"),
    DataClass.DOUBTFUL_FIX: Limit(72 * _HOUR_MS, "to tell a relayed tag from a fast one"),
    DataClass.LAST_PLACE: Limit(14 * _DAY_MS, "where the family sees its ward; of a tag unheard for long, no longer"),
    DataClass.HELD_PLACE: Limit(72 * _HOUR_MS, "a place that waits to be confirmed"),
    DataClass.EVENT: Limit(90 * _DAY_MS, "the family's record of arrivals and departures"),
    DataClass.BATCH: Limit(30 * _DAY_MS, "to count a delivery once; later ones hold nothing that may be kept"),
    DataClass.DEAD_LETTER: Limit(7 * _DAY_MS, "to find out why a detector's batches were refused"),
    DataClass.STATISTIC: Limit(14 * _DAY_MS, "counts of a day without noise, until they are published with it"),
    DataClass.NOTICE: Limit(30 * _DAY_MS, "to send a notice once, and to say why one did not arrive"),
    DataClass.SESSION: Limit(0, "a session that has ended opens nothing"),
    DataClass.TOKEN: Limit(0, "a purpose token that has ended opens nothing"),
    DataClass.CHALLENGE: Limit(0, "what a browser was to answer in time"),
    DataClass.CARD: Limit(30 * _DAY_MS, "to say why an enrolment card or code no longer works"),
    DataClass.NEWS: Limit(90 * _DAY_MS, "what the others of a household are told about it"),
    DataClass.MEASURE: Limit(_YEAR_MS, "a protective measure that has ended, should it be asked for again"),
    DataClass.HOLD: Limit(_YEAR_MS, "why a family was told of a look-up later"),
    DataClass.FOOTAGE: Limit(14 * _DAY_MS, "footage at the camera; deleted by the gateway itself"),
    DataClass.COPY: Limit(30 * _DAY_MS, "copies of footage that the city holds; destroyed with a certificate"),
    DataClass.EXPORT: Limit(_RECORD_MS, "that an export was made: no footage"),
    DataClass.DRAFT: Limit(90 * _DAY_MS, "a request that was never submitted"),
    DataClass.CASE_PAPER: Limit(_YEAR_MS, "papers of a case that has ended"),
    DataClass.CASE: Limit(_RECORD_MS, "a case that has ended; its entries in the log stay, and name nobody"),
    DataClass.ORDER: Limit(_YEAR_MS, "orders to gateways that are settled, but masks, settings and the newest"),
    DataClass.GATEWAY_LOG: Limit(_RECORD_MS, "a gateway's own log, by whole epochs: a chain is not cut"),
    DataClass.CERTIFICATE: Limit(_YEAR_MS, "a gateway's certificate that has run out"),
    DataClass.MASK_CHANGE: Limit(_RECORD_MS, "changes of masks, but the newest of each camera"),
    DataClass.DISASTER: Limit(_RECORD_MS, "declared disasters that are over"),
    DataClass.OVERSIGHT: Limit(_RECORD_MS, "complaints, inspections and breaches"),
    DataClass.OPENING: Limit(_RECORD_MS, "what opens the names in the log; without it an entry names nobody"),
    DataClass.RETENTION_RUN: Limit(_RECORD_MS, "certificates of this schedule"),
}
"""The limits where no city says otherwise."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """The limits of one city.

    Attributes:
        profile: name of the ordinance's profile.
        limits: of every class.
    """

    profile: str
    limits: Mapping[DataClass, Limit] = field(default_factory=lambda: SCHEDULE)

    def before_ms(self, data: DataClass, *, now_ms: int, town_ms: int) -> int:
        """Return the UTC millisecond before which records of `data` must no longer exist, by the clock of its class."""
        return (town_ms if data in TOWN else now_ms) - self.limits[data].keep_ms


def schedule_of(profile: Profile) -> Schedule:
    """Return the schedule of a city: its ordinance's numbers for footage and copies, ours for the rest."""
    days = {DataClass.FOOTAGE: "retention_days", DataClass.COPY: "copy_days"}
    own = {data: Limit(profile.number_of(key) * _DAY_MS, SCHEDULE[data].reason) for data, key in days.items()}
    return Schedule(profile.name, {**SCHEDULE, **own})


def expires_before_ms(data: DataClass, now_ms: int) -> int:
    """Return the UTC millisecond before which records of `data` must no longer exist."""
    return now_ms - SCHEDULE[data].keep_ms
