"""Encrypted telemetry (Eddystone-eTLM): AES-EAX with a 16-bit tag under the tag's identity key.

Implements google/eddystone, eddystone-tlm/tlm-encrypted.md, and Bellare, Rogaway, Wagner, The EAX Mode of Operation
(FSE 2004). Two octets of integrity are enough for a battery curve and never for an SOS: that one is in wire/status.py.
"""

import hmac

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC

from wire.eid import quantum_start_s
from wire.errors import SealError
from wire.frames import EtlmFrame, TlmFrame, tlm_octets, tlm_of

_MIC_OCTETS = 2


def encrypt_tlm(
    identity_key: bytes, rotation_exponent: int, beacon_time_s: int, *, tlm: TlmFrame, salt: bytes
) -> EtlmFrame:
    """Return telemetry encrypted for the quantum of a beacon time.

    Args:
        identity_key: 16 octets.
        rotation_exponent: K, 0 to 15.
        beacon_time_s: the tag's own clock.
        tlm: what to say.
        salt: 2 octets, never twice within a quantum.

    Raises:
        SealError: the salt has not 2 octets.
        FrameError: a field of the telemetry does not fit.
        ValueError: the key has not 16 octets, or the exponent is out of range.
    """
    if len(salt) != 2:
        raise SealError("a salt has 2 octets")
    nonce = _nonce(rotation_exponent, beacon_time_s, salt)
    ciphertext, tag = eax_encrypt(identity_key, nonce, tlm_octets(tlm))
    return EtlmFrame(ciphertext, bytes(salt), tag[:_MIC_OCTETS])


def decrypt_tlm(identity_key: bytes, rotation_exponent: int, beacon_time_s: int, *, frame: EtlmFrame) -> TlmFrame:
    """Return the telemetry that a tag encrypted in the quantum of a beacon time.

    Raises:
        SealError: wrong lengths, or not of this tag and quantum.
        ValueError: the key has not 16 octets, or the exponent is out of range.
    """
    if (len(frame.encrypted), len(frame.salt), len(frame.mic)) != (12, 2, _MIC_OCTETS):
        raise SealError("encrypted telemetry has 12 + 2 + 2 octets")
    nonce = _nonce(rotation_exponent, beacon_time_s, frame.salt)
    return tlm_of(eax_decrypt(identity_key, nonce, frame.encrypted, tag=frame.mic))


def eax_encrypt(key: bytes, nonce: bytes, plaintext: bytes, *, header: bytes = b"") -> tuple[bytes, bytes]:
    """Return ciphertext and tag (16 octets, may be cut from the right) of AES-EAX."""
    start = _omac(key, 0, nonce)
    ciphertext = _ctr(key, start, plaintext)
    return ciphertext, _tag(key, start, header, ciphertext)


def eax_decrypt(key: bytes, nonce: bytes, ciphertext: bytes, *, tag: bytes, header: bytes = b"") -> bytes:
    """Return the plaintext of AES-EAX, checked against as many octets of tag as are given.

    Raises:
        SealError: the tag does not fit.
    """
    start = _omac(key, 0, nonce)
    expected = _tag(key, start, header, ciphertext)[: len(tag)]
    if not tag or not hmac.compare_digest(expected, bytes(tag)):
        raise SealError("not encrypted under this key and nonce")
    return _ctr(key, start, ciphertext)


def _nonce(rotation_exponent: int, beacon_time_s: int, salt: bytes) -> bytes:
    return quantum_start_s(rotation_exponent, beacon_time_s).to_bytes(4, "big") + bytes(salt)


def _omac(key: bytes, tweak: int, data: bytes) -> bytes:
    cmac = CMAC(algorithms.AES(key))
    cmac.update(bytes(15) + bytes((tweak,)) + data)
    return cmac.finalize()


def _tag(key: bytes, start: bytes, header: bytes, ciphertext: bytes) -> bytes:
    parts = zip(start, _omac(key, 1, header), _omac(key, 2, ciphertext), strict=True)
    return bytes(a ^ b ^ c for a, b, c in parts)


def _ctr(key: bytes, start: bytes, data: bytes) -> bytes:
    encryptor = Cipher(algorithms.AES(key), modes.CTR(start)).encryptor()
    return encryptor.update(data) + encryptor.finalize()
