"""Write our own vectors: `python tests/vectors/generate.py [--seal]` from the root of the tree."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from wire import batch, eid, frames, keys, messages, seal, status, telemetry

HERE = Path(__file__).parent
IDENTITY_KEYS = [bytes(range(16)), bytes.fromhex("0102030405060708090a111213141516"), b"\xff" * 16]
SIGNER = ec.derive_private_key(0x1234567890ABCDEF, ec.SECP256R1())
RECIPIENT = X25519PrivateKey.from_private_bytes(bytes(range(1, 33)))


def plain(value: Any) -> Any:
    """Return what JSON holds, octets as hexadecimal."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def status_cases() -> list[dict[str, Any]]:
    """Return sealed statuses with their keys and advertisements."""
    said = [
        (65_280, status.TagStatus(0, battery_dv=30)),
        (66_000, status.TagStatus(0, sos=True, moving=True, battery_dv=29)),
        (0, status.TagStatus(0, clock_lost=True, battery_dv=20)),
        (0xFFFFFFFF, status.TagStatus(0, sos=True, moving=True, clock_lost=True, battery_dv=35)),
    ]
    return [_status_case(key, at_s, one) for key in IDENTITY_KEYS for at_s, one in said]


def _status_case(identity_key: bytes, at_s: int, said: status.TagStatus) -> dict[str, Any]:
    told = status.TagStatus(status.step_of(at_s), said.sos, said.moving, said.clock_lost, said.battery_dv)
    made = status.StatusKeys.of(identity_key)
    tag_id = eid.derive(identity_key, 10, at_s)
    sealed = status.seal(made, tag_id, told)
    return {
        "identity_key": identity_key,
        "beacon_time_s": at_s,
        "mac_key": made.mac_key,
        "enc_key": made.enc_key,
        "eid": tag_id,
        "status": asdict(told),
        "sealed": sealed,
        "tx_power_dbm": -18,
        "adv_data": frames.encode(frames.EidFrame(-18, tag_id, sealed)),
    }


def telemetry_cases() -> list[dict[str, Any]]:
    """Return encrypted telemetry with what is in it."""
    cases = []
    for index, (at_s, temp_cdeg) in enumerate([(65_280, 2150), (1_000_000, -525), (0, None)]):
        tlm = frames.TlmFrame(3000 - index, temp_cdeg, 1000 * index, 36_000 * index)
        salt = bytes((index, 255 - index))
        frame = telemetry.encrypt_tlm(IDENTITY_KEYS[0], 10, at_s, tlm=tlm, salt=salt)
        cases.append(
            {
                "identity_key": IDENTITY_KEYS[0],
                "rotation_exponent": 10,
                "beacon_time_s": at_s,
                "telemetry": asdict(tlm),
                "frame": asdict(frame),
                "adv_data": frames.encode(frame),
            }
        )
    return cases


def rows() -> list[batch.Row]:
    """Return the rows of the example batches."""
    start_ms = 1_795_000_000_000
    return [
        batch.Row(0, bytes(range(8)), bytes(range(6)), -52, -60, 17, start_ms, start_ms + 9_800),
        batch.Row(1, b"\xa9\xb7\x6a\x71\xc5\xf8\x92\x90", None, -90, -93, 1, start_ms + 4_000, start_ms + 4_000),
        batch.Row(
            2, b"\xff" * 8, None, -128, -128, 65_535, start_ms + 1, start_ms + 10_000, telemetry=bytes(range(16))
        ),
    ]


def batch_cases() -> list[dict[str, Any]]:
    """Return batches of a fixed and of a moving detector, and an empty one."""
    moving = [
        batch.Row(**{**asdict(row), "lat_deg": 35.25 + index, "lon_deg": 139.5, "position_accuracy_m": 7.5})
        for index, row in enumerate(rows()[:2])
    ]
    aged = [batch.Row(**{**asdict(row), "position_age_s": 300 * index}) for index, row in enumerate(moving)]
    kinds = {"fixed": rows(), "moving": [*moving, rows()[2]], "parked": [*aged, rows()[2]], "empty": []}
    return [
        {"name": name, "rows": [asdict(row) for row in some], "cbor": batch.encode(batch.Batch.from_rows(some))}
        for name, some in kinds.items()
    ]


def message_cases() -> list[dict[str, Any]]:
    """Return one message of each kind, and a last will."""
    said: list[messages.Heartbeat | messages.Receipt | messages.Order] = [
        messages.Heartbeat("gw-001", 7, 1_795_000_000_000, 3600, 2, 1_794_999_990_000, 123_456, 789, 1, "edge 0.1.0",
                           "online", 54_321),
        messages.Heartbeat.will("gw-001", 7),
        messages.Receipt(7, (41, 42), ((40, "unknown-key"),)),
        messages.Receipt(0xFFFFFFFF),
        messages.Order(3, 1_795_000_000_000, "scan", {"window_s": 5, "formats": ["eid"]}),
    ]  # fmt: skip
    return [{"kind": type(one).__name__.lower(), "fields": asdict(one), "cbor": one.encode()} for one in said]


def seal_cases() -> list[dict[str, Any]]:
    """Return a sealed batch and a signed receipt."""
    payload = batch.encode(batch.Batch.from_rows(rows()))
    receipt = messages.Receipt(7, (42,)).encode()
    recipient, signer = keys.kid(RECIPIENT.public_key()), keys.kid(SIGNER.public_key())
    sealed = seal.Header("mimamori", "gw-001", 7, 42, 1_795_000_010_000, recipient, signer, "sightings")
    signed = seal.Header("mimamori", "gw-001", 7, 0, 1_795_000_010_500, b"", signer, "receipt")
    return [
        {
            "header": asdict(sealed),
            "payload": payload,
            "envelope": seal.seal(payload, sealed, signer=SIGNER, recipient=RECIPIENT.public_key()),
        },
        {"header": asdict(signed), "payload": receipt, "envelope": seal.sign(receipt, signed, signer=SIGNER)},
    ]


def seal_file() -> dict[str, Any]:
    """Return the envelopes and the keys that open them."""
    return {
        "signer_private_scalar": SIGNER.private_numbers().private_value.to_bytes(32, "big"),
        "signer_public": keys.encode_public(SIGNER.public_key()),
        "recipient_private": RECIPIENT.private_bytes_raw(),
        "recipient_public": keys.encode_public(RECIPIENT.public_key()),
        "cases": seal_cases(),
    }


OURS = {"status": status_cases, "telemetry": telemetry_cases, "batch": batch_cases, "messages": message_cases}


def main() -> None:
    """Write the files."""
    for name, cases in OURS.items():
        (HERE / f"{name}.json").write_text(json.dumps({"cases": plain(cases())}, indent=1) + "\n")
    if "--seal" in sys.argv:
        (HERE / "seal.json").write_text(json.dumps(plain(seal_file()), indent=1) + "\n")


if __name__ == "__main__":
    main()
