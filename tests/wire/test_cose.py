import base64
from collections.abc import Callable
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from pycose.algorithms import Es256
from pycose.headers import KID, Algorithm
from pycose.keys.curves import P256
from pycose.keys.ec2 import EC2Key
from pycose.messages.sign1message import Sign1Message

from wire import cose
from wire.errors import SealError

PASSING = ["ecdsa-examples_ecdsa-sig-01", "sign1-tests_sign-pass-02"]
FAILING = [f"sign1-tests_sign-fail-0{number}" for number in (1, 2, 3, 4)]


def unpadded(text: str) -> int:
    return int.from_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), "big")


def verifier_of(case: dict[str, Any]) -> ec.EllipticCurvePublicKey:
    key = case["input"]["sign0"]["key"]
    return ec.EllipticCurvePublicNumbers(unpadded(key["x"]), unpadded(key["y"]), ec.SECP256R1()).public_key()


def external_of(case: dict[str, Any]) -> bytes:
    return bytes.fromhex(case["input"]["sign0"].get("external", ""))


@pytest.mark.parametrize("name", PASSING)
def test_a_published_signature_passes(name: str, vectors: Callable[[str], Any]) -> None:
    case = vectors(f"cose/{name}.json")
    message = cose.parse(bytes.fromhex(case["output"]["cbor"]))
    cose.verify(message, verifier=verifier_of(case), external_aad=external_of(case))
    assert message.payload.decode() == case["input"]["plaintext"]


@pytest.mark.parametrize("name", FAILING)
def test_a_published_forgery_fails(name: str, vectors: Callable[[str], Any]) -> None:
    case = vectors(f"cose/{name}.json")
    with pytest.raises(SealError):
        cose.verify(cose.parse(bytes.fromhex(case["output"]["cbor"])), verifier=verifier_of(case))


def test_a_signature_whose_algorithm_is_not_signed_is_refused_on_purpose(vectors: Callable[[str], Any]) -> None:
    # sign-pass-01 names ES256 in the unprotected header; RFC 9052 allows it, we do not.
    case = vectors("cose/sign1-tests_sign-pass-01.json")
    message = cose.parse(bytes.fromhex(case["output"]["cbor"]))
    with pytest.raises(SealError, match="ES256"):
        cose.verify(message, verifier=verifier_of(case))


@pytest.mark.parametrize("name", PASSING)
def test_our_bytes_to_be_signed_are_the_published_ones(name: str, vectors: Callable[[str], Any]) -> None:
    case = vectors(f"cose/{name}.json")
    message = cose.parse(bytes.fromhex(case["output"]["cbor"]))
    signed = cose._to_be_signed(message.protected_bytes, message.payload, external_of(case))
    assert signed.hex() == case["intermediates"]["ToBeSign_hex"].lower()


@given(st.binary(max_size=200))
def test_pycose_verifies_what_we_sign(payload: bytes) -> None:
    signer = ec.derive_private_key(99, ec.SECP256R1())
    protected = cose.header_bytes({cose.ALG: cose.ES256, cose.KID: b"12345678"})
    # pycose wants the mutable containers that cbor2 gave before version 6.
    sent, unprotected, content, signature = cbor2.loads(cose.sign(protected, payload, signer=signer)).value
    message = Sign1Message.from_cose_obj([sent, dict(unprotected), content, signature], True)
    numbers = signer.public_key().public_numbers()
    message.key = EC2Key(crv=P256, x=numbers.x.to_bytes(32, "big"), y=numbers.y.to_bytes(32, "big"))
    assert message.payload == payload
    assert message.verify_signature()


def test_we_verify_what_pycose_signs() -> None:
    signer = ec.derive_private_key(98, ec.SECP256R1())
    message = Sign1Message(phdr={Algorithm: Es256, KID: b"12345678"}, payload=b"a batch")
    message.key = EC2Key(crv=P256, d=signer.private_numbers().private_value.to_bytes(32, "big"))
    parsed = cose.parse(message.encode())
    cose.verify(parsed, verifier=signer.public_key())
    assert parsed.payload == b"a batch"


def test_the_same_message_is_signed_alike_twice(signer: ec.EllipticCurvePrivateKey) -> None:
    protected = cose.header_bytes({cose.ALG: cose.ES256})
    assert cose.sign(protected, b"x", signer=signer) == cose.sign(protected, b"x", signer=signer)
    assert cose.header_bytes({}) == b""


@given(st.binary(max_size=300))
def test_any_octets_are_a_message_or_a_seal_error(data: bytes) -> None:
    try:
        cose.parse(data)
    except SealError:
        return


GOOD = cose.header_bytes({cose.ALG: cose.ES256})


@pytest.mark.parametrize(
    "value",
    [
        [GOOD, {}, b"", bytes(64)],
        cbor2.CBORTag(17, [GOOD, {}, b"", bytes(64)]),
        cbor2.CBORTag(18, [GOOD, {}, b""]),
        cbor2.CBORTag(18, {1: 2}),
        cbor2.CBORTag(18, [GOOD, [], b"", bytes(64)]),
        cbor2.CBORTag(18, [GOOD, {}, None, bytes(64)]),
        cbor2.CBORTag(18, [{1: -7}, {}, b"", bytes(64)]),
        cbor2.CBORTag(18, [b"\xff", {}, b"", bytes(64)]),
        cbor2.CBORTag(18, [b"\x01", {}, b"", bytes(64)]),
    ],
)
def test_what_is_not_a_sign1_is_refused(value: object) -> None:
    with pytest.raises(SealError):
        cose.parse(cbor2.dumps(value))


@pytest.mark.parametrize("signature", [b"", bytes(63), bytes(64), b"\xff" * 64])
def test_a_signature_that_cannot_be_one_is_refused(signature: bytes, signer: ec.EllipticCurvePrivateKey) -> None:
    message = cose.parse(cbor2.dumps(cbor2.CBORTag(18, [GOOD, {}, b"x", signature])))
    with pytest.raises(SealError):
        cose.verify(message, verifier=signer.public_key())


def test_a_message_without_protected_header_has_none() -> None:
    assert cose.parse(cbor2.dumps(cbor2.CBORTag(18, [b"", {}, b"x", bytes(64)]))).protected == {}
