"""Purpose tokens in a real database: what one opens, what it does not, and what ends it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import psycopg
import pytest

from privacy.ordinance import NEUTRAL, load
from privacy.policy.engine import Engine
from privacy.terms import Action, Role
from server.accounts.sessions import wall_ms
from server.config import ServerConfig
from server.permit.ask import Asker, RefusedError
from server.permit.permits import Permits, PermitSettings, SessionEndedError, wish
from server.store.grant import EVER, Grant, LapsedError, granted, holding
from server.store.pool import Pool, make_pool
from tests.granting import give, open_session

pytestmark = pytest.mark.db
Sql = Callable[..., list[tuple[Any, ...]]]
HOUR_MS = 3_600_000
NOON_MS = 1_795_402_800_000
TOWN = """
INSERT INTO city VALUES ('mimamori', '市', 'City', 'Asia/Tokyo');
INSERT INTO ward (id, city_id, name_ja, name_en) VALUES ('w-1', 'mimamori', 'ゆい', 'Yui'),
    ('w-2', 'mimamori', 'そら', 'Sora');
INSERT INTO account (id, login, name_ja, name_en) VALUES ('g-1', 'demo', '母', 'Mother'),
    ('g-2', 'other', '父', 'Father');
INSERT INTO account (id, login, name_ja, name_en, role, ward_id)
    VALUES ('self', 'yui', 'ゆい', 'Yui', 'watched', 'w-1');
INSERT INTO account (id, login, name_ja, name_en, role) VALUES ('h-1', 'handler', '担当', 'Handler', 'handler');
INSERT INTO guardianship (guardian_id, ward_id) VALUES ('g-1', 'w-1'), ('g-2', 'w-2');
INSERT INTO last_place (ward_id, lat_deg, lon_deg, accuracy_m, heard_at, received_at)
    SELECT id, 34, 134, 5, to_timestamp(1795402800), now() FROM ward;
INSERT INTO fix SELECT id, at, at, 34, 134, 5, 1, at FROM ward,
    generate_series(to_timestamp(1795402800), to_timestamp(1795402800) + interval '3 hours', interval '1 hour') AS at;
INSERT INTO event (ward_id, kind, at, received_at) SELECT id, 'sos', to_timestamp(1795402800), now() FROM ward;
"""
TABLES = ("ward", "last_place", "fix", "event", "ward_hour", "watch", "audit_opening")


@pytest.fixture
def sql(db: ServerConfig) -> Sql:
    """Run one statement as the owner, committed at once."""

    def run(statement: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(db.dsn(), autocommit=True) as conn:
            cursor = conn.execute(statement.encode(), values)
            return cursor.fetchall() if cursor.description else []

    return run


@pytest.fixture(autouse=True)
def town(db: ServerConfig) -> None:
    """A town of two wards."""
    with psycopg.connect(db.dsn(), autocommit=True) as conn:
        conn.execute(TOWN.encode())


@pytest.fixture
async def pool(db: ServerConfig) -> AsyncIterator[Pool]:
    """Connections of the role api."""
    async with make_pool(db.dsn("api"), max_size=2) as made:
        yield made


@pytest.fixture
async def permits(db: ServerConfig) -> AsyncIterator[Permits]:
    """Decisions by the policies of this release."""
    async with make_pool(db.dsn("warden"), max_size=2) as warden:
        yield Permits(warden, Engine.load(), PermitSettings(load(NEUTRAL).facts(), db.clock, wall_ms))


async def _seen(pool: Pool, *grants: Grant) -> dict[str, set[str]]:
    """Return whose rows the tokens open, by table."""
    seen: dict[str, set[str]] = {}
    async with holding(pool, grants) as held:
        for table in TABLES:
            column = {"ward": "id", "audit_opening": "value"}.get(table, "ward_id")
            rows = await (await held.conn.execute(f"SELECT {column} FROM {table}".encode())).fetchall()
            if rows:
                seen[table] = {row[0] for row in rows}
    return seen


async def _asker(db: ServerConfig, account: str = "g-1", role: Role = Role.GUARDIAN) -> Asker:
    return Asker(account, role, None, await open_session(db, account))


async def test_a_token_opens_its_class_of_data_of_its_ward_alone(db: ServerConfig, pool: Pool) -> None:
    session = await open_session(db, "g-1")
    assert await _seen(pool) == {}
    assert await _seen(pool, await give(db, session, ["w-1"], "place")) == {"last_place": {"w-1"}, "ward": {"w-1"}}
    assert await _seen(pool, await give(db, session, ["w-1"], "event")) == {"event": {"w-1"}, "ward": {"w-1"}}
    assert await _seen(pool, await give(db, session, ["w-1"], "track")) == {"fix": {"w-1"}, "ward": {"w-1"}}
    assert await _seen(pool, await give(db, session, ["w-1"], "ward")) == {"ward": {"w-1"}}
    assert await _seen(pool, await give(db, session, ["w-1"], "registry")) == {}
    assert await _seen(pool, await give(db, session, [], "place", "event", "track")) == {}


async def test_a_list_of_tokens_opens_what_each_of_them_opens(db: ServerConfig, pool: Pool) -> None:
    one = await give(db, await open_session(db, "g-1"), ["w-1"], "place")
    other = await give(db, await open_session(db, "g-2"), ["w-2"], "event", account="g-2")
    assert await _seen(pool, one, other) == {"last_place": {"w-1"}, "event": {"w-2"}, "ward": {"w-1", "w-2"}}


async def test_a_token_opens_only_the_time_of_the_data_it_was_issued_for(db: ServerConfig, pool: Pool) -> None:
    session = await open_session(db, "g-1")
    grant = await give(db, session, ["w-1"], "track", "event", span_ms=(NOON_MS + HOUR_MS, NOON_MS + 3 * HOUR_MS))
    async with granted(pool, grant) as conn:
        rows = await (await conn.execute("SELECT extract(epoch FROM bucket_at)::bigint FROM fix ORDER BY 1")).fetchall()
        events = await (await conn.execute("SELECT 1 FROM event")).fetchall()
    assert [row[0] * 1000 for row in rows] == [NOON_MS + HOUR_MS, NOON_MS + 2 * HOUR_MS]
    assert events == []


async def test_after_its_transaction_a_connection_sees_nothing(db: ServerConfig, pool: Pool) -> None:
    grant = await give(db, await open_session(db, "g-1"), ["w-1"], "place")
    async with granted(pool, grant) as conn:
        assert len(await (await conn.execute("SELECT 1 FROM last_place")).fetchall()) == 1
    async with pool.connection() as conn:
        assert await (await conn.execute("SELECT 1 FROM last_place")).fetchall() == []


@pytest.mark.parametrize("secret", ["", ",", "00", "00" * 64, "'; --"])
async def test_a_made_up_token_opens_nothing(pool: Pool, secret: str) -> None:
    async with pool.connection() as conn, conn.transaction():
        await conn.execute("SELECT set_config('mimamori.tokens', %s, true)", (secret,))
        try:
            assert await (await conn.execute("SELECT 1 FROM last_place")).fetchall() == []
        except psycopg.errors.DataError:
            assert secret == "'; --"


async def test_a_token_is_of_no_use_in_another_session(db: ServerConfig, pool: Pool) -> None:
    mine, theirs = await open_session(db, "g-1"), await open_session(db, "g-2")
    grant = await give(db, mine, ["w-1"], "place")
    stolen = Grant(grant.secret[:64] + theirs.hex(), grant.token_id, grant.purpose, grant.wards, (), grant.expires_ms)
    assert await _seen(pool, stolen) == {}
    with pytest.raises(LapsedError):
        async with granted(pool, stolen):
            pass


async def test_a_token_that_has_expired_opens_nothing(db: ServerConfig, pool: Pool) -> None:
    grant = await give(db, await open_session(db, "g-1"), ["w-1"], "place", lasts_ms=300)
    assert await _seen(pool, grant) != {}
    await asyncio.sleep(0.4)
    assert await _seen(pool, grant) == {}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE purpose_token SET expires_at = now() + interval '1 hour'",
        "UPDATE purpose_token SET classes = '{place,event,track}'",
        "UPDATE purpose_token_ward SET ward_id = 'w-2'",
        "INSERT INTO purpose_token_ward SELECT id, 'w-2', 0 FROM purpose_token",
    ],
)
@pytest.mark.parametrize("role", ["api", "ingest", "gate", "clerk", "ledger"])
async def test_nobody_who_reads_widens_a_token(db: ServerConfig, role: str, statement: str) -> None:
    await give(db, await open_session(db, "g-1"), ["w-1"], "place")
    with psycopg.connect(db.dsn(role)) as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute(statement.encode())


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE purpose_token SET expires_at = now() + interval '1 hour'",
        "UPDATE purpose_token_ward SET ward_id = 'w-2'",
        "SELECT secret_hash FROM purpose_token",
        "SELECT 1 FROM last_place",
        "SELECT 1 FROM fix",
        "SELECT 1 FROM event",
        "SELECT 1 FROM ward_hour",
    ],
)
def test_who_issues_tokens_neither_changes_them_nor_reads_places(db: ServerConfig, statement: str) -> None:
    with psycopg.connect(db.dsn("warden")) as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute(statement.encode())


ENDS = {
    "signing out": "DELETE FROM session WHERE account_id = 'g-1'",
    "a session that is made shorter": "UPDATE session SET expires_at = now() + interval '1 minute'",
    "a guardianship that ends": "UPDATE guardianship SET until = now() WHERE guardian_id = 'g-1'",
    "a guardianship that is deleted": "DELETE FROM guardianship WHERE guardian_id = 'g-1'",
    "another guardian of the ward": "INSERT INTO guardianship (guardian_id, ward_id) VALUES ('g-2', 'w-1')",
    "an account that is disabled": "UPDATE account SET disabled_at = now() WHERE id = 'g-1'",
    "another role": "UPDATE account SET role = 'volunteer' WHERE id = 'g-1'",
    "a protective measure": """
        INSERT INTO protective_measure (ward_id, account_id, since, until, asked_until, entered_by)
        VALUES ('w-1', 'g-1', now(), now() + interval '1 day', now() + interval '1 day', 'h-1')""",
    "an erased ward": "DELETE FROM ward WHERE id = 'w-1'",
}


@pytest.mark.parametrize("end", ENDS)
async def test_what_ends_a_right_ends_its_tokens_in_the_same_transaction(
    db: ServerConfig, pool: Pool, end: str
) -> None:
    grant = await give(db, await open_session(db, "g-1"), ["w-1"], "place")
    assert await _seen(pool, grant) != {}
    with psycopg.connect(db.dsn()) as conn:
        conn.execute(ENDS[end].encode())
        assert await _seen(pool, grant) != {}, "not committed yet"
        conn.commit()
        assert await _seen(pool, grant) == {}


async def test_a_token_issued_while_the_right_ends_is_dead_when_it_is_born(
    db: ServerConfig, pool: Pool, permits: Permits, sql: Sql
) -> None:
    asker = await _asker(db)
    decide = permits.engine.decide

    def slowly(question: Any) -> Any:
        decision = decide(question)  # between the facts and the token
        sql("UPDATE guardianship SET until = now() - interval '1 second' WHERE guardian_id = 'g-1'")
        return decision

    permits.engine.decide = slowly  # type: ignore[method-assign]
    grant = await permits.of_ward(asker, "w-1", Action.VIEW_PLACE)
    assert await _seen(pool, grant) == {}


async def test_the_policies_are_asked_and_the_answer_is_in_the_log(
    db: ServerConfig, permits: Permits, sql: Sql
) -> None:
    asker = await _asker(db)
    await permits.of_ward(asker, "w-1", Action.VIEW_PLACE)
    for ward in ("w-2", "nobody"):
        with pytest.raises(RefusedError):
            await permits.of_ward(asker, ward, Action.VIEW_PLACE)
    query = "SELECT convert_from(body, 'UTF8')::jsonb ->> 'kind' FROM audit_entry ORDER BY id"
    assert [row[0] for row in sql(query)] == ["place.viewed", "place.refused", "place.refused"]
    assert sql("SELECT count(*) FROM purpose_token") == [(1,)]
    assert sql("SELECT count(*) FROM audit_entry WHERE convert_from(body, 'UTF8') ~ 'g-1|w-1|w-2|nobody'") == [(0,)]


async def test_where_the_log_cannot_be_written_nothing_is_given(db: ServerConfig, permits: Permits, sql: Sql) -> None:
    asker = await _asker(db)
    sql("REVOKE INSERT ON audit_entry FROM warden")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await permits.of_ward(asker, "w-1", Action.VIEW_PLACE)
    assert sql("SELECT count(*) FROM purpose_token") == [(0,)]


async def test_a_token_serves_again_and_one_that_ended_is_asked_for_anew(
    db: ServerConfig, pool: Pool, permits: Permits, sql: Sql
) -> None:
    asker = await _asker(db)
    wanted = wish(Action.VIEW_PLACE, "w-1")
    for _ in range(3):
        async with permits.reading(pool, asker, wanted) as (conn, _grant):
            assert len(await (await conn.execute("SELECT 1 FROM last_place")).fetchall()) == 1
    assert sql("SELECT count(*) FROM purpose_token") == [(1,)]
    sql("INSERT INTO guardianship (guardian_id, ward_id) VALUES ('g-2', 'w-1')")
    async with permits.reading(pool, asker, wanted) as (conn, _grant):
        assert len(await (await conn.execute("SELECT 1 FROM last_place")).fetchall()) == 1
    sql("DELETE FROM guardianship WHERE guardian_id = 'g-1'")
    with pytest.raises(RefusedError):
        async with permits.reading(pool, asker, wanted):
            pass


async def test_a_token_lasts_no_longer_than_session_and_guardianship(
    db: ServerConfig, permits: Permits, sql: Sql
) -> None:
    asker = await _asker(db)
    sql("UPDATE guardianship SET until = now() + interval '20 seconds' WHERE guardian_id = 'g-1'")
    grant = await permits.of_ward(asker, "w-1", Action.VIEW_PLACE)
    assert 0 < grant.expires_ms - wall_ms() <= 20_000
    sql("UPDATE session SET expires_at = now() + interval '5 seconds'")
    assert 0 < (await permits.of_stream(asker)).expires_ms - wall_ms() <= 5_000


async def test_who_is_signed_out_disabled_or_somebody_else_is_nobody(
    db: ServerConfig, permits: Permits, sql: Sql
) -> None:
    asker = await _asker(db)
    for wrong in (Asker("g-2", Role.GUARDIAN, None, asker.session), Asker("g-1", Role.GUARDIAN, None, b"0" * 32)):
        with pytest.raises(SessionEndedError):
            await permits.of_ward(wrong, "w-1", Action.VIEW_PLACE)
    sql("UPDATE account SET disabled_at = now() WHERE id = 'g-1'")
    with pytest.raises(SessionEndedError):
        await permits.of_ward(asker, "w-1", Action.VIEW_PLACE)


async def test_the_watched_person_sees_their_own_and_staff_no_place(
    db: ServerConfig, pool: Pool, permits: Permits
) -> None:
    own = await _asker(db, "self", Role.WATCHED)
    assert (await permits.of_stream(own)).wards == ("w-1",)
    handler = await _asker(db, "h-1", Role.HANDLER)
    for action in (Action.VIEW_WARD, Action.VIEW_PLACE, Action.VIEW_TRACK, Action.VIEW_EVENTS, Action.VIEW_LOOK_UPS):
        with pytest.raises(RefusedError):
            await permits.of_ward(handler, "w-1", action, span_ms=EVER)
    assert await _seen(pool, await permits.of_stream(handler)) == {}
