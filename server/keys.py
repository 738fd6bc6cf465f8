"""The city's keys: made once by `mimamori init`, each in a file of its own, 0600."""

import os
import secrets
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from server.config import ServerConfig
from server.registry.kek import load as load_kek
from wire.keys import CityBundle, load_seal_key, load_signing_key, new_signing_key, save_private

SEAL: Final = "seal.pem"
RECEIPT: Final = "receipt.pem"
VAPID: Final = "vapid.pem"
KEK: Final = "kek.bin"
HISTORY: Final = "history.bin"
"""Wraps the wards' data keys in the key store."""
CITY: Final = "city.json"
_KEK_BYTES: Final = 32


def make(config: ServerConfig) -> list[Path]:
    """Make the keys that are missing and `city.json`; return the new files. Keys that are there are never replaced.

    A power cut leaves each file whole or missing, never in part.

    Raises:
        KeysError: kek.bin or history.bin is there, but cut short or empty.
        wire.errors.KeyFileError: one of the others is there and is not what its name says.
    """
    folder = config.keys_dir
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    before = set(folder.iterdir())
    if not (folder / SEAL).exists():
        save_private(folder / SEAL, X25519PrivateKey.generate())
    for name in (RECEIPT, VAPID):
        if not (folder / name).exists():
            save_private(folder / name, new_signing_key())
    for name in (KEK, HISTORY):
        if not (folder / name).exists():
            _save(folder / name, secrets.token_bytes(_KEK_BYTES))
        load_kek(folder / name)
    seal_key, receipt_key = load_seal_key(folder / SEAL), load_signing_key(folder / RECEIPT)
    load_signing_key(folder / VAPID)
    bundle = CityBundle(config.city.id, seal_key.public_key(), receipt_key.public_key())
    _save(folder / CITY, bundle.to_json().encode(), mode=0o644)
    _sync(folder)
    return sorted(set(folder.iterdir()) - before)


def _save(file: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Write a file in one step: what has its name is whole and on the disk."""
    fresh = file.with_name(f"{file.name}.{os.getpid()}.partial")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(file)


def _sync(folder: Path) -> None:
    """Put the names of new files on the disk too."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def city_file(config: ServerConfig) -> Path:
    """Return where detectors find the city's public keys."""
    return config.keys_dir / CITY
