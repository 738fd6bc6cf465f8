"""Puts the API together and serves it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import AsyncIterator, Callable, Collection, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response

from privacy import ordinance
from privacy.policy.engine import Engine
from server.accounts.oidc import Oidc
from server.accounts.passkeys import Passkeys, RelyingParty
from server.accounts.sessions import SessionRules, Sessions, wall_ms
from server.accounts.signin import SignIn, SignInLimits
from server.api import (
    batches,
    cameras,
    cases,
    enrolment,
    events,
    household,
    live,
    lookups,
    me,
    monitor,
    oidc,
    openapi,
    passkeys,
    place,
    problems,
    proof,
    push,
    reports,
    session,
    statistics,
    track,
    uploads,
)
from server.api import log as audit_log
from server.api import map as town
from server.api import open as public
from server.api.access import Parts
from server.api.bridge import Bridge
from server.api.guard import BodyLimit, LastResort, SameSite, SecurityHeaders
from server.api.hub import Hub, HubSettings
from server.api.metrics import AccessLog, Metrics
from server.api.rates import BatchLimits, BatchRates, EnrolmentLimits, EnrolmentRates
from server.api.townmap import TownMap
from server.api.vapid import public_key
from server.api.web import STATIC_DIR, WebApp
from server.cases.desk import CaseDesk
from server.cases.office import Office
from server.cases.sealing import KEY_FILE
from server.config import HttpConfig, ServerConfig
from server.credentials import Credentials
from server.enrolment.desk import EnrolmentDesk
from server.errors import ServerError
from server.footage.exports import FOLDER, Uploads
from server.history.errors import KeyStoreError
from server.history.keyring import KeyRing
from server.permit.ask import RefusedError
from server.permit.counter import Counter
from server.permit.holds import Holds
from server.permit.permits import Permits, PermitSettings, SessionEndedError
from server.publiclog.folder import Folder
from server.publiclog.proofs import Prover
from server.registry.kek import load as load_kek
from server.reports.desk import ReportDesk
from server.reports.rules import rules_of
from server.store import grant
from server.store.grant import LapsedError
from server.store.pool import DOWN, Pool, make_pool
from wire.keys import CityBundle

log = logging.getLogger(__name__)

_SWEEP_SESSIONS_S: Final = 3600.0
_SWEEP_TOKENS_S: Final = 600.0
_STOP_WITHIN_S: Final = 3


@dataclass(frozen=True, slots=True)
class Knobs:
    """What tests turn and a city does not.

    Attributes:
        rules: how long sessions live.
        limits: how often one may try to sign in.
        batches: how often batches may be posted.
        enrolments: how often gateways may ask for a certificate.
        now_ms: the wall clock that sessions live by.
        static_dir: the built web app.
    """

    rules: SessionRules = field(default_factory=SessionRules)
    limits: SignInLimits = field(default_factory=SignInLimits)
    batches: BatchLimits = field(default_factory=BatchLimits)
    enrolments: EnrolmentLimits = field(default_factory=EnrolmentLimits)
    now_ms: Callable[[], int] = wall_ms
    static_dir: Path = STATIC_DIR


@dataclass(frozen=True, slots=True)
class Pools:
    """The connections of one API process; whoever makes them opens and closes them.

    Attributes:
        data: of the role api.
        warden: of the role warden: accounts, sessions, decisions.
    """

    data: Pool
    warden: Pool


@contextlib.asynccontextmanager
async def open_pools(config: ServerConfig, *, max_size: int = 8) -> AsyncIterator[Pools]:
    """Open both pools, also while the database is down."""
    async with (
        make_pool(config.dsn("api"), max_size=max_size) as data,
        make_pool(config.dsn("warden"), max_size=max_size) as warden,
    ):
        yield Pools(data, warden)


def create_app(config: ServerConfig, pools: Pools, knobs: Knobs | None = None) -> FastAPI:
    """Return the application; `pools` are opened and closed by the caller, background tasks by the application."""
    knobs = knobs or Knobs()
    parts = _parts(config, pools, knobs)
    app = FastAPI(
        title="mimamori",
        version="1",
        openapi_url="/api/openapi.json",
        docs_url=None,  # its pages load scripts from elsewhere
        redoc_url=None,
        lifespan=_lifespan,
        generate_unique_id_function=_operation_id,
    )
    app.state.parts = parts
    app.state.reports = ReportDesk(pools.data, config.city.id, rules_of(config))
    for module in (
        session,
        passkeys,
        oidc,
        me,
        household,
        place,
        track,
        events,
        live,
        lookups,
        proof,
        push,
        batches,
        enrolment,
        uploads,
        town,
        monitor,
        cameras,
        cases,
        audit_log,
        reports,
        statistics,
        public,
    ):
        app.include_router(module.router)
    app.router.default = WebApp(knobs.static_dir)
    app.openapi = lambda: openapi.document(app)  # type: ignore[method-assign]  # the way FastAPI documents
    _handle_errors(app)
    _put_guards(app, config, parts.metrics)
    return app


def _parts(config: ServerConfig, pools: Pools, knobs: Knobs) -> Parts:
    metrics = Metrics()
    town_map = TownMap(config.city.id)
    pool, warden = pools.data, pools.warden
    engine = Engine.load()
    decided_by = PermitSettings(ordinance.load(config.city.ordinance).facts(), config.clock, knobs.now_ms)
    permits = Permits(warden, engine, decided_by)
    settings = HubSettings(config.dsn("api"), permits, knobs.now_ms)
    bundle = CityBundle.load(config.keys_dir / "city.json")
    sessions = Sessions(warden, rules=knobs.rules, now_ms=knobs.now_ms)
    return Parts(
        config=config,
        pool=pool,
        warden=warden,
        sessions=sessions,
        signin=SignIn(warden, knobs.limits),
        permits=permits,
        holds=Holds(warden, engine, decided_by.ordinance, now_ms=knobs.now_ms),
        counter=Counter(engine, decided_by.ordinance, knobs.now_ms),
        passkeys=Passkeys(warden, sessions, RelyingParty.of(config), now_ms=knobs.now_ms),
        oidc=Oidc(warden, config.oidc.known(), config.http.public_url, now_ms=knobs.now_ms),
        hub=Hub(settings, pool, town_map=town_map, metrics=metrics),
        bridge=_bridge(config, bundle, metrics),
        batch_rates=BatchRates(knobs.batches),
        enrolment=EnrolmentDesk(config, pool, knobs.now_ms),
        enrolment_rates=EnrolmentRates(knobs.enrolments),
        uploads=Uploads(config.state_dir / FOLDER, pool, now_ms=knobs.now_ms),
        metrics=metrics,
        town_map=town_map,
        cases=_cases(config, warden, engine, now_ms=knobs.now_ms),
        log=Folder(config.log_dir),
        prover=Prover(Folder(config.log_dir)),
        keys=KeyRing(config.keystore_dsn("api"), load_kek(config.keys_dir / "history.bin")),
        push_public_key=public_key(config.keys_dir / "vapid.pem"),
    )


def _cases(config: ServerConfig, warden: Pool, engine: Engine, *, now_ms: Callable[[], int]) -> CaseDesk:
    office = Office(
        city=config.city.id,
        zone=ZoneInfo(config.city.tz),
        profile=ordinance.load(config.city.ordinance),
        engine=engine,
        now_ms=now_ms,
        paper_key=load_kek(config.keys_dir / KEY_FILE),
    )
    return CaseDesk(office, warden)


def _bridge(config: ServerConfig, bundle: CityBundle, metrics: Metrics) -> Bridge:
    credentials = Credentials.of(config, "api")
    key = bundle.receipt_key
    return Bridge(config.mqtt_url(), config.city.id, receipt_key=key, metrics=metrics, credentials=credentials)


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    parts: Parts = app.state.parts
    tasks = [
        asyncio.create_task(work, name=name)
        for name, work in (
            ("hub", parts.hub.run()),
            ("bridge", parts.bridge.run()),
            ("tokens", _sweep_tokens(parts.warden)),
            ("sessions", _sweep_sessions(parts)),
        )
    ]
    try:
        yield
    finally:
        parts.hub.close_all("stopping")
        await _end(tasks)
        await parts.keys.close()


async def _end(tasks: Collection[asyncio.Task[None]]) -> None:
    """Cancel tasks until they have ended: `wait_for` of Python 3.11, in the MQTT client, may swallow a cancellation."""
    for _ in range(_STOP_WITHIN_S):
        for task in tasks:
            task.cancel()
        _, late = await asyncio.wait(tasks, timeout=1)
        if not late:
            return
    log.warning("tasks.left", extra={"count": len(late)})


async def _sweep_sessions(parts: Parts) -> None:
    while True:
        await asyncio.sleep(_SWEEP_SESSIONS_S)
        try:
            removed = await parts.sessions.sweep()
            await parts.passkeys.challenges.sweep()
        except Exception as error:
            log.exception("sessions.unswept", extra={"error": type(error).__name__})
        else:
            log.info("sessions.swept", extra={"removed": removed})


async def _sweep_tokens(warden: Pool) -> None:
    while True:
        await asyncio.sleep(_SWEEP_TOKENS_S)
        try:
            async with warden.connection() as conn:
                removed = await grant.sweep(conn)
        except Exception as error:
            log.exception("tokens.unswept", extra={"error": type(error).__name__})
        else:
            log.info("tokens.swept", extra={"removed": removed})


def _handle_errors(app: FastAPI) -> None:
    async def problem(_: Request, error: Exception) -> Response:
        assert isinstance(error, problems.ProblemError)  # noqa: S101 - registered for it alone
        return problems.answer(error.problem, error.headers, **error.more)

    async def bare(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - registered for it alone
        headers = {name.lower(): value for name, value in (error.headers or {}).items()}
        if error.status_code == 405:
            headers["allow"] = openapi.allowed(app, request.url.path)
        return problems.answer(problems.of_status(error.status_code), headers)

    async def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for it alone
        return problems.of_validation(error)

    async def down(_: Request, error: Exception) -> Response:
        log.warning("database.down", extra={"error": type(error).__name__})
        return problems.answer(problems.UNAVAILABLE, {"retry-after": "5"})

    async def refused(_: Request, _error: Exception) -> Response:
        return problems.answer(problems.NOT_FOUND)

    async def signed_out(_: Request, _error: Exception) -> Response:
        return problems.answer(problems.NOT_SIGNED_IN)

    app.add_exception_handler(problems.ProblemError, problem)
    app.add_exception_handler(RefusedError, refused)
    app.add_exception_handler(SessionEndedError, signed_out)
    app.add_exception_handler(HTTPException, bare)
    app.add_exception_handler(RequestValidationError, invalid)
    for kind in (*DOWN, KeyStoreError, LapsedError):
        app.add_exception_handler(kind, down)


def _put_guards(app: FastAPI, config: ServerConfig, metrics: Metrics) -> None:
    """Wrap the routes; the first added is the innermost."""
    app.add_middleware(LastResort)
    app.add_middleware(BodyLimit)
    app.add_middleware(SameSite, public_url=config.http.public_url)
    app.add_middleware(GZipMiddleware, minimum_size=1000, compresslevel=6)
    app.add_middleware(SecurityHeaders, https=config.http.public_url.startswith("https:"))
    app.add_middleware(AccessLog, metrics=metrics)


def _operation_id(route: APIRoute) -> str:
    return route.name


class _Server(uvicorn.Server):
    """Uvicorn that ends live streams when it stops, and leaves signals to `serve`."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Touch no signal: uvicorn would raise it again after a clean stop."""
        yield

    async def shutdown(self, *args: object, **kwargs: object) -> None:
        """End the streams first: they would be waited for."""
        app = self.config.app
        if isinstance(app, FastAPI):
            app.state.parts.hub.close_all("stopping")
        await super().shutdown(*args, **kwargs)  # type: ignore[arg-type]  # passed on as they came


def make_server(app: FastAPI, host: str, port: int) -> uvicorn.Server:
    """Return the server of `app`, not started; its own access log, which names paths and addresses, stays off."""
    settings = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="on",
        ws="none",
        timeout_graceful_shutdown=_STOP_WITHIN_S,
    )
    return _Server(settings)


async def serve(config: ServerConfig) -> None:
    """Serve the API and the web app until SIGTERM or SIGINT, then end what is open and return.

    Raises:
        KeyFileError: the city's keys are missing; run `mimamori init`.
        KeysError: likewise.
        ServerError: the port is taken, or the address is none of this machine.
    """
    door = _listen(config.http)
    async with open_pools(config) as pools:
        server = make_server(create_app(config, pools), config.http.host, config.http.port)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, _stop, server)
        log.info("api.serving", extra={"port": config.http.port})
        await server.serve(sockets=[door])
        log.info("api.stopped")


def _listen(http: HttpConfig) -> socket.socket:
    """Return the listening socket. Uvicorn would say why it cannot listen in words that our log leaves out."""
    family = socket.AF_INET6 if ":" in http.host else socket.AF_INET
    try:
        return socket.create_server((http.host, http.port), family=family, backlog=2048)
    except OSError as error:
        raise ServerError(f"http: cannot listen on {http.host} port {http.port}: {error.strerror}") from error


def _stop(server: uvicorn.Server) -> None:
    server.should_exit = True
