"""Erasure of a ward: the key first, then everything that is still plain, then a certificate of what was done.

The log has two entries of it, which name nobody: `ward.emptied` in the transaction that deletes, and `ward.erased` with
the SHA-256 of the certificate, once the files are rewritten. Who holds the certificate can show that it is the one.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from privacy.terms import Role
from privacy.transparency.record import Fact, Record
from server.config import ServerConfig
from server.history.errors import UnknownWardError
from server.store import audit, erasure, ward_key
from server.store.connection import connect

_REMAINS = (
    "the ward's name and places in the registry, without a tag and without guardians",
    "protective measures, which would still hold if the ward were enrolled again",
    "entries of the audit log: they are numbers and commitments that nothing opens any more",
    "copies of the main database: sealed hours in them open no more, events and rows not yet sealed do",
    "copies of the key store, with which such sealed hours open: 30 days at most",
    "what push services, mail servers and the family's devices have",
)


@dataclass(frozen=True, slots=True)
class Certificate:
    """What an erasure did.

    Attributes:
        what: kind and version of this document.
        city: whose server.
        ward: whose data.
        erased_at: wall time, ISO 8601, UTC.
        town_time: the town's clock then, likewise.
        keys: ids of the data keys that were deleted, hex. Every sealed hour names its key.
        deleted: rows by table of the main database.
        rewritten: whether the files of both databases and their logs were rewritten without the deleted rows.
        remains: what an erasure cannot reach.
    """

    what: str
    city: str
    ward: str
    erased_at: str
    town_time: str
    keys: tuple[str, ...]
    deleted: dict[str, int]
    rewritten: bool
    remains: tuple[str, ...] = _REMAINS

    def as_json(self) -> str:
        """Return the certificate as JSON, with the SHA-256 of its other fields in canonical form."""
        body = asdict(self)
        return json.dumps({**body, "sha256": digest(body)}, ensure_ascii=False, indent=2)


def digest(body: dict[str, object]) -> str:
    """Return the SHA-256, hex, of a certificate's fields but `sha256`: JSON in UTF-8, keys sorted, no spaces."""
    rest = {name: value for name, value in body.items() if name != "sha256"}
    canonical = json.dumps(rest, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


async def erase(config: ServerConfig, ward: str) -> Certificate:
    """Erase the history of a ward for good. Killed half way, it can be run again: only a whole one has a certificate.

    Raises:
        UnknownWardError: no such ward.
        DatabaseError: one of the databases is away or does not let its owner.
    """
    async with (
        await connect(config.keeper_dsn()) as main,
        await connect(config.dsn()) as owner,
        await connect(config.keystore_dsn()) as keys,
    ):
        async with main.transaction():
            if not await erasure.begin(main, ward):
                raise UnknownWardError
            # While this transaction holds ingest off: nothing can be sealed under the key that goes.
            deleted_keys = await ward_key.delete(keys, ward)
            deleted = await erasure.delete(main, ward)
            await audit.append(main, _emptied(deleted, deleted_keys))
        is_rewritten = [await erasure.scrub(owner), await erasure.scrub(keys, ("ward_key",))]
        certificate = _certificate(config, ward, deleted_keys, deleted, is_rewritten=all(is_rewritten))
        async with main.transaction():
            await audit.append(main, _erased(certificate))
    return certificate


def _emptied(deleted: dict[str, int], keys: list[bytes]) -> Record:
    facts: dict[str, Fact] = {f"deleted_{table}": count for table, count in deleted.items() if count}
    return Record("ward.emptied", _wall_ms(), Role.CLERK, {**facts, "keys": len(keys)})


def _erased(certificate: Certificate) -> Record:
    facts: dict[str, Fact] = {
        "sha256": digest(asdict(certificate)),
        "keys": len(certificate.keys),
        "deleted": sum(certificate.deleted.values()),
        "rewritten": certificate.rewritten,
    }
    return Record("ward.erased", _wall_ms(), Role.CLERK, facts)


def _wall_ms() -> int:
    return int(datetime.now(UTC).timestamp() * 1000)


def _certificate(
    config: ServerConfig, ward: str, deleted_keys: list[bytes], deleted: dict[str, int], *, is_rewritten: bool
) -> Certificate:
    town_time = datetime.fromtimestamp(config.clock.now_ms() / 1000, UTC)
    return Certificate(
        "mimamori/erasure/1",
        config.city.id,
        ward,
        datetime.now(UTC).isoformat(timespec="seconds"),
        town_time.isoformat(timespec="seconds"),
        tuple(key.hex() for key in deleted_keys),
        deleted,
        is_rewritten,
    )
