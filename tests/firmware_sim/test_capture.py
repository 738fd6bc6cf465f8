import io
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from firmware_sim import capture
from firmware_sim.air import Air
from firmware_sim.capture import Packet
from firmware_sim.tag import Advert
from wire import hci
from wire.btsnoop import BtsnoopReader

PACKET = Packet(1_795_473_600_243_296, Advert(bytes.fromhex("0123456789ab"), bytes(range(29))), -71, 38)


def _real_link_layer(vectors: Path) -> list[bytes]:
    """Link-layer packets on the advertising channels in a real capture."""
    data = (vectors / "captures" / "crackle" / "pairing_and_ltk_exchange.pcap").read_bytes()
    at, found = 24, []
    while at < len(data):
        length = struct.unpack_from("<I", data, at + 8)[0]
        packet = data[at + 16 : at + 16 + length]
        at += 16 + length
        packet = packet[int.from_bytes(packet[2:4], "little") :]
        if packet[:4] == capture.ACCESS_ADDRESS.to_bytes(4, "little"):
            found.append(packet)
    return found


def test_the_crc_is_the_one_that_real_devices_send(vectors: Path) -> None:
    packets = _real_link_layer(vectors)
    right = [packet for packet in packets if capture.crc24(packet[4:-3]) == packet[-3:]]
    assert len(packets) > 500
    assert len(right) / len(packets) > 0.99


def test_an_event_reads_back_as_the_report_it_was() -> None:
    advert, rssi_dbm = PACKET.advert, PACKET.rssi_dbm
    report = hci.reports(capture.hci_event(advert, rssi_dbm))[0]
    assert (report.pdu, report.address, report.data) == ("ADV_NONCONN_IND", *advert)
    assert report.rssi_dbm == rssi_dbm


def test_btsnoop_reads_back_with_its_time() -> None:
    file = io.BytesIO()
    writer = capture.open_writer(file, "btsnoop")
    writer.write(PACKET)
    record = BtsnoopReader().feed(file.getvalue())[0]
    assert record.at_us == PACKET.at_us
    assert record.packet == capture.hci_event(PACKET.advert, PACKET.rssi_dbm)


def _tshark(file: Path, *fields: str) -> list[list[str]]:
    arguments = [each for field in fields for each in ("-e", field)]
    command = ["tshark", "-r", str(file), "-T", "fields", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [line.split("\t") for line in done.stdout.splitlines()]


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
@pytest.mark.parametrize(
    ("kind", "link_type"), [("btsnoop", 256), ("pcap", 256), ("pcap", 251), ("pcapng", 256), ("pcapng", 251)]
)
def test_tshark_dissects_every_packet_without_complaint(
    tmp_path: Path, new_air: Callable[[], Air], kind: capture.Format, link_type: int
) -> None:
    file = tmp_path / f"town.{kind}"
    air, packets = new_air(), []
    with file.open("wb") as out:
        writer = capture.open_writer(out, kind, link_type)
        for _ in range(5):
            heard = air.step()
            for emitter, at_us, rssi_dbm in zip(heard.emitters, heard.at_us, heard.rssi_dbm, strict=True):
                advert = air.advert(int(emitter), int(at_us), is_telemetry=False)
                packets.append(Packet(int(at_us), advert, int(rssi_dbm), 39))
                writer.write(packets[-1])
    address = "bthci_evt.bd_addr" if kind == "btsnoop" else "btle.advertising_address"
    strength = "bthci_evt.rssi" if kind == "btsnoop" else "btle_rf.signal_dbm"
    rows = _tshark(file, "frame.time_epoch", address, strength, "btcommon.eir_ad.entry.type", "_ws.expert.message")
    assert len(rows) == len(packets) > 100
    for row, packet in zip(rows, packets, strict=True):
        assert float(row[0]) == pytest.approx(packet.at_us / 1e6, abs=2e-6)
        assert row[1] == packet.advert.address.hex(":")
        assert link_type == 251 or int(row[2]) == packet.rssi_dbm
        assert row[3].startswith(("0x01", "0x02"))
        # Wireshark 4.0 does not take Eddystone service data apart; a wrong CRC or length would say something else.
        assert set(row[4].split(",")) <= {"", "Undecoded"}
