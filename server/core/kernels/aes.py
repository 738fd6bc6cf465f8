"""Ids of many tags derived and sealed statuses of many sightings opened, by OpenSSL's libcrypto out of compiled loops.

Implements wire/eid.py and wire/status.py for whole columns. No cipher and no MAC is written here: the loops call
libcrypto (EVP_CIPHER "AES-128-ECB", EVP_MAC "CMAC") through addresses that they are given, so that they hold no pointer
of their own and can be kept on disk. `load` compares what the library gives with `wire` before it lets anyone use it;
where it is absent or gives anything else, `Portable` does the same through `wire` and `cryptography`, at a fortieth of
the speed.

    aes = load()                                       # one a thread; aes.name: "openssl" or "portable"
    ids = aes.derive(keys, exponents, quanta)
    mac_keys, enc_keys = aes.status_keys(keys)
    aes.open_statuses(mac_keys, enc_keys, tags, eids, sealed, bodies)

Source: OpenSSL 3.0 manual, EVP_EncryptInit(3), EVP_MAC(3), EVP_MAC-CMAC(7).
"""

import contextlib
import ctypes
import sys
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable
from ctypes.util import find_library
from typing import Any, Final, NamedTuple, cast

import numpy as np
from llvmlite import ir
from numba import types as numba_types
from numba.extending import intrinsic
from numpy.typing import DTypeLike, NDArray

from server.core.kernels.jit import inlined, kernel
from server.core.kernels.layout import aligned
from server.core.kernels.line import bare, prefetch, wide
from server.errors import ServerError
from wire import eid as wire_eid
from wire import status as wire_status
from wire.errors import SealError

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
_UTF8_STRING: Final = 4  # OSSL_PARAM_UTF8_STRING
_P, _STRING, _SIZE = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t
_MAC_CIPHER: Final = b"AES-128-CBC"
_LABELS: Final = b"MIMAMORI-mac-v1\x01" + b"MIMAMORI-enc-v1\x02"  # as wire/status.py; the check at start compares

_Octets = NDArray[np.uint8]
_Words = NDArray[np.int64]


class OpenSslError(ServerError):
    """OpenSSL is absent, too old, gives wrong results or refused a call. Trying again does not help."""


class _Frames(NamedTuple):
    """What `Aes.open_statuses` is given."""

    mac_keys: _Octets
    enc_keys: _Octets
    tags: NDArray[np.int32]
    eids: NDArray[np.int64]
    sealed: _Octets
    bodies: NDArray[np.int32]


class Aes(ABC):
    """Ids and statuses by the column. Arrays are C-contiguous and of exactly the types named; nothing is converted.

    Attributes:
        name: "openssl" or "portable".
        detail: the library's version, or why there is none, for the log.
    """

    name: str
    detail: str
    _is_closed = False

    def derive(self, keys: _Octets, exponents: _Octets, quanta: NDArray[np.int64]) -> NDArray[np.uint64]:
        """Return the id of each row's tag in a quantum.

        Args:
            keys: shape (n, 16), identity keys. A row with the key and the 65,536 s of the row before costs a tenth.
            exponents: shape (n,), rotation exponents, 0 to 15.
            quanta: shape (n,), beacon time >> exponent, taken modulo 2**(32 - exponent).

        Returns:
            Shape (n,): each id's 8 octets read as a little-endian integer.

        Raises:
            ValueError: another shape or type, an exponent beyond 15, or it was closed.
            OpenSslError: the library refused a call.
        """
        self._check_in_use()
        _check(keys, np.uint8, (len(keys), 16))
        _check(exponents, np.uint8, (len(keys),))
        _check(quanta, np.int64, (len(keys),))
        if exponents.max(initial=0) > 15:
            raise ValueError("a rotation exponent is 0 to 15")
        return self._derive(keys, exponents, quanta)

    def status_keys(self, keys: _Octets) -> tuple[_Octets, _Octets]:
        """Return the keys of tags' statuses, for MAC and for encryption, shape (n, 16) each.

        Args:
            keys: shape (n, 16), identity keys.

        Raises:
            ValueError: another shape or type, or it was closed.
            OpenSslError: the library refused a call.
        """
        self._check_in_use()
        _check(keys, np.uint8, (len(keys), 16))
        mac_keys, enc_keys = np.empty_like(keys), np.empty_like(keys)
        self._write_status_keys(keys, mac_keys, enc_keys)
        return mac_keys, enc_keys

    def open_statuses(
        self,
        mac_keys: _Octets,
        enc_keys: _Octets,
        tags: NDArray[np.int32],
        eids: NDArray[np.int64],
        sealed: _Octets,
        bodies: NDArray[np.int32],
    ) -> None:
        """Write into `bodies` what is sealed in each row: step | bits << 8, or -1 if it is not its tag's beside its id.

        Whether the step is the step of now is for the caller to check.

        Args:
            mac_keys: shape (t, 16), of all tags. The two keys of a tag change together or not at all.
            enc_keys: shape (t, 16).
            tags: shape (m,), rows of the keys; below 0: nobody's, gives -1.
            eids: shape (m,), ids read as little-endian integers.
            sealed: shape (m, 6).
            bodies: shape (m,), written.

        Raises:
            ValueError: another shape or type, a tag without keys, or it was closed.
            OpenSslError: the library refused a call; all of `bodies` is -1.
        """
        self._check_in_use()
        frames = _Frames(mac_keys, enc_keys, tags, eids, sealed, bodies)
        of_tags, rows = len(mac_keys), len(tags)
        _check(mac_keys, np.uint8, (of_tags, 16))
        _check(enc_keys, np.uint8, (of_tags, 16))
        _check(tags, np.int32, (rows,))
        _check(eids, np.int64, (rows,))
        _check(sealed, np.uint8, (rows, 6))
        _check(bodies, np.int32, (rows,))
        if tags.max(initial=-1) >= of_tags:
            raise ValueError("a tag without keys")
        self._open(frames)

    def close(self) -> None:
        """Give back what is held. May be called again."""
        self._is_closed = True

    def _check_in_use(self) -> None:
        if self._is_closed:
            raise ValueError("used after it was closed")

    @abstractmethod
    def _derive(self, keys: _Octets, exponents: _Octets, quanta: NDArray[np.int64]) -> NDArray[np.uint64]: ...

    @abstractmethod
    def _write_status_keys(self, keys: _Octets, mac_keys: _Octets, enc_keys: _Octets) -> None: ...

    @abstractmethod
    def _open(self, frames: _Frames) -> None: ...


def _check(array: NDArray[Any], dtype: DTypeLike, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless an array is as the loops read it: they take addresses and ask nothing."""
    if array.dtype != dtype or array.shape != shape or not array.flags.c_contiguous:
        raise ValueError(f"wanted contiguous {np.dtype(dtype)} {shape}, got {array.dtype} {array.shape}")


class _Calls(NamedTuple):
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


types: Any = numba_types
_I32, _I64 = ir.IntType(32), ir.IntType(64)


def _calling(*arguments: Any) -> Any:
    """Return signature and code of a call to a C function that returns an int: its address, then its arguments.

    All come as words, which is also how C is given a pointer or a size.
    """

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        function = builder.inttoptr(args[0], ir.FunctionType(_I32, arguments).as_pointer())
        pairs = zip(args[1:], arguments, strict=True)
        return builder.call(function, [builder.trunc(word, _I32) if kind is _I32 else word for word, kind in pairs])

    return types.int32(*[types.int64] * (1 + len(arguments))), generate


def _encrypt_init(_context: Any, _at: Any, _ctx: Any, _cipher: Any, _key: Any, _iv: Any, _params: Any) -> Any:
    return _calling(_I64, _I64, _I64, _I64, _I64)


def _encrypt_update(_context: Any, _at: Any, _ctx: Any, _out: Any, _length: Any, _block: Any, _size: Any) -> Any:
    return _calling(_I64, _I64, _I64, _I64, _I32)


def _mac_init(_context: Any, _at: Any, _ctx: Any, _key: Any, _size: Any, _params: Any) -> Any:
    return _calling(_I64, _I64, _I64, _I64)


def _mac_update(_context: Any, _at: Any, _ctx: Any, _message: Any, _size: Any) -> Any:
    return _calling(_I64, _I64, _I64)


def _mac_final(_context: Any, _at: Any, _ctx: Any, _out: Any, _length: Any, _size: Any) -> Any:
    return _calling(_I64, _I64, _I64, _I64)


# Each calls the function of OpenSSL after which it is named at the address of its first argument; 1 is success.
_evp_encrypt_init: Final = cast("Callable[..., int]", intrinsic(_encrypt_init))
_evp_encrypt_update: Final = cast("Callable[..., int]", intrinsic(_encrypt_update))
_evp_mac_init: Final = cast("Callable[..., int]", intrinsic(_mac_init))
_evp_mac_update: Final = cast("Callable[..., int]", intrinsic(_mac_update))
_evp_mac_final: Final = cast("Callable[..., int]", intrinsic(_mac_final))


@inlined
def _set_key(calls: _Calls, key: int) -> bool:
    """Set the cipher to a key (an address); return whether OpenSSL did."""
    return _evp_encrypt_init(calls.encrypt_init, calls.cipher, 0, key, 0, 0) == 1


@inlined
def _encrypt(calls: _Calls, block: int, result: int) -> bool:
    """Encrypt one block, from an address to an address; return whether OpenSSL did."""
    length = calls.at + 8 * _LENGTH
    done = _evp_encrypt_update(calls.encrypt_update, calls.cipher, result, length, block, _BLOCK_OCTETS) == 1
    return done & bool(calls.words[_LENGTH] & _LOW == _BLOCK_OCTETS)


@inlined
def _authenticate(calls: _Calls, key: int) -> bool:
    """Replace the result by the CMAC of id and body in the block; return whether OpenSSL did."""
    result, length = calls.at + 8 * _RESULT, calls.at + 8 * _LENGTH
    done = (
        _evp_mac_init(calls.mac_init, calls.mac, key, _BLOCK_OCTETS, 0) == 1
        and _evp_mac_update(calls.mac_update, calls.mac, calls.at, _MESSAGE_OCTETS) == 1
        and _evp_mac_final(calls.mac_final, calls.mac, result, length, _BLOCK_OCTETS) == 1
    )
    return done & bool(calls.words[_LENGTH] == _BLOCK_OCTETS)


@inlined
def _big_endian(time_s: int) -> int:
    """Return the low 32 bits in the opposite order of octets."""
    return (time_s & 0xFF) << 24 | (time_s & 0xFF00) << 8 | (time_s >> 8) & 0xFF00 | (time_s >> 24) & 0xFF


@inlined
def _set_temporary_key(calls: _Calls, key: int, epoch: int) -> bool:
    """Set the cipher to what an identity key gives for 65,536 s; return whether OpenSSL did."""
    temporary = calls.at + 8 * _KEY
    calls.words[_BLOCK + 1] = 0xFF << 24 | _big_endian(epoch) << 32
    return _set_key(calls, key) and _encrypt(calls, calls.at, temporary) and _set_key(calls, temporary)


@kernel
def _derive(calls: _Calls, keys: _Words, exponents: _Octets, quanta: _Words, ids: _Words) -> int:
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
def _status_keys(calls: _Calls, labels: _Octets, keys: _Octets, mac_keys: _Octets, enc_keys: _Octets) -> int:
    """Write the two keys of each row; return how many rows are done, see `_derive`."""
    key, mac_key, enc_key = wide(keys.ctypes.data), wide(mac_keys.ctypes.data), wide(enc_keys.ctypes.data)
    label = wide(labels.ctypes.data)
    for i in range(len(keys)):
        row = i * _BLOCK_OCTETS
        is_begun = _set_key(calls, key + row) and _encrypt(calls, label, mac_key + row)
        if not (is_begun and _encrypt(calls, label + _BLOCK_OCTETS, enc_key + row)):
            return i
    return len(keys)


@kernel
def _open_frames(calls: _Calls, memo: _Words, frames: Any) -> int:
    """Write the bodies; return how many rows are done, see `_derive`. The keys are read as words, two a key.

    A line of the memo is 4 words: id; sealed octets; tag + 1 over body + 1; first half of the tag's MAC key. All of
    them are compared, so that neither a meeting of two frames in one line nor a tag's new keys give a wrong answer.
    """
    mac_keys, enc_keys, tags, eids, sealed, bodies = frames
    lines, mac_words = bare(memo), bare(mac_keys)
    for i in range(tags.size):
        if i + _AHEAD < tags.size and tags[i + _AHEAD] >= 0:
            prefetch(lines, _memo_line(eids[i + _AHEAD], _sealed_word(sealed, i + _AHEAD)))
            prefetch(mac_words, wide(tags[i + _AHEAD]) << 1)
        if tags[i] < 0:
            bodies[i] = -1
            continue
        tag, eid, word = wide(tags[i]), eids[i], _sealed_word(sealed, i)
        line, key = _memo_line(eid, word), mac_words[tag << 1]
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
def _memo_line(eid: int, word: int) -> int:
    """Return the first word of the line of the memo that a frame has."""
    return ((((eid ^ word << 16) * _SPREAD) >> 48) & (MEMO_LINES - 1)) << 2


@inlined
def _opened(calls: _Calls, mac_key: int, enc_key: int, eid: int, word: int) -> int:
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


class OpenSsl(Aes):
    """By OpenSSL 3, with contexts and a memo of its own, without the GIL. Two threads that share one wait in turn.

    A frame that comes again, among the last 65,536 or so, costs no cryptography.
    """

    name = "openssl"

    def __init__(self, library: ctypes.CDLL) -> None:
        """Make the contexts; raise OpenSslError if the library is too old, or has no AES or CMAC."""
        self._library = library
        self.detail = _version(library)
        self._lock = threading.Lock()
        self._releases: list[weakref.finalize[..., Any]] = []
        called = "EVP_EncryptInit_ex2", "EVP_EncryptUpdate", "EVP_MAC_init", "EVP_MAC_update", "EVP_MAC_final"
        addresses, contexts = (_address(library, name) for name in called), self._new_contexts()
        words = aligned(8, np.int64)
        self._calls = _Calls._make((*addresses, *contexts, words.ctypes.data, words))
        self._labels = np.frombuffer(_LABELS, np.uint8)
        self._memo = aligned(4 * MEMO_LINES, np.int64)

    def close(self) -> None:
        """Free the contexts, and forget keys and frames. May be called again."""
        with self._lock:
            super().close()
            for release in self._releases:
                release()
            self._memo[...] = 0

    def _new_contexts(self) -> tuple[int, int]:
        """Return one that encrypts single blocks and one that makes CMACs; both want a key only."""
        cipher = self._made("EVP_CIPHER_fetch", "EVP_CIPHER_free", None, b"AES-128-ECB", None)
        encrypting = self._made("EVP_CIPHER_CTX_new", "EVP_CIPHER_CTX_free")
        self._set_up("EVP_EncryptInit_ex2", encrypting, cipher, None, None, None)
        self._set_up("EVP_CIPHER_CTX_set_padding", encrypting, None)
        mac = self._made("EVP_MAC_fetch", "EVP_MAC_free", None, b"CMAC", None)
        authenticating = self._made("EVP_MAC_CTX_new", "EVP_MAC_CTX_free", mac)
        params = (_Param * 2)(_Param(b"cipher", _UTF8_STRING, _MAC_CIPHER, len(_MAC_CIPHER), 0), _Param())
        self._set_up("EVP_MAC_CTX_set_params", authenticating, ctypes.addressof(params))
        return encrypting, authenticating

    def _made(self, name: str, free: str, *arguments: int | bytes | None) -> int:
        """Return the address of what a function makes of pointers and strings; freed on close or with this object."""
        kinds = (_STRING if isinstance(argument, bytes) else _P for argument in arguments)
        made: int | None = _function(self._library, name, _P, *kinds)(*arguments)
        if not made:
            raise OpenSslError(_reason(self._library))
        release = weakref.finalize(self, _function(self._library, free, None, _P), made)
        release.atexit = False  # a thread may still be in a loop then, and the memory goes with the process
        self._releases.append(release)
        return made

    def _set_up(self, name: str, *arguments: int | None) -> None:
        """Call a function that returns 1; None is a null pointer and, to C, as good a 0."""
        if _function(self._library, name, ctypes.c_int, *[_P] * len(arguments))(*arguments) != 1:
            raise OpenSslError(_reason(self._library))

    def _derive(self, keys: _Octets, exponents: _Octets, quanta: NDArray[np.int64]) -> NDArray[np.uint64]:
        ids = np.empty(len(keys), np.int64)
        self._run(len(keys), _derive, _as_words(keys), exponents, quanta, ids)
        return ids.view(np.uint64)

    def _write_status_keys(self, keys: _Octets, mac_keys: _Octets, enc_keys: _Octets) -> None:
        self._run(len(keys), _status_keys, self._labels, keys, mac_keys, enc_keys)

    def _open(self, frames: _Frames) -> None:
        try:
            keys = _as_words(frames.mac_keys).ravel(), _as_words(frames.enc_keys).ravel()
            self._run(len(frames.tags), _open_frames, self._memo, (*keys, *frames[2:]))
        except OpenSslError:
            frames.bodies[...] = -1
            raise

    def _run(self, rows: int, loop: Callable[..., int], *arguments: Any) -> None:
        with self._lock:
            self._check_in_use()
            done = loop(self._calls, *arguments)
            self._calls.words[...] = 0  # a temporary key was there
            if done != rows:
                raise OpenSslError(_reason(self._library))


class Portable(Aes):
    """By `wire` and `cryptography`, row by row: as right, and slow."""

    name = "portable"

    def __init__(self, detail: str = "") -> None:
        self.detail = detail

    def _derive(self, keys: _Octets, exponents: _Octets, quanta: NDArray[np.int64]) -> NDArray[np.uint64]:
        rows = zip(keys, exponents.tolist(), quanta.tolist(), strict=True)
        ids = [wire_eid.derive(key.tobytes(), exponent, quantum << exponent) for key, exponent, quantum in rows]
        return np.frombuffer(b"".join(ids), "<u8").astype(np.uint64)

    def _write_status_keys(self, keys: _Octets, mac_keys: _Octets, enc_keys: _Octets) -> None:
        for i, key in enumerate(keys):
            both = wire_status.StatusKeys.of(key.tobytes())
            mac_keys[i], enc_keys[i] = (np.frombuffer(octets, np.uint8) for octets in (both.mac_key, both.enc_key))

    def _open(self, frames: _Frames) -> None:
        eids = frames.eids.astype("<i8")
        frames.bodies[...] = -1
        for i in np.flatnonzero(frames.tags >= 0):
            tag = frames.tags[i]
            keys = wire_status.StatusKeys(frames.mac_keys[tag].tobytes(), frames.enc_keys[tag].tobytes())
            frames.bodies[i] = _body(keys, eids[i].tobytes(), frames.sealed[i].tobytes())


def _as_words(keys: _Octets) -> _Words:
    """Return keys as two words each, without a copy if they lie where words may."""
    return np.require(keys.view(np.int64), requirements=["C", "A"])


def _body(keys: wire_status.StatusKeys, eid: bytes, sealed: bytes) -> int:
    """Return the body as sent, also the bits that have no name yet; -1 if it is forged."""
    try:
        wire_status.open_(keys, eid, sealed)
    except SealError:
        return -1
    mask = wire_eid.encrypt_blocks(keys.enc_key, eid + sealed[:4] + bytes(4))
    return int.from_bytes(sealed[4:], "little") ^ int.from_bytes(mask[:2], "little")


def libcrypto(name: str = "libcrypto.so.3", find: Callable[[str], str | None] = find_library) -> ctypes.CDLL:
    """Return the OpenSSL of this machine: the library `name`, else the one that `find` finds.

    Raises:
        OpenSslError: there is none, or this is not a Linux of 64 bits, for which the calls are written.
    """
    # macOS ends a process that opens its own libcrypto, so there is no trying elsewhere.
    if sys.platform != "linux" or sys.byteorder != "little" or sys.maxsize < 1 << 32:
        raise OpenSslError("only for Linux on little-endian processors of 64 bits")
    with contextlib.suppress(OSError):
        return ctypes.CDLL(name)
    try:
        return ctypes.CDLL(find("crypto") or name)
    except OSError as error:
        raise OpenSslError(str(error)) from error


def load(open_library: Callable[[], ctypes.CDLL] = libcrypto) -> Aes:
    """Return the fast implementation if it gives what `wire` gives here, else the portable one; `detail` says why.

    Takes some ten milliseconds, and seconds where the loops have to be compiled.

    Args:
        open_library: returns libcrypto or raises OpenSslError.
    """
    try:
        aes = OpenSsl(open_library())
        _compare(aes)
    except OpenSslError as error:
        return Portable(str(error))
    return aes


def _compare(aes: OpenSsl) -> None:
    """Raise OpenSslError unless some hundred keys give what they give through `wire`."""
    random, portable, n = np.random.default_rng(1), Portable(), 256
    keys = random.integers(0, 256, (n, 16), np.uint8)
    runs = keys.repeat(2, axis=0), random.integers(0, 16, 2 * n, np.uint8), random.integers(0, 1 << 33, 2 * n)
    frames = _sample(portable.status_keys(keys), random)
    expected = np.empty_like(frames.bodies)
    aes.open_statuses(*frames)
    portable.open_statuses(*frames._replace(bodies=expected))
    is_right = np.array_equal(aes.derive(*runs), portable.derive(*runs)) and np.array_equal(frames.bodies, expected)
    if not is_right or not np.array_equal(aes.status_keys(keys), frames[:2]):
        raise OpenSslError("OpenSSL gives other results than the cryptography package")


def _sample(pairs: tuple[_Octets, _Octets], random: np.random.Generator) -> _Frames:
    """Return frames to open: of each tag one as it should be, one with a bit wrong, the first again."""
    tags = np.arange(len(pairs[0]), dtype=np.int32)
    eids = random.integers(-(1 << 63), 1 << 63, tags.size, np.int64)
    sealed = np.empty((tags.size, 6), np.uint8)
    for i, (mac_key, enc_key) in enumerate(zip(*pairs, strict=True)):
        keys = wire_status.StatusKeys(mac_key.tobytes(), enc_key.tobytes())
        said = wire_status.TagStatus(i & 0xFF, sos=i % 3 == 0, moving=i % 2 == 0, battery_dv=20 + i % 16)
        sealed[i] = np.frombuffer(wire_status.seal(keys, eids[i].astype("<i8").tobytes(), said), np.uint8)
    forged = sealed.copy()
    forged[tags, tags % 6] ^= (1 << tags // 6 % 8).astype(np.uint8)
    octets, bodies = np.concatenate((sealed, forged, sealed)), np.empty(3 * tags.size, np.int32)
    return _Frames(*pairs, np.tile(tags, 3), np.tile(eids, 3), octets, bodies)


class _Param(ctypes.Structure):
    """OSSL_PARAM of openssl/core.h."""

    _fields_ = (("key", _STRING), ("kind", ctypes.c_uint), ("data", _STRING), ("size", _SIZE), ("returned", _SIZE))


def _address(library: ctypes.CDLL, name: str) -> int:
    try:
        return ctypes.cast(getattr(library, name), _P).value or 0
    except AttributeError as error:
        raise OpenSslError(f"the library has no {name}") from error


def _function(library: ctypes.CDLL, name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
    return cast("Callable[..., Any]", ctypes.CFUNCTYPE(result, *arguments)(_address(library, name)))


def _version(library: ctypes.CDLL) -> str:
    """Return what the library calls itself; raise OpenSslError if it is too old, or not OpenSSL."""
    if _function(library, "OPENSSL_version_major", ctypes.c_uint)() < 3:
        raise OpenSslError("OpenSSL is older than 3.0")
    said: bytes = _function(library, "OpenSSL_version", _STRING, ctypes.c_int)(0)
    return said.decode("ascii", "replace")


def _reason(library: ctypes.CDLL) -> str:
    """Return why the last call of this thread was refused, and empty OpenSSL's list of errors.

    The list may be shared with Python's own `ssl`, which would take what is left there for an error of its own.
    """
    code = _function(library, "ERR_peek_last_error", ctypes.c_ulong)()
    said: bytes | None = _function(library, "ERR_reason_error_string", _STRING, ctypes.c_ulong)(code)
    _function(library, "ERR_clear_error", None)()
    return f"OpenSSL refused a call: {(said or b'no reason given').decode('ascii', 'replace')}"
