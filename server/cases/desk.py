"""Where cases are written and read: drafts, papers, lists. Steps are taken in `steps.py`, footage in `release.py`."""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import secrets
from dataclasses import dataclass, replace

from privacy.cases import State
from privacy.policy.question import Moment
from privacy.terms import Action, Purpose, Role
from privacy.transparency.record import Fact, Record
from server.cases import fields, papers, sealing
from server.cases.errors import UnknownCaseError
from server.cases.facts import Whole, served
from server.cases.office import Office, logged
from server.permit.ask import Asker, ask
from server.permit.ordinance import ordinance_facts
from server.store import audit, camera_duty, case_paper
from server.store import camera as cameras
from server.store import case as cases
from server.store.camera import Camera
from server.store.case import CaseRow, Draft, NewCase, Page, Window
from server.store.case_paper import NewPaper, PaperRow
from server.store.connection import Connection
from server.store.pool import Pool

_LISTED_ROLES = frozenset({Role.OFFICER, Role.HANDLER, Role.SUPERVISOR, Role.MANAGER, Role.BOARD})
_HASTENED = frozenset({State.APPROVED, State.READY, State.RELEASED})
_LATER = ("inquiry_number", "inquiry_on", "inquiry_station", "inquiry_officer", "warrant_number", "report_number")
"""What comes with the papers, and so in an emergency after submission."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A paper as it came.

    Attributes:
        kind: one of papers.KINDS.
        name: of the file, for people.
        content: its octets.
    """

    kind: str
    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class _Examined:
    """A paper that was examined, and when."""

    upload: Upload
    examined: papers.Examined
    now_ms: int


class CaseDesk:
    """Writes and reads the cases of one city. The pool is of the role warden."""

    def __init__(self, office: Office, pool: Pool) -> None:
        self.office, self.pool = office, pool

    async def cameras(self) -> list[tuple[Camera, frozenset[Purpose]]]:
        """Return the cameras that are live, with what each still keeps and may serve."""
        async with self.pool.connection() as conn:
            ordinance = await ordinance_facts(conn, self.office.profile)
            purposes = await camera_duty.purposes_of(conn, self.office.city, served(self.office.profile, ordinance))
            known = await cameras.cameras(conn, self.office.city, purposes)
        return [(camera, purposes[name]) for name, camera in known.items()]

    async def create(self, asker: Asker, draft: Draft, windows: tuple[Window, ...]) -> Whole:
        """Return a new draft of an officer's.

        Raises:
            UnknownCaseError: only officers write requests; nobody else is told that there are any.
            CaseInputError: a field does not fit.
        """
        if asker.role is not Role.OFFICER or asker.agency is None:
            raise UnknownCaseError
        now_ms = self.office.now_ms()
        async with self.pool.connection() as conn, conn.transaction():
            plain, normal = await self._checked(conn, draft, windows, now_ms)
            year = dt.datetime.fromtimestamp(now_ms / 1000, self.office.zone).year
            number = await cases.next_number(conn, year)
            new = NewCase(
                id=secrets.token_hex(16),
                number=number,
                city=self.office.city,
                agency=asker.agency,
                officer=asker.account,
                draft=plain,
                created_ms=now_ms,
            )
            await cases.add(conn, new)
            await cases.set_windows(conn, new.id, normal)
            return await self._now(conn, new.id, now_ms)

    async def update(self, asker: Asker, case_id: str, draft: Draft, windows: tuple[Window, ...]) -> Whole:
        """Return a draft with new content; of an emergency that was submitted, with what its papers say.

        Raises:
            UnknownCaseError: it is not the asker's draft.
            CaseInputError: a field does not fit.
        """
        now_ms = self.office.now_ms()
        async with self.pool.connection() as conn, conn.transaction():
            row = await self._own(conn, asker, case_id)
            plain, normal = await self._checked(conn, draft, windows, now_ms)
            columns = plain.columns()
            if row.state is State.DRAFT:
                await cases.change(conn, case_id, columns)
                await cases.set_windows(conn, case_id, normal)
            else:
                await cases.change(conn, case_id, {name: columns[name] for name in _LATER})
            await self._read_again(conn, asker, row, now_ms)
            return await self._now(conn, case_id, now_ms)

    async def add_paper(self, asker: Asker, case_id: str, upload: Upload) -> PaperRow:
        """Return a paper that was checked and kept; the one of its kind before no longer counts.

        Raises:
            UnknownCaseError: it is not the asker's draft, nor an emergency of theirs whose papers may follow.
            PaperTypeError: it is neither a PDF nor a picture.
            PaperSizeError: it is too large.
        """
        async with self.pool.connection() as conn:
            before = await self._own(conn, asker, case_id)
        examined = await asyncio.to_thread(papers.examine, upload.content, upload.kind, before)
        now_ms = self.office.now_ms()
        async with self.pool.connection() as conn, conn.transaction():
            case = await self._own(conn, asker, case_id)
            if papers.is_outdated(upload.kind, before, case):
                examined = await asyncio.to_thread(papers.examine, upload.content, upload.kind, case)
            return await self._keep(conn, asker, case, _Examined(upload, examined, now_ms))

    async def paper(self, asker: Asker, case_id: str, paper: str) -> tuple[PaperRow, bytes]:
        """Return a paper and what is in it, once the log says who reads it.

        Raises:
            UnknownCaseError: no such case or paper, or not the asker's to see.
        """
        async with self.pool.connection() as conn:
            whole = await self._viewed(conn, asker, case_id, "paper.viewed")
            found = None if whole is None else await case_paper.content(conn, case_id, paper)
        if found is None:
            raise UnknownCaseError
        row, sealed = found
        return row, sealing.open_(self.office.paper_key, sealed, case=case_id, paper=row.id)

    async def get(self, asker: Asker, case_id: str) -> Whole:
        """Return a case, once the log says who sees it.

        Raises:
            UnknownCaseError: there is none, or it is not the asker's to see.
        """
        async with self.pool.connection() as conn:
            whole = await self._viewed(conn, asker, case_id, "case.viewed")
            if whole is None:
                raise UnknownCaseError
            recipient = await cases.recipient_of(conn, whole.row.officer_id)
        return replace(whole, has_recipient=recipient is not None)

    async def by_number(self, asker: Asker, number: str) -> Whole:
        """Return the case with a number; see `get`."""
        async with self.pool.connection() as conn:
            row = await cases.by_number(conn, number)
        if row is None:
            raise UnknownCaseError
        return await self.get(asker, row.id)

    async def listed(self, asker: Asker, page: Page) -> tuple[list[Whole], str]:
        """Return a page of the cases that the asker may see, and where the next one begins; "": nowhere.

        Each is decided by the engine; the log has one entry of the list.
        """
        if asker.role not in _LISTED_ROLES:
            return [], ""
        now_ms = self.office.now_ms()
        async with self.pool.connection() as conn, conn.transaction():
            rows = await cases.listed(conn, page)
            wholes = [await self.office.whole(conn, row, now_ms) for row in rows]
            context = {"now": Moment(now_ms)}
            shown = [one for one in wholes if self.office.decide(asker, one, Action.VIEW_CASE, context).allowed]
            record = Record("case.listed", now_ms, asker.role, {"count": len(shown)}, {"account": asker.account})
            await audit.append(conn, record)
        return shown, rows[-1].number if len(rows) == page.limit else ""

    async def _viewed(self, conn: Connection, asker: Asker, case_id: str, kind: str) -> Whole | None:
        """Return a case if the asker may see it; the entry is committed either way."""
        now_ms = self.office.now_ms()
        async with conn.transaction():
            row = await cases.find(conn, case_id)
            if row is None:
                return None
            whole = await self.office.whole(conn, row, now_ms)
            question = self.office.question(asker, whole, Action.VIEW_CASE, {"now": Moment(now_ms)})
            decision = await ask(conn, self.office.engine, asker, question, logged(whole, kind, now_ms))
        return whole if decision.allowed else None

    async def _own(self, conn: Connection, asker: Asker, case_id: str) -> CaseRow:
        """Return a case that the asker is writing: what an officer has not submitted is nobody else's to change."""
        row = await cases.find(conn, case_id, is_locked=True)
        if (
            row is None
            or not (row.state is State.DRAFT or _is_awaiting_papers(row))
            or (row.officer_id, row.agency_id) != (asker.account, asker.agency)
        ):
            raise UnknownCaseError
        return row

    async def _read_again(self, conn: Connection, asker: Asker, before: CaseRow, now_ms: int) -> None:
        """Compare the papers anew whose words have changed in the request: a finding is about what is typed now."""
        now = await self._own(conn, asker, before.id)
        for old in await case_paper.current(conn, before.id):
            if not papers.is_outdated(old.kind, before, now):
                continue
            found = await case_paper.content(conn, before.id, old.id)
            if found is None:
                continue
            content = sealing.open_(self.office.paper_key, found[1], case=before.id, paper=old.id)
            examined = await asyncio.to_thread(papers.examine, content, old.kind, now)
            await self._keep(conn, asker, now, _Examined(Upload(old.kind, old.name, content), examined, now_ms))

    async def _keep(self, conn: Connection, asker: Asker, case: CaseRow, paper: _Examined) -> PaperRow:
        upload = paper.upload
        row = PaperRow(
            id=secrets.token_hex(16),
            kind=upload.kind,
            name=_name(upload.name, paper.examined.media_type),
            media_type=paper.examined.media_type,
            size_bytes=len(upload.content),
            sha256=hashlib.sha256(upload.content).digest(),
            findings=paper.examined.as_rows,
            added_ms=paper.now_ms,
        )
        sealed = sealing.seal(self.office.paper_key, upload.content, case=case.id, paper=row.id)
        entry = await audit.append(conn, _paper_record(asker, case, row, paper.now_ms))
        await case_paper.add(conn, NewPaper(row=row, case=case.id, added_by=asker.account, sealed=sealed, entry=entry))
        return row

    async def _checked(
        self, conn: Connection, draft: Draft, windows: tuple[Window, ...], now_ms: int
    ) -> tuple[Draft, tuple[Window, ...]]:
        live = await camera_duty.purposes_of(conn, self.office.city, ())
        known = await cameras.cameras(conn, self.office.city, live)
        return fields.checked(draft, windows, fields.Against(known, now_ms, self.office.zone))

    async def _now(self, conn: Connection, case_id: str, now_ms: int) -> Whole:
        row = await cases.find(conn, case_id)
        if row is None:
            raise UnknownCaseError
        return await self.office.whole(conn, row, now_ms)


def _is_awaiting_papers(row: CaseRow) -> bool:
    """Return whether papers may still come: of an emergency until it is prepared, or after a release in a hurry.

    What one person has checked by its papers is not swapped under the hands of the next.
    """
    if not row.is_emergency or row.ratified_ms is not None:
        return False
    return row.state is State.SUBMITTED or (row.emergency_ms is not None and row.state in _HASTENED)


def _paper_record(asker: Asker, case: CaseRow, row: PaperRow, now_ms: int) -> Record:
    facts: dict[str, Fact] = {
        "case": case.number,
        "agency": case.agency_id,
        "paper": row.kind,
        "sha256": row.sha256.hex(),
        "good": row.is_good,
    }
    return Record("paper.added", now_ms, asker.role, facts, {"account": asker.account})


def _name(name: str, media_type: str) -> str:
    """Return a file's name without path and control characters, never empty."""
    last = name.replace("\\", "/").rpartition("/")[2]
    plain = "".join(letter for letter in last if letter.isprintable())[:120].strip(" .")
    return plain or f"paper.{media_type.rpartition('/')[2]}"
