"""Keys in files: P-256 to sign, X25519 to seal, and `city.json`: whom a detector seals for and believes."""

import base64
import binascii
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from wire.errors import KeyFileError, TopicError
from wire.topics import check_id

PrivateKey = ec.EllipticCurvePrivateKey | X25519PrivateKey | Ed25519PrivateKey
PublicKey = ec.EllipticCurvePublicKey | X25519PublicKey


@dataclass(frozen=True, slots=True)
class CityBundle:
    """What a detector must know of its city.

    Attributes:
        city: id, as in topics.
        seal_key: batches are sealed to it.
        receipt_key: P-256; receipts are signed by it.
        order_key: P-256; orders, masks and settings are signed by it. None: the city gives none.
        footage_key: the keys of recorded footage are sealed to it. None: the city records nothing.
    """

    city: str
    seal_key: X25519PublicKey
    receipt_key: ec.EllipticCurvePublicKey
    order_key: ec.EllipticCurvePublicKey | None = None
    footage_key: X25519PublicKey | None = None

    def to_table(self) -> dict[str, str]:
        """Return the object in `city.json`."""
        table = {
            "city": self.city,
            "seal_key": encode_public(self.seal_key),
            "receipt_key": encode_public(self.receipt_key),
        }
        later = {"order_key": self.order_key, "footage_key": self.footage_key}
        return table | {name: encode_public(key) for name, key in later.items() if key is not None}

    def to_json(self) -> str:
        """Return the text of `city.json`."""
        return json.dumps(self.to_table(), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the bundle in the text of a `city.json`.

        Raises:
            KeyFileError: not such a text.
        """
        try:
            table = json.loads(text)
            city = check_id(table["city"])
            seal_key, receipt_key = _public(table["seal_key"]), _public(table["receipt_key"])
            order_key, footage_key = (
                _public(table[name]) if name in table else None for name in ("order_key", "footage_key")
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, TopicError) as error:
            raise KeyFileError("not a city.json") from error
        return cls(
            city,
            _on_25519(seal_key, "seal_key"),
            _on_p256(receipt_key),
            None if order_key is None else _on_p256(order_key),
            None if footage_key is None else _on_25519(footage_key, "footage_key"),
        )

    def save(self, path: str | Path) -> None:
        """Write `city.json`, readable by all: it holds nothing secret."""
        Path(path).write_text(self.to_json())

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Return the bundle in a file.

        Raises:
            KeyFileError: unreadable, or not a `city.json`.
        """
        return cls.from_json(_read(path).decode("utf-8", "replace"))


def kid(public_key: PublicKey) -> bytes:
    """Return the 8 octets by which envelopes name a key: SHA-256 of its SubjectPublicKeyInfo, cut."""
    return hashlib.sha256(_der(public_key)).digest()[:8]


def encode_public(public_key: PublicKey) -> str:
    """Return a public key as base64 of its SubjectPublicKeyInfo."""
    return base64.b64encode(_der(public_key)).decode("ascii")


def decode_public(text: str) -> ec.EllipticCurvePublicKey:
    """Return the P-256 public key in base64 of its SubjectPublicKeyInfo, as registries hold detectors' keys.

    Raises:
        KeyFileError: not base64, not a key, or another kind of key.
    """
    return _on_p256(_public(text))


def decode_seal_public(text: str) -> X25519PublicKey:
    """Return the X25519 public key in base64 of its SubjectPublicKeyInfo.

    Raises:
        KeyFileError: not base64, not a key, or another kind of key.
    """
    return _on_25519(_public(text), "the key")


def new_signing_key() -> ec.EllipticCurvePrivateKey:
    """Return a new P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def save_private(path: str | Path, key: PrivateKey) -> None:
    """Write a private key as PEM (PKCS 8), mode 0600 from its first octet on; replaces what is there in one step."""
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    target = Path(path)
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(target)


def load_signing_key(path: str | Path) -> ec.EllipticCurvePrivateKey:
    """Return the P-256 private key in a PEM file.

    Raises:
        KeyFileError: unreadable, or another kind of key.
    """
    key = _private(path)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise KeyFileError(f"{Path(path).name} does not hold a P-256 key")
    return key


def load_seal_key(path: str | Path) -> X25519PrivateKey:
    """Return the X25519 private key in a PEM file.

    Raises:
        KeyFileError: unreadable, or another kind of key.
    """
    key = _private(path)
    if not isinstance(key, X25519PrivateKey):
        raise KeyFileError(f"{Path(path).name} does not hold an X25519 key")
    return key


def _der(public_key: PublicKey) -> bytes:
    return public_key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _public(text: str) -> object:
    try:
        return serialization.load_der_public_key(base64.b64decode(text, validate=True))
    except (ValueError, binascii.Error, TypeError, UnsupportedAlgorithm) as error:
        raise KeyFileError("not the base64 of a public key") from error


def _on_p256(key: object) -> ec.EllipticCurvePublicKey:
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise KeyFileError("not a P-256 public key")
    return key


def _on_25519(key: object, name: str) -> X25519PublicKey:
    if not isinstance(key, X25519PublicKey):
        raise KeyFileError(f"{name} is not an X25519 key")
    return key


def _private(path: str | Path) -> object:
    try:
        return serialization.load_pem_private_key(_read(path), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyFileError(f"{Path(path).name} is not a PEM private key") from error


def _read(path: str | Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise KeyFileError(f"cannot read {Path(path).name}: {error.strerror}") from error
