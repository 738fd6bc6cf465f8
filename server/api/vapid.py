"""The public half of the key that signs Web Push messages (RFC 8292), as browsers want it."""

from __future__ import annotations

import base64
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key


def public_key(file: Path) -> str | None:
    """Return the uncompressed point in unpadded base64url, or None: there is no key, so there is no Web Push."""
    try:
        key = load_pem_private_key(file.read_bytes(), password=None)
    except (OSError, ValueError):
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        return None
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return base64.urlsafe_b64encode(point).rstrip(b"=").decode()
