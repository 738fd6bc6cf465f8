"""age public keys to which footage is sealed: whether one is one."""

from __future__ import annotations

import pyrage


def is_recipient(text: str) -> bool:
    """Return whether `text` is an age public key (X25519), its checksum included."""
    try:
        pyrage.x25519.Recipient.from_str(text)
    except pyrage.RecipientError:
        return False
    return True
