"""Sealed batches from phones, whose systems kill long connections: the same envelope, the same receipt as over MQTT."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request, Response

from server.api import problems
from server.api.access import PartsNow
from server.api.bridge import BrokerDownError, CrowdedError, NoReceiptError
from server.api.guard import BATCHES_PATH
from server.api.rates import TooManyError
from wire import seal
from wire.errors import WireError

router = APIRouter(tags=["detectors"])
MEDIA_TYPE: Final = "application/cose"
_BINARY: Final = {"schema": {"type": "string", "contentMediaType": MEDIA_TYPE}}
_PROBLEMS: Final = (
    problems.MALFORMED,
    problems.CROSS_SITE,
    problems.TOO_LARGE,
    problems.WRONG_TYPE,
    problems.INVALID,
    problems.TOO_MANY,
    problems.INTERNAL,
    problems.BROKER_DOWN,
    problems.UNAVAILABLE,
    problems.NO_RECEIPT,
)
_OUTCOMES: Final = {
    BrokerDownError: problems.BROKER_DOWN,
    CrowdedError: problems.UNAVAILABLE,
    NoReceiptError: problems.NO_RECEIPT,
}


@router.post(
    BATCHES_PATH,
    summary="検知データの受け取り / Take a sealed batch",
    response_class=Response,
    openapi_extra={"requestBody": {"required": True, "content": {MEDIA_TYPE: _BINARY}}},
    responses={
        200: {"description": "the signed receipt, docs/WIRE.md", "content": {MEDIA_TYPE: _BINARY}},
        **problems.documented(*_PROBLEMS),
    },
)
async def post_batch(parts: PartsNow, request: Request) -> Response:
    """Publish a batch to the broker and wait up to 10 s for the receipt that ingest signs after its commit.

    Keep the batch until a receipt names it. Without one, send the very same bytes again: they count once.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != MEDIA_TYPE:
        raise problems.ProblemError(problems.WRONG_TYPE)
    data = await request.body()
    outcomes = parts.metrics.batches
    try:
        header = seal.peek(data)
    except WireError:
        outcomes.labels("malformed").inc()
        raise problems.ProblemError(problems.MALFORMED) from None
    if header.content != "sightings" or header.city != parts.config.city.id:
        outcomes.labels("foreign").inc()
        raise problems.ProblemError(problems.INVALID)
    try:
        await parts.batch_rates.spend(header.detector)
    except TooManyError as error:
        outcomes.labels(problems.TOO_MANY.code).inc()
        raise problems.ProblemError(problems.TOO_MANY, {"retry-after": str(error.retry_after_s)}) from None
    try:
        receipt = await parts.bridge.deliver(header, data)
    except tuple(_OUTCOMES) as error:
        problem = _OUTCOMES[type(error)]
        outcomes.labels(problem.code).inc()
        raise problems.ProblemError(problem, {"retry-after": "5"}) from None
    outcomes.labels("receipted").inc()
    return Response(receipt, media_type=MEDIA_TYPE)
