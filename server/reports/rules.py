"""What a report must be told besides the log: whose it is and the few numbers of the city's ordinance profile."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Final, Self

from privacy.ordinance import Profile
from server.config import ServerConfig
from server.permit.ordinance import profile_of
from server.reports.errors import ReportError
from server.reports.tables import Text

JST: Final = timezone(timedelta(hours=9))
"""Japan has one time zone and no summer time: a fixed offset needs no time-zone data to be recomputed."""
_DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRules:
    """The numbers that a report follows; printed in it.

    Attributes:
        city: name.
        profile: id of the ordinance profile.
        smallest_count: counts of persons or cases from 1 to one less are merged; a proposal, no city's rule.
        feedback_days: after release, until used / not used / not relevant must be answered (rule 22).
        emergency_hours: until a release in an emergency must be ratified (rule 9).
        copy_days: until the city's own copies must be destroyed (rule 12).
    """

    city: Text
    profile: str
    smallest_count: int = 3
    feedback_days: int = 90
    emergency_hours: int = 24
    copy_days: int = 30

    @classmethod
    def of(cls, profile: Profile, city: Text) -> Self:
        """Return the numbers of an ordinance profile."""
        return cls(
            city=city,
            profile=profile.name,
            feedback_days=profile.number_of("feedback_days"),
            emergency_hours=profile.number_of("emergency_hours"),
            copy_days=profile.number_of("copy_days"),
        )

    @property
    def copy_ms(self) -> int:
        """How long the city's copies may be kept, milliseconds."""
        return self.copy_days * _DAY_MS

    @property
    def feedback_ms(self) -> int:
        """The time for an answer in milliseconds."""
        return self.feedback_days * _DAY_MS


@dataclass(frozen=True, slots=True)
class Year:
    """A fiscal year 年度: from April to March, Japan time."""

    number: int
    from_ms: int
    to_ms: int

    @classmethod
    def of(cls, number: int) -> Year:
        """Return the fiscal year that begins in April of `number`.

        Raises:
            ReportError: no year of this software.
        """
        if not 2000 <= number <= 2999:
            raise ReportError(f"年度は 2000 から 2999 まで。The year must be 2000 to 2999, not {number}")
        starts = [datetime(year, 4, 1, tzinfo=JST) for year in (number, number + 1)]
        return cls(number, *(int(start.timestamp()) * 1000 for start in starts))

    def has(self, at_ms: int | None) -> bool:
        """Return whether a moment is in it; None never is."""
        return at_ms is not None and self.from_ms <= at_ms < self.to_ms


def fiscal_year(at_ms: int) -> int:
    """Return the number of the fiscal year that a moment is in."""
    day = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(JST)
    return day.year if day.month >= 4 else day.year - 1


def date_ja(at_ms: int) -> str:
    """Return the day of a moment in Japan, such as 2026-04-01."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(JST).strftime("%Y-%m-%d")


def minute_ja(at_ms: int) -> str:
    """Return a moment in Japan to the minute."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(JST).strftime("%Y-%m-%d %H:%M")


def rules_of(config: ServerConfig) -> ReportRules:
    """Return the numbers of the profile that a city is configured with.

    Raises:
        ConfigError: there is no such profile.
    """
    return ReportRules.of(profile_of(config), Text(config.city.name_ja, config.city.name_en))
