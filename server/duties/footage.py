"""How long footage may be kept at a camera: never longer than the city's ordinance has it (rule 11)."""

from __future__ import annotations

from privacy.ordinance import Profile
from server.duties.errors import DutyError


class RetentionError(DutyError):
    """Longer than the ordinance.

    Attributes:
        most_days: what it allows.
    """

    def __init__(self, most_days: int) -> None:
        super().__init__(f"保存期間は{most_days}日以内です。Footage may be kept for {most_days} days at most")
        self.most_days = most_days


def check_retention(profile: Profile, days: int | None) -> int:
    """Return for how many days footage may be kept at most, if `days` is not above it; None: nothing is changed.

    Raises:
        RetentionError: it may not.
    """
    most_days = profile.number_of("retention_days")
    if days is not None and days > most_days:
        raise RetentionError(most_days)
    return most_days
