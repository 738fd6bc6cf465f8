"""Time stamps (RFC 3161): an authority outside the city confirms that a manifest existed at a time.

Only the manifest's SHA-256 leaves the gateway. An export never waits for an authority that is away: it says so instead.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
from cryptography import x509
from rfc3161_client import (
    HashAlgorithm,
    TimeStampRequest,
    TimestampRequestBuilder,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from edge.errors import CameraError

TRIES: Final = 3
TIMEOUT_S: Final = 10.0
_PAUSE_S: Final = 1.0
_MAX_OCTETS: Final = 100_000
_QUERY: Final = "application/timestamp-query"
_REPLY: Final = "application/timestamp-reply"


@dataclass(frozen=True, slots=True)
class Authority:
    """A time-stamping authority.

    Attributes:
        url: http(s); the answer is signed, so that plain HTTP, as most authorities offer it, takes nothing away.
        roots: whom its certificate must come from.
    """

    url: str
    roots: tuple[x509.Certificate, ...]

    @classmethod
    def load(cls, url: str, root_file: Path) -> "Authority":
        """Return the authority at `url` with the roots of a PEM file.

        Raises:
            CameraError: the file holds no certificate.
        """
        try:
            return cls(url, tuple(x509.load_pem_x509_certificates(root_file.read_bytes())))
        except (OSError, ValueError, x509.InvalidVersion) as error:
            raise CameraError(f"{root_file.name}: no certificate of a time-stamping authority") from error


@dataclass(frozen=True, slots=True)
class Stamp:
    """What came of asking: the answer as it was sent, or why there is none."""

    answer: bytes = b""
    absent: str = ""


def ask(
    authority: Authority | None,
    message: bytes,
    client: httpx.Client,
    *,
    sleep: Callable[[float], object] = time.sleep,
) -> Stamp:
    """Return the authority's answer about `message`, verified; or, after three tries, why there is none.

    Args:
        authority: None, where the city has none.
        message: what is stamped; only its SHA-256 is sent.
        client: with a time-out.
        sleep: between the tries, in seconds.
    """
    if authority is None:
        return Stamp(absent="no authority is configured")
    reason = ""
    for attempt in range(TRIES):
        if attempt:
            sleep(_PAUSE_S * attempt)
        try:
            return Stamp(answer=_asked(authority, message, client))
        except httpx.HTTPError as error:
            reason = f"the authority does not answer: {type(error).__name__}"
        except _AnswerError as error:
            reason = str(error)
    return Stamp(absent=reason)


class _AnswerError(Exception):
    """What came back is no stamp."""


def _asked(authority: Authority, message: bytes, client: httpx.Client) -> bytes:
    request = (
        TimestampRequestBuilder()
        .data(message)
        .hash_algorithm(HashAlgorithm.SHA256)
        .nonce(nonce=True)
        .cert_request(cert_request=True)
        .build()
    )
    answer = _posted(authority.url, request.as_bytes(), client)
    _check(authority, message, request, answer)
    return answer


def _posted(url: str, query: bytes, client: httpx.Client) -> bytes:
    with client.stream("POST", url, content=query, headers={"content-type": _QUERY}) as response:
        if response.status_code != httpx.codes.OK:
            raise _AnswerError(f"the authority answers {response.status_code}")
        if response.headers.get("content-type", "").partition(";")[0].strip() != _REPLY:
            raise _AnswerError("the authority answers with something else than a stamp")
        data = bytearray()
        for chunk in response.iter_bytes():
            data += chunk
            if len(data) > _MAX_OCTETS:
                raise _AnswerError("the authority answers with more than a stamp")
    return bytes(data)


def _check(authority: Authority, message: bytes, request: TimeStampRequest, answer: bytes) -> None:
    builder = VerifierBuilder.from_request(request)
    for root in dict.fromkeys(authority.roots):
        builder = builder.add_root_certificate(root)
    try:
        builder.build().verify_message(decode_timestamp_response(answer), message)
    except (VerificationError, ValueError) as error:
        raise _AnswerError("the authority's answer is not a stamp of this manifest by the roots we know") from error
