"""Keys as NATS has them (nkeys, Ed25519): the seed stands in a file of its own, 0600; the public half is the name."""

import os
from pathlib import Path
from typing import Any, Final, Literal

import nkeys

from server.errors import KeysError

Kind = Literal["user", "account"]
_PREFIXES: Final[dict[Kind, int]] = {"user": nkeys.PREFIX_BYTE_USER, "account": nkeys.PREFIX_BYTE_ACCOUNT}
_SEED_OCTETS: Final = 32
GATE: Final = "gate.nk"
"""In the keys' directory: the gate signs in to the broker with it."""
CALLOUT: Final = "callout.nk"
"""Likewise: signs who may come in."""


def new_seed(kind: Kind) -> bytes:
    """Return a fresh seed in NATS' spelling."""
    return bytes(nkeys.encode_seed(os.urandom(_SEED_OCTETS), _PREFIXES[kind]))


def load(file: Path) -> Any:  # noqa: ANN401 - nkeys.KeyPair, of a library without types
    """Return the key pair whose seed is in `file`.

    Raises:
        KeysError: missing, cut short, or no seed.
    """
    try:
        pair = nkeys.from_seed(bytearray(file.read_bytes().strip()))
        pair.public_key  # noqa: B018 - decoded only now
    except OSError as error:
        raise KeysError(f"cannot read {file.name}: {error.strerror}. Run `mimamori init`") from error
    except (nkeys.NkeysError, ValueError, TypeError) as error:
        raise KeysError(f"{file.name} holds no seed of an nkey") from error
    return pair


def public(file: Path) -> str:
    """Return the public half of the key whose seed is in `file`.

    Raises:
        KeysError: see `load`.
    """
    return str(load(file).public_key.decode())
