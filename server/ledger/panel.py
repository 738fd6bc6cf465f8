"""Asks the witnesses to cosign, over HTTP, and keeps what each of them said.

Source: C2SP tlog-witness, the side of the log.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import httpx

from privacy.transparency import tree
from privacy.transparency.checkpoint import Opened
from privacy.transparency.errors import NoteError
from privacy.transparency.note import Note, Signature, parse_signature
from privacy.transparency.policy import Peer, Policy
from privacy.transparency.tree import Reader
from privacy.transparency.witnessing import PATH, SIZE_TYPE, Submission

log = logging.getLogger(__name__)

_TIMEOUT_S: Final = 3.0
_REST_S: Final = 10.0
"""A witness that did not answer is left alone so long: waiting for it holds up every checkpoint."""
_ROUNDS: Final = 3
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)


class Said(StrEnum):
    """How a witness answered."""

    COSIGNED = "cosigned"
    AWAY = "away"
    REFUSES = "refuses"
    KNOWS_LARGER = "knows-larger"
    KNOWS_OTHER = "knows-other"

    @property
    def is_contradiction(self) -> bool:
        """Whether the witness has seen another log than ours."""
        return self in {Said.KNOWS_LARGER, Said.KNOWS_OTHER}


@dataclass(frozen=True, slots=True)
class Answer:
    """What one witness said.

    Attributes:
        witness: whom the policy names.
        said: in short.
        signature: its cosignature, verified; None: it gave none.
        size: of the tree that it cosigned last, as far as it told.
    """

    witness: Peer
    said: Said
    signature: Signature | None = None
    size: int | None = None


@dataclass(slots=True)
class Panel:
    """All witnesses of a policy.

    Args:
        policy: who they are and where they answer.
        client: an HTTP client, closed by whoever made it.
        monotonic_s: a clock.
    """

    policy: Policy
    client: httpx.AsyncClient
    monotonic_s: Callable[[], float] = time.monotonic
    _sizes: dict[str, int] = field(default_factory=dict, init=False)
    _rests_until_s: dict[str, float] = field(default_factory=dict, init=False)

    def is_anybody_up(self) -> bool:
        """Whether it makes sense to ask now."""
        return any(self._is_up(witness) for witness in self.policy.witnesses)

    async def ask(self, checkpoint: Opened, read: Reader) -> list[Answer]:
        """Return what the witnesses say of a checkpoint, all asked at once; those that rest are not.

        Args:
            checkpoint: signed by the log.
            read: gives hashes of its tree.
        """
        up = [witness for witness in self.policy.witnesses if self._is_up(witness)]
        answers = await asyncio.gather(*(self._ask(witness, checkpoint, read) for witness in up))
        for answer in answers:
            if answer.said is Said.AWAY:
                self._rests_until_s[answer.witness.name] = self.monotonic_s() + _REST_S
            elif answer.size is not None:
                self._sizes[answer.witness.name] = answer.size
        return answers

    def _is_up(self, witness: Peer) -> bool:
        return bool(witness.url) and self.monotonic_s() >= self._rests_until_s.get(witness.name, 0.0)

    async def _ask(self, witness: Peer, checkpoint: Opened, read: Reader) -> Answer:
        size = checkpoint.head.size
        known = min(self._sizes.get(witness.name, 0), size)
        for _ in range(_ROUNDS):
            try:
                response = await self._post(witness, checkpoint, read, known)
            except httpx.HTTPError as error:
                log.warning("witness.away", extra={"error": type(error).__name__})
                return Answer(witness, Said.AWAY)
            told = _size_in(response)
            if told is None:
                return self._judged(witness, checkpoint, response)
            if told > size:
                return Answer(witness, Said.KNOWS_LARGER, size=told)
            if told == known:  # the size is as we said, so the root is not; of a smaller tree the proof would say so
                return Answer(witness, Said.KNOWS_OTHER if told == size else Said.REFUSES, size=told)
            known = told
        return Answer(witness, Said.REFUSES)

    async def _post(self, witness: Peer, checkpoint: Opened, read: Reader, known: int) -> httpx.Response:
        proof = await asyncio.to_thread(tree.consistency_proof, read, known, checkpoint.head.size)
        body = Submission(known, tuple(proof), checkpoint.note.whole()).text().encode()
        url = witness.url.rstrip("/") + PATH
        return await self.client.post(url, content=body, timeout=_TIMEOUT_S)

    def _judged(self, witness: Peer, checkpoint: Opened, response: httpx.Response) -> Answer:
        match response.status_code:
            case 200:
                found = _cosignature(response.text, witness, checkpoint.note)
                if found is not None:
                    return Answer(witness, Said.COSIGNED, found, checkpoint.head.size)
            case 409 | 422:  # 409 without a size: of the same size, and another root
                return Answer(witness, Said.KNOWS_OTHER)
            case status if status >= 500:
                return Answer(witness, Said.AWAY)
        log.warning("witness.refused", extra={"status": response.status_code})
        return Answer(witness, Said.REFUSES)


def contradicting(answers: Sequence[Answer]) -> Answer | None:
    """Return the answer of a witness that has seen another log, None if there is none."""
    return next((answer for answer in answers if answer.said.is_contradiction), None)


def _size_in(response: httpx.Response) -> int | None:
    kind = response.headers.get("content-type", "").partition(";")[0].strip()
    text = response.text.strip()
    is_size = response.status_code == httpx.codes.CONFLICT and kind == SIZE_TYPE and _SIZE.fullmatch(text)
    return int(text) if is_size else None


def _cosignature(body: str, witness: Peer, note: Note) -> Signature | None:
    """Return the witness's own signature among the lines of an answer, once verified."""
    for line in body.split("\n")[:-1]:
        with contextlib.suppress(NoteError):
            signature = parse_signature(line)
            if witness.key.made(signature) and witness.key.verifies(signature, note.text):
                return signature
    return None
