"""AES-256-GCM around a paper, under keys/papers.bin: version (1), nonce (12), ciphertext with tag.

Case and paper are the additional data, so that no paper passes for another. Nonces are random: a city seals a few
thousand papers, far from the 2**32 of NIST SP 800-38D, section 8.3.
"""

from __future__ import annotations

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from server.cases.errors import CaseError

KEY_FILE: Final = "papers.bin"
_VERSION: Final = b"\x01"
_NONCE_OCTETS: Final = 12


class PaperSealError(CaseError):
    """A paper does not open: another key, another case, or altered."""


def seal(key: bytes, content: bytes, *, case: str, paper: str) -> bytes:
    """Return `content` sealed for one paper of one case."""
    nonce = os.urandom(_NONCE_OCTETS)
    return _VERSION + nonce + AESGCM(key).encrypt(nonce, content, _about(case, paper))


def open_(key: bytes, sealed: bytes, *, case: str, paper: str) -> bytes:
    """Return what was sealed.

    Raises:
        PaperSealError: it was not sealed by this key for this paper.
    """
    if sealed[:1] != _VERSION:
        raise PaperSealError("a paper sealed in a way that we do not know")
    start = 1 + _NONCE_OCTETS
    try:
        return AESGCM(key).decrypt(sealed[1:start], sealed[start:], _about(case, paper))
    except InvalidTag as error:
        raise PaperSealError from error


def _about(case: str, paper: str) -> bytes:
    return f"paper/{case}/{paper}".encode()
