"""Files of the authority: private keys 0600, certificates, each written in one step."""

import os
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from server.errors import KeysError
from wire import keys


def signing_key(file: Path) -> ec.EllipticCurvePrivateKey:
    """Return the P-256 key in `file`, made there if the file is missing.

    Raises:
        KeysError: unreadable, or another kind of key.
    """
    if not file.exists():
        keys.save_private(file, keys.new_signing_key())
    return private_key(file)


def private_key(file: Path) -> ec.EllipticCurvePrivateKey:
    """Return the P-256 key in a PEM file; a certificate may stand in it too.

    Raises:
        KeysError: missing, unreadable, or another kind of key.
    """
    try:
        key = serialization.load_pem_private_key(_read(file), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeysError(f"{file.name} holds no private key") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise KeysError(f"{file.name} does not hold a P-256 key")
    return key


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a private key as PEM (PKCS 8)."""
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def certificate(file: Path) -> x509.Certificate:
    """Return the first certificate in a PEM file.

    Raises:
        KeysError: missing, unreadable, or there is none in it.
    """
    return chain(file)[0]


def chain(file: Path) -> list[x509.Certificate]:
    """Return all certificates in a PEM file, at least one.

    Raises:
        KeysError: missing, unreadable, or there is none in it.
    """
    try:
        return x509.load_pem_x509_certificates(_read(file))
    except (ValueError, x509.InvalidVersion) as error:
        raise KeysError(f"{file.name} holds no certificate") from error


def text(file: Path) -> str:
    """Return what stands in a file of ours.

    Raises:
        KeysError: missing or unreadable.
    """
    return _read(file).decode("utf-8", "replace")


def write(file: Path, content: bytes, *, mode: int) -> None:
    """Write a file in one step: what has its name is whole and on the disk."""
    fresh = file.with_name(f"{file.name}.{os.getpid()}.partial")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(file)
    directory = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise KeysError(f"cannot read {file.name}: {error.strerror}. Run `mimamori init`") from error
