"""Brings both databases of a server to this release's schema: the main one and the key store."""

from pathlib import Path

from server.config import ServerConfig
from server.store import ward_key
from server.store.migrate import Migrated, migrate
from server.store.roles import set_passwords


def bring_up(config: ServerConfig) -> tuple[Migrated, Migrated]:
    """Apply what is missing; return what was done to the main database and to the key store, which is made if need be.

    Raises:
        MigrationError: a schema and this release do not fit together.
        StoreError: the password file lacks a role.
        DatabaseError: a database refuses or is away.
    """
    main = migrate(config.dsn())
    keys = ward_key.prepare(config.keystore_dsn(), beside=None if config.keystore.url else config.dsn())
    if config.database.passfile:
        for dsn in (config.dsn(), config.keystore_dsn()):
            set_passwords(dsn, Path(config.database.passfile))
    return main, keys
