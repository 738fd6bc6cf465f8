"""Pushes a recorded capture through the pipeline of a live gateway and counts what became of every packet."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge import capture, linklayer
from edge.errors import CaptureError
from edge.sight import Sight
from wire.formats import Formats
from wire.frames import KIND_EID, KIND_IBEACON, KIND_PLAIN_EID, KIND_UID
from wire.hci import HciError, Report, reports
from wire.merge import Merge, Merged

ADVERTISEMENTS = frozenset(
    {"ADV_IND", "ADV_DIRECT_IND", "ADV_NONCONN_IND", "ADV_SCAN_IND", "ADV_EXT_IND"},
)
KIND_NAMES = {KIND_EID: "eid", KIND_PLAIN_EID: "plain-eid", KIND_UID: "uid", KIND_IBEACON: "ibeacon"}


@dataclass(slots=True)
class Replay:
    """What a capture held, and what a gateway made of it.

    Attributes:
        packets: packets of the capture, of any kind.
        pdus: by the name of the link-layer PDU; HCI packets that are no advertising report as "HCI".
        addresses: advertisements by the advertiser's address.
        sightings: accepted advertisements by id, "eid:hexadecimal", with the kinds of `KIND_NAMES`.
        rows: windowed rows that would have gone to the city.
        problem: why reading stopped before the end, "" if it did not.
    """

    sight: Sight
    packets: int = 0
    pdus: Counter[str] = field(default_factory=Counter)
    addresses: Counter[str] = field(default_factory=Counter)
    sightings: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    problem: str = ""

    @property
    def advertisements(self) -> int:
        """Advertising PDUs, without scan requests and responses."""
        return sum(count for name, count in self.pdus.items() if name in ADVERTISEMENTS)

    def to_json(self) -> dict[str, Any]:
        """Return the result as one JSON object."""
        return {
            "packets": self.packets,
            "advertisements": self.advertisements,
            "pdus": dict(sorted(self.pdus.items())),
            "addresses": dict(self.addresses.most_common()),
            "accepted": self.sight.accepted,
            "lone_telemetry": self.sight.lone_telemetry,
            "dropped": sum(self.sight.dropped.values()),
            "dropped_by_reason": dict(sorted(self.sight.dropped.items())),
            "sightings": dict(self.sightings.most_common()),
            "rows": self.rows,
            "problem": self.problem,
        }


def run(path: Path, formats: Formats, *, window_s: float = 10.0) -> Replay:
    """Return what the pipeline makes of a capture; a damaged file is read as far as it goes, see `problem`.

    Raises:
        CaptureError: the file cannot be read at all.
    """
    replay = Replay(Sight(formats, Merge(round(window_s * 1000))))
    try:
        for packet in capture.read(path):
            replay.packets += 1
            _take(replay, packet)
            _count_rows(replay)
    except CaptureError as error:
        if replay.packets == 0:
            raise
        replay.problem = str(error)
    replay.sight.merge.close()
    _count_rows(replay)
    return replay


def _take(replay: Replay, packet: capture.Captured) -> None:
    try:
        heard = list(_reports(packet, replay))
    except (HciError, linklayer.PduError):
        replay.pdus["MALFORMED"] += 1
        replay.sight.dropped["malformed"] += 1
        return
    for report in heard:
        if report.pdu in ADVERTISEMENTS:
            replay.addresses[report.address.hex(":")] += 1
            replay.sight.hear_report(report, packet.at_ms)


def _reports(packet: capture.Captured, replay: Replay) -> Iterator[Report]:
    if packet.link_type == capture.HCI_H4:
        found = reports(packet.octets)
        replay.pdus.update(report.pdu for report in found)
        if not found:
            replay.pdus["HCI"] += 1
        yield from found
        return
    if packet.link_type == capture.LE_LL_HEADER:
        pdu = linklayer.read_with_header(packet.octets)
    else:
        pdu = linklayer.read(packet.octets, packet.rssi_dbm)
    replay.pdus[pdu.name] += 1
    if not pdu.has_good_crc:
        replay.sight.dropped["bad-crc"] += 1
    elif pdu.address:
        yield Report(pdu.name, pdu.address, pdu.rssi_dbm, pdu.data)


def _count_rows(replay: Replay) -> None:
    """Take the closed rows as the keeper does, and count them instead of keeping them."""
    ready: list[Merged] = replay.sight.merge.ready
    for row in ready:
        replay.sightings[f"{KIND_NAMES[row.kind]}:{row.id.hex()}"] += row.count
    replay.rows += len(ready)
    replay.sight.merge.settle(len(ready))
