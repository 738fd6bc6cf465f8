"""Exports of footage from gateways: sealed files in signed parts. Only what was ordered, from whom it was ordered of.

An export that is not there, is another gateway's, or is asked for by a signature that is not its gateway's: all are
answered as if there were none.
"""

from __future__ import annotations

import base64
import contextlib
from typing import Annotated, Final

from cryptography.hazmat.primitives.asymmetric import ec
from fastapi import APIRouter, Path, Request, Security
from fastapi.security import APIKeyHeader

from server.api import problems
from server.api.access import Parts, PartsNow
from server.api.guard import EXPORTS_PATH
from server.api.rates import TooManyError
from server.api.schemas import ExportProgress
from server.footage.exports import Progress, UploadConflictError, UploadFailedError
from server.store import export as store
from server.store.export import ExportRow
from wire import keys, seal, upload
from wire.errors import KeyFileError, MessageError, SealError, WireError
from wire.seal import Envelope

router = APIRouter(tags=["detectors"])
MEDIA_TYPE: Final = "application/cose"
_BINARY: Final = {"schema": {"type": "string", "contentMediaType": MEDIA_TYPE}}
_signed = APIKeyHeader(
    name="Authorization",
    scheme_name="gateway",
    auto_error=False,
    description="`COSE` and the base64url of a question signed by the gateway, docs/FOOTAGE.md",
)
_COMMON: Final = (problems.NOT_FOUND, problems.INVALID, problems.TOO_MANY, problems.INTERNAL, problems.UNAVAILABLE)
ExportId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$", examples=["export-0001"])]
PartNumber = Annotated[int, Path(ge=0, lt=upload.MAX_PARTS, examples=[0])]


@router.put(
    f"{EXPORTS_PATH}{{export}}/{{part}}",
    summary="映像の一部の受け取り / Take one part of an export",
    openapi_extra={"requestBody": {"required": True, "content": {MEDIA_TYPE: _BINARY}}},
    responses=problems.documented(
        problems.MALFORMED,
        problems.CROSS_SITE,
        problems.CONFLICT,
        problems.TOO_LARGE,
        problems.WRONG_TYPE,
        *_COMMON,
    ),
)
async def put_export_part(parts: PartsNow, request: Request, export: ExportId, part: PartNumber) -> ExportProgress:
    """Write one signed part of a sealed export; it is on disk when this answers. The same part again changes nothing.

    With the last one the SHA-256 of the whole is compared with what the gateway signed: the export is then `whole` or
    `refused`, and a refused one is brought again from its first part.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != MEDIA_TYPE:
        raise problems.ProblemError(problems.WRONG_TYPE)
    try:
        envelope = seal.parse(await request.body())
    except WireError:
        raise _refused(parts, problems.MALFORMED) from None
    row, key = await _expected(parts, envelope, export)
    try:
        told = upload.read_part(envelope, key)
    except SealError:
        raise _refused(parts, problems.NOT_FOUND) from None
    except MessageError:
        raise _refused(parts, problems.INVALID) from None
    if (told.export, told.part) != (export, part):
        raise _refused(parts, problems.INVALID)
    try:
        progress = await parts.uploads.take(row, told, sealed_at_ms=envelope.header.sealed_at_ms)
    except UploadConflictError:
        raise _refused(parts, problems.CONFLICT) from None
    except UploadFailedError:
        raise _refused(parts, problems.UNAVAILABLE, {"retry-after": "30"}) from None
    parts.metrics.uploads.labels("taken").inc()
    return _shown(progress)


@router.get(
    f"{EXPORTS_PATH}{{export}}",
    summary="映像の受け取り状況 / How far an export has come",
    responses=problems.documented(*_COMMON),
)
async def get_export(
    parts: PartsNow, export: ExportId, authorization: Annotated[str | None, Security(_signed)]
) -> ExportProgress:
    """Return which parts are here, to the gateway that brings them."""
    try:
        envelope = upload.envelope_of(authorization or "")
        row, key = await _expected(parts, envelope, export)
        asked = upload.read_question(envelope, key, now_ms=parts.uploads.now_ms())
    except WireError:
        raise _refused(parts, problems.NOT_FOUND) from None
    if asked != export:
        raise _refused(parts, problems.NOT_FOUND)
    return _shown(await parts.uploads.progress(row))


async def _expected(parts: Parts, envelope: Envelope, export: str) -> tuple[ExportRow, ec.EllipticCurvePublicKey]:
    """Return the export that an envelope claims to be about, and the key that must have signed it."""
    header = envelope.header
    if header.content != "upload" or header.city != parts.config.city.id:
        raise _refused(parts, problems.INVALID)
    try:
        await parts.batch_rates.spend(header.detector)
    except TooManyError as error:
        raise _refused(parts, problems.TOO_MANY, {"retry-after": str(error.retry_after_s)}) from None
    async with parts.pool.connection() as conn:
        row = await store.find(conn, export)
    if row is None or row.expected.detector != header.detector:
        raise _refused(parts, problems.NOT_FOUND)
    for der in row.public_keys:
        with contextlib.suppress(KeyFileError):
            key = keys.decode_public(base64.b64encode(der).decode("ascii"))
            if keys.kid(key) == header.signer_kid:
                return row, key
    raise _refused(parts, problems.NOT_FOUND)


def _refused(parts: Parts, problem: problems.Problem, headers: dict[str, str] | None = None) -> problems.ProblemError:
    parts.metrics.uploads.labels(problem.code).inc()
    return problems.ProblemError(problem, headers)


def _shown(progress: Progress) -> ExportProgress:
    return ExportProgress(
        export=progress.export,
        state=progress.state,
        sha256=progress.sha256.hex(),
        parts=progress.parts,
        have=[list(run) for run in progress.have],
    )
