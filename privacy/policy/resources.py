"""What questions are about besides wards and cases: cameras, masks, gates, agencies, statistics, the record.

Source: privacy/policies/mimamori.cedarschema.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from privacy.cases import Step
from privacy.policy.entities import agency_ref, person_ref
from privacy.policy.question import Entity, Moment, Ref, Value

CITY: Final = Entity(Ref("City", "city"))
"""All devices of the city at once."""
AUDIT_LOG: Final = Entity(Ref("AuditLog", "log"))
"""The audit log."""


def camera(camera_id: str, *, has_mask: bool, records: Iterable[str], gates: Iterable[str]) -> Entity:
    """Return a camera that is to go live.

    Args:
        camera_id: id of its gateway.
        has_mask: a valid mask is in force (rule 15).
        records: which of "sign", "consultation" and "notice" are on record (rule 20).
        gates: of its sensors and AI functions, such as "sensor:sound" (rule 23).
    """
    known = frozenset(records)
    attributes: dict[str, Value] = {
        "hasMask": has_mask,
        "hasSign": "sign" in known,
        "hasConsultation": "consultation" in known,
        "hasNotice": "notice" in known,
        "gates": frozenset(gates),
    }
    return Entity(Ref("Camera", camera_id), attributes)


def mask_change(camera_id: str, steps_by: Mapping[Step, str]) -> Entity:
    """Return a change of a camera's mask; `steps_by`: account that prepared and that checked it, so far."""
    known = (Step.PREPARE, Step.CHECK)
    return Entity(
        Ref("MaskChange", camera_id),
        {f"{step}By": person_ref(account) for step, account in steps_by.items() if step in known},
    )


def gate(name: str, *, has_opinion: bool, has_checklist: bool, notice_on_ms: int | None) -> Entity:
    """Return a gate, such as "sensor:sound", with what the board has on record; `notice_on_ms`: day of the notice."""
    attributes: dict[str, Value] = {"hasOpinion": has_opinion, "hasChecklist": has_checklist}
    if notice_on_ms is not None:
        attributes["noticeOn"] = Moment(notice_on_ms)
    return Entity(Ref("Gate", name), attributes)


def agency(agency_id: str, *, has_basis: bool, gate_name: str | None = None) -> Entity:
    """Return a body that is to be registered; `gate_name`: such as "recipient:hospital" for a new class."""
    attributes: dict[str, Value] = {"hasBasis": has_basis}
    if gate_name is not None:
        attributes["gate"] = gate_name
    return Entity(agency_ref(agency_id), attributes)


def disaster(disaster_id: str, *, cameras: int, until_ms: int) -> Entity:
    """Return a disaster that is to be declared, with the number of its cameras and its end."""
    return Entity(Ref("Disaster", disaster_id), {"cameras": cameras, "until": Moment(until_ms)})


def device(device_id: str, provider: str | None = None) -> Entity:
    """Return a device; `provider`: agency that serves it."""
    return Entity(Ref("Device", device_id), {} if provider is None else {"provider": agency_ref(provider)})


def statistic(name: str, *, k: int, is_noised: bool) -> Entity:
    """Return a statistic; `k`: the fewest people that one of its cells counts."""
    return Entity(Ref("Statistic", name), {"k": k, "noised": is_noised})


def report(name: str, *, is_published: bool) -> Entity:
    """Return a ledger or an annual report."""
    return Entity(Ref("Report", name), {"published": is_published})


def receipt(volunteer: str) -> Entity:
    """Return the receipts of a volunteer's phone."""
    return Entity(Ref("Receipt", volunteer), {"volunteer": Ref("Volunteer", volunteer)})
