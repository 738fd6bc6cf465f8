"""One run of the schedule: deletes what is too old of every class, says so in a certificate, a row and the log."""

from __future__ import annotations

import logging
from collections import defaultdict
from typing import Final

from privacy.retention import DataClass, Schedule
from privacy.terms import Role
from privacy.transparency.record import Fact, Record
from server.retention.certificate import Certificate, ClassResult, iso
from server.store import audit, expiry
from server.store.connection import Connection
from server.store.expiry import TARGETS, Deleted

log = logging.getLogger(__name__)

WHAT: Final = "mimamori/retention/1"


async def run(conn: Connection, schedule: Schedule, now_ms: int, *, town_ms: int | None = None) -> Certificate:
    """Return the certificate of a run that is committed: all of it, or nothing is deleted.

    Args:
        conn: of the role `clerk`.
        schedule: of the city.
        now_ms: wall time.
        town_ms: the town's clock; None: it is wall time.

    Raises:
        DatabaseError: the database is away, or does not let the clerk.
    """
    town = now_ms if town_ms is None else town_ms
    results: dict[DataClass, dict[str, Deleted]] = defaultdict(dict)
    before_ms = {data: schedule.before_ms(data, now_ms=now_ms, town_ms=town) for data in DataClass}
    async with conn.transaction():
        await expiry.begin(conn)
        for target in TARGETS:
            done = await expiry.delete(conn, target, before_ms=before_ms[target.data])
            results[target.data][target.table] = done
        results[DataClass.TOKEN]["purpose_token"] = await expiry.expire_tokens(
            conn, before_ms=before_ms[DataClass.TOKEN]
        )
        overdue = await expiry.overdue_copies(conn, before_ms=before_ms[DataClass.COPY])
        results[DataClass.COPY]["export"] = Deleted(0, overdue)
        # Last, since it holds ingest off until the end.
        keep_ms = schedule.limits[DataClass.SIGHTING].keep_ms
        dropped, before_ms[DataClass.SIGHTING] = await expiry.expire_sightings(conn, town_ms=town, keep_ms=keep_ms)
        results[DataClass.SIGHTING]["sighting"] = dropped
        certificate = _certificate(schedule, results, before_ms, now_ms=now_ms, town_ms=town)
        entry = await audit.append(conn, _record(certificate, now_ms))
        await expiry.save(conn, certificate.body(), at_ms=now_ms, sha256=certificate.digest(), entry=entry)
    log.info("retention.run", extra={"removed": certificate.deleted, "pending": certificate.left})
    return certificate


def _certificate(
    schedule: Schedule,
    results: dict[DataClass, dict[str, Deleted]],
    before_ms: dict[DataClass, int],
    *,
    now_ms: int,
    town_ms: int,
) -> Certificate:
    classes = {data.value: ClassResult(iso(before_ms[data]), results[data]) for data in DataClass if data in results}
    return Certificate(WHAT, schedule.profile, iso(now_ms), iso(town_ms), classes)


def _record(certificate: Certificate, now_ms: int) -> Record:
    facts: dict[str, Fact] = {f"deleted_{name}": count for name, count in certificate.by_class.items() if count}
    facts |= {"deleted": certificate.deleted, "left": certificate.left, "sha256": certificate.digest().hex()}
    return Record("retention.run", now_ms, Role.CLERK, facts)
