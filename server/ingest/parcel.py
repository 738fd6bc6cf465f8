"""Messages on their way to one transaction, opened while the transaction before them is committed."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from server.ingest.open import Beat, Opened, Opener, Refused
from server.ingest.source import Received


@dataclass(frozen=True, slots=True)
class Work:
    """What was opened of one micro-batch; nothing at all: only time has passed, until `received_ms`."""

    opened: Sequence[Opened]
    beats: Sequence[Beat]
    refused: Sequence[Refused]
    received_ms: int


@dataclass(frozen=True, slots=True)
class Opening:
    """Opens messages by one version of the roster; None: there is none yet."""

    opener: Opener
    version: int | None

    def open(self, messages: Iterable[Received]) -> Work:
        """Return what messages say."""
        opened: list[Opened] = []
        beats: list[Beat] = []
        refused: list[Refused] = []
        received_ms = 0
        for message in messages:
            received_ms = max(received_ms, message.received_ms)
            match self.opener.open(message):
                case Opened() as batch:
                    opened.append(batch)
                case Beat() as beat:
                    beats.append(beat)
                case Refused() as refusal:
                    refused.append(refusal)
        return Work(opened, beats, refused, received_ms)


@dataclass(frozen=True, slots=True)
class Parcel:
    """What is committed in one transaction.

    Attributes:
        messages: none: only time has passed.
        version: of the roster that `work` was opened by.
        work: what they say, done; None: not opened yet.
    """

    messages: Sequence[Received]
    version: int | None = None
    work: asyncio.Task[Work] | None = None
