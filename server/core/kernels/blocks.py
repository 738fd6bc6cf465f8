"""Ids and statuses of whole columns by single blocks of AES and CMAC, in compiled loops over OpenSSL's libcrypto.

Implements wire/eid.py and wire/status.py. No cipher and no MAC is written here: the loops call libcrypto through the
addresses in `Calls`. They ask nothing about what they are given; aes.py does, and is what to use.
"""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from server.core.kernels.jit import inlined, kernel
from server.core.kernels.libcrypto import (
    evp_encrypt_init,
    evp_encrypt_update,
    evp_mac_final,
    evp_mac_init,
    evp_mac_update,
)
from server.core.kernels.line import bare, prefetch, wide

MEMO_LINES: Final = 1 << 16
"""Frames whose opening is remembered: 2 MiB, so that they stay in a core's own cache."""
_SPREAD: Final = -0x61C8864680B583EB  # 2**64 over the golden ratio, as a signed word
_LOW: Final = 0xFFFFFFFF
_AHEAD: Final = 16

# The words of a worker's scratch line: a block to encrypt, what came out, a temporary key, a length that C writes.
_BLOCK, _RESULT, _KEY, _LENGTH = 0, 2, 4, 6
_BLOCK_OCTETS: Final = 16
_MESSAGE_OCTETS: Final = 10  # an id and a body
_REFUSED: Final = -2

_Octets = NDArray[np.uint8]
_Words = NDArray[np.int64]


class Calls(NamedTuple):
    """What the loops call, and on what: addresses, and the scratch line `words`, which begins at `at`."""

    encrypt_init: int
    encrypt_update: int
    mac_init: int
    mac_update: int
    mac_final: int
    cipher: int
    mac: int
    at: int
    words: _Words


@inlined
def _set_key(calls: Calls, key: int) -> bool:
    """Set the cipher to a key (an address); return whether OpenSSL did."""
    return evp_encrypt_init(calls.encrypt_init, calls.cipher, 0, key, 0, 0) == 1


@inlined
def _encrypt(calls: Calls, block: int, result: int) -> bool:
    """Encrypt one block, from an address to an address; return whether OpenSSL did."""
    length = calls.at + 8 * _LENGTH
    done = evp_encrypt_update(calls.encrypt_update, calls.cipher, result, length, block, _BLOCK_OCTETS) == 1
    return done & bool(calls.words[_LENGTH] & _LOW == _BLOCK_OCTETS)


@inlined
def _authenticate(calls: Calls, key: int) -> bool:
    """Replace the result by the CMAC of id and body in the block; return whether OpenSSL did."""
    result, length = calls.at + 8 * _RESULT, calls.at + 8 * _LENGTH
    done = (
        evp_mac_init(calls.mac_init, calls.mac, key, _BLOCK_OCTETS, 0) == 1
        and evp_mac_update(calls.mac_update, calls.mac, calls.at, _MESSAGE_OCTETS) == 1
        and evp_mac_final(calls.mac_final, calls.mac, result, length, _BLOCK_OCTETS) == 1
    )
    return done & bool(calls.words[_LENGTH] == _BLOCK_OCTETS)


@inlined
def _big_endian(time_s: int) -> int:
    """Return the low 32 bits in the opposite order of octets."""
    return (time_s & 0xFF) << 24 | (time_s & 0xFF00) << 8 | (time_s >> 8) & 0xFF00 | (time_s >> 24) & 0xFF


@inlined
def _set_temporary_key(calls: Calls, key: int, epoch: int) -> bool:
    """Set the cipher to what an identity key gives for 65,536 s; return whether OpenSSL did."""
    temporary = calls.at + 8 * _KEY
    calls.words[_BLOCK + 1] = 0xFF << 24 | _big_endian(epoch) << 32
    return _set_key(calls, key) and _encrypt(calls, calls.at, temporary) and _set_key(calls, temporary)


@kernel
def derive(calls: Calls, keys: _Words, exponents: _Octets, quanta: _Words, ids: _Words) -> int:
    """Write the ids; return how many rows are done. Fewer than there are: OpenSSL refused the next."""
    words, last = calls.words, wide(-1)
    words[_BLOCK] = 0
    for i in range(ids.size):
        exponent = wide(exponents[i])
        start_s = (quanta[i] << exponent) & _LOW
        if last != start_s >> 16 or keys[i, 0] != keys[i - 1, 0] or keys[i, 1] != keys[i - 1, 1]:
            last = start_s >> 16
            if not _set_temporary_key(calls, wide(keys.ctypes.data) + i * _BLOCK_OCTETS, last):
                return i
        words[_BLOCK + 1] = exponent << 24 | _big_endian(start_s) << 32
        if not _encrypt(calls, calls.at, calls.at + 8 * _RESULT):
            return i
        ids[i] = words[_RESULT]
    return ids.size


@kernel
def status_keys(calls: Calls, labels: _Octets, keys: _Octets, mac_keys: _Octets, enc_keys: _Octets) -> int:
    """Write the two keys of each row; return how many rows are done, see `derive`."""
    key, mac_key, enc_key = wide(keys.ctypes.data), wide(mac_keys.ctypes.data), wide(enc_keys.ctypes.data)
    label = wide(labels.ctypes.data)
    for i in range(len(keys)):
        row = i * _BLOCK_OCTETS
        is_begun = _set_key(calls, key + row) and _encrypt(calls, label, mac_key + row)
        if not (is_begun and _encrypt(calls, label + _BLOCK_OCTETS, enc_key + row)):
            return i
    return len(keys)


@kernel
def open_frames(calls: Calls, memo: _Words, frames: Any) -> int:
    """Write the bodies; return how many rows are done, see `derive`. The keys are read as words, two a key.

    A line of the memo is 4 words: id; sealed octets; tag + 1 over body + 1; first half of the tag's MAC key. All of
    them are compared, so that neither a meeting of two frames in one line nor a tag's new keys give a wrong answer.
    """
    mac_keys, enc_keys, tags, eids, sealed, bodies = frames
    lines, mac_words = bare(memo), bare(mac_keys)
    for i in range(tags.size):
        if i + _AHEAD < tags.size and tags[i + _AHEAD] >= 0:
            prefetch(lines, memo_line(eids[i + _AHEAD], _sealed_word(sealed, i + _AHEAD)))
            prefetch(mac_words, wide(tags[i + _AHEAD]) << 1)
        if tags[i] < 0:
            bodies[i] = -1
            continue
        tag, eid, word = wide(tags[i]), eids[i], _sealed_word(sealed, i)
        line, key = memo_line(eid, word), mac_words[tag << 1]
        is_frame = (lines[line] == eid) & (lines[line + 1] == word) & (lines[line + 3] == key)
        if not (is_frame & (lines[line + 2] & ~_LOW == (tag + 1) << 32)):
            at = tag * _BLOCK_OCTETS
            body = _opened(calls, wide(mac_keys.ctypes.data) + at, wide(enc_keys.ctypes.data) + at, eid, word)
            if body == _REFUSED:
                return i
            lines[line], lines[line + 1], lines[line + 3] = eid, word, key
            lines[line + 2] = (tag + 1) << 32 | (body + 1)
        bodies[i] = (lines[line + 2] & _LOW) - 1
    return len(tags)


@inlined
def _sealed_word(sealed: _Octets, i: int) -> int:
    """Return the 6 octets of a row as a little-endian integer."""
    word: int = wide(0)
    for j in range(6):
        word |= wide(sealed[i, j]) << (8 * j)
    return word


@inlined
def memo_line(eid: int, word: int) -> int:
    """Return the first word of the line of the memo that a frame has."""
    return ((((eid ^ word << 16) * _SPREAD) >> 48) & (MEMO_LINES - 1)) << 2


@inlined
def _opened(calls: Calls, mac_key: int, enc_key: int, eid: int, word: int) -> int:
    """Return the body of sealed octets, -1 if they are forged, `_REFUSED` if OpenSSL refused a call."""
    words = calls.words
    words[_BLOCK], words[_BLOCK + 1] = eid, word & _LOW
    if not (_set_key(calls, enc_key) and _encrypt(calls, calls.at, calls.at + 8 * _RESULT)):
        return _REFUSED
    body: int = (word >> 32 ^ words[_RESULT]) & 0xFFFF
    words[_BLOCK + 1] = body
    if not _authenticate(calls, mac_key):
        return _REFUSED
    return body if (words[_RESULT] ^ word) & _LOW == 0 else -1  # all 32 bits at once: no time tells how many agree
