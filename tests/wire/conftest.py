"""What the tests of the wire share: published and own vectors, keys that never change, and patience of Hypothesis."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import HealthCheck, settings

from wire import keys, seal

VECTORS = Path(__file__).parents[1] / "vectors"
settings.register_profile("wire", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("wire")


@pytest.fixture(scope="session")
def vectors() -> Callable[[str], Any]:
    """Return the reader of a file under tests/vectors."""
    return lambda name: json.loads((VECTORS / name).read_text())


@pytest.fixture(scope="session")
def signer() -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(0x1234567890ABCDEF, ec.SECP256R1())


@pytest.fixture(scope="session")
def recipient() -> X25519PrivateKey:
    return X25519PrivateKey.from_private_bytes(bytes(range(1, 33)))


@pytest.fixture(scope="session")
def header(signer: ec.EllipticCurvePrivateKey, recipient: X25519PrivateKey) -> seal.Header:
    """A header of a sealed batch under `signer` and `recipient`."""
    to, by = keys.kid(recipient.public_key()), keys.kid(signer.public_key())
    return seal.Header("mimamori", "gw-001", 7, 42, 1_795_000_000_000, to, by, "sightings")
