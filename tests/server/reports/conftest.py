"""A year of entries, written as the product writes them: sealed by privacy.transparency.record."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import pytest

from privacy.terms import Role
from privacy.transparency.record import Fact, Record, seal
from server.reports.annual import Asked
from server.reports.rules import JST, ReportRules
from server.reports.tables import Head, Text

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
RULES = ReportRules(city=Text("みまもり市", "Mimamori City"), profile="kakogawa")
HEAD = Head(1234, "ab" * 32)


def day_ms(text: str) -> int:
    """Return the UTC ms of a moment in Japan, such as 2026-05-01 or 2026-05-01T09:00."""
    return int(datetime.fromisoformat(text).replace(tzinfo=JST).timestamp() * 1000)


@dataclass
class Log:
    """Entries in their order."""

    bodies: list[bytes] = field(default_factory=list)

    def add(self, kind: str, at: str | int, role: Role = Role.CLERK, **facts: Fact) -> None:
        at_ms = day_ms(at) if isinstance(at, str) else at
        self.bodies.append(seal(Record(kind, at_ms, role, facts, {"account": "someone"})).body)

    def case(self, number: str, on: str, **facts: Fact) -> Callable[..., None]:
        """Return what writes the entries of one case, by days after `on`."""
        said: dict[str, Fact] = {
            "case": number,
            "agency": "kakogawa-ps",
            "purpose": "crime",
            "basis": "inquiry",
            "cameras": 3,
            "camera_hours": 6,
            "emergency": False,
            "allowed": True,
            **facts,
        }

        def step(kind: str, after_days: float = 0, **more: Fact) -> None:
            self.add(f"case.{kind}", int(day_ms(on) + after_days * DAY_MS), Role.OFFICER, **{**said, **more})

        return step

    def provided(self, number: str, on: str, **facts: Fact) -> Callable[..., None]:
        """Write a case up to its release two days after; return what writes more of it."""
        step = self.case(number, on, **facts)
        step("submitted")
        step("approved", 1)
        step("exported", 1.5)
        step("undertaken", 2, state="released")
        return step


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def year(log: Log) -> Log:
    return year_of_everything(log)


def year_of_everything(log: Log) -> Log:
    """Write a year in which something of everything happened."""
    log.add("agency.registered", "2026-04-01", agency="kakogawa-ps", name_ja="加古川警察署", name_en="Kakogawa Station")
    log.add("agency.registered", "2026-04-01", agency="hq", name_ja="県警察本部", name_en="Prefectural HQ")
    for number in range(1, 8):
        step = log.provided(f"2026-{number:04}", f"2026-05-{number:02}", cameras=4, camera_hours=15)
        if number >= 6:
            step("overdue", 32)
        step("returned", 20 if number < 6 else 40)
        if number < 7:
            log.add("copy.destroyed", f"2026-06-0{number}T12:30", case=f"2026-{number:04}", count=4)
        if number < 5:
            step("answered", 60, feedback="used")
    for number in range(8, 12):
        log.provided(f"2026-{number:04}", "2026-06-01", agency="hq", cameras=17)("returned", 10)
    hurried = log.provided("2026-0012", "2026-07-01", purpose="missing_person", agency="hq", emergency=True)
    hurried("hastened", 1)
    hurried("ratified", 2.5)
    hurried("overdue", 32)
    log.case("2026-0013", "2026-07-02")("submitted")
    log.case("2026-0013", "2026-07-03")("denied", policies="R02-inquiry,R08-ceiling", allowed=False)
    log.case("2026-0014", "2026-07-04")("submitted")
    log.case("2026-0014", "2026-07-12")("lapsed")
    log.add("place.viewed", "2026-07-05", Role.GUARDIAN, allowed=True)
    for day in ("2026-07-05", "2026-07-06", "2026-07-07"):
        log.add("lookup.made", day, Role.PROVIDER, allowed=True)
    log.add("retention.run", "2026-07-08", deleted=120)
    log.add("complaint.received", "2026-07-09", Role.HANDLER, about="camera")
    log.add("inspection.held", "2026-07-10", Role.BOARD, findings=2)
    log.add("statistic.published", "2026-07-11", released=12, suppressed=300)
    log.add("footage.viewed", "2027-03-31", Role.OFFICER, case="2026-0001")
    return log


@pytest.fixture
def asked() -> Asked:
    return Asked(2026, RULES, HEAD)
