import csv
import io
import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge import replay
from edge.errors import CaptureError
from firmware_sim import registry
from wire.formats import EXAMPLE_CITY, Formats

CRACKLE = Path(__file__).parents[1] / "vectors" / "captures" / "crackle"
TOWN = Formats.parse(EXAMPLE_CITY)


@pytest.mark.parametrize(
    ("name", "packets", "pdus", "address"),
    [
        ("pairing_and_ltk_exchange.pcap", 713, {"ADV_IND": 515, "CONNECT_IND": 1, "DATA": 197}, "78:c5:e5:6e:dd:e8"),
        (
            "le_secure_connections.pcapng",
            303,
            {"ADV_IND": 40, "SCAN_RSP": 2, "SCAN_REQ": 1, "CONNECT_IND": 1, "DATA": 259},
            "7d:43:82:42:23:16",
        ),
    ],
)
def test_a_strangers_recording_is_counted_and_dropped(
    name: str, packets: int, pdus: dict[str, int], address: str
) -> None:
    result = replay.run(CRACKLE / name, TOWN)
    assert (result.packets, result.pdus) == (packets, Counter(pdus))
    assert result.addresses == Counter({address: pdus["ADV_IND"]})
    assert (result.sight.accepted, result.rows, result.problem) == (0, 0, "")
    assert result.sight.dropped == Counter({"not-enrolled": pdus["ADV_IND"]})


def test_the_example_city_is_the_simulated_one() -> None:
    assert EXAMPLE_CITY == registry.FORMATS


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, int], tuple[Path, dict[str, Any]]]:
    """Let the simulator record two minutes on the way to school; gives the file and what is truly in it."""

    def made(ending: str, link_type: int) -> tuple[Path, dict[str, Any]]:
        directory = tmp_path_factory.mktemp("recorded")
        file, truth = directory / f"town.{ending}", directory / "truth.json"
        command = [sys.executable, "-m", "firmware_sim", "record", str(file), "--seconds", "120", "--truth", str(truth)]
        command += [] if ending == "btsnoop" else ["--link-type", str(link_type)]
        subprocess.run(command, check=True, timeout=50, capture_output=True)
        return file, json.loads(truth.read_text())

    return made


@pytest.mark.parametrize(("ending", "link_type"), [("btsnoop", 0), ("pcap", 256), ("pcapng", 256)])
def test_a_recording_of_the_town_replays_to_its_truth_and_tshark_agrees(
    ending: str, link_type: int, recorded: Callable[[str, int], tuple[Path, dict[str, Any]]]
) -> None:
    file, truth = recorded(ending, link_type)
    result = replay.run(file, TOWN)
    # Somebody else's Eddystone-EID looks like one of ours; only the server can tell.
    foreign = sum(count for key, count in result.sightings.items() if key.startswith("plain-eid:"))
    assert sum(result.sightings.values()) - foreign == truth["packets"] > 100
    assert result.sight.accepted - foreign == truth["packets"] + truth["telemetry"]
    assert sum(result.sight.dropped.values()) + foreign == truth["strangers"]
    by_tag = truth["detectors"]["gw-001"]["tags"].values()
    assert sum(by_tag) == truth["packets"]
    if shutil.which("tshark") is None:
        pytest.skip("tshark is not installed")
    assert _dissected(file) == result.addresses


def _dissected(file: Path) -> Counter[str]:
    """Return the advertisements by address as Wireshark reads them."""
    fields = ["-T", "fields", "-e", "btle.advertising_address", "-e", "bthci_evt.bd_addr"]
    done = subprocess.run(["tshark", "-r", str(file), *fields], capture_output=True, text=True, check=True, timeout=50)
    rows = csv.reader(io.StringIO(done.stdout), delimiter="\t")
    return Counter(address for row in rows for address in row if address)


def test_malformed_packets_of_a_capture_are_counted(tmp_path: Path) -> None:
    octets = bytearray((CRACKLE / "pairing_and_ltk_exchange.pcap").read_bytes())
    octets[24 + 16 + 24 + 8] ^= 1  # one bit of the first packet's address
    (tmp_path / "bent.pcap").write_bytes(octets)
    assert replay.run(tmp_path / "bent.pcap", TOWN).sight.dropped == Counter({"not-enrolled": 514, "bad-crc": 1})


def test_a_damaged_capture_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    octets = (CRACKLE / "pairing_and_ltk_exchange.pcap").read_bytes()
    (tmp_path / "cut.pcap").write_bytes(octets[:-1])
    result = replay.run(tmp_path / "cut.pcap", TOWN)
    assert result.packets == 712
    assert "ends within" in result.problem


def test_what_is_no_capture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("nothing of the kind")
    with pytest.raises(CaptureError):
        replay.run(tmp_path / "text", TOWN)
