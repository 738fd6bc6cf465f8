"""Fuzz the parsers of the wire: `make fuzz`, or `python tests/fuzz/fuzz_wire.py TARGET|all [libFuzzer options]`.

Each target takes any octets and lets nothing but a `WireError` be raised; what it could read it writes and reads again.
The same targets replay the kept corpus in every test run (test_corpus.py). atheris is needed to search, not to replay:
`make fuzz` brings it.
"""

import io
import logging
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
CORPUS: Final = Path(__file__).parent / "corpus"
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402 - the path is set above when run as a program
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey  # noqa: E402

try:  # not a dependency: replaying goes without
    import atheris  # type: ignore[import-untyped,import-not-found,unused-ignore]
except ImportError:
    atheris = None

# Instrumenting our own modules alone, while they load, starts a search within seconds.
with nullcontext() if atheris is None or __name__ != "__main__" else atheris.instrument_imports(include=["wire"]):
    from wire import (
        batch,
        btsnoop,
        enrolment,
        formats,
        frames,
        hci,
        keys,
        logs,
        merge,
        messages,
        outbox,
        seal,
        status,
        telemetry,
        topics,
    )
    from wire.errors import WireError

SIGNER: Final = ec.derive_private_key(0x1234567890ABCDEF, ec.SECP256R1())
RECIPIENT: Final = X25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
STATUS_KEYS: Final = status.StatusKeys.of(bytes(range(16)))


def fuzz_frames(data: bytes) -> None:
    """Advertising data, and what a Bluetooth stack makes of it."""
    with suppress(WireError):
        frames.decode_fields({frames.uuid_text(0xFEAA): data[:20], frames.uuid_text(0xFC00): data[20:]}, {0x4C: data})
    frame = frames.decode(data)
    if frame is not None:
        assert frames.decode(frames.encode(frame)) == frame
        frames.sighting_id(frame)


def fuzz_batch(data: bytes) -> None:
    """Batches of sightings."""
    made = batch.decode(data)
    again = batch.decode(batch.encode(made))
    assert again.rows() == made.rows()


def fuzz_envelope(data: bytes) -> None:
    """Envelopes, as they come from the broker."""
    with suppress(WireError):
        seal.verify(data, verifier=SIGNER.public_key())
    with suppress(WireError):
        seal.unseal(data, verifier=SIGNER.public_key(), recipient=RECIPIENT)
    seal.peek(data)


def fuzz_contents(data: bytes) -> None:
    """What an enrolled but wicked detector seals: the octets arrive under a right signature."""
    to, by = keys.kid(RECIPIENT.public_key()), keys.kid(SIGNER.public_key())
    header = seal.Header("mimamori", "gw-001", 1, 2, 3, to, by, "sightings")
    sealed = seal.seal(data, header, signer=SIGNER, recipient=RECIPIENT.public_key())
    _, payload = seal.unseal(sealed, verifier=SIGNER.public_key(), recipient=RECIPIENT)
    assert payload == data
    batch.decode(payload)


def fuzz_heartbeat(data: bytes) -> None:
    """Heartbeats and last wills."""
    heartbeat = messages.Heartbeat.decode(data)
    assert messages.Heartbeat.decode(heartbeat.encode()) == heartbeat


def fuzz_receipt(data: bytes) -> None:
    """Receipts."""
    receipt = messages.Receipt.decode(data)
    assert messages.Receipt.decode(receipt.encode()) == receipt


def fuzz_order(data: bytes) -> None:
    """Orders."""
    messages.Order.decode(data).encode()


def fuzz_topic(data: bytes) -> None:
    """Topics."""
    topics.parse(data.decode("utf-8", "replace"))


def fuzz_status(data: bytes) -> None:
    """Sealed status and encrypted telemetry."""
    with suppress(WireError):
        status.open_(STATUS_KEYS, data[:8], data[8:])
    frame = frames.EtlmFrame(data[:12], data[12:14], data[14:])
    telemetry.decrypt_tlm(bytes(range(16)), 10, 65_280, frame=frame)


def fuzz_city(data: bytes) -> None:
    """`city.json` and public keys of a registry."""
    text = data.decode("utf-8", "replace")
    with suppress(WireError):
        keys.decode_public(text)
    keys.CityBundle.from_json(text)


def fuzz_ticket(data: bytes) -> None:
    """Tickets of a city, and codes as people type them."""
    text = data.decode("utf-8", "replace")
    assert len(enrolment.code_sha256(text)) == 32
    ticket = enrolment.Ticket.from_json(text)
    assert enrolment.Ticket.from_json(ticket.to_json()) == ticket


def fuzz_renewal(data: bytes) -> None:
    """What a gateway asks for by the key that it has."""
    asked = enrolment.Renewal.decode(data)
    assert enrolment.Renewal.decode(asked.encode()) == asked


def fuzz_grant(data: bytes) -> None:
    """What a server answers to a gateway that enrols, believed by nobody yet."""
    grant = enrolment.Grant.from_json(data)
    root = enrolment.certificates(grant.ca)[0]
    grant.check("gw-1", root, now=datetime(2026, 11, 26, tzinfo=UTC))


def fuzz_outbox(data: bytes) -> None:
    """A file in the place of the outbox."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as directory:
        path = Path(directory) / "outbox.db"
        path.write_bytes(data)
        with outbox.Outbox.open(path, max_bytes=1 << 20) as opened:
            opened.put(1, 1, lambda _epoch, _sequence: b"x")
            opened.totals()
            opened.restore()
            opened.settle(messages.Receipt(opened.epoch, (1,)))
            opened.pending(10)


def fuzz_hci(data: bytes) -> None:
    """HCI packets."""
    for report in hci.reports(data):
        with suppress(WireError):
            frames.decode(report.data)


def fuzz_btsnoop(data: bytes) -> None:
    """Streams of captures, in two pieces."""
    reader = btsnoop.BtsnoopReader()
    half = len(data) // 2
    for record in [*reader.feed(data[:half]), *reader.feed(data[half:])]:
        with suppress(WireError):
            hci.reports(record.packet)


def fuzz_merge(data: bytes) -> None:
    """Kept state of open windows."""
    merge.Merge(window_ms=10_000).load(data)


def fuzz_formats(data: bytes) -> None:
    """Formats of a configuration file."""
    formats.Formats.parse(data.decode("utf-8", "replace").split(","))


def fuzz_logs(data: bytes) -> None:
    """Any text in a message and in a field."""
    text = data.decode("utf-8", "replace")
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.JsonFormatter())
    record = logging.LogRecord("x", logging.INFO, "x", 1, text, (text,), None)
    record.reason = text
    handler.emit(record)
    assert stream.getvalue().count("\n") == 1


TARGETS: Final[Mapping[str, Callable[[bytes], None]]] = {
    name.removeprefix("fuzz_"): target for name, target in sorted(globals().items()) if name.startswith("fuzz_")
}


def run_one(name: str, data: bytes) -> None:
    """Give `data` to a target; return if it was read or refused as it should be."""
    with suppress(WireError):
        TARGETS[name](data)


def search_all(options: list[str]) -> int:
    """Return how many targets failed, each searched by a process of its own."""
    failed = [
        name for name in TARGETS if subprocess.run([sys.executable, __file__, name, *options], check=False).returncode
    ]
    sys.stdout.write(f"fuzz: {len(TARGETS) - len(failed)} of {len(TARGETS)} targets held {' '.join(failed)}\n")
    return len(failed)


def main() -> None:
    """Search with atheris until told to stop."""
    if sys.argv[1:2] == ["all"]:
        sys.exit(search_all(sys.argv[2:]))
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"usage: fuzz_wire.py {{all,{','.join(TARGETS)}}} [libFuzzer options]")
    if atheris is None:
        sys.exit("atheris is not installed: `make fuzz` runs this with it")
    name = sys.argv.pop(1)
    found = ROOT / "artefacts" / "fuzz" / name  # new inputs go here, the kept corpus is only read
    found.mkdir(parents=True, exist_ok=True)
    options = [f"-artifact_prefix={found}/", *sys.argv[1:]]
    atheris.Setup([sys.argv[0], *options, str(found), str(CORPUS / name)], lambda data: run_one(name, data))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
