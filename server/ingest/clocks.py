"""Detectors whose clock is wrong: by how much, and their times put right.

A heartbeat says what time a detector thinks it is. One that waited somewhere looks like a slow clock, so an offset is
believed only when several in a row, sent at a steady pace, arrive at that same pace. A time in the future needs no
proof: it is wrong. Nor is a heartbeat believed twice: one that was recorded and is played back says an old time.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

TOLERANCE_MS: Final = 120_000
"""Below this a clock counts as right: the tags' own clocks show smaller errors. In a town that runs faster than the
wall, it is so much longer, for what delays a heartbeat are machines, and those run by the wall."""
BEATS: Final = 3
_PACE_SLACK: Final = 0.25


@dataclass(slots=True)
class DetectorClock:
    """What is known of one detector's clock.

    Attributes:
        offset_ms: town time minus the detector's; 0 while it is within the tolerance.
        tolerance_ms: town time.
        sent_ms: newest heartbeat believed, by the detector's clock.
    """

    offset_ms: int = 0
    tolerance_ms: int = TOLERANCE_MS
    sent_ms: int = 0
    _beats: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=BEATS))

    def admit(self, sent_ms: int, received_ms: int) -> bool:
        """Return whether a heartbeat is newer than all before it; if so, older ones are stale from now on.

        The epoch says nothing of order: it is drawn anew with each outbox. A clock that ran ahead and was put right
        goes back once, from a time that has not come yet to the one that it is.
        """
        was_ahead = self.sent_ms > received_ms + self.tolerance_ms
        is_put_right = was_ahead and abs(received_ms - sent_ms) <= self.tolerance_ms
        if sent_ms <= self.sent_ms and not is_put_right:
            return False
        if is_put_right:
            self._beats.clear()
        self.sent_ms = sent_ms
        return True

    def beat(self, sent_ms: int, received_ms: int) -> None:
        """Learn from a heartbeat: sent by the detector's clock, received in town time."""
        self._beats.append((sent_ms, received_ms))
        delays_ms = [received - sent for sent, received in self._beats]
        newest_ms = min(delays_ms)
        if abs(newest_ms) <= self.tolerance_ms:
            self.offset_ms = 0
            return
        span_ms = self._beats[-1][0] - self._beats[0][0]
        is_paced = span_ms > 0 and max(delays_ms) - newest_ms <= _PACE_SLACK * span_ms
        if len(self._beats) == BEATS and is_paced:
            self.offset_ms = newest_ms

    def correction_ms(self, *, sealed_ms: int, newest_ms: int, received_ms: int) -> int:
        """Return what to add to the times of a batch.

        Args:
            sealed_ms: when it was sealed, by the detector's clock.
            newest_ms: its newest sighting, likewise.
            received_ms: town time of arrival.

        Returns:
            0 for a clock that is right. Corrected times are never after the arrival.
        """
        says_ms = max(sealed_ms, newest_ms)
        correction_ms = self.offset_ms
        if says_ms + correction_ms > received_ms + self.tolerance_ms:
            correction_ms = received_ms - says_ms
        return correction_ms
