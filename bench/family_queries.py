"""What purpose limitation costs a family: its queries with row-level security and without, its requests, decisions.

Everything is real: PostgreSQL, the policies, the audit log, the API on a port of loopback. The town is made up. The
queries without row-level security are the same SQL on the same rows by a role that it does not bind; both are asked in
turn, in the same kind of transaction, so that what else the machine does meets both alike.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import httpx
import psycopg
from fastapi import FastAPI

from privacy.policy import entities
from privacy.policy.question import Decision, Moment, Question, Ref
from privacy.terms import Action, Purpose, Role
from server import keys
from server.accounts.sessions import Entrant
from server.api.app import create_app, make_server, open_pools
from server.api.cookies import SESSION
from server.config import BrokerConfig, DatabaseConfig, HttpConfig, KeystoreConfig, ServerConfig
from server.embedded.postgres import SMALL, Postgres
from server.permit.ask import Asker, Decider
from server.permit.permits import Permits, Wish, wish
from server.store import family, ward_hour, ward_key
from server.store.grant import EVER, Grant, GrantedConnection, holding
from server.store.migrate import migrate
from server.store.pool import Pool, make_pool

_DAY_MS: Final = 86_400_000
_DAY: Final = (1_795_446_000_000, 1_795_446_000_000 + _DAY_MS)
"""2026-11-24 in Japan."""
_UNBOUND: Final = "bench_unbound"
_TOWN: Final = """
INSERT INTO city VALUES ('mimamori', 'みまもり市', 'Mimamori City', 'Asia/Tokyo');
INSERT INTO ward (id, city_id, name_ja, name_en)
    SELECT 'w-' || n, 'mimamori', '子' || n, 'Child ' || n FROM generate_series(1, {wards}) AS n;
INSERT INTO account (id, login, name_ja, name_en)
    SELECT 'g-' || n, 'login-' || n, '親' || n, 'Parent ' || n FROM generate_series(1, {wards}) AS n;
INSERT INTO guardianship (guardian_id, ward_id) SELECT 'g-' || n, 'w-' || n FROM generate_series(1, {wards}) AS n;
INSERT INTO place SELECT 'home-' || n, 'mimamori', '家', 'Home', 'home', 34.7, 134.8, 50, 'w-' || n
    FROM generate_series(1, {wards}) AS n;
INSERT INTO watch SELECT 'w-' || n, 'home-' || n, true, true, 60 FROM generate_series(1, {wards}) AS n;
INSERT INTO last_place (ward_id, lat_deg, lon_deg, accuracy_m, heard_at, received_at)
    SELECT id, 34.7, 134.8, 20, '2026-11-24 12:00+09', '2026-11-24 12:00+09' FROM ward;
INSERT INTO event (ward_id, place_id, kind, at, received_at)
    SELECT 'w-' || n, 'home-' || n, CASE k % 2 WHEN 0 THEN 'arrived' ELSE 'departed' END, at, at
    FROM generate_series(1, {wards}) AS n, generate_series(1, 20) AS k,
         LATERAL (SELECT '2026-11-24 00:00+09'::timestamptz + k * interval '1 hour') AS t (at);
INSERT INTO fix SELECT 'w-' || n, at, at, 34.7, 134.8, 20, 2, at
    FROM generate_series(1, {wards}) AS n, generate_series(1, 60) AS k,
         LATERAL (SELECT '2026-11-24 06:00+09'::timestamptz + k * interval '5 minutes') AS t (at);
INSERT INTO ward_hour
    SELECT 'w-' || n, '2026-11-24 00:00+09'::timestamptz + k * interval '1 hour', decode(repeat('00', 900), 'hex')
    FROM generate_series(1, {wards}) AS n, generate_series(0, 4) AS k;
"""


@dataclass(frozen=True, slots=True)
class Scope:
    """How much is measured.

    Attributes:
        wards: in the town, each with a guardian, 20 events, 60 fixes and 5 sealed hours.
        queries: of each kind, each way.
        requests: of each kind.
    """

    wards: int
    queries: int
    requests: int


FULL: Final = Scope(wards=20_000, queries=3_000, requests=1_500)
FEW: Final = Scope(wards=2_000, queries=600, requests=300)


def measure(small: bool) -> dict[str, float]:  # noqa: FBT001 - as the other parts of bench-privacy are called
    """Return the figures of a family's queries and requests.

    Returns:
        query_us_<kind>, query_us_<kind>_unbound: the median of a query with row-level security and without.
        rls_ratio_<kind>, rls_ratio: of these; of their sums.
        rls_request_ratio: a request for a place, beside one to the same API whose data plane is not bound.
        token_us: beginning and ending a transaction with a token, beyond one without any.
        request_kept_ms: a request for a place, whose token serves again; `request_new_ms`: one that is decided anew.
        decided_ms: deciding alone: facts, policies, the log's entry, the token, one commit.
        decision_us: the policies alone, in that very process, between requests.
        share_of_new_request: of the policies in a request that is decided anew.
        share_of_request: of the policies in all requests of a page that is opened and, within the minute, refreshed.
    """
    scope = FEW if small else FULL
    logging.getLogger("server.api.bridge").disabled = True  # there is no broker here, and nothing is asked of one
    with TemporaryDirectory(prefix="mmb-") as made:
        place = Path(made)
        place.chmod(0o755)
        with Postgres(place / "pg", SMALL) as server:
            config = _town(server, place, scope)
            return asyncio.run(_measure(config, scope))


def _town(server: Postgres, place: Path, scope: Scope) -> ServerConfig:
    migrate(server.dsn())
    keystore = server.dsn(dbname="bench_keys")
    ward_key.prepare(keystore, beside=server.dsn(dbname="postgres"))
    config = ServerConfig(
        state_dir=place / "state",
        database=DatabaseConfig(url=server.dsn()),
        keystore=KeystoreConfig(url=keystore),
        broker=BrokerConfig(url="mqtt://127.0.0.1:9", tls=False),
        http=HttpConfig(port=0),
    )
    keys.make(config)
    with psycopg.connect(server.dsn(), autocommit=True) as owner:
        owner.execute(_TOWN.format(wards=scope.wards).encode())
        owner.execute(f"CREATE ROLE {_UNBOUND} LOGIN BYPASSRLS IN ROLE api".encode())
        owner.execute("VACUUM ANALYZE")
    return config


async def _measure(config: ServerConfig, scope: Scope) -> dict[str, float]:
    unbound = psycopg.conninfo.make_conninfo(config.dsn("api"), user=_UNBOUND)
    async with _serving(config) as app, make_pool(unbound, max_size=2) as plain, _serving(config, plain) as free:
        parts = app.state.parts
        askers = [await _signed_in(app, number) for number in range(1, scope.wards, max(1, scope.wards // 50))]
        figures = await _queries(parts.permits, [parts.pool, plain], askers, scope.queries)
        figures["rls_request_ratio"] = await _request_ratio([app, free], askers, scope.requests)
        return figures | await _requests(app, askers, scope.requests)


@contextlib.asynccontextmanager
async def _serving(config: ServerConfig, data: Pool | None = None) -> AsyncIterator[FastAPI]:
    async with open_pools(config, max_size=2) as pools:
        app = create_app(config, replace(pools, data=data or pools.data))
        server = make_server(app, "127.0.0.1", 0)
        task = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110 - uvicorn says it in no other way
            await asyncio.sleep(0.01)
        app.state.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        try:
            yield app
        finally:
            server.should_exit = True
            await task


@dataclass(frozen=True, slots=True)
class _Guardian:
    number: int
    token: str
    asker: Asker

    @property
    def ward(self) -> str:
        return f"w-{self.number}"


async def _signed_in(app: FastAPI, number: int) -> _Guardian:
    sessions = app.state.parts.sessions
    token = await sessions.open(Entrant(f"g-{number}", Role.GUARDIAN, "code"))
    session = await sessions.find(token)
    return _Guardian(number, token, Asker(f"g-{number}", Role.GUARDIAN, None, session.token_hash))


_Query = Callable[[GrantedConnection, str], Awaitable[object]]
_KINDS: Final[dict[str, tuple[Action, _Query]]] = {
    "place": (Action.VIEW_PLACE, family.last_place),
    "places": (Action.VIEW_PLACE, family.places),
    "events": (Action.VIEW_EVENTS, lambda conn, ward: family.events(conn, ward, before=None, limit=51)),
    "track": (Action.VIEW_TRACK, lambda conn, ward: ward_hour.read(conn, ward, span_ms=_DAY, limit=20_000)),
}


async def _queries(permits: Permits, pools: list[Pool], guardians: list[_Guardian], count: int) -> dict[str, float]:
    figures: dict[str, float] = {}
    sums = [0.0, 0.0]
    for kind, (action, query) in _KINDS.items():
        span_ms = _DAY if action is Action.VIEW_TRACK else EVER
        grants = [await permits.of_ward(one.asker, one.ward, action, span_ms=span_ms) for one in guardians]
        took: tuple[list[float], list[float]] = ([], [])
        for number in range(count):
            at = number % len(guardians)
            answers = []
            for way, pool in enumerate(pools):
                took_s, answer = await _timed(pool, grants[at], query, guardians[at].ward)
                took[way].append(took_s)
                answers.append(answer)
            if answers[0] != answers[1] or not answers[0]:
                raise AssertionError(f"{kind}: not the same rows, or none")
        bound_us, unbound_us = (statistics.median(one) * 1e6 for one in took)
        figures |= {f"query_us_{kind}": bound_us, f"query_us_{kind}_unbound": unbound_us}
        figures[f"rls_ratio_{kind}"] = bound_us / unbound_us
        sums = [sums[0] + bound_us, sums[1] + unbound_us]
    return figures | {"rls_ratio": sums[0] / sums[1], "token_us": await _token_us(pools[0], grants, count)}


async def _timed(pool: Pool, grant: Grant, query: _Query, ward: str) -> tuple[float, object]:
    async with holding(pool, [grant]) as held:
        start_s = time.perf_counter()
        answer = await query(held.conn, ward)
        return time.perf_counter() - start_s, answer


async def _token_us(pool: Pool, grants: list[Grant], count: int) -> float:
    with_s, without_s = [], []
    for number in range(count):
        start_s = time.perf_counter()
        async with holding(pool, [grants[number % len(grants)]]) as held:
            await held.conn.execute("SELECT 1")
        with_s.append(time.perf_counter() - start_s)
        start_s = time.perf_counter()
        async with pool.connection() as conn, conn.transaction():
            await conn.execute("SELECT 1")
        without_s.append(time.perf_counter() - start_s)
    return (statistics.median(with_s) - statistics.median(without_s)) * 1e6


async def _request_ratio(apps: list[FastAPI], guardians: list[_Guardian], count: int) -> float:
    took: tuple[list[float], list[float]] = ([], [])
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(httpx.AsyncClient(base_url=app.state.url)) for app in apps]
        for number in range(count):
            for way, client in enumerate(clients):
                took[way].append(await _asked(client, guardians[number % len(guardians)]))
    return statistics.median(took[0]) / statistics.median(took[1])


async def _requests(app: FastAPI, guardians: list[_Guardian], count: int) -> dict[str, float]:
    permits: Permits = app.state.parts.permits
    kept_s, new_s, decided_s, decision_s = [], [], [], []
    async with httpx.AsyncClient(base_url=app.state.url, headers={"sec-fetch-site": "same-origin"}) as client:
        for number in range(count):
            one = guardians[number % len(guardians)]
            wanted = wish(Action.VIEW_PLACE, one.ward)
            permits.forget(one.asker, wanted)
            new_s.append(await _asked(client, one))
            kept_s.append(await _asked(client, one))
            permits.forget(one.asker, wanted)
            decided_s.append(await _decided(permits, one.asker, wanted))
            decision_s.append(_decision_s(permits, one))
    figures = {
        "request_kept_ms": statistics.median(kept_s) * 1e3,
        "request_new_ms": statistics.median(new_s) * 1e3,
        "decided_ms": statistics.median(decided_s) * 1e3,
        "decision_us": statistics.median(decision_s) * 1e6,
    }
    figures["share_of_new_request"] = figures["decision_us"] / figures["request_new_ms"] / 1e3
    return figures | {"share_of_request": await _share(app, guardians, max(5, count // 30))}


class _Timed:
    """The policies, with a watch."""

    def __init__(self, engine: Decider) -> None:
        self._engine = engine
        self.took_s = 0.0

    def decide(self, question: Question) -> Decision:
        """Return the decision."""
        start_s = time.perf_counter()
        decision = self._engine.decide(question)
        self.took_s += time.perf_counter() - start_s
        return decision


_PAGE: Final = ("me", "wards/{ward}/place", "wards/{ward}/places", "wards/{ward}/events", "wards/{ward}/track")


async def _share(app: FastAPI, guardians: list[_Guardian], pages: int) -> float:
    """Return which part of all requests of pages, each opened and refreshed once, the policies took."""
    permits: Permits = app.state.parts.permits
    engine = permits.engine
    permits.engine = watch = _Timed(engine)
    requests_s = 0.0
    async with httpx.AsyncClient(base_url=app.state.url, headers={"sec-fetch-site": "same-origin"}) as client:
        for number in range(pages):
            fresh = await _signed_in(app, guardians[number % len(guardians)].number)
            for _ in ("opened", "refreshed"):
                for path in _PAGE:
                    requests_s += await _asked(client, fresh, path)
    permits.engine = engine
    return watch.took_s / requests_s


async def _asked(client: httpx.AsyncClient, one: _Guardian, path: str = "wards/{ward}/place") -> float:
    start_s = time.perf_counter()
    answer = await client.get(f"/api/v1/{path.format(ward=one.ward)}", headers={"cookie": f"{SESSION}={one.token}"})
    took_s = time.perf_counter() - start_s
    if answer.status_code != 200:
        raise AssertionError(answer.text)
    return took_s


async def _decided(permits: Permits, asker: Asker, wanted: Wish) -> float:
    start_s = time.perf_counter()
    await permits.of(asker, wanted)
    return time.perf_counter() - start_s


def _decision_s(permits: Permits, one: _Guardian) -> float:
    """Return how long the policies alone take for the question that a request for a place asks."""
    question = Question(
        entities.principal(Role.GUARDIAN, one.asker.account),
        Action.VIEW_PLACE,
        entities.ward(one.ward, guardians=[one.asker.account], barred=()),
        {
            "purpose": Ref("Purpose", Purpose.FAMILY_WATCH.value),
            "now": Moment(_DAY[0]),
            "ordinance": permits.settings.ordinance.record(),
        },
    )
    start_s = time.perf_counter()
    decision = permits.engine.decide(question)
    took_s = time.perf_counter() - start_s
    if not decision.allowed:
        raise AssertionError(decision.reasons)
    return took_s
