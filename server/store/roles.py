"""Passwords of the database roles, where the database asks for any: taken from the libpq password file that all use."""

from pathlib import Path

import psycopg
from psycopg import sql

from server.store.errors import StoreError

_OWN_ROLES = ("ingest", "api", "notify", "gate", "warden", "ledger", "clerk")


def set_passwords(dsn: str, passfile: Path) -> None:
    """Let each role sign in with the password that `passfile` has for it; only SCRAM verifiers leave this process.

    Args:
        dsn: of the owner, who made the roles.
        passfile: lines `host:port:database:user:password`, see libpq's documentation.

    Raises:
        StoreError: the file cannot be read or lacks a role.
        psycopg.Error: the database refuses.
    """
    passwords = _passwords(passfile)
    with psycopg.connect(dsn, autocommit=True) as connection:
        for role in _OWN_ROLES:
            secret, name = passwords[role].encode(), role.encode()
            verifier = connection.pgconn.encrypt_password(secret, name, b"scram-sha-256").decode()
            statement = sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}")
            connection.execute(statement.format(sql.Identifier(role), sql.Literal(verifier)))


def _passwords(passfile: Path) -> dict[str, str]:
    try:
        lines = passfile.read_text("utf-8").splitlines()
    except OSError as error:
        raise StoreError(f"cannot read the password file: {error.strerror}") from error
    fields = [line.split(":", 4) for line in lines if line and not line.startswith("#")]
    found = {parts[3]: parts[4] for parts in fields if len(parts) == 5}
    if missing := [role for role in _OWN_ROLES if not found.get(role)]:
        raise StoreError(f"the password file has no line for: {', '.join(missing)}")
    return found
