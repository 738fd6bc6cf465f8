"""The radio socket, without I/O: a btsnoop stream one way, JSON lines the other.

A client says who it is and how many packets it already keeps safe; the radio sends every later packet and keeps each
until it is acknowledged, as a controller under host flow control does (HCI Host_Number_Of_Completed_Packets). So a
client that was killed and restarted misses nothing and hears nothing twice.
"""

import json
from dataclasses import dataclass, field
from typing import NamedTuple

from wire.btsnoop import BtsnoopReader


class Packet(NamedTuple):
    """One HCI packet from the radio.

    Attributes:
        number: 1-based, per detector, the same after every reconnection.
        at_ms: town milliseconds since the Unix epoch.
        octets: H4 packet, see wire/hci.py.
    """

    number: int
    at_ms: int
    octets: bytes


@dataclass(slots=True)
class AirSession:
    """One connection of one detector.

    Args:
        detector: id of the detector.
        resume: number of packets already safe at the client; 0 at first.
    """

    detector: str
    resume: int
    missed: int = 0
    number: int = field(init=False)
    _reader: BtsnoopReader = field(default_factory=BtsnoopReader, repr=False)

    def __post_init__(self) -> None:
        self.number = self.resume

    def hello(self) -> bytes:
        """Return the line to send first."""
        return _line({"detector": self.detector, "resume": self.resume})

    def feed(self, chunk: bytes) -> list[Packet]:
        """Return the packets that became complete; `missed` then holds what the controller itself did not hear.

        Raises:
            BtsnoopError: this is no btsnoop stream; close the connection.
        """
        packets = []
        for record in self._reader.feed(chunk):
            self.number += 1
            self.missed = record.missed
            packets.append(Packet(self.number, record.at_us // 1000, record.packet))
        return packets

    @staticmethod
    def ack(number: int) -> bytes:
        """Return the line that frees every packet up to `number`, which must be safe by now."""
        return _line({"ack": number})

    @staticmethod
    def scan(*, is_on: bool) -> bytes:
        """Return the line that opens or closes the receiver (duty cycle)."""
        return _line({"scan": is_on})


def _line(message: dict[str, object]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"
