"""How gateways come to certificates: to the first with a code on paper, to all others with the key that they have."""

from __future__ import annotations

import base64
import binascii
import contextlib
import logging
from collections.abc import Iterator
from typing import Final

from fastapi import APIRouter, Request

from server.api import problems
from server.api.access import Parts, PartsNow
from server.api.rates import TooManyError
from server.api.schemas import Enrolment, Granted
from server.enrolment.errors import AuthorityError, RefusedError, RequestError
from server.errors import KeysError
from wire import seal
from wire.enrolment import ENROL_PATH, RENEW_PATH, Grant
from wire.errors import KeyFileError, SealError

log = logging.getLogger(__name__)

router = APIRouter(tags=["gateways"])
MEDIA_TYPE: Final = "application/cose"
_BINARY: Final = {"schema": {"type": "string", "contentMediaType": MEDIA_TYPE}}
_PROBLEMS: Final = (
    problems.MALFORMED,
    problems.CROSS_SITE,
    problems.NOT_ENROLLED,
    problems.TOO_LARGE,
    problems.INVALID,
    problems.TOO_MANY,
    problems.INTERNAL,
    problems.UNAVAILABLE,
)


@router.post(ENROL_PATH, summary="ゲートウェイの登録 / Enrol a gateway", responses=problems.documented(*_PROBLEMS))
async def enrol_gateway(parts: PartsNow, request: Request, body: Enrolment) -> Granted:
    """Give a gateway its first certificate; the code is spent, and the key in the request is the gateway's from now on.

    The same request, with the same key, is answered again for ten minutes. Why one is refused is not said.
    """
    await _spend(parts, request, body.detector, kind="enrol")
    with _counted(parts, "enrol"):
        seal_key = _octets(body.seal_key)
        grant = await parts.enrolment.enrol(body.detector, body.code, csr=body.csr, seal_key=seal_key)
    return _answer(grant)


@router.post(
    RENEW_PATH,
    summary="ゲートウェイの証明書の更新 / Renew a gateway's certificate",
    openapi_extra={"requestBody": {"required": True, "content": {MEDIA_TYPE: _BINARY}}},
    responses=problems.documented(*_PROBLEMS, problems.WRONG_TYPE),
)
async def renew_gateway(parts: PartsNow, request: Request) -> Granted:
    """Give a gateway another certificate: content "renewal", signed by its present key, docs/WIRE.md.

    Where the request is for another key, that one takes the place of the present one, whose batches are still taken
    for seven days.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != MEDIA_TYPE:
        raise problems.ProblemError(problems.WRONG_TYPE)
    try:
        envelope = seal.parse(await request.body())
    except SealError:
        parts.metrics.enrolments.labels("renew", "malformed").inc()
        raise problems.ProblemError(problems.MALFORMED) from None
    await _spend(parts, request, envelope.header.detector, kind="renew")
    with _counted(parts, "renew"):
        grant = await parts.enrolment.renew(envelope)
    return _answer(grant)


async def _spend(parts: Parts, request: Request, detector: str, *, kind: str) -> None:
    try:
        await parts.enrolment_rates.spend(detector, request.client.host if request.client else "")
    except TooManyError as error:
        parts.metrics.enrolments.labels(kind, "limited").inc()
        raise problems.ProblemError(problems.TOO_MANY, {"retry-after": str(error.retry_after_s)}) from None


@contextlib.contextmanager
def _counted(parts: Parts, kind: str) -> Iterator[None]:
    outcomes = parts.metrics.enrolments
    try:
        yield
    except RequestError:
        outcomes.labels(kind, "invalid").inc()
        raise problems.ProblemError(problems.INVALID) from None
    except RefusedError:
        outcomes.labels(kind, "refused").inc()
        raise problems.ProblemError(problems.NOT_ENROLLED) from None
    except (KeysError, AuthorityError, KeyFileError) as error:
        outcomes.labels(kind, "unable").inc()
        log.error("authority.unable", extra={"error": type(error).__name__})  # noqa: TRY400 - the kind says it all
        raise problems.ProblemError(problems.UNAVAILABLE, {"retry-after": "60"}) from None
    outcomes.labels(kind, "granted").inc()


def _octets(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RequestError("not base64") from error


def _answer(grant: Grant) -> Granted:
    return Granted.model_validate(grant.to_json())
