"""Signed notes: a text, and below it signatures of the log and of witnesses.

Source: C2SP signed-note (Ed25519, type 1) and tlog-cosignature (Ed25519 with a time, type 4).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from privacy.transparency.errors import NoteError

MAX_OCTETS: Final = 64 * 1024
MAX_SIGNATURES: Final = 64
_DASH: Final = "\N{EM DASH} "
_ID_OCTETS: Final = 4
_KEY_OCTETS: Final = 32
_SIGNATURE_OCTETS: Final = 64
_TIME: Final = struct.Struct(">Q")
_MAX_TIME_S: Final = 2**63 - 1


class KeyKind(IntEnum):
    """What a key signs: the octet in its id."""

    NOTE = 1
    COSIGNATURE = 4


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line.

    Attributes:
        name: of the key.
        key_id: 4 octets.
        octets: what the key made.
    """

    name: str
    key_id: bytes
    octets: bytes

    def line(self) -> str:
        """Return the line, with its newline."""
        return f"{_DASH}{self.name} {_base64(self.key_id + self.octets)}\n"


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key that somebody trusts.

    Attributes:
        name: of the key, such as an origin.
        kind: what it signs.
        key: Ed25519, 32 octets.
    """

    name: str
    kind: KeyKind
    key: bytes

    @classmethod
    def parse(cls, vkey: str) -> Verifier:
        """Return the key that `vkey`, as `name+id+base64`, spells.

        Raises:
            NoteError: not such a line, an unknown kind of key, or the id is of another key.
        """
        parts = vkey.split("+", 2)
        if len(parts) != 3 or not _is_name(parts[0]):
            raise NoteError("a verifier key is spelled name+id+base64")
        octets = _octets(parts[2])
        if len(octets) != 1 + _KEY_OCTETS or octets[0] not in set(KeyKind):
            raise NoteError("not an Ed25519 key of a log or a witness")
        found = cls(parts[0], KeyKind(octets[0]), octets[1:])
        if found.key_id.hex() != parts[1]:
            raise NoteError("the id of the verifier key does not fit the key")
        return found

    @property
    def key_id(self) -> bytes:
        """The 4 octets that stand before each of its signatures."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.key).digest()[:_ID_OCTETS]

    @property
    def vkey(self) -> str:
        """How it is spelled, as `parse` reads it."""
        return f"{self.name}+{self.key_id.hex()}+{_base64(bytes([self.kind]) + self.key)}"

    def made(self, signature: Signature) -> bool:
        """Return whether a signature says that it is of this key."""
        return signature.name == self.name and signature.key_id == self.key_id

    def verifies(self, signature: Signature, text: str) -> bool:
        """Return whether this key signed `text` so."""
        timed = _timed(signature.octets) if self.kind is KeyKind.COSIGNATURE else (0, signature.octets)
        if timed is None or len(timed[1]) != _SIGNATURE_OCTETS:
            return False
        message = cosigned(text, timed[0]) if self.kind is KeyKind.COSIGNATURE else text.encode()
        try:
            Ed25519PublicKey.from_public_bytes(self.key).verify(timed[1], message)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key and the name under which it signs."""

    name: str
    key: Ed25519PrivateKey = field(repr=False)

    def __post_init__(self) -> None:
        if not _is_name(self.name):
            raise NoteError("a key's name is neither empty nor has it spaces or a plus sign in it")

    def verifier(self, kind: KeyKind = KeyKind.NOTE) -> Verifier:
        """Return the public half."""
        return Verifier(self.name, kind, self.key.public_key().public_bytes_raw())

    def sign(self, text: str) -> Signature:
        """Return the signature of a note's text."""
        return Signature(self.name, self.verifier().key_id, self.key.sign(text.encode()))

    def cosign(self, text: str, at_s: int) -> Signature:
        """Return the cosignature of a checkpoint's text at a POSIX time."""
        octets = _TIME.pack(at_s) + self.key.sign(cosigned(text, at_s))
        return Signature(self.name, self.verifier(KeyKind.COSIGNATURE).key_id, octets)


@dataclass(frozen=True, slots=True)
class Note:
    """A text and its signatures, none of them checked.

    Attributes:
        text: ends with a newline.
        signatures: as they came, those of unknown keys too.
    """

    text: str
    signatures: tuple[Signature, ...]

    @classmethod
    def parse(cls, whole: str) -> Note:
        """Return the parts of a note.

        Raises:
            NoteError: too large, a control character in it, or not a text with signatures below.
        """
        if len(whole) > MAX_OCTETS or any(char < " " and char != "\n" for char in whole):
            raise NoteError("a note holds no control characters and at most 64 KiB")
        cut = whole.rfind("\n\n")
        if cut < 0 or not whole.endswith("\n"):
            raise NoteError("no signatures below the text")
        lines = whole[cut + 2 : -1].split("\n")
        if len(lines) > MAX_SIGNATURES:
            raise NoteError(f"more than {MAX_SIGNATURES} signatures")
        return cls(whole[: cut + 1], tuple(parse_signature(line) for line in lines))

    def whole(self) -> str:
        """Return the note as `parse` reads it."""
        return self.text + "\n" + "".join(signature.line() for signature in self.signatures)

    def signed_by(self, keys: Iterable[Verifier]) -> tuple[Verifier, ...]:
        """Return which of `keys` signed, at least one; signatures of others are ignored.

        Raises:
            NoteError: none of them did, or a signature that says it is of one of them is not.
        """
        found = []
        for key in keys:
            own = [signature for signature in self.signatures if key.made(signature)]
            if not all(key.verifies(signature, self.text) for signature in own):
                raise NoteError(f"a signature of {key.name} is wrong")
            found += [key] if own else []
        if not found:
            raise NoteError("not signed by a key that is trusted")
        return tuple(found)

    def plus(self, signatures: Iterable[Signature]) -> Note:
        """Return the note with more signatures; of each key the newest alone is kept."""
        fresh = list(signatures)
        taken = {(one.name, one.key_id) for one in fresh}
        kept = [one for one in self.signatures if (one.name, one.key_id) not in taken]
        return Note(self.text, (*kept, *fresh))


def parse_signature(line: str) -> Signature:
    """Return the signature in one line, which comes without its newline.

    Raises:
        NoteError: not such a line.
    """
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    octets = _octets(encoded)
    if not line.startswith(_DASH) or not _is_name(name) or len(octets) <= _ID_OCTETS:
        raise NoteError("not a signature line")
    return Signature(name, octets[:_ID_OCTETS], octets[_ID_OCTETS:])


def signed(text: str, signer: Signer) -> Note:
    """Return a note of `text`, which ends with a newline, with the signature of `signer`."""
    return Note(text, (signer.sign(text),))


def cosigned(text: str, at_s: int) -> bytes:
    """Return what a witness signs of a checkpoint's text."""
    return f"cosignature/v1\ntime {at_s}\n{text}".encode()


def cosigned_at_s(signature: Signature) -> int:
    """Return the POSIX time that a cosignature says. It counts only once the signature has been verified.

    Raises:
        NoteError: no cosignature.
    """
    timed = _timed(signature.octets)
    if timed is None:
        raise NoteError("a cosignature without its time")
    return timed[0]


def _timed(octets: bytes) -> tuple[int, bytes] | None:
    if len(octets) != _TIME.size + _SIGNATURE_OCTETS:
        return None
    at_s = int(_TIME.unpack_from(octets)[0])
    return (at_s, octets[_TIME.size :]) if at_s <= _MAX_TIME_S else None


def _is_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(char.isspace() or char < " " for char in name)


def _base64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


def _octets(text: str) -> bytes:
    """Return what base64 `text` spells, in its one and only spelling."""
    try:
        octets = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NoteError("not base64") from error
    if _base64(octets) != text:
        raise NoteError("not base64 as it is written")
    return octets
