"""What is signed and done around a release: undertaking, openings, certificates. Rows are added and never changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from server.store.connection import Connection, at, ms_of

Mode: TypeAlias = Literal["view", "download"]
CertificateKind: TypeAlias = Literal["return", "copy"]


@dataclass(frozen=True, slots=True)
class Opening:
    """One time that an export was opened."""

    export: str
    at_ms: int
    mode: Mode


@dataclass(frozen=True, slots=True)
class Certificate:
    """That footage was returned or destroyed.

    Attributes:
        kind: "return": by the recipient; "copy": of the city's own copy.
        hashes: SHA-256, hex, of the files.
    """

    kind: CertificateKind
    at_ms: int
    method: str
    hashes: tuple[str, ...]


async def undertake(conn: Connection, case_id: str, account: str, *, at_ms: int, entry: int) -> None:
    """Write down that the officer signed the undertaking."""
    await conn.execute(
        "INSERT INTO case_undertaking (case_id, account_id, signed_at, entry_id) VALUES (%s, %s, %s, %s)",
        (case_id, account, at(at_ms), entry),
    )


async def undertaken_ms(conn: Connection, case_id: str) -> int | None:
    """Return when the undertaking was signed."""
    cursor = await conn.execute("SELECT signed_at FROM case_undertaking WHERE case_id = %s", (case_id,))
    row = await cursor.fetchone()
    return None if row is None else ms_of(row[0])


async def open_(conn: Connection, case_id: str, opening: Opening, *, account: str, entry: int) -> None:
    """Write down that an export is opened."""
    await conn.execute(
        "INSERT INTO case_opening (case_id, export_id, account_id, at, mode, entry_id) VALUES (%s, %s, %s, %s, %s, %s)",
        (case_id, opening.export, account, at(opening.at_ms), opening.mode, entry),
    )


async def openings(conn: Connection, case_id: str) -> list[Opening]:
    """Return every opening, the first one first."""
    cursor = await conn.execute(
        "SELECT export_id, at, mode FROM case_opening WHERE case_id = %s ORDER BY at, id", (case_id,)
    )
    return [Opening(row[0], ms_of(row[1]), row[2]) for row in await cursor.fetchall()]


async def certify(conn: Connection, case_id: str, certificate: Certificate, *, account: str | None, entry: int) -> None:
    """Write a certificate; `account` None: the system itself."""
    await conn.execute(
        """INSERT INTO case_certificate (case_id, kind, at, method, hashes, account_id, entry_id)
           VALUES (%s, %s, %s, %s, %s, %s, %s)""",
        (
            case_id,
            certificate.kind,
            at(certificate.at_ms),
            certificate.method,
            list(certificate.hashes),
            account,
            entry,
        ),
    )


async def certificates(conn: Connection, case_id: str) -> Sequence[Certificate]:
    """Return the certificates of a case."""
    cursor = await conn.execute(
        "SELECT kind, at, method, hashes FROM case_certificate WHERE case_id = %s ORDER BY at", (case_id,)
    )
    return [Certificate(row[0], ms_of(row[1]), row[2], tuple(row[3])) for row in await cursor.fetchall()]


@dataclass(frozen=True, slots=True)
class Reminder:
    """Something about a case that somebody should look at.

    Attributes:
        kind: see 0021_case.sql.
        settled_ms: since when it is no longer so; None: it is.
    """

    kind: str
    at_ms: int
    settled_ms: int | None


async def remind(conn: Connection, case_id: str, kind: str, *, at_ms: int, entry: int) -> None:
    """Write a reminder; there is none of its kind that is open."""
    await conn.execute(
        "INSERT INTO case_reminder (case_id, kind, at, entry_id) VALUES (%s, %s, %s, %s)",
        (case_id, kind, at(at_ms), entry),
    )


async def settle_reminder(conn: Connection, case_id: str, kind: str, *, at_ms: int) -> None:
    """Say of a reminder that it is no longer so."""
    await conn.execute(
        "UPDATE case_reminder SET settled_at = %s WHERE case_id = %s AND kind = %s AND settled_at IS NULL",
        (at(at_ms), case_id, kind),
    )


async def reminders(conn: Connection, case_id: str) -> list[Reminder]:
    """Return every reminder of a case, the first one first."""
    cursor = await conn.execute(
        "SELECT kind, at, settled_at FROM case_reminder WHERE case_id = %s ORDER BY at, kind", (case_id,)
    )
    return [
        Reminder(row[0], ms_of(row[1]), None if row[2] is None else ms_of(row[2])) for row in await cursor.fetchall()
    ]
