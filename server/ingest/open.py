"""Opens what came from the broker: who sent it, whether that may be believed, and what is in it.

A refusal is only receipted when the detector's own signature proves that it sent the batch: whoever can merely publish
under its topic must not be able to make it delete what it keeps.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from server.ingest.roster import Detector
from server.ingest.source import Received
from wire import batch as batches
from wire import cose, seal, topics
from wire.batch import Batch
from wire.errors import BatchError, MessageError, SealError, TopicError
from wire.messages import Heartbeat
from wire.seal import Envelope, Header


@dataclass(frozen=True, slots=True)
class Opened:
    """A batch that is authentic and whole, its times as the detector gave them."""

    detector: Detector
    header: Header
    batch: Batch
    received_ms: int


@dataclass(frozen=True, slots=True)
class Beat:
    """A heartbeat. A last will has no header: the broker published it, anybody could have."""

    detector: Detector
    heartbeat: Heartbeat
    header: Header | None
    received_ms: int
    is_retained: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """A message that cannot be used.

    Attributes:
        reason: one of `metrics.REASONS`.
        detector: as claimed by the topic, "" where there is none.
        message: the message.
        proven: the header, where the detector's signature proves that it sent this.
    """

    reason: str
    detector: str
    message: Received
    proven: Header | None = None


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Opener:
    """Opens messages of one city.

    Args:
        city: id.
        detectors: enrolled ones by id.
        seal_key: batches are sealed to it.
        wall_ms: wall clock, by which a key that was rotated away ends.
    """

    city: str
    detectors: Mapping[str, Detector]
    seal_key: X25519PrivateKey
    wall_ms: Callable[[], int] = _wall_ms
    _seal_kid: bytes = field(init=False)

    def __post_init__(self) -> None:
        """Work out once what every batch is compared with."""
        object.__setattr__(self, "_seal_kid", seal.kid(self.seal_key.public_key()))

    def open(self, message: Received) -> Opened | Beat | Refused:
        """Return what a message says, or why it says nothing."""
        try:
            topic = topics.parse(message.topic)
        except TopicError:
            return Refused("topic", "", message)
        if topic.city != self.city:
            return Refused("wrong-city", topic.detector, message)
        if len(message.payload) > cose.MAX_OCTETS:
            return Refused("too-large", topic.detector, message)
        detector = self.detectors.get(topic.detector)
        if detector is None:
            return Refused("not-enrolled", topic.detector, message)
        if topic.leaf == "heartbeat":
            return self._beat(message, detector)
        return self._batch(message, detector)

    def _batch(self, message: Received, detector: Detector) -> Opened | Refused:
        try:
            envelope = seal.parse(message.payload)
        except SealError:
            return Refused("malformed", detector.id, message)
        header = envelope.header
        try:
            self._check(envelope, detector)
        except SealError:
            return Refused("wrong-key" if header.detector == detector.id else "wrong-detector", detector.id, message)
        reason = self._mismatch(header, detector, "sightings") or ("revoked" if detector.is_revoked else "")
        if reason:
            # Heartbeats have numbers of their own: one that is played back here must not let a batch be deleted.
            is_batch_of_it = header.detector == detector.id and header.content == "sightings"
            return Refused(reason, detector.id, message, header if is_batch_of_it else None)
        try:
            batch = batches.decode(envelope.open(self.seal_key, self._seal_kid))
        except SealError:
            is_for_us = header.recipient_kid == self._seal_kid
            return Refused("malformed" if is_for_us else "wrong-recipient", detector.id, message, header)
        except BatchError as error:
            return Refused(_batch_reason(error), detector.id, message, header)
        return Opened(detector, header, batch, message.received_ms)

    def _check(self, envelope: Envelope, detector: Detector) -> None:
        previous = detector.previous
        if previous is not None and envelope.header.signer_kid == previous.kid and self.wall_ms() < previous.until_ms:
            envelope.check(previous.key, previous.kid)
        else:
            envelope.check(detector.key, detector.kid)

    def _mismatch(self, header: Header, detector: Detector, content: str) -> str:
        if header.detector != detector.id:
            return "wrong-detector"
        if header.city != self.city:
            return "wrong-city"
        return "" if header.content == content else "wrong-content"

    def _beat(self, message: Received, detector: Detector) -> Beat | Refused:
        received = (message.received_ms, message.is_retained)
        try:
            return _will(message.payload, detector, received)
        except MessageError:
            pass
        try:
            header, payload = seal.verify(message.payload, verifier=detector.key)
            heartbeat = Heartbeat.decode(payload)
        except (SealError, MessageError):
            return Refused("bad-heartbeat", detector.id, message)
        if self._mismatch(header, detector, "heartbeat") or heartbeat.detector != detector.id:
            return Refused("bad-heartbeat", detector.id, message)
        return Beat(detector, heartbeat, header, *received)


def _batch_reason(error: BatchError) -> str:
    # The wire knows one error for all; its text is ours and says which.
    return "unknown-version" if "version" in str(error) else "bad-batch"


def _will(payload: bytes, detector: Detector, received: tuple[int, bool]) -> Beat:
    """Return an unsigned last will; all that it can say is that the detector is gone.

    Raises:
        MessageError: it is something else.
    """
    heartbeat = Heartbeat.decode(payload)
    if heartbeat.state != "offline" or heartbeat.detector != detector.id:
        raise MessageError("not a last will")
    return Beat(detector, heartbeat, None, *received)
