"""Entries put into the audit log of a database and published in its folder, by the ledger's own parts."""

from collections.abc import Iterable

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from privacy.transparency.note import Signer
from server.config import ServerConfig
from server.ledger.publisher import Publisher
from server.ledger.sequencer import Sequencer
from server.publiclog.folder import CHECKPOINT, Folder
from server.store.connection import connect

SIGNER = Signer("mimamori/mimamori", Ed25519PrivateKey.from_private_bytes(b"\1" * 32))


def append(config: ServerConfig, bodies: Iterable[bytes]) -> None:
    """Write entries that have no place in the tree yet."""
    with psycopg.connect(config.dsn(), autocommit=True) as conn, conn.cursor() as cursor:
        cursor.executemany("INSERT INTO audit_entry (body) VALUES (%s)", [(body,) for body in bodies])


async def sequence(config: ServerConfig) -> None:
    """Give the waiting entries their places and publish them."""
    conn = await connect(config.dsn("ledger"))
    try:
        sequencer = Sequencer(SIGNER)
        await sequencer.load(conn)
        while await sequencer.step(conn):
            pass
        publisher = Publisher(Folder(config.log_dir), SIGNER.verifier())
        await publisher.load(conn, sequencer.head.size)
        await publisher.advance(conn, sequencer.head)
        publisher.folder.write(CHECKPOINT, sequencer.note.encode())
    finally:
        await conn.close()
