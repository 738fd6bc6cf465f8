"""The witness over HTTP: add-checkpoint after C2SP tlog-witness, and its newest checkpoint of each log to read."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Final

import uvicorn
from fastapi import FastAPI, Request, Response

from privacy.transparency.note import KeyKind
from privacy.transparency.witnessing import MAX_OCTETS
from server.witness import setup
from server.witness.errors import WitnessError
from server.witness.judge import Judge, Verdict
from server.witness.memory import Memory

log = logging.getLogger(__name__)

_TEXT: Final = "text/plain; charset=utf-8"
_STOP_WITHIN_S: Final = 3


def create_app(folder: Path, memory: Memory, now_s: Callable[[], float] = time.time) -> FastAPI:
    """Return the application of the witness in `folder`; `memory` is closed by the caller.

    Raises:
        WitnessError: the folder is not one of a witness.
        KeysError: its key is broken.
    """
    signer = setup.signer_of(folder)
    judge = Judge(signer, setup.logs_of(folder), memory, now_s)
    app = FastAPI(title="mimamori witness", openapi_url=None, docs_url=None, redoc_url=None)

    @app.post("/add-checkpoint")
    async def add_checkpoint(request: Request) -> Response:
        body = await _body(request)
        if body is None:
            return Response("too large\n", 413, media_type=_TEXT)
        return _answer(await asyncio.to_thread(_judged, judge, body))

    @app.get("/vkey")
    async def vkey() -> Response:
        return Response(f"{signer.verifier(KeyKind.COSIGNATURE).vkey}\n", media_type=_TEXT)

    @app.get("/checkpoint/{origin:path}")
    async def checkpoint(origin: str) -> Response:
        seen = await asyncio.to_thread(memory.seen, origin)
        if seen is None:
            return Response("nothing cosigned\n", 404, media_type=_TEXT)
        return Response(seen.note, media_type=_TEXT)

    return app


class _Server(uvicorn.Server):
    """Uvicorn that leaves signals to `serve`: it would raise them again after a clean stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Touch no signal."""
        yield


def _stop(server: uvicorn.Server) -> None:
    server.should_exit = True


async def serve(folder: Path, host: str, port: int) -> None:
    """Serve the witness in `folder` until SIGTERM or SIGINT.

    Raises:
        WitnessError: see `create_app`; or another process serves it.
    """
    memory = Memory.open(folder / setup.MEMORY)
    try:
        settings = uvicorn.Config(
            create_app(folder, memory),
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            server_header=False,
            ws="none",
            timeout_graceful_shutdown=_STOP_WITHIN_S,
        )
        server = _Server(settings)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, _stop, server)
        log.info("witness.serving", extra={"port": port})
        await server.serve()
    finally:
        memory.close()


def _judged(judge: Judge, body: bytes) -> Verdict:
    try:
        verdict = judge.judge(body)
    except WitnessError as error:  # nothing was kept, so nothing is said
        log.exception("witness.failed", extra={"error": type(error).__name__})
        return Verdict(503, "the witness cannot write down what it would cosign\n")
    log.info("checkpoint.judged", extra={"status": verdict.status})
    return verdict


def _answer(verdict: Verdict) -> Response:
    return Response(verdict.body, verdict.status, headers={"content-type": verdict.kind})


async def _body(request: Request) -> bytes | None:
    """Return the body; None: it is larger than any honest one."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_OCTETS:
            return None
    return bytes(body)
