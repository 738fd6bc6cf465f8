"""Ed25519 keys that sign notes: of the audit log and of its witnesses, each in a file of its own, 0600."""

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from privacy.transparency.note import Signer
from server.errors import KeysError
from wire.keys import save_private


def make(file: Path) -> None:
    """Put a new key into `file`; what is there stays."""
    if not file.exists():
        save_private(file, Ed25519PrivateKey.generate())


def load(file: Path, name: str) -> Signer:
    """Return what signs with the key in `file` under `name`.

    Raises:
        KeysError: missing, unreadable, or another kind of key.
        NoteError: a name that no key may have.
    """
    try:
        key = serialization.load_pem_private_key(file.read_bytes(), password=None)
    except OSError as error:
        raise KeysError(f"cannot read {file.name}: {error.strerror}. Run `mimamori init`") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeysError(f"{file.name} holds no private key") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeysError(f"{file.name} does not hold an Ed25519 key")
    return Signer(name, key)
