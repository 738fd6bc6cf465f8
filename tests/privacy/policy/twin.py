"""The same rules as plain Python, from docs/ORDINANCE.md: the oracle of the property tests, the benchmark's peer.

It knows nothing of Cedar. Where the two differ, one of them misreads the ordinance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from privacy.policy.question import Entity, Moment, Question, Ref, Value
from privacy.terms import Action

A = Action
HOUR_MS: Final = 3_600_000
FIVE: Final = {"crime", "missing_person", "traffic_accident", "disaster", "subject_disclosure"}
CITY: Final = {"Handler", "Supervisor", "Manager"}
DECIDING: Final = frozenset(
    {A.SUBMIT_CASE, A.PREPARE_CASE, A.CHECK_CASE, A.APPROVE_CASE, A.RELEASE_EMERGENCY, A.RATIFY_CASE}
)
USING: Final = frozenset({A.EXPORT_FOOTAGE, A.SIGN_UNDERTAKING, A.VIEW_FOOTAGE, A.DOWNLOAD_FOOTAGE})
ON_PAPERS: Final = (DECIDING - {A.RELEASE_EMERGENCY}) | USING
OPENING: Final = frozenset({A.VIEW_FOOTAGE, A.DOWNLOAD_FOOTAGE})
FAMILY: Final = frozenset({A.VIEW_WARD, A.VIEW_PLACE, A.VIEW_TRACK, A.VIEW_EVENTS, A.VIEW_LOOK_UPS})
OF_WARD: Final = FAMILY | {A.LOOK_UP_WARD, A.VIEW_TAG_HISTORY, A.HOLD_LOOK_UP}
OF_OFFICER: Final = (
    frozenset({A.SUBMIT_CASE, A.WITHDRAW_CASE, A.SIGN_UNDERTAKING, A.CERTIFY_RETURN, A.ANSWER_FEEDBACK}) | OPENING
)
UNDECIDED: Final = {"submitted", "prepared", "checked"}
UNDER_WAY: Final = UNDECIDED | {"approved", "ready", "released"}


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, unwrapped: references are ids, moments are milliseconds, what is absent is None."""

    action: A
    kind: str
    who: str
    account: str
    agency: str | None
    purpose: str
    now_ms: int
    resource: str
    thing: Mapping[str, Any]
    context: Mapping[str, Any]
    rules: Mapping[str, Any]
    case: Mapping[str, Any]


def unwrap(question: Question) -> Asked:
    """Return the question in plain values."""
    context = {name: _plain(value) for name, value in question.context.items()}
    asker = _attributes(question.principal)
    cases = {one.ref.id: _attributes(one) for one in question.others if one.ref.type == "Case"}
    return Asked(
        action=question.action,
        kind=question.principal.ref.type,
        who=question.principal.ref.id,
        account=asker["account"],
        agency=asker.get("agency"),
        purpose=context["purpose"],
        now_ms=context["now"],
        resource=question.resource.ref.id,
        thing=_attributes(question.resource),
        context=context,
        rules=context["ordinance"],
        case=cases.get(context.get("case", ""), {}),
    )


def answer(question: Question) -> tuple[bool, frozenset[str]]:
    """Return whether it is allowed, and the ids of the rules that say so: all that forbid, else all that permit."""
    asked = unwrap(question)
    stopped = broken(asked)
    if stopped:
        return False, stopped
    given = frozenset(name for name in PERMITS if holds(name, asked))
    return bool(given), given or frozenset({"default-deny"})


def broken(asked: Asked) -> frozenset[str]:
    """Return the ids of all rules that forbid it."""
    return frozenset(name for name in FORBIDS if holds(name, asked))


def holds(name: str, asked: Asked) -> bool:
    """Return whether the rule `name` speaks to the question and its condition is met."""
    actions, is_met = PERMITS[name] if name in PERMITS else FORBIDS[name]
    return asked.action in actions and is_met(asked)


def _attributes(entity: Entity) -> dict[str, Any]:
    return {name: _plain(value) for name, value in entity.attributes.items()}


def _plain(value: Value) -> Any:
    if isinstance(value, Ref):
        return value.id
    if isinstance(value, Moment):
        return value.ms
    if isinstance(value, frozenset):
        return {_plain(one) for one in value}
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    return value


def _is_own(a: Asked) -> bool:
    return a.kind == "Officer" and a.thing["officer"] == a.who and a.thing["agency"] == a.agency


def _acts(a: Asked, *states: str) -> bool:
    """Whether the named officer acts for the case's own purpose, in one of these states."""
    return _is_own(a) and a.purpose == a.thing["purpose"] and a.thing["state"] in states


def _works(a: Asked, kinds: set[str], *states: str) -> bool:
    """Whether one of these roles works on a case in one of these states."""
    return a.kind in kinds and a.purpose == "case_work" and a.thing["state"] in states


def _ends(a: Asked, step: str) -> bool:
    return a.context.get("step") == step


def _is_found_told(a: Asked) -> bool:
    return _ends(a, "found") and a.thing["purpose"] == "missing_person" and a.thing["state"] in UNDER_WAY


def _reads(a: Asked, kinds: set[str], purpose: str) -> bool:
    return a.kind in kinds and a.purpose == purpose and a.thing["state"] != "draft"


def _serves(a: Asked) -> bool:
    return a.kind == "Provider" and a.thing.get("provider") == a.agency


def _hours_since(a: Asked, moment: str, hours: str) -> bool | None:
    """Whether fewer hours than the ordinance's have gone by; None: it never was."""
    if a.thing.get(moment) is None:
        return None
    return bool(a.now_ms - a.thing[moment] < a.rules[hours] * HOUR_MS)


def _has_warrant(thing: Mapping[str, Any]) -> bool:
    return bool(thing["hasWarrant"] and thing["basis"] == "warrant")


def _are_three(thing: Mapping[str, Any]) -> bool:
    took = [thing.get(f"{step}By") for step in ("prepare", "check", "approve")]
    return None not in took and len(set(took)) == 3


def _papers_later(a: Asked) -> bool:
    """Whether an emergency lets papers come later: not when somebody of city hall decides in the ordinary way."""
    return a.thing["emergency"] and a.action not in (A.PREPARE_CASE, A.CHECK_CASE, A.APPROVE_CASE, A.RATIFY_CASE)


def _lacks_inquiry(a: Asked, purpose: str) -> bool:
    return a.thing["purpose"] == purpose and not ({"inquiry", "request"} <= a.thing["papers"] or _papers_later(a))


def _basis_outside(a: Asked, purpose: str, *bases: str) -> bool:
    return a.thing["purpose"] == purpose and a.thing["basis"] not in bases


def _is_ratified(thing: Mapping[str, Any]) -> bool:
    ratifier, releaser = thing.get("ratifyBy"), thing.get("emergencyBy")
    return ratifier is not None and releaser is not None and ratifier != releaser


def _clock_is_out(a: Asked) -> bool:
    if not a.thing["emergency"] or _are_three(a.thing) or _is_ratified(a.thing):
        return False
    return _hours_since(a, "emergencyAt", "emergencyHours") is not True


def _may_ratify(a: Asked) -> bool:
    releaser = a.thing.get("emergencyBy")
    is_other = a.thing["emergency"] and releaser is not None and releaser != a.account
    return is_other and _hours_since(a, "emergencyAt", "emergencyHours") is True


def _approver_is_other(a: Asked) -> bool:
    before = [a.thing.get("prepareBy"), a.thing.get("checkBy")]
    return None not in before and len({*before, a.account}) == 3


def _starts_too_early(a: Asked) -> bool:
    if a.thing["purpose"] != "missing_person":
        return False
    seen = a.thing.get("lastConfirmed")
    return seen is None or seen - a.thing["from"] > a.rules["leadHours"] * HOUR_MS


def _mask_takers_repeat(a: Asked) -> bool:
    took = [one for one in (a.thing.get("prepareBy"), a.thing.get("checkBy")) if one is not None]
    return a.account in took or len(set(took)) < len(took)


def _may_track_tag(a: Asked) -> bool:
    case = a.case
    if not case:
        return False
    has_consent = case["purpose"] == "missing_person" and "consent" in case["papers"] and not case["found"]
    return has_consent or (_has_warrant(case) and "warrant" in case["papers"])


def _is_bounded(a: Asked) -> bool:
    case = a.case
    if not case or not (case["registered"] and case["hasUndertaking"]):
        return False
    return case.get("releaseUntil") is not None and a.now_ms < case["releaseUntil"]


def _is_later(a: Asked) -> bool:
    return a.context.get("until") is not None and a.now_ms < a.context["until"]


Rule = tuple[frozenset[A], Callable[[Asked], bool]]


def _only(*actions: A) -> frozenset[A]:
    return frozenset(actions)


PERMITS: Final[dict[str, Rule]] = {
    "F01-guardian": (
        FAMILY - {A.VIEW_LOOK_UPS},
        lambda a: a.kind == "Guardian" and a.purpose == "family_watch" and a.who in a.thing["guardians"],
    ),
    "R25-guardian-look-ups": (
        _only(A.VIEW_LOOK_UPS),
        lambda a: (
            a.kind == "Guardian" and a.purpose in ("family_watch", "own_record") and a.who in a.thing["guardians"]
        ),
    ),
    "F02-own-record": (
        FAMILY,
        lambda a: a.kind == "Watched" and a.purpose in ("family_watch", "own_record") and a.thing.get("self") == a.who,
    ),
    "V01-own-receipts": (
        _only(A.VIEW_RECEIPTS),
        lambda a: a.kind == "Volunteer" and a.purpose == "own_record" and a.thing["volunteer"] == a.who,
    ),
    "R21-report": (_only(A.VIEW_REPORT), lambda a: a.purpose == "open_statistics" and a.thing["published"]),
    "R21-board-report": (_only(A.VIEW_REPORT), lambda a: a.kind == "BoardMember" and a.purpose == "board_review"),
    "R21-manager-report": (_only(A.VIEW_REPORT), lambda a: a.kind == "Manager" and a.purpose == "case_work"),
    "S01-statistic": (
        _only(A.VIEW_STATISTIC),
        lambda a: a.purpose == "open_statistics" and a.thing["k"] >= 10 and a.thing["noised"],
    ),
    "R19-audit": (_only(A.READ_AUDIT), lambda a: a.kind == "BoardMember" and a.purpose == "board_review"),
    "R08-board-case": (_only(A.VIEW_CASE), lambda a: _reads(a, {"BoardMember"}, "board_review")),
    "R25-provider-look-up": (_only(A.LOOK_UP_WARD), lambda a: a.purpose == "family_support" and _serves(a)),
    "M01-provider-devices": (_only(A.VIEW_DEVICES), lambda a: a.purpose == "device_maintenance" and _serves(a)),
    "R10-submit": (_only(A.SUBMIT_CASE), lambda a: _acts(a, "draft")),
    "R13-view-own-case": (_only(A.VIEW_CASE), lambda a: _is_own(a) and a.purpose == a.thing["purpose"]),
    "R13-view-agency-case": (
        _only(A.VIEW_CASE),
        lambda a: a.thing["agency"] == a.agency and _reads(a, {"Officer"}, a.thing["purpose"]),
    ),
    "R10-withdraw": (_only(A.WITHDRAW_CASE), lambda a: _acts(a, "draft", *(UNDER_WAY - {"released"}))),
    "R16-sign": (_only(A.SIGN_UNDERTAKING), lambda a: _acts(a, "ready")),
    "R13-view": (_only(A.VIEW_FOOTAGE), lambda a: _acts(a, "released")),
    "R13-download": (_only(A.DOWNLOAD_FOOTAGE), lambda a: _acts(a, "released")),
    "R17-return": (_only(A.CERTIFY_RETURN), lambda a: _acts(a, "released", "revoked")),
    "R22-feedback": (_only(A.ANSWER_FEEDBACK), lambda a: _acts(a, "released", "returned")),
    "R05-found-officer": (_only(A.END_CASE), lambda a: _acts(a, *UNDER_WAY) and _is_found_told(a)),
    "R24-tag-history": (
        _only(A.VIEW_TAG_HISTORY),
        lambda a: (
            a.kind == "Officer"
            and bool(a.case)
            and (a.case["officer"], a.case["agency"]) == (a.who, a.agency)
            and (a.case["purpose"], a.case["state"]) == (a.purpose, "released")
        ),
    ),
    "R06-prepare": (_only(A.PREPARE_CASE), lambda a: _works(a, {"Handler"}, "submitted")),
    "R06-check": (_only(A.CHECK_CASE), lambda a: _works(a, {"Supervisor"}, "prepared")),
    "R06-approve": (_only(A.APPROVE_CASE), lambda a: _works(a, {"Manager"}, "checked")),
    "R08-approve-large": (
        _only(A.APPROVE_CASE),
        lambda a: _works(a, {"Manager"}, "checked") and a.thing["cameras"] > a.rules["boardCameras"],
    ),
    "R09-release": (_only(A.RELEASE_EMERGENCY), lambda a: _works(a, {"Supervisor"}, *UNDECIDED)),
    "R09-ratify": (
        _only(A.RATIFY_CASE),
        lambda a: _works(a, {"Manager"}, "approved", "ready", "released") and a.thing.get("ratifyBy") is None,
    ),
    "R06-refuse": (_only(A.REFUSE_CASE), lambda a: _works(a, CITY, *UNDECIDED)),
    "R06-view-case": (_only(A.VIEW_CASE), lambda a: _reads(a, CITY, "case_work")),
    "R10-clerk-view": (_only(A.VIEW_CASE), lambda a: _reads(a, {"Clerk"}, "case_work")),
    "R25-look-up": (_only(A.LOOK_UP_WARD), lambda a: a.kind in CITY and a.purpose == "family_support"),
    "M01-devices": (_only(A.VIEW_DEVICES), lambda a: a.kind in CITY and a.purpose == "device_maintenance"),
    "R05-found-city": (_only(A.END_CASE), lambda a: _works(a, CITY, *UNDER_WAY) and _is_found_told(a)),
    "R05-found-clerk": (_only(A.END_CASE), lambda a: _works(a, {"Clerk"}, *UNDER_WAY) and _is_found_told(a)),
    "R07-export-handler": (_only(A.EXPORT_FOOTAGE), lambda a: _works(a, {"Handler"}, "approved")),
    "R07-export-clerk": (_only(A.EXPORT_FOOTAGE), lambda a: _works(a, {"Clerk"}, "approved")),
    "R17-extend-supervisor": (_only(A.EXTEND_RETURN), lambda a: _works(a, {"Supervisor"}, "released")),
    "R17-extend-manager": (_only(A.EXTEND_RETURN), lambda a: _works(a, {"Manager"}, "released")),
    "R12-close-handler": (_only(A.END_CASE), lambda a: _ends(a, "close") and _works(a, {"Handler"}, "returned")),
    "R12-close-clerk": (_only(A.END_CASE), lambda a: _ends(a, "close") and _works(a, {"Clerk"}, "returned")),
    "R10-lapse": (_only(A.END_CASE), lambda a: _ends(a, "lapse") and _works(a, {"Clerk"}, *UNDECIDED)),
    "R09-revoke": (
        _only(A.END_CASE),
        lambda a: (
            _ends(a, "revoke")
            and _works(a, {"Clerk"}, "approved", "ready", "released")
            and a.thing["emergency"]
            and a.thing.get("ratifyBy") is None
            and _hours_since(a, "emergencyAt", "emergencyHours") is False
        ),
    ),
    "R15-mask-prepare": (
        _only(A.CHANGE_MASK),
        lambda a: a.kind == "Handler" and a.purpose == "device_maintenance" and _ends(a, "prepare"),
    ),
    "R15-mask-check": (
        _only(A.CHANGE_MASK),
        lambda a: (
            a.kind == "Supervisor"
            and a.purpose == "device_maintenance"
            and _ends(a, "check")
            and a.thing.get("prepareBy") is not None
        ),
    ),
    "R15-mask-approve": (
        _only(A.CHANGE_MASK),
        lambda a: (
            a.kind == "Manager"
            and a.purpose == "device_maintenance"
            and _ends(a, "approve")
            and None not in (a.thing.get("prepareBy"), a.thing.get("checkBy"))
        ),
    ),
    "R20-go-live": (_only(A.GO_LIVE), lambda a: a.kind == "Manager" and a.purpose == "device_maintenance"),
    "R23-open-gate": (_only(A.OPEN_GATE), lambda a: a.kind == "Manager" and a.purpose == "case_work"),
    "R18-register": (_only(A.REGISTER_AGENCY), lambda a: a.kind == "Manager" and a.purpose == "case_work"),
    "R25-declare-disaster": (_only(A.DECLARE_DISASTER), lambda a: a.kind == "Manager" and a.purpose == "disaster"),
    "A01-manage": (_only(A.MANAGE_ACCOUNT), lambda a: a.kind == "Manager" and a.purpose == "account_care"),
    "A02-console": (_only(A.MANAGE_ACCOUNT), lambda a: a.kind == "Clerk" and a.purpose == "account_care"),
    "A04-invite": (
        _only(A.INVITE_GUARDIAN),
        lambda a: (
            a.kind == "Guardian"
            and a.purpose == "account_care"
            and a.who in a.thing["owners"]
            and a.context.get("fresh") is True
        ),
    ),
    "A06-enter-measure": (_only(A.ENTER_MEASURE), lambda a: a.kind in CITY and a.purpose == "account_care"),
    "A07-confirm-measure": (
        _only(A.CONFIRM_MEASURE, A.END_MEASURE),
        lambda a: a.kind in CITY - {"Handler"} and a.purpose == "account_care",
    ),
    "R25-hold": (_only(A.HOLD_LOOK_UP), lambda a: a.kind == "Manager" and a.purpose == "family_support"),
}

FORBIDS: Final[dict[str, Rule]] = {
    "N01-barred": (OF_WARD, lambda a: a.account in a.thing["barred"]),
    "N02-place": (FAMILY, lambda a: a.kind not in ("Guardian", "Watched")),
    "R24-officer-only": (_only(A.VIEW_TAG_HISTORY), lambda a: a.kind != "Officer"),
    "R13-named-officer": (OF_OFFICER, lambda a: not _is_own(a)),
    "R06-outsiders": (
        DECIDING - {A.SUBMIT_CASE} | {A.REFUSE_CASE},
        lambda a: a.kind not in CITY,
    ),
    "R01-closed-list": (DECIDING | USING, lambda a: a.thing["purpose"] not in FIVE),
    "R01-ordinance-purpose": (
        DECIDING | USING,
        lambda a: (
            a.thing["purpose"] not in a.rules["purposes"]
            and a.thing["gate"] not in a.rules["gates"]
            and not _has_warrant(a.thing)
        ),
    ),
    "R01-camera-purpose": (DECIDING, lambda a: not a.thing["withinPurpose"] and not _has_warrant(a.thing)),
    "R02-papers": (ON_PAPERS, lambda a: _lacks_inquiry(a, "crime")),
    "R02-basis": (DECIDING | USING, lambda a: _basis_outside(a, "crime", "inquiry", "warrant")),
    "R02-offence": (DECIDING | USING, lambda a: a.thing["purpose"] == "crime" and not a.thing["hasOffence"]),
    "R03-planning": (
        DECIDING | USING,
        lambda a: (
            a.thing["purpose"] == "crime"
            and a.rules["planningNeedsWarrant"]
            and not a.thing["hasOccurred"]
            and not _has_warrant(a.thing)
        ),
    ),
    "R04-warrant": (
        DECIDING | USING,
        lambda a: a.thing["basis"] == "warrant" and not (a.thing["hasWarrant"] and "warrant" in a.thing["papers"]),
    ),
    "R05-basis": (DECIDING | USING, lambda a: _basis_outside(a, "missing_person", "article_69")),
    "R05-report": (
        ON_PAPERS,
        lambda a: a.thing["purpose"] == "missing_person" and not a.thing["hasReport"] and not _papers_later(a),
    ),
    "R05-kind": (DECIDING | USING, lambda a: a.thing["purpose"] == "missing_person" and not a.thing["missingKind"]),
    "R05-window": (DECIDING | USING, _starts_too_early),
    "R05-found": (
        (DECIDING | USING) - {A.RATIFY_CASE},
        lambda a: a.thing["purpose"] == "missing_person" and a.thing["found"],
    ),
    "R02-traffic": (ON_PAPERS, lambda a: _lacks_inquiry(a, "traffic_accident")),
    "R02-traffic-basis": (DECIDING | USING, lambda a: _basis_outside(a, "traffic_accident", "inquiry", "warrant")),
    "R25-disaster": (
        DECIDING,
        lambda a: (
            a.thing["purpose"] == "disaster"
            and not (
                a.thing["withinPurpose"]
                and a.thing.get("disasterUntil") is not None
                and a.now_ms < a.thing["disasterUntil"]
            )
        ),
    ),
    "R25-disaster-basis": (DECIDING | USING, lambda a: _basis_outside(a, "disaster", "ordinance", "article_69")),
    "R01-disclosure": (
        DECIDING | USING,
        lambda a: (
            a.thing["purpose"] == "subject_disclosure"
            and ("disclosure" not in a.thing["papers"] or a.thing["basis"] != "article_76")
        ),
    ),
    "R06-three": (
        USING,
        lambda a: not _are_three(a.thing) and not (a.thing["emergency"] and a.thing.get("emergencyBy") is not None),
    ),
    "R06-check-other": (_only(A.CHECK_CASE), lambda a: a.thing.get("prepareBy") in (None, a.account)),
    "R06-approve-other": (_only(A.APPROVE_CASE), lambda a: not _approver_is_other(a)),
    "R08-explicit": (DECIDING, lambda a: a.thing["cameras"] < 1 or a.thing["from"] >= a.thing["until"]),
    "R08-cameras": (DECIDING, lambda a: a.thing["cameras"] > a.rules["maxCameras"] and not a.thing["hasReason"]),
    "R08-hours": (
        DECIDING,
        lambda a: a.thing["longestMs"] > a.rules["maxHours"] * HOUR_MS and not a.thing["hasReason"],
    ),
    "R09-life": (_only(A.RELEASE_EMERGENCY), lambda a: a.thing["purpose"] not in FIVE - {"subject_disclosure"}),
    "R09-once": (_only(A.RELEASE_EMERGENCY), lambda a: a.thing.get("emergencyBy") is not None),
    "R09-ratify-other": (_only(A.RATIFY_CASE), lambda a: not _may_ratify(a)),
    "R09-clock": (USING, _clock_is_out),
    "R11-kept": (_only(A.SUBMIT_CASE, A.APPROVE_CASE, A.RELEASE_EMERGENCY), lambda a: not a.thing["kept"]),
    "R13-expiry": (
        OPENING,
        lambda a: a.thing.get("releaseUntil") is None or a.now_ms >= a.thing["releaseUntil"],
    ),
    "R13-view-only": (_only(A.DOWNLOAD_FOOTAGE), lambda a: not a.thing["mayDownload"]),
    "R14-hash": (OPENING | {A.SIGN_UNDERTAKING}, lambda a: not a.thing["exportRight"]),
    "R16-undertaking": (OPENING, lambda a: not a.thing["hasUndertaking"]),
    "R17-reason": (_only(A.EXTEND_RETURN), lambda a: not (a.context.get("hasReason") and _is_later(a))),
    "R18-registered": (DECIDING | USING, lambda a: not a.thing["registered"]),
    "R18-basis": (_only(A.REGISTER_AGENCY), lambda a: not a.thing["hasBasis"]),
    "R23-recipient": (
        _only(A.REGISTER_AGENCY),
        lambda a: a.thing.get("gate") is not None and a.thing["gate"] not in a.rules["gates"],
    ),
    "R15-mask-three": (_only(A.CHANGE_MASK), _mask_takers_repeat),
    "R15-no-mask": (_only(A.GO_LIVE), lambda a: not a.thing["hasMask"]),
    "R20-records": (
        _only(A.GO_LIVE),
        lambda a: not (a.thing["hasSign"] and a.thing["hasConsultation"] and a.thing["hasNotice"]),
    ),
    "R23-sensor": (_only(A.GO_LIVE), lambda a: not a.thing["gates"] <= a.rules["gates"]),
    "R23-gate": (
        _only(A.OPEN_GATE),
        lambda a: (
            not (a.thing["hasOpinion"] and a.thing["hasChecklist"])
            or a.thing.get("noticeOn") is None
            or a.thing["noticeOn"] > a.now_ms
        ),
    ),
    "R24-named-ward": (_only(A.VIEW_TAG_HISTORY), lambda a: a.case.get("tagWard") != a.resource),
    "R24-consent-or-warrant": (_only(A.VIEW_TAG_HISTORY), lambda a: not _may_track_tag(a)),
    "R24-three": (_only(A.VIEW_TAG_HISTORY), lambda a: not _are_three(a.case)),
    "R24-bounds": (_only(A.VIEW_TAG_HISTORY), lambda a: not _is_bounded(a)),
    "R25-reason": (
        _only(A.LOOK_UP_WARD),
        lambda a: not (a.context.get("reference") and a.context.get("hasReason")),
    ),
    "R25-hold-dated": (
        _only(A.HOLD_LOOK_UP),
        lambda a: not (a.context.get("hasReason") and _is_later(a)) or a.context.get("by") in (None, a.account),
    ),
    "R25-disaster-bounds": (
        _only(A.DECLARE_DISASTER),
        lambda a: a.thing["cameras"] < 1 or not 0 < a.thing["until"] - a.now_ms <= a.rules["disasterHours"] * HOUR_MS,
    ),
    "S02-crowd": (_only(A.VIEW_STATISTIC), lambda a: a.thing["k"] < 10 or not a.thing["noised"]),
    "A03-not-oneself": (_only(A.MANAGE_ACCOUNT), lambda a: a.account == a.resource),
    "A05-barred-invites-nobody": (_only(A.INVITE_GUARDIAN), lambda a: a.account in a.thing["barred"]),
    "A08-two-confirm": (_only(A.CONFIRM_MEASURE), lambda a: a.account == a.thing["enteredBy"]),
    "A09-two-lift": (_only(A.END_MEASURE), lambda a: a.account == a.thing.get("endAskedBy")),
    "R19-board-only": (_only(A.READ_AUDIT), lambda a: a.kind != "BoardMember"),
}
