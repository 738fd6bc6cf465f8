"""The conditions of the properties as formulas: each is named for what it says of an allowed question.

Source: docs/ORDINANCE.md.
"""

from __future__ import annotations

from typing import Final

import z3

from privacy.proof.translate import Translator
from privacy.terms import CASE_PURPOSES, CITY_ROLES, Action, Purpose

_HOUR_MS: Final = 3_600_000
JUDGING: Final = (Action.PREPARE_CASE, Action.CHECK_CASE, Action.APPROVE_CASE, Action.RATIFY_CASE)
"""What somebody of city hall decides in the ordinary way."""
ROLE_OF: Final = {
    Action.PREPARE_CASE: "Handler",
    Action.CHECK_CASE: "Supervisor",
    Action.APPROVE_CASE: "Manager",
    Action.RELEASE_EMERGENCY: "Supervisor",
    Action.RATIFY_CASE: "Manager",
}
"""Whose step it is."""
_CITY: Final = tuple(role.value.capitalize() for role in CITY_ROLES)


def place(t: Translator) -> z3.BoolRef:
    """Only the person's guardian, or the person."""
    if t.environment.principal == "Guardian":
        return t.member("resource.guardians", t.at("principal"))
    if t.environment.principal == "Watched":
        return z3.And(t.has("resource.self"), t.at("resource.self") == t.at("principal"))
    return z3.BoolVal(False)


def not_barred(t: Translator) -> z3.BoolRef:
    """No protective measure is in force against the one who asks."""
    return z3.Not(t.member("resource.barred", t.at("principal.account")))


def purpose_of_family(t: Translator) -> z3.BoolRef:
    """For watching over, or for one's own record."""
    return t.one_of("context.purpose", Purpose.FAMILY_WATCH, Purpose.OWN_RECORD)


def has_warrant(t: Translator, case: str) -> z3.BoolRef:
    """A judge's warrant is the basis, with its number."""
    return z3.And(t.at(f"{case}.hasWarrant"), t.one_of(f"{case}.basis", "warrant"))


def three(t: Translator, case: str) -> z3.BoolRef:
    """Three different people prepared, checked and approved."""
    steps = [f"{case}.{step}By" for step in ("prepare", "check", "approve")]
    return z3.And(*(t.has(step) for step in steps), z3.Distinct(*(t.at(step) for step in steps)))


def is_before(t: Translator, moment: str) -> z3.BoolRef:
    """Now is before a moment that is told."""
    return z3.And(t.has(moment), t.at("context.now") < t.at(moment))


def within_hours(t: Translator, moment: str, hours: str) -> z3.BoolRef:
    """Fewer hours than the ordinance's have gone by since a moment that is told."""
    passed_ms = t.at("context.now") - t.at(moment)
    return z3.And(t.has(moment), passed_ms < t.at(f"context.ordinance.{hours}") * _HOUR_MS)


def named_officer(t: Translator, case: str) -> z3.BoolRef:
    """The case's own officer asks, of its registered agency, for its purpose."""
    if t.environment.principal != "Officer":
        return z3.BoolVal(False)
    same = [t.at(f"{case}.officer") == t.at("principal"), t.at(f"{case}.agency") == t.at("principal.agency")]
    return z3.And(*same, t.at("context.purpose") == t.at(f"{case}.purpose"), t.at(f"{case}.registered"))


def emergency_holds(t: Translator) -> z3.BoolRef:
    """An emergency release is in its hours, or another person ratified it."""
    releaser, ratifier = "resource.emergencyBy", "resource.ratifyBy"
    ratified = z3.And(t.has(ratifier), t.at(ratifier) != t.at(releaser))
    in_time = within_hours(t, "resource.emergencyAt", "emergencyHours")
    return z3.And(t.at("resource.emergency"), t.has(releaser), z3.Or(ratified, in_time))


def footage(t: Translator) -> z3.BoolRef:
    """All that opening footage takes."""
    return z3.And(
        named_officer(t, "resource"),
        t.one_of("resource.state", "released"),
        is_before(t, "resource.releaseUntil"),
        t.at("resource.hasUndertaking"),
        t.at("resource.exportRight"),
        z3.Or(three(t, "resource"), emergency_holds(t)),
    )


def exported(t: Translator) -> z3.BoolRef:
    """All that exporting footage takes."""
    decided = z3.Or(three(t, "resource"), emergency_holds(t))
    return z3.And(decided, t.one_of("resource.state", "approved", "ready", "released"))


def tag_history(t: Translator) -> z3.BoolRef:
    """All that tag history takes."""
    case = "context.case"
    consent = z3.And(
        t.one_of(f"{case}.purpose", Purpose.MISSING_PERSON),
        t.member(f"{case}.papers", "consent"),
        z3.Not(t.at(f"{case}.found")),
    )
    warrant = z3.And(has_warrant(t, case), t.member(f"{case}.papers", "warrant"))
    return z3.And(
        named_officer(t, case),
        t.has(case),
        t.has(f"{case}.tagWard"),
        t.at(f"{case}.tagWard") == t.at("resource"),
        t.one_of(f"{case}.state", "released"),
        is_before(t, f"{case}.releaseUntil"),
        t.at(f"{case}.hasUndertaking"),
        three(t, case),
        z3.Or(consent, warrant),
    )


def only_tag_history(t: Translator) -> z3.BoolRef:
    """The action is that on tag history."""
    return z3.BoolVal(t.environment.action == Action.VIEW_TAG_HISTORY.value)


def case_purpose(t: Translator) -> z3.BoolRef:
    """One of the five purposes, which ordinance, gate or warrant lets be."""
    allowed = z3.Or(
        t.member("context.ordinance.purposes", t.at("resource.purpose")),
        t.member("context.ordinance.gates", t.at("resource.gate")),
        has_warrant(t, "resource"),
    )
    return z3.And(t.one_of("resource.purpose", *(one.value for one in CASE_PURPOSES)), allowed)


def where(t: Translator, purpose: Purpose, *conditions: z3.BoolRef) -> z3.BoolRef:
    """The conditions, for cases of one purpose."""
    return z3.Implies(t.one_of("resource.purpose", purpose.value), z3.And(*conditions))


def crime(t: Translator) -> z3.BoolRef:
    """A crime is named, has occurred or has its warrant, and has a basis."""
    occurred = z3.Or(
        t.at("resource.hasOccurred"),
        z3.Not(t.at("context.ordinance.planningNeedsWarrant")),
        has_warrant(t, "resource"),
    )
    basis = t.one_of("resource.basis", "inquiry", "warrant")
    return where(t, Purpose.CRIME, t.at("resource.hasOffence"), occurred, basis)


def papers(t: Translator) -> z3.BoolRef:
    """The papers of each purpose are there, in an emergency once somebody decides in the ordinary way."""
    both = z3.And(t.member("resource.papers", "inquiry"), t.member("resource.papers", "request"))
    later = z3.BoolVal(Action(t.environment.action) not in JUDGING)
    reported = z3.Or(t.at("resource.hasReport"), z3.And(later, t.at("resource.emergency")))
    both_or_later = z3.Or(both, z3.And(later, t.at("resource.emergency")))
    return z3.And(
        where(t, Purpose.CRIME, both_or_later),
        where(t, Purpose.TRAFFIC_ACCIDENT, both_or_later),
        where(t, Purpose.MISSING_PERSON, reported),
        where(t, Purpose.SUBJECT_DISCLOSURE, t.member("resource.papers", "disclosure")),
    )


def basis(t: Translator) -> z3.BoolRef:
    """The basis fits the purpose."""
    warrant = z3.And(t.at("resource.hasWarrant"), t.member("resource.papers", "warrant"))
    return z3.And(
        z3.Implies(t.one_of("resource.basis", "warrant"), warrant),
        where(t, Purpose.TRAFFIC_ACCIDENT, t.one_of("resource.basis", "inquiry", "warrant")),
        where(t, Purpose.MISSING_PERSON, t.one_of("resource.basis", "article_69")),
        where(t, Purpose.SUBJECT_DISCLOSURE, t.one_of("resource.basis", "article_76")),
        where(t, Purpose.DISASTER, t.one_of("resource.basis", "ordinance", "article_69")),
    )


def missing(t: Translator) -> z3.BoolRef:
    """A missing person's kind and window, while not found."""
    lead_ms = t.at("resource.lastConfirmed") - t.at("resource.from")
    window = z3.And(t.has("resource.lastConfirmed"), lead_ms <= t.at("context.ordinance.leadHours") * _HOUR_MS)
    kind = z3.Not(t.one_of("resource.missingKind", ""))
    is_over = z3.And(t.at("resource.found"), z3.BoolVal(t.environment.action != Action.RATIFY_CASE.value))
    return where(t, Purpose.MISSING_PERSON, window, kind, z3.Not(is_over))


def disaster(t: Translator) -> z3.BoolRef:
    """A declared disaster is in force."""
    return where(t, Purpose.DISASTER, is_before(t, "resource.disasterUntil"), t.at("resource.withinPurpose"))


def right_role(t: Translator) -> z3.BoolRef:
    """The step's own role takes it."""
    is_right = t.environment.principal == ROLE_OF[Action(t.environment.action)]
    return z3.And(z3.BoolVal(is_right), t.one_of("context.purpose", Purpose.CASE_WORK))


def approved_by_a_third(t: Translator) -> z3.BoolRef:
    """The approver is a third person."""
    before = ["resource.prepareBy", "resource.checkBy"]
    accounts = [t.at(one) for one in (*before, "principal.account")]
    return z3.And(*(t.has(one) for one in before), z3.Distinct(*accounts))


def checked_by_another(t: Translator) -> z3.BoolRef:
    """The checker is a second person."""
    return z3.And(t.has("resource.prepareBy"), t.at("resource.prepareBy") != t.at("principal.account"))


def ratified_by_another(t: Translator) -> z3.BoolRef:
    """Another person ratifies in time."""
    other = t.at("resource.emergencyBy") != t.at("principal.account")
    return z3.And(t.has("resource.emergencyBy"), other, within_hours(t, "resource.emergencyAt", "emergencyHours"))


def ceiling(t: Translator) -> z3.BoolRef:
    """Within the ceiling, or with a reason."""
    ordinance = "context.ordinance"
    few = t.at("resource.cameras") <= t.at(f"{ordinance}.maxCameras")
    short = t.at("resource.longestMs") <= t.at(f"{ordinance}.maxHours") * _HOUR_MS
    named = z3.And(t.at("resource.cameras") >= 1, t.at("resource.from") < t.at("resource.until"))
    return z3.And(named, z3.Or(z3.And(few, short), t.at("resource.hasReason")))


def emergency_purpose(t: Translator) -> z3.BoolRef:
    """For life, body or property, and not yet released."""
    urgent = (Purpose.CRIME, Purpose.MISSING_PERSON, Purpose.TRAFFIC_ACCIDENT, Purpose.DISASTER)
    return z3.And(t.one_of("resource.purpose", *urgent), z3.Not(t.has("resource.emergencyBy")))


def look_up(t: Translator) -> z3.BoolRef:
    """A family's request is named, and a provider serves the ward."""
    asked = z3.And(
        t.one_of("context.purpose", Purpose.FAMILY_SUPPORT),
        t.has("context.reference"),
        z3.Not(t.one_of("context.reference", "")),
        t.has("context.hasReason"),
        t.at("context.hasReason"),
    )
    if t.environment.principal == "Provider":
        own = t.at("resource.provider") == t.at("principal.agency")
        return z3.And(asked, t.has("resource.provider"), own)
    return z3.And(asked, z3.BoolVal(t.environment.principal in _CITY))


def hold(t: Translator) -> z3.BoolRef:
    """Another person holds back, with reason and date."""
    other = t.at("context.by") != t.at("principal.account")
    reason = z3.And(t.has("context.hasReason"), t.at("context.hasReason"))
    return z3.And(reason, is_before(t, "context.until"), t.has("context.by"), other)


def mask(t: Translator) -> z3.BoolRef:
    """Three people, in order."""
    mine = t.at("principal.account")
    prepared, checked = "resource.prepareBy", "resource.checkBy"
    if t.environment.principal == "Handler":
        return t.one_of("context.step", "prepare")
    if t.environment.principal == "Supervisor":
        return z3.And(t.one_of("context.step", "check"), t.has(prepared), t.at(prepared) != mine)
    both = z3.And(t.has(prepared), t.has(checked), z3.Distinct(t.at(prepared), t.at(checked), mine))
    return z3.And(z3.BoolVal(t.environment.principal == "Manager"), t.one_of("context.step", "approve"), both)


def live(t: Translator) -> z3.BoolRef:
    """Mask and records are there, and every gate is open."""
    facts = [t.at(f"resource.{name}") for name in ("hasMask", "hasSign", "hasConsultation", "hasNotice")]
    return z3.And(*facts, z3.IsSubset(t.at("resource.gates"), t.at("context.ordinance.gates")))


def gate(t: Translator) -> z3.BoolRef:
    """The board's papers are there."""
    notice = z3.And(t.has("resource.noticeOn"), t.at("resource.noticeOn") <= t.at("context.now"))
    return z3.And(t.at("resource.hasOpinion"), t.at("resource.hasChecklist"), notice)


def recipient(t: Translator) -> z3.BoolRef:
    """Basis and gate are there."""
    opened = t.member("context.ordinance.gates", t.at("resource.gate"))
    return z3.And(t.at("resource.hasBasis"), z3.Implies(t.has("resource.gate"), opened))


def declared(t: Translator) -> z3.BoolRef:
    """A disaster has cameras and an end in time."""
    left_ms = t.at("resource.until") - t.at("context.now")
    bound_ms = t.at("context.ordinance.disasterHours") * _HOUR_MS
    return z3.And(t.at("resource.cameras") >= 1, left_ms > 0, left_ms <= bound_ms)


def never(_: Translator) -> z3.BoolRef:
    """Nothing at all."""
    return z3.BoolVal(False)


def another_account(t: Translator) -> z3.BoolRef:
    """Manager or server, and not their own account."""
    is_role = t.environment.principal in {"Manager", "Clerk"}
    return z3.And(z3.BoolVal(is_role), t.at("principal.account") != t.at("resource"))


def invited(t: Translator) -> z3.BoolRef:
    """An owner invites who is not barred, with a passkey just shown."""
    if t.environment.principal != "Guardian":
        return z3.BoolVal(False)
    fresh = z3.And(t.has("context.fresh"), t.at("context.fresh"))
    return z3.And(t.member("resource.owners", t.at("principal")), not_barred(t), fresh)


def measured(t: Translator) -> z3.BoolRef:
    """City hall alone, and two people."""
    is_city = z3.BoolVal(t.environment.principal in _CITY)
    mine = t.at("principal.account")
    if t.environment.action == Action.CONFIRM_MEASURE.value:
        return z3.And(is_city, t.at("resource.enteredBy") != mine)
    if t.environment.action == Action.END_MEASURE.value:
        asked = "resource.endAskedBy"
        return z3.And(is_city, z3.Implies(t.has(asked), t.at(asked) != mine))
    return is_city
