"""From a case as it stands in the database to what the API answers."""

from __future__ import annotations

from privacy.cases import State
from server.api.schemas_cases import CameraWindow, CaseShort, CaseShown, PaperShown
from server.cases import view
from server.cases.facts import Whole
from server.cases.office import Office
from server.permit.ask import Asker
from server.store.case_order import ExportState
from server.store.case_paper import PaperRow
from server.store.case_record import Certificate


def show_case(whole: Whole, office: Office, asker: Asker) -> CaseShown:
    """Return a case for its reader, with what he or she may do."""
    row, outlook = whole.row, view.outlook(whole, office, asker)
    certified = {one.kind: one for one in whole.certificates}
    return CaseShown.model_validate(
        {
            **_of_row(whole),
            "inquiry": _inquiry(whole),
            "cameras": _windows(whole),
            "papers": [show_paper(paper) for paper in whole.papers],
            "steps": _steps(whole),
            "deadlines": view.deadlines(whole, office),
            "reminders": [one for one in whole.reminders if one.settled_ms is None],
            "release": _release(whole),
            "undertaking": _undertaking(whole),
            "certificate": _certificate(certified.get("return")),
            "copy_certificate": _certificate(certified.get("copy")),
            "is_overdue": row.overdue_ms is not None,
            "is_found": row.found_ms is not None,
            "may": [step.value for step in outlook.may],
            "problems": outlook.problems,
        }
    )


def show_short(whole: Whole, office: Office, asker: Asker) -> CaseShort:
    """Return a case for a list."""
    row = whole.row
    coming = view.deadlines(whole, office)
    return CaseShort.model_validate(
        {
            "id": row.id,
            "number": row.number,
            "state": row.state.value,
            "purpose": row.purpose.value,
            "agency": {"id": row.agency_id, "name_ja": row.agency_ja, "name_en": row.agency_en},
            "is_emergency": row.is_emergency,
            "is_overdue": row.overdue_ms is not None and row.state is not State.CLOSED,
            "cameras": whole.scope.cameras,
            "submitted_at_ms": row.submitted_ms,
            "next_deadline_ms": coming[0].at_ms if coming else None,
            "may": [step.value for step in view.outlook(whole, office, asker).may],
        }
    )


def show_paper(paper: PaperRow) -> PaperShown:
    """Return a paper without its content."""
    return PaperShown.model_validate(
        {
            "id": paper.id,
            "kind": paper.kind,
            "name": paper.name,
            "size_bytes": paper.size_bytes,
            "sha256": paper.sha256.hex(),
            "findings": list(paper.findings),
            "added_at_ms": paper.added_ms,
        }
    )


def _of_row(whole: Whole) -> dict[str, object]:
    row = whole.row
    same = (
        "id", "number", "is_emergency", "offence", "has_occurred", "warrant_number", "report_number", "missing_kind",
        "last_confirmed_ms", "reason", "note", "feedback",
    )  # fmt: skip
    return {name: getattr(row, name) for name in same} | {
        "state": row.state.value,
        "purpose": row.purpose.value,
        "basis": row.basis.value,
        "agency": {"id": row.agency_id, "name_ja": row.agency_ja, "name_en": row.agency_en},
        "officer": {"id": row.officer_id, "name_ja": row.officer_ja, "name_en": row.officer_en},
    }


def _inquiry(whole: Whole) -> dict[str, object] | None:
    row = whole.row
    if not (row.inquiry_number or row.inquiry_on or row.inquiry_station or row.inquiry_officer):
        return None
    return {
        "number": row.inquiry_number,
        "dated_on": row.inquiry_on,
        "station": row.inquiry_station,
        "officer": row.inquiry_officer,
    }


def _windows(whole: Whole) -> list[CameraWindow]:
    exports = {one.camera: one for one in whole.exports}
    shown = []
    for number, (window, kept) in enumerate(zip(whole.windows, whole.kept, strict=True), 1):
        camera = whole.cameras[window.detector]
        shown.append(
            CameraWindow.model_validate(
                {
                    "id": camera.id,
                    "label_ja": camera.label_ja,
                    "label_en": camera.label_en,
                    "lat_deg": camera.lat_deg,
                    "lon_deg": camera.lon_deg,
                    "from_ms": window.from_ms,
                    "to_ms": window.to_ms,
                    "kept": kept,
                    "export": _export(exports.get(number)),
                }
            )
        )
    return shown


def _export(export: ExportState | None) -> dict[str, object] | None:
    if export is None:
        return None
    return {
        "id": export.id,
        "state": export.state if export.destroyed_ms is None else "destroyed",
        "size_bytes": export.size_bytes,
        "sha256": None if export.sha256 is None else export.sha256.hex(),
    }


def _steps(whole: Whole) -> list[dict[str, object]]:
    return [
        {
            "step": one.step.value,
            "from": one.before.value,
            "to": one.after.value,
            "at_ms": one.at_ms,
            "role": one.role.value,
            "name_ja": one.name_ja,
            "name_en": one.name_en,
            "note": one.note,
        }
        for one in whole.steps
    ]


def _release(whole: Whole) -> dict[str, object] | None:
    row = whole.row
    if row.release_until_ms is None:
        return None
    opened = [{"at_ms": one.at_ms, "mode": one.mode} for one in whole.openings]
    return {"until_ms": row.release_until_ms, "mode": row.mode, "opened": opened}


def _undertaking(whole: Whole) -> dict[str, object] | None:
    if whole.undertaken_ms is None:
        return None
    return {"signed_at_ms": whole.undertaken_ms, "return_by_ms": whole.row.return_by_ms}


def _certificate(certificate: Certificate | None) -> dict[str, object] | None:
    if certificate is None:
        return None
    return {"at_ms": certificate.at_ms, "method": certificate.method, "hashes": list(certificate.hashes)}
