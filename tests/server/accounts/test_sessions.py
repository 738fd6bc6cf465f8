"""How long whom a session lets in, what it leaves in the log, and cards that open once."""

import json
from collections.abc import AsyncIterator

import psycopg
import pytest

from privacy.terms import Role
from server.accounts import cards
from server.accounts.sessions import Entrant, SessionRules, Sessions, hash_of
from server.config import ServerConfig
from server.store.pool import Pool, make_pool

pytestmark = pytest.mark.db
MINUTE_MS = 60_000


class Clock:
    ms = 1_800_000_000_000

    def __call__(self) -> int:
        return self.ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def warden(db: ServerConfig) -> AsyncIterator[Pool]:
    with psycopg.connect(db.dsn(), autocommit=True) as conn:
        conn.execute("INSERT INTO city VALUES ('mimamori', 'みまもり市', 'Mimamori City', 'Asia/Tokyo')")
        conn.execute(
            "INSERT INTO agency (id, city_id, kind, name_ja, name_en, legal_basis)"
            " VALUES ('station', 'mimamori', 'police', '署', 'Station', '197')"
        )
        conn.execute(
            "INSERT INTO account (id, login, name_ja, name_en, role, agency_id) VALUES"
            " ('g', 'g', 'g', 'g', 'guardian', NULL), ('m', 'm', 'm', 'm', 'manager', NULL),"
            " ('o', 'o', 'o', 'o', 'officer', 'station')"
        )
    async with make_pool(db.dsn("warden"), max_size=2) as pool:
        yield pool


@pytest.mark.parametrize(
    ("account", "role", "idle_min", "absolute_min"),
    [("g", Role.GUARDIAN, 30 * 1440, 90 * 1440), ("m", Role.MANAGER, 15, 480), ("o", Role.OFFICER, 15, 480)],
)
async def test_a_session_lives_as_long_as_its_role_lets_it(
    warden: Pool, clock: Clock, account: str, role: Role, idle_min: int, absolute_min: int
) -> None:
    sessions = Sessions(warden, now_ms=clock)
    began_ms = clock.ms
    token = await sessions.open(Entrant(account, role, "passkey"))
    while clock.ms + (idle_min - 1) * MINUTE_MS < began_ms + absolute_min * MINUTE_MS:
        clock.ms += (idle_min - 1) * MINUTE_MS
        assert await sessions.find(token) is not None
    clock.ms = began_ms + absolute_min * MINUTE_MS
    assert await sessions.find(token) is None
    idle = await sessions.open(Entrant(account, role, "passkey"))
    clock.ms += idle_min * MINUTE_MS
    assert await sessions.find(idle) is None


async def test_a_step_up_holds_for_five_minutes(warden: Pool, clock: Clock, db: ServerConfig) -> None:
    with psycopg.connect(db.dsn(), autocommit=True) as conn:
        conn.execute(
            "INSERT INTO passkey (id, account_id, credential_id, public_key, sign_count, name)"
            " VALUES ('k', 'm', 'c', 'p', 0, 'key')"
        )
    sessions = Sessions(warden, now_ms=clock)
    token = await sessions.open(Entrant("m", Role.MANAGER, "passkey", "k"))
    session = await sessions.find(token)
    assert session is not None
    assert sessions.is_fresh(session)
    clock.ms += 5 * MINUTE_MS
    assert not sessions.is_fresh(session)


async def test_a_session_of_an_ended_agency_or_a_removed_key_is_over(warden: Pool, db: ServerConfig) -> None:
    sessions = Sessions(warden)
    with psycopg.connect(db.dsn(), autocommit=True) as conn:
        conn.execute(
            "INSERT INTO passkey (id, account_id, credential_id, public_key, sign_count, name)"
            " VALUES ('k', 'o', 'c', 'p', 0, 'key')"
        )
        by_key = await sessions.open(Entrant("o", Role.OFFICER, "passkey", "k"))
        other = await sessions.open(Entrant("o", Role.OFFICER, "oidc"))
        conn.execute("DELETE FROM passkey")
        assert await sessions.find(by_key) is None
        assert await sessions.find(other) is not None
        conn.execute("UPDATE agency SET ended_at = now()")
        assert await sessions.find(other) is None


async def test_opening_and_refusing_are_in_the_log_without_a_name(warden: Pool, db: ServerConfig) -> None:
    sessions = Sessions(warden)
    await sessions.open(Entrant("g", Role.GUARDIAN, "code"))
    await sessions.refuse("code")
    with psycopg.connect(db.dsn()) as conn:
        bodies = [json.loads(bytes(row[0])) for row in conn.execute("SELECT body FROM audit_entry ORDER BY id")]
        openings = conn.execute("SELECT name, value FROM audit_opening").fetchall()
    assert [(one["kind"], one["role"], one["facts"]) for one in bodies] == [
        ("session.opened", "guardian", {"way": "code"}),
        ("session.refused", "public", {"way": "code"}),
    ]
    assert openings == [("account", "g")]


async def test_a_card_opens_once_and_a_new_one_voids_the_old(warden: Pool) -> None:
    order = cards.CardOrder("m", None, Role.CLERK)
    async with warden.connection() as conn:
        first = await cards.make(conn, order, now_ms=0)
        second = await cards.make(conn, order, now_ms=1000)
        with pytest.raises(cards.CardError):
            await cards.use(conn, first.code, now_ms=2000)
        typed = second.code.lower().replace("-", " ")
        assert (await cards.use(conn, typed, now_ms=2000)).account_id == "m"
        with pytest.raises(cards.CardError):
            await cards.use(conn, second.code, now_ms=3000)


async def test_a_card_of_yesterday_or_of_a_disabled_account_opens_nothing(warden: Pool, db: ServerConfig) -> None:
    async with warden.connection() as conn:
        late = await cards.make(conn, cards.CardOrder("m", None, Role.CLERK), now_ms=0, valid_s=1)
        with pytest.raises(cards.CardError):
            await cards.use(conn, late.code, now_ms=1000)
        card = await cards.make(conn, cards.CardOrder("o", None, Role.CLERK), now_ms=2000)
        with psycopg.connect(db.dsn(), autocommit=True) as owner:
            owner.execute("UPDATE account SET disabled_at = now() WHERE id = 'o'")
        with pytest.raises(cards.CardError):
            await cards.use(conn, card.code, now_ms=3000)


def test_a_card_session_is_short_whatever_the_role() -> None:
    rules = SessionRules()
    assert rules.of(Role.GUARDIAN, is_enrolling=True).absolute_s == 900
    assert hash_of("token") != hash_of("Token")
