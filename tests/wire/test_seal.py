import dataclasses
import hmac
from collections.abc import Callable
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from wire import cose, keys, seal
from wire.errors import SealError
from wire.seal import Header

Signer = ec.EllipticCurvePrivateKey


def labeled_extract(suite: bytes, salt: bytes, label: bytes, ikm: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + ikm, "sha256")


def labeled_expand(suite: bytes, prk: bytes, label: bytes, info_and_length: tuple[bytes, int]) -> bytes:
    info, length = info_and_length
    return hmac.digest(prk, length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info + b"\x01", "sha256")[:length]


def hpke_open(sealed: bytes, private: X25519PrivateKey, info: bytes, aad: bytes = b"") -> bytes:
    """RFC 9180, base mode, first message, written from the RFC: what a detector in C would mirror."""
    enc, ciphertext = sealed[:32], sealed[32:]
    kem, suite = b"KEM\x00\x20", b"HPKE\x00\x20\x00\x01\x00\x01"
    dh = private.exchange(X25519PublicKey.from_public_bytes(enc))
    kem_context = enc + private.public_key().public_bytes_raw()
    eae_prk = labeled_extract(kem, b"", b"eae_prk", dh)
    shared = labeled_expand(kem, eae_prk, b"shared_secret", (kem_context, 32))
    context = (
        b"\x00" + labeled_extract(suite, b"", b"psk_id_hash", b"") + labeled_extract(suite, b"", b"info_hash", info)
    )
    secret = labeled_extract(suite, shared, b"secret", b"")
    key = labeled_expand(suite, secret, b"key", (context, 16))
    nonce = labeled_expand(suite, secret, b"base_nonce", (context, 12))
    return AESGCM(key).decrypt(nonce, ciphertext, aad)


def test_our_own_hpke_opens_the_example_of_rfc_9180() -> None:
    # Appendix A.1.1.1, sequence number 0.
    private = X25519PrivateKey.from_private_bytes(
        bytes.fromhex("4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8")
    )
    enc = bytes.fromhex("37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431")
    ciphertext = bytes.fromhex(
        "f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a"
    )
    info = bytes.fromhex("4f6465206f6e2061204772656369616e2055726e")
    assert hpke_open(enc + ciphertext, private, info, b"Count-0") == b"Beauty is truth, truth beauty"


def test_our_own_hpke_opens_our_envelopes(vectors: Callable[[str], Any], recipient: X25519PrivateKey) -> None:
    case = vectors("seal.json")["cases"][0]
    message = cose.parse(bytes.fromhex(case["envelope"]))
    opened = hpke_open(message.payload, recipient, b"mimamori/seal/1" + message.protected_bytes)
    assert opened.hex() == case["payload"]


def header_of(fields: dict[str, Any]) -> Header:
    kids = {name: bytes.fromhex(fields[name]) for name in ("recipient_kid", "signer_kid")}
    return Header(**{**fields, **kids})


def test_our_vectors_hold(vectors: Callable[[str], Any]) -> None:
    file = vectors("seal.json")
    verifier = keys.decode_public(file["signer_public"])
    recipient = X25519PrivateKey.from_private_bytes(bytes.fromhex(file["recipient_private"]))
    sealed, signed = file["cases"]
    opened = seal.unseal(bytes.fromhex(sealed["envelope"]), verifier=verifier, recipient=recipient)
    assert opened == (header_of(sealed["header"]), bytes.fromhex(sealed["payload"]))
    verified = seal.verify(bytes.fromhex(signed["envelope"]), verifier=verifier)
    assert verified == (header_of(signed["header"]), bytes.fromhex(signed["payload"]))


def test_signing_gives_the_very_bytes_of_our_vector(vectors: Callable[[str], Any], signer: Signer) -> None:
    signed = vectors("seal.json")["cases"][1]
    made = seal.sign(bytes.fromhex(signed["payload"]), header_of(signed["header"]), signer=signer)
    assert made.hex() == signed["envelope"]


@settings(max_examples=40)
@given(
    payload=st.binary(max_size=2_000),
    epoch=st.integers(0, 2**32 - 1),
    sequence=st.integers(0, 2**53 - 1),
    sealed_at_ms=st.integers(0, 2**53 - 1),
    content=st.sampled_from(seal.CONTENTS),
)
def test_what_is_sealed_is_opened_and_what_is_signed_is_verified(
    payload: bytes, epoch: int, sequence: int, sealed_at_ms: int, content: str
) -> None:
    signer, recipient = ec.derive_private_key(5, ec.SECP256R1()), X25519PrivateKey.from_private_bytes(bytes(range(32)))
    to, by = keys.kid(recipient.public_key()), keys.kid(signer.public_key())
    header = Header("mimamori", "gw-001", epoch, sequence, sealed_at_ms, to, by, content)
    data = seal.seal(payload, header, signer=signer, recipient=recipient.public_key())
    assert seal.peek(data) == header
    assert seal.unseal(data, verifier=signer.public_key(), recipient=recipient) == (header, payload)
    open_header = dataclasses.replace(header, recipient_kid=b"")
    signed = seal.sign(payload, open_header, signer=signer)
    assert seal.verify(signed, verifier=signer.public_key()) == (open_header, payload)


def test_the_envelope_costs_about_200_octets(signer: Signer, recipient: X25519PrivateKey, header: Header) -> None:
    payload = bytes(1_000)
    data = seal.seal(payload, header, signer=signer, recipient=recipient.public_key())
    assert len(data) - len(payload) <= 210


def test_any_bit_changed_does_not_open(signer: Signer, recipient: X25519PrivateKey, header: Header) -> None:
    data = seal.seal(b"a batch", header, signer=signer, recipient=recipient.public_key())
    for bit in range(0, 8 * len(data), 5):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SealError):
            seal.unseal(bytes(damaged), verifier=signer.public_key(), recipient=recipient)


def test_wrong_keys_do_not_open(signer: Signer, recipient: X25519PrivateKey, header: Header) -> None:
    data = seal.seal(b"a batch", header, signer=signer, recipient=recipient.public_key())
    stranger = keys.new_signing_key().public_key()
    with pytest.raises(SealError, match="another key"):
        seal.unseal(data, verifier=stranger, recipient=recipient)
    with pytest.raises(SealError, match="another key"):
        seal.unseal(data, verifier=signer.public_key(), recipient=X25519PrivateKey.generate())


def test_a_seal_under_another_header_does_not_open(signer: Signer, recipient: X25519PrivateKey, header: Header) -> None:
    # A gateway that signs a stolen payload as its own: the signature is right, the seal is bound to the thief's victim.
    stolen = cose.parse(seal.seal(b"a batch", header, signer=signer, recipient=recipient.public_key())).payload
    thief = keys.new_signing_key()
    own = dataclasses.replace(header, detector="gw-666", signer_kid=keys.kid(thief.public_key()))
    forged = cose.sign(seal._protected(own, thief), stolen, signer=thief)
    with pytest.raises(SealError, match="does not open"):
        seal.unseal(forged, verifier=thief.public_key(), recipient=recipient)


def test_a_sealed_payload_of_no_length_is_a_seal_error(
    signer: Signer, recipient: X25519PrivateKey, header: Header
) -> None:
    for payload in (b"", bytes(32), bytes(47)):
        forged = cose.sign(seal._protected(header, signer), payload, signer=signer)
        with pytest.raises(SealError):
            seal.unseal(forged, verifier=signer.public_key(), recipient=recipient)


def test_signed_and_sealed_are_not_taken_for_each_other(
    signer: Signer, recipient: X25519PrivateKey, header: Header
) -> None:
    signed = seal.sign(b"x", dataclasses.replace(header, recipient_kid=b""), signer=signer)
    sealed = seal.seal(b"x", header, signer=signer, recipient=recipient.public_key())
    with pytest.raises(SealError, match="another key"):
        seal.unseal(signed, verifier=signer.public_key(), recipient=recipient)
    with pytest.raises(SealError, match="sealed message"):
        seal.verify(sealed, verifier=signer.public_key())


def test_a_header_that_names_other_keys_is_not_sent(
    signer: Signer, recipient: X25519PrivateKey, header: Header
) -> None:
    with pytest.raises(SealError, match="recipient"):
        seal.seal(b"x", header, signer=signer, recipient=X25519PrivateKey.generate().public_key())
    with pytest.raises(SealError, match="signer"):
        seal.seal(b"x", header, signer=keys.new_signing_key(), recipient=recipient.public_key())
    with pytest.raises(SealError, match="no recipient"):
        seal.sign(b"x", header, signer=signer)


@pytest.mark.parametrize(
    "changes",
    [{"city": ""}, {"city": "a/b"}, {"detector": "x" * 65}, {"detector": 5}, {"epoch": -1}, {"epoch": 2**32},
     {"sequence": 2**53}, {"sequence": True}, {"sealed_at_ms": -1}, {"sealed_at_ms": 1.5}, {"signer_kid": b"1"},
     {"content": "gossip"}, {"content": []}],
)  # fmt: skip
def test_a_header_out_of_range_is_neither_sent_nor_read(
    changes: dict[str, Any], signer: Signer, recipient: X25519PrivateKey, header: Header
) -> None:
    with pytest.raises(SealError):
        seal.seal(b"x", dataclasses.replace(header, **changes), signer=signer, recipient=recipient.public_key())


@given(st.binary(max_size=300))
def test_any_octets_are_a_seal_error(data: bytes) -> None:
    with pytest.raises(SealError):
        seal.peek(data)


LABELS: dict[int, object] = {0: 1, 1: "mimamori", 2: "gw-001", 3: 1, 4: 2, 5: 3, 6: "receipt"}


@pytest.mark.parametrize(
    "protected",
    [
        {},
        {1: -7, 2: [-70_000], 4: bytes(8), -70_000: []},
        {1: -7, 2: [-70_000], 4: bytes(8), -70_000: {**LABELS, 0: 2}},
        {1: -7, 2: [-70_000], 4: bytes(8), -70_000: {**LABELS, 0: True}},
        {1: -7, 2: [-70_000, 99], 4: bytes(8), -70_000: LABELS},
        {1: -7, 4: bytes(8), -70_000: LABELS},
        {1: -7, 2: [-70_000], -70_000: LABELS},
        {1: -7, 2: [-70_000], 4: bytes(8), -70_000: {**LABELS, 7: bytes(9)}},
        {1: -7, 2: [-70_000], 4: bytes(8), -70_000: {**LABELS, 6: "gossip"}},
        {1: -7, 2: [-70_000], 4: bytes(8), -70_000: {**LABELS, 1: None}},
    ],
)
def test_a_header_of_another_shape_or_version_is_a_seal_error(protected: dict[int, object]) -> None:
    message = cbor2.CBORTag(18, [cbor2.dumps(protected), {}, b"x", bytes(64)])
    with pytest.raises(SealError):
        seal.peek(cbor2.dumps(message))


def test_unknown_fields_of_the_header_are_ignored(signer: Signer) -> None:
    fields = {1: -7, 2: [-70_000], 4: keys.kid(signer.public_key()), -70_000: {**LABELS, 99: "new"}, 99: "new"}
    data = cose.sign(cbor2.dumps(fields), b"x", signer=signer)
    header, payload = seal.verify(data, verifier=signer.public_key())
    assert (header.content, payload) == ("receipt", b"x")
