"""Proofs of the log for those whom an entry concerns, and for nobody else."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from privacy.terms import Role
from privacy.transparency.note import Verifier
from privacy.transparency.proof import Proof, check
from server import keys, notekey
from server.accounts.sessions import Entrant
from server.config import ServerConfig
from server.ledger.desk import Desk
from server.ledger.metrics import LedgerMetrics
from server.publiclog.folder import Folder
from server.store.connection import connect

pytestmark = pytest.mark.db
SignIn = Callable[[str], Awaitable[httpx.AsyncClient]]
Sql = Callable[..., list[tuple[Any, ...]]]
Publish = Callable[[], Awaitable[None]]


@pytest.fixture
async def looked_up(app: FastAPI, client: Callable[[], httpx.AsyncClient], sql: Sql, signed_in: SignIn) -> int:
    """A handler looked Yui up; the number by which the family knows of it."""
    sql("INSERT INTO account (id, login, name_ja, name_en, role) VALUES ('a-h', 'h', '担当', 'Handler', 'handler')")
    one = client()
    one.cookies.set("mimamori_session", await app.state.parts.sessions.open(Entrant("a-h", Role.HANDLER, "passkey")))
    asked = {"case": "2026-0917", "reason": "電池の相談"}
    assert (await one.post("/api/v1/wards/ward-yui/look-up", json=asked)).status_code == 200
    family = await signed_in("demo")
    return int((await family.get("/api/v1/wards/ward-yui/look-ups")).json()["look_ups"][0]["id"])


@pytest.fixture
def publish(town: ServerConfig) -> Publish:
    """Let the ledger publish what is there."""

    async def work() -> None:
        signer = notekey.load(town.keys_dir / keys.LOG, town.log_origin)
        conn = await connect(town.dsn("ledger"))
        async with httpx.AsyncClient() as nobody:
            desk = Desk(town, signer, None, Folder(town.log_dir), nobody, LedgerMetrics())
            await desk.begin(conn)
            while await desk.step(conn):
                pass
            await desk._publish(conn)
        await conn.close()

    return work


async def test_the_family_is_handed_a_proof_that_opens_their_ward_and_nobody_else(
    town: ServerConfig, signed_in: SignIn, looked_up: int, publish: Publish
) -> None:
    await publish()
    answer = await (await signed_in("demo")).get(f"/api/v1/audit/proof/{looked_up}")
    assert answer.status_code == 200, answer.text
    key = Verifier.parse((town.keys_dir / keys.LOG_VKEY).read_text().strip())
    found = check(Proof.parse(answer.text), [key])
    assert found.named == {"ward": "ward-yui"}
    assert (found.entry["kind"], found.entry["role"]) == ("lookup.made", "handler")
    assert "a-h" not in answer.text


async def test_it_is_not_there_for_another_family_and_nothing_tells_the_difference(
    signed_in: SignIn, looked_up: int, publish: Publish
) -> None:
    await publish()
    other = await signed_in("other")
    foreign = await other.get(f"/api/v1/audit/proof/{looked_up}")
    missing = await other.get("/api/v1/audit/proof/999999")
    assert (foreign.status_code, foreign.content) == (missing.status_code, missing.content) == (404, missing.content)


async def test_nobody_is_handed_a_proof_without_signing_in(
    client: Callable[[], httpx.AsyncClient], looked_up: int
) -> None:
    assert (await client().get(f"/api/v1/audit/proof/{looked_up}")).status_code == 401


async def test_what_is_not_published_yet_is_asked_for_again(signed_in: SignIn, looked_up: int) -> None:
    answer = await (await signed_in("demo")).get(f"/api/v1/audit/proof/{looked_up}")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")


async def test_what_is_held_back_has_no_proof_either(
    signed_in: SignIn, looked_up: int, publish: Publish, sql: Sql
) -> None:
    await publish()
    sql("INSERT INTO account (id, login, name_ja, name_en, role) VALUES ('a-m', 'm', '甲', 'A', 'manager'),"
        " ('a-n', 'n', '乙', 'B', 'manager')")  # fmt: skip
    sql(
        """INSERT INTO look_up_hold
               (id, ward_id, reference, reason, until_at, asked_by, asked_at, confirmed_by, confirmed_at)
           SELECT gen_random_uuid(), 'ward-yui', '2026-0917', 'r', now() + interval '1 d', 'a-m', now(), 'a-n', now()"""
    )
    answer = await (await signed_in("demo")).get(f"/api/v1/audit/proof/{looked_up}")
    assert answer.status_code == 404
