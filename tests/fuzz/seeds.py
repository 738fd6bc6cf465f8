"""Write the seeds of the fuzz corpus anew, always the same bytes: `PYTHONPATH=. python tests/fuzz/seeds.py`."""

import json
from collections.abc import Iterator
from pathlib import Path

import cbor2

from wire import batch, btsnoop, enrolment, frames, hci, keys, messages

HERE = Path(__file__).parent
VECTORS = HERE.parent / "vectors"
CORPUS = HERE / "corpus"


def octets(name: str, field: str) -> list[bytes]:
    """Return one field of all cases of a vector file."""
    return [bytes.fromhex(case[field]) for case in json.loads((VECTORS / name).read_text())["cases"]]


def frames_seeds() -> Iterator[bytes]:
    """Yield advertisements of every kind, whole and cut."""
    whole = [
        *octets("status.json", "adv_data")[:2],
        octets("telemetry.json", "adv_data")[0],
        frames.encode(frames.EidFrame(-18, bytes(8))),
        frames.encode(frames.UidFrame(-18, bytes(10), bytes(6))),
        frames.encode(frames.TlmFrame(3000, None, 1, 2)),
        frames.encode(frames.IBeaconFrame(bytes(16), 1, 2, -59)),
    ]
    yield from whole
    yield from (data[: len(data) - 3] for data in whole)
    yield from (b"", b"\x00", b"\xff", b"\x01\x16", b"\x1f\x16" + bytes(30), b"\x11\x21" + bytes(16))


def cbor_seeds(good: list[bytes]) -> Iterator[bytes]:
    """Yield good CBOR, and the shapes that decoders stumble over."""
    yield from good
    yield from (data[: len(data) // 2] for data in good)
    hostile = (
        "9f", "bf", "5f", "9b7fffffffffffffff", "bb7fffffffffffffff", "5b7fffffffffffffff", "d81c81d81d00",
        "c11bffffffffffffffff", "c249ffffffffffffffffff", "c482f6f6", "d823a0", "d9010481", "a1a10000", "a1f97e0000",
        "a18000", "a200010002", "f7", "f820", "a10001", "a1000201", "a100f5", "a1001bffffffffffffffff",
        "a10001" + "81" * 40, "81" * 400,
    )  # fmt: skip
    yield from (bytes.fromhex(text) for text in hostile)


def status_seeds() -> Iterator[bytes]:
    """Yield ids with their sealed status, and telemetry."""
    cases = json.loads((VECTORS / "status.json").read_text())["cases"]
    yield from (bytes.fromhex(case["eid"] + case["sealed"]) for case in cases[:4])
    for case in json.loads((VECTORS / "telemetry.json").read_text())["cases"]:
        yield bytes.fromhex("".join(case["frame"].values()))
    yield from (b"", bytes(13), bytes(14), bytes(16), bytes(17))


def city_seeds() -> Iterator[bytes]:
    """Yield city files."""
    table = json.loads((VECTORS / "seal.json").read_text())
    good = {"city": "mimamori", "seal_key": table["recipient_public"], "receipt_key": table["signer_public"]}
    keys.CityBundle.from_json(json.dumps(good))
    swapped = {**good, "seal_key": good["receipt_key"], "receipt_key": good["seal_key"]}
    values: tuple[object, ...] = (good, swapped, {}, [], None, {**good, "city": 1}, {**good, "seal_key": "AAAA"})
    for value in values:
        yield json.dumps(value).encode()
    yield from (good["receipt_key"].encode(), b"[" * 3_000, b'{"city":"\xff"}', b"")


def ticket_seeds() -> Iterator[bytes]:
    """Yield ticket files."""
    good = enrolment.Ticket("https://city.example.jp", "gw-1", enrolment.code_of(bytes(16)), "ab" * 32).to_json()
    yield good.encode()
    yield from (good.replace("ab" * 32, text).encode() for text in ("AB:" * 32, "ab" * 31, "", "zz" * 32))
    yield from (b"{}", b"[]", b"null", b"[" * 3_000, good.replace('"gw-1"', "1").encode(), b"\xff", b"")


def grant_seeds() -> Iterator[bytes]:
    """Yield answers to a gateway that enrols."""
    good = json.loads((VECTORS / "grant.json").read_text())
    yield json.dumps(good).encode()
    swapped = {"ca": good["certificate"], "certificate": good["ca"], "proof_chain": good["certificate"], "proof": ""}
    yield from (json.dumps({**good, key: value}).encode() for key, value in swapped.items())
    others: tuple[object, ...] = (
        {**good, "city": []},
        {**good, "city": {"city": "\ud800"}},
        {**good, "ca": "x"},
        {},
        1,
    )
    yield from (json.dumps(value).encode() for value in others)
    yield from (b"[" * 3_000, b"\xff", b"")


def capture_seeds() -> Iterator[bytes]:
    """Yield H4 packets."""
    report = hci.Report("ADV_NONCONN_IND", bytes(6), -60, octets("status.json", "adv_data")[0])
    yield hci.legacy_event([report])
    yield hci.legacy_event([report, report])[:-1]
    extended = bytes.fromhex("0d01" + "1300" + "00" + "00" * 6 + "0100ff7fc40000" + "00" + "00" * 6 + "03020106")
    yield bytes((4, 0x3E, len(extended))) + extended
    yield from (
        b"",
        b"\x04",
        b"\x04\x3e\x00",
        b"\x04\x3e\x01\x02",
        b"\x04\x3e\x02\x02\xff",
        b"\x02\x00",
        b"\x04\x0e\x00",
    )


def btsnoop_seeds() -> Iterator[bytes]:
    """Yield streams of the three datalinks."""
    packets = list(capture_seeds())
    for datalink in (1001, 1002, 2001):
        records = b"".join(btsnoop.record(packet, at_us=index) for index, packet in enumerate(packets))
        yield btsnoop.header(datalink) + records
    yield from (b"", btsnoop.header(1), btsnoop.header()[:9], btsnoop.header() + b"\xff" * 24, b"x" * 40)


def outbox_seeds() -> Iterator[bytes]:
    """Yield files that are no outbox; a real one is long and changes with SQLite's version."""
    yield from (b"", b"SQLite format 3\x00", b"SQLite format 3\x00" + bytes(600), bytes(4_096), b"\xff" * 1_000)


def seeds() -> dict[str, list[bytes]]:
    """Return the seeds of every target."""
    batches, sealed = octets("batch.json", "cbor"), octets("seal.json", "envelope")
    said = octets("messages.json", "cbor")
    state = cbor2.dumps(
        [1, [[0, bytes(8), bytes(6), None, -5, -5, 1, 1, 2, 1]], [[0, bytes(8), None, None, 1, 1, 1, 1, 1, 1]]]
    )
    many = batch.encode(batch.Batch.from_rows(batch.decode(batches[0]).rows() * 20))
    empty = messages.Receipt(0).encode()
    return {
        "frames": list(frames_seeds()),
        "batch": list(cbor_seeds([*batches, many])),
        "envelope": list(cbor_seeds(sealed)),
        "contents": list(cbor_seeds(batches)),
        "heartbeat": list(cbor_seeds(said[:2])),
        "receipt": list(cbor_seeds([*said[2:4], empty])),
        "order": list(cbor_seeds(said[4:])),
        "topic": [b"mimamori/1/c/d/orders", b"mimamori/1/c/d/", b"mimamori/1//d/receipts", b"\xff/1", b"", b"+/#"],
        "status": list(status_seeds()),
        "city": list(city_seeds()),
        "ticket": list(ticket_seeds()),
        "renewal": list(cbor_seeds([enrolment.Renewal(bytes(120), bytes(44)).encode()])),
        "grant": list(grant_seeds()),
        "outbox": list(outbox_seeds()),
        "hci": list(capture_seeds()),
        "btsnoop": list(btsnoop_seeds()),
        "merge": list(cbor_seeds([state])),
        "formats": [
            b"eid",
            b"uid:00112233445566778899",
            b"ibeacon:e2c56db5-dffb-48d2-b060-d0f5a71096e0",
            b"uid:0",
            b"x,eid",
            b"",
        ],
        "logs": [b"batch.put", "ゆい %s %d\n".encode(), b"\xff\x00", b"%", b"a" * 500],
    }


def main() -> None:
    """Write one file a seed; what a search found lies beside them and stays."""
    for target, found in seeds().items():
        (CORPUS / target).mkdir(parents=True, exist_ok=True)
        for index, data in enumerate(found):
            (CORPUS / target / f"seed-{index:02d}").write_bytes(data)


if __name__ == "__main__":
    main()
