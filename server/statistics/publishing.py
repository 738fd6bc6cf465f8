"""Counts people while their places are plain, and publishes each day once, when the policies say so.

The clerk process calls `work` every few minutes of town time. It never learns of whom an hour was counted, and what it
takes out to publish is gone from the database in the same transaction that publishes it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from privacy import anonymity
from privacy.anonymity import Disclosure, Noise, Release
from privacy.ordinance import Profile
from privacy.policy.engine import Engine
from privacy.policy.entities import principal
from privacy.policy.question import Moment, Question, Ref
from privacy.policy.resources import statistic
from privacy.terms import Action, Purpose, Role
from server.config import ServerConfig
from server.permit.ask import Asker, Decider, Logged, RefusedError, ask_entry
from server.permit.ordinance import ordinance_facts, profile_of
from server.statistics import hours
from server.store import statistic as store
from server.store.connection import Connection
from server.store.statistic import Pending, ReleaseRow

log = logging.getLogger(__name__)

CLERK = Asker("clerk", Role.CLERK)
"""The system itself."""


@dataclass(frozen=True, slots=True)
class Press:
    """What publishing needs.

    Attributes:
        engine: the policies.
        profile: of the city's ordinance.
        zone: of the city.
        rule: how much a day may tell.
        noise: draws it; None: OpenDP.
    """

    engine: Decider
    profile: Profile
    zone: ZoneInfo
    rule: Disclosure = field(default_factory=Disclosure)
    noise: Noise | None = None


def press_of(config: ServerConfig) -> Press:
    """Return what publishing needs, as the city is configured.

    Raises:
        ConfigError: there is no such ordinance profile.
        PolicyError: the policies cannot be used.
    """
    return Press(Engine.load(), profile_of(config), ZoneInfo(config.city.tz))


async def work(conn: Connection, press: Press, *, town_ms: int, wall_ms: int) -> list[ReleaseRow]:
    """Count the hours and publish the days that are due; return what was published.

    Args:
        conn: of the role clerk, in no transaction.
        press: what publishing needs.
        town_ms: the town's clock.
        wall_ms: the machine's, for the log.
    """
    await count(conn, press, town_ms=town_ms)
    done = []
    for one in await store.pending(conn, hours.today(town_ms, press.zone)):
        try:
            done.append(await publish(conn, one, press, wall_ms=wall_ms))
        except RefusedError as error:
            log.warning("statistic.refused", extra={"reasons": [reason.policy for reason in error.reasons]})
    return done


async def count(conn: Connection, press: Press, *, town_ms: int) -> int:
    """Count the hours that may be counted now and were not; return how many."""
    due = list(hours.countable(town_ms, press.zone))
    if not due:
        return 0
    known = await store.counted(conn, min(day for day, _, _ in due))
    made = [await store.count_hour(conn, from_ms) for day, hour, from_ms in due if (day, hour) not in known]
    return sum(made)


async def publish(conn: Connection, pending: Pending, press: Press, *, wall_ms: int) -> ReleaseRow:
    """Publish a day; its counts are gone after this, whether it is allowed or not.

    Raises:
        RefusedError: the policies say no; the entry that says so is in the log.
        BudgetSpentError: the day has been published.
        AnonymityError: what was counted cannot be published so that nobody is told of; nothing has changed.
    """
    async with conn.transaction():
        counts = await store.take(conn, pending.day, press.rule)
        released = anonymity.release(counts, pending.domain, press.rule, press.noise)
        row = _row(pending, released, press.rule, wall_ms)
        question = await _question(conn, press, row, fewest=anonymity.fewest(counts, released, press.rule))
        decision, entry = await ask_entry(conn, press.engine, CLERK, question, _logged(row))
        if decision.allowed:
            await store.save(conn, row, released.shown, entry=entry)
    if not decision.allowed:
        raise RefusedError(decision.reasons)
    log.info("statistic.published", extra={"count": row.released})
    return row


def _row(pending: Pending, released: Release, rule: Disclosure, wall_ms: int) -> ReleaseRow:
    return ReleaseRow(
        day=pending.day,
        hours=pending.hours,
        rule=rule,
        threshold=rule.threshold,
        released=len(released.shown),
        suppressed=released.suppressed,
        published_ms=wall_ms,
    )


async def _question(conn: Connection, press: Press, row: ReleaseRow, *, fewest: int) -> Question:
    facts = await ordinance_facts(conn, press.profile)
    return Question(
        principal=principal(CLERK.role, CLERK.account),
        action=Action.VIEW_STATISTIC,
        resource=statistic(row.day.isoformat(), k=fewest, is_noised=True),
        context={
            "purpose": Ref("Purpose", Purpose.OPEN_STATISTICS.value),
            "now": Moment(row.published_ms),
            "ordinance": facts.record(),
        },
    )


def _logged(row: ReleaseRow) -> Logged:
    """Return what the log says: of the rule and how many cells, nothing that depends on a single person."""
    rule = row.rule
    return Logged(
        kind="statistic.published",
        purpose=Purpose.OPEN_STATISTICS,
        at_ms=row.published_ms,
        facts={
            "day": row.day.isoformat(),
            "k": rule.k,
            "epsilon": f"{rule.epsilon:g}",
            "delta": f"{rule.delta:g}",
            "threshold": row.threshold,
            "hours": len(row.hours),
            "released": row.released,
            "suppressed": row.suppressed,
        },
    )
