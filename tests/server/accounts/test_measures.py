"""Protective measures: nobody has a hand in lifting the one that bars him."""

import psycopg
import pytest

from privacy.terms import Role
from server.accounts import measures
from server.accounts.desk import AccountError, Deed
from server.config import ServerConfig
from server.store.connection import connect

pytestmark = pytest.mark.db
NOW_MS = 1_795_669_200_000
_TOWN = """
INSERT INTO city VALUES ('c', '市', 'City', 'Asia/Tokyo');
INSERT INTO ward (id, city_id, name_ja, name_en) VALUES ('w', 'c', 'ゆい', 'Yui');
INSERT INTO account (id, login, name_ja, name_en, role) VALUES
    ('barred', 'barred', '職員', 'Staff', 'supervisor'), ('s', 's', '職員', 'Staff', 'supervisor'),
    ('m', 'm', '職員', 'Staff', 'manager');
"""


def by(who: str) -> Deed:
    return Deed(Role.SUPERVISOR, who, NOW_MS)


async def test_who_is_barred_neither_asks_for_the_end_of_it_nor_grants_it(db: ServerConfig) -> None:
    with psycopg.connect(db.dsn(), autocommit=True) as seed:
        seed.execute(_TOWN.encode())
    async with await connect(db.dsn("warden")) as conn, conn.transaction():
        measure = await measures.enter(conn, by("s"), ward_id="w", account_id="barred")
        with pytest.raises(AccountError):
            await measures.end(conn, by("barred"), measure)
        assert not await measures.end(conn, by("s"), measure)
        with pytest.raises(AccountError):
            await measures.end(conn, by("barred"), measure)
        assert await measures.end(conn, by("m"), measure)
