"""The entities of questions: what the policies are told of who asks and of what is asked for.

Source: privacy/policies/mimamori.cedarschema, which refuses whatever does not fit it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from privacy.cases import State, Step
from privacy.policy.question import Entity, Moment, Ref, Value
from privacy.terms import Basis, Purpose, Role

TYPE_OF: Final = {
    Role.GUARDIAN: "Guardian",
    Role.WATCHED: "Watched",
    Role.VOLUNTEER: "Volunteer",
    Role.OFFICER: "Officer",
    Role.HANDLER: "Handler",
    Role.SUPERVISOR: "Supervisor",
    Role.MANAGER: "Manager",
    Role.PROVIDER: "Provider",
    Role.BOARD: "BoardMember",
    Role.PUBLIC: "Visitor",
    Role.CLERK: "Clerk",
}
"""The Cedar type of each role."""
SIGNING: Final = frozenset({Step.PREPARE, Step.CHECK, Step.APPROVE, Step.EMERGENCY, Step.RATIFY})
"""The steps of a case whose taker the policies compare: nobody takes two of them."""


def account_ref(role: Role, account: str) -> Ref:
    """Return the reference to an account; the public has one id."""
    return Ref(TYPE_OF[role], account)


def agency_ref(agency: str) -> Ref:
    """Return the reference to an agency."""
    return Ref("Agency", agency)


def person_ref(account: str) -> Ref:
    """Return the reference to the person behind an account, whatever role it has: three people are three of these."""
    return Ref("Account", account)


def principal(role: Role, account: str, agency: str | None = None) -> Entity:
    """Return who asks; officers and providers have an agency."""
    attributes: dict[str, Value] = {"account": person_ref(account)}
    if agency is not None:
        attributes["agency"] = agency_ref(agency)
    return Entity(account_ref(role, account), attributes)


def ward(
    ward_id: str,
    *,
    guardians: Iterable[str],
    barred: Iterable[str],
    self_account: str | None = None,
    provider: str = "",
) -> Entity:
    """Return a ward with the relations in force now.

    Args:
        ward_id: id.
        guardians: accounts whose guardianship is in force.
        barred: accounts against whom a protective measure is in force: they see nothing, whatever else holds.
        self_account: the ward's own account.
        provider: agency that serves the ward's tag; empty: none.
    """
    attributes: dict[str, Value] = {
        "guardians": frozenset(account_ref(Role.GUARDIAN, one) for one in guardians),
        "barred": frozenset(person_ref(one) for one in barred),
    }
    if self_account is not None:
        attributes["self"] = account_ref(Role.WATCHED, self_account)
    if provider:
        attributes["provider"] = agency_ref(provider)
    return Entity(Ref("Ward", ward_id), attributes)


def household(household_id: str, *, owners: Iterable[str], barred: Iterable[str]) -> Entity:
    """Return a household.

    Args:
        household_id: id.
        owners: accounts that may invite, in force now.
        barred: accounts against whom a measure for one of its wards is in force: they invite nobody.
    """
    attributes: dict[str, Value] = {
        "owners": frozenset(account_ref(Role.GUARDIAN, one) for one in owners),
        "barred": frozenset(person_ref(one) for one in barred),
    }
    return Entity(Ref("Household", household_id), attributes)


def measure(measure_id: str, *, entered_by: str, end_asked_by: str | None = None) -> Entity:
    """Return a protective measure (DV等支援措置) with the accounts that entered it and asked for its end."""
    attributes: dict[str, Value] = {"enteredBy": person_ref(entered_by)}
    if end_asked_by is not None:
        attributes["endAskedBy"] = person_ref(end_asked_by)
    return Entity(Ref("Measure", measure_id), attributes)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFacts:
    """What the policies are told of a case of footage; all of it read from the database, none of it from the caller.

    Attributes:
        id: of the case.
        agency: that asks, and `is_registered` whether it is a recipient body in force (rule 18).
        officer: account that asks.
        purpose: of P1 to P5.
        basis: by what law.
        state: of the case.
        is_emergency: asked for as an emergency, or released by one 取扱責任者 alone; `emergency_at_ms` when released.
        papers: kinds of papers that were uploaded and passed the machine's check: "inquiry", "request"
            (提供依頼書兼誓約書), "warrant", "report", "consent", "disclosure".
        has_offence: the offence is named; `has_occurred`: it is stated to have occurred (rules 2, 3).
        has_warrant: a judge's warrant number is on record (rules 3, 4).
        has_report: a report number or a reason of 行方不明者発見活動規則30条 is there.
        missing_kind: one of the six kinds of 特異行方不明者, or "".
        cameras: how many; `longest_ms`: the longest window of one.
        from_ms: start of the earliest window; `to_ms`: end of the latest.
        last_confirmed_ms: of a missing person; None: not told.
        is_found: the missing person was found.
        has_reason: a written reason for going over the ceiling (rule 8).
        is_kept: all of every window is still kept, or is frozen (rules 10, 11).
        is_within_purpose: every camera may serve this purpose; of a declared disaster: is one of its cameras.
        disaster_until_ms: end of the declared disaster it belongs to; None: none.
        steps_by: who took which step so far: (step, role, account); the policies are told of prepare, check, approve,
            emergency and ratify. The last of a step counts.
        has_undertaking: signed by the officer (rule 16).
        is_export_right: all exports are whole and their hashes are those of the signed manifests (rule 14).
        release_until_ms: until when it may be opened; None: not released.
        may_download: approved for download; otherwise view only.
        tag_ward: whose tag history is asked for besides footage (rule 24); None: nobody's.
    """

    id: str
    agency: str
    is_registered: bool
    officer: str
    purpose: Purpose
    basis: Basis
    state: State
    is_emergency: bool = False
    emergency_at_ms: int | None = None
    papers: frozenset[str] = frozenset()
    has_offence: bool = False
    has_occurred: bool = False
    has_warrant: bool = False
    has_report: bool = False
    missing_kind: str = ""
    cameras: int = 0
    longest_ms: int = 0
    from_ms: int = 0
    to_ms: int = 0
    last_confirmed_ms: int | None = None
    is_found: bool = False
    has_reason: bool = False
    is_kept: bool = True
    is_within_purpose: bool = True
    disaster_until_ms: int | None = None
    steps_by: tuple[tuple[str, Role, str], ...] = ()
    has_undertaking: bool = False
    is_export_right: bool = False
    release_until_ms: int | None = None
    may_download: bool = False
    tag_ward: str | None = None

    def entity(self) -> Entity:
        """Return the case as the policies see it: attributes in camelCase; what is None is absent."""
        attributes: dict[str, Value] = {
            "agency": agency_ref(self.agency),
            "registered": self.is_registered,
            "officer": account_ref(Role.OFFICER, self.officer),
            "purpose": Ref("Purpose", self.purpose.value),
            "gate": f"purpose:{self.purpose.value}",
            "basis": Ref("Basis", self.basis.value),
            "state": Ref("CaseState", self.state.value),
            "emergency": self.is_emergency,
            "papers": self.papers,
            "hasOffence": self.has_offence,
            "hasOccurred": self.has_occurred,
            "hasWarrant": self.has_warrant,
            "hasReport": self.has_report,
            "missingKind": self.missing_kind,
            "cameras": self.cameras,
            "longestMs": self.longest_ms,
            "from": Moment(self.from_ms),
            "until": Moment(self.to_ms),
            "found": self.is_found,
            "hasReason": self.has_reason,
            "kept": self.is_kept,
            "withinPurpose": self.is_within_purpose,
            "hasUndertaking": self.has_undertaking,
            "exportRight": self.is_export_right,
            "mayDownload": self.may_download,
        }
        moments = {
            "emergencyAt": self.emergency_at_ms,
            "lastConfirmed": self.last_confirmed_ms,
            "disasterUntil": self.disaster_until_ms,
            "releaseUntil": self.release_until_ms,
        }
        attributes |= {name: Moment(ms) for name, ms in moments.items() if ms is not None}
        attributes |= {f"{step}By": person_ref(account) for step, _, account in self.steps_by if step in SIGNING}
        if self.tag_ward is not None:
            attributes["tagWard"] = Ref("Ward", self.tag_ward)
        return Entity(Ref("Case", self.id), attributes)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdinanceFacts:
    """The numbers of the city's ordinance profile that policies compare with: context `ordinance` of every question.

    Attributes:
        purposes: P1 to P5 as far as the city's ordinance has them; values of privacy.terms.Purpose.
        max_cameras: of a case without a written reason; `max_hours` of one camera; `board_cameras`: above it the board.
        lead_hours: how long before the last confirmed sighting the window of a missing person may start.
        planning_needs_warrant: an offence at the planning stage is refused without a warrant.
        emergency_hours: until papers and a second approval must be there.
        disaster_hours: how long a declared disaster lasts at most.
        gates: what the board has opened: "purpose:disaster", "sensor:sound", "ai:…", "recipient:…".
    """

    purposes: frozenset[str]
    max_cameras: int
    max_hours: int
    board_cameras: int
    lead_hours: int
    planning_needs_warrant: bool
    emergency_hours: int
    disaster_hours: int
    gates: frozenset[str] = field(default_factory=frozenset)

    def record(self) -> dict[str, Value]:
        """Return the Cedar record."""
        return {
            "purposes": frozenset(Ref("Purpose", one) for one in self.purposes),
            "maxCameras": self.max_cameras,
            "maxHours": self.max_hours,
            "boardCameras": self.board_cameras,
            "leadHours": self.lead_hours,
            "planningNeedsWarrant": self.planning_needs_warrant,
            "emergencyHours": self.emergency_hours,
            "disasterHours": self.disaster_hours,
            "gates": self.gates,
        }
