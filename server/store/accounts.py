"""Accounts of everybody who signs in, and the agencies some belong to. Role warden. Times are wall time, UTC ms."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from psycopg.rows import class_row

from privacy.terms import Role
from server.store.connection import Connection, at


@dataclass(frozen=True, slots=True)
class AccountRow:
    """An account.

    Attributes:
        agency_id: of officers and providers.
        ward_id: whose own account it is.
        recipient: age public key to which footage is sealed; None: not told yet.
        handle: WebAuthn's `user.id`.
    """

    id: str
    login: str
    role: Role
    name_ja: str
    name_en: str
    language: str
    agency_id: str | None
    ward_id: str | None
    has_code: bool
    is_disabled: bool
    recipient: str | None
    handle: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class AgencyRow:
    """A body that may receive footage or have accounts here."""

    id: str
    kind: str
    name_ja: str
    name_en: str
    legal_basis: str
    has_ended: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAccount:
    """An account to make; its ways to sign in come later."""

    id: str
    login: str
    role: Role
    name_ja: str
    name_en: str
    language: str = "ja"
    agency_id: str | None = None
    ward_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAgency:
    """An agency to register."""

    id: str
    city_id: str
    kind: str
    name_ja: str
    name_en: str
    legal_basis: str


_COLUMNS: Final = """
    id, login, role, name_ja, name_en, language, agency_id, ward_id, code_hash IS NOT NULL AS has_code,
    disabled_at IS NOT NULL AS is_disabled, recipient, handle
"""


def _account(row: tuple[object, ...]) -> AccountRow:
    first, login, role, *rest = row
    return AccountRow(str(first), str(login), Role(str(role)), *rest)  # type: ignore[arg-type]  # as _COLUMNS says


async def find(conn: Connection, account_id: str) -> AccountRow | None:
    """Return an account, disabled or not."""
    cursor = await conn.execute(f"SELECT {_COLUMNS} FROM account WHERE id = %s", (account_id,))  # noqa: S608 - constants
    row = await cursor.fetchone()
    return _account(row) if row else None


async def every(conn: Connection, role: Role | None = None) -> list[AccountRow]:
    """Return all accounts, or those of a role, by role and id."""
    cursor = await conn.execute(
        f"SELECT {_COLUMNS} FROM account WHERE %(role)s::text IS NULL OR role = %(role)s ORDER BY role, id",  # noqa: S608 - constants
        {"role": role.value if role else None},
    )
    return [_account(row) for row in await cursor.fetchall()]


async def add(conn: Connection, new: NewAccount) -> bool:
    """Make an account; False where its id or login is taken."""
    cursor = await conn.execute(
        """INSERT INTO account (id, login, role, name_ja, name_en, language, agency_id, ward_id)
           SELECT %(id)s, %(login)s, %(role)s, %(name_ja)s, %(name_en)s, %(language)s, %(agency_id)s, %(ward_id)s
           WHERE NOT EXISTS (SELECT FROM account WHERE id = %(id)s OR login = %(login)s)""",
        {
            "id": new.id,
            "login": new.login,
            "role": new.role.value,
            "name_ja": new.name_ja,
            "name_en": new.name_en,
            "language": new.language,
            "agency_id": new.agency_id,
            "ward_id": new.ward_id,
        },
    )
    return cursor.rowcount == 1


async def disable(conn: Connection, account_id: str, *, now_ms: int) -> bool:
    """Disable an account: a trigger signs it out everywhere in this transaction. False: none, or disabled before."""
    cursor = await conn.execute(
        "UPDATE account SET disabled_at = %s WHERE id = %s AND disabled_at IS NULL", (at(now_ms), account_id)
    )
    return cursor.rowcount == 1


async def set_code(conn: Connection, account_id: str, code_hash: str) -> None:
    """Give an account of a family a code in place of the one it has."""
    await conn.execute("UPDATE account SET code_hash = %s WHERE id = %s", (code_hash, account_id))


async def set_email(conn: Connection, account_id: str, email: str | None) -> None:
    """Write down where notices are mailed to."""
    await conn.execute("UPDATE account SET email = %s WHERE id = %s", (email, account_id))


async def set_recipient(conn: Connection, account_id: str, recipient: str, *, now_ms: int) -> None:
    """Write down the age public key to which footage for this account is sealed."""
    await conn.execute(
        "UPDATE account SET recipient = %s, recipient_set_at = %s WHERE id = %s", (recipient, at(now_ms), account_id)
    )


async def agency(conn: Connection, agency_id: str) -> AgencyRow | None:
    """Return an agency, whether or not it is still registered."""
    async with conn.cursor(row_factory=class_row(AgencyRow)) as cursor:
        await cursor.execute(
            "SELECT id, kind, name_ja, name_en, legal_basis, ended_at IS NOT NULL AS has_ended FROM agency"
            " WHERE id = %s",
            (agency_id,),
        )
        return await cursor.fetchone()


async def agencies(conn: Connection) -> list[AgencyRow]:
    """Return all agencies, also those that have ended."""
    async with conn.cursor(row_factory=class_row(AgencyRow)) as cursor:
        await cursor.execute(
            "SELECT id, kind, name_ja, name_en, legal_basis, ended_at IS NOT NULL AS has_ended FROM agency ORDER BY id"
        )
        return await cursor.fetchall()


async def add_agency(conn: Connection, new: NewAgency) -> bool:
    """Register an agency; False where the id is taken."""
    cursor = await conn.execute(
        """INSERT INTO agency (id, city_id, kind, name_ja, name_en, legal_basis) VALUES (%s, %s, %s, %s, %s, %s)
           ON CONFLICT (id) DO NOTHING""",
        (new.id, new.city_id, new.kind, new.name_ja, new.name_en, new.legal_basis),
    )
    return cursor.rowcount == 1


async def end_agency(conn: Connection, agency_id: str, *, now_ms: int) -> bool:
    """End a registration: a trigger signs its accounts out in this transaction. False: none, or ended before."""
    cursor = await conn.execute(
        "UPDATE agency SET ended_at = %s WHERE id = %s AND ended_at IS NULL", (at(now_ms), agency_id)
    )
    return cursor.rowcount == 1
