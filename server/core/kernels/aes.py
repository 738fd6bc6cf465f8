"""Ids of many tags derived and sealed statuses of many sightings opened, by OpenSSL's libcrypto out of compiled loops.

Implements wire/eid.py and wire/status.py for whole columns, through the loops in blocks.py and the library as opened by
libcrypto.py. `load` compares what the library gives with `wire` before it lets anyone use it; where it is absent or
gives anything else, `Portable` does the same through `wire` and `cryptography`, at a fortieth of the speed.

    aes = load()                                       # one a thread; aes.name: "openssl" or "portable"
    ids = aes.derive(keys, exponents, quanta)
    mac_keys, enc_keys = aes.status_keys(keys)
    aes.open_statuses(mac_keys, enc_keys, tags, eids, sealed, bodies)
"""

import ctypes
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from server.core.kernels import blocks
from server.core.kernels.layout import aligned
from server.core.kernels.libcrypto import Contexts, OpenSslError, address, libcrypto, reason, version
from wire import eid as wire_eid
from wire import status as wire_status
from wire.errors import SealError

_Octets = NDArray[np.uint8]
_Words = NDArray[np.int64]


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


class OpenSsl(Aes):
    """By OpenSSL 3, with contexts and a memo of its own, without the GIL. Two threads that share one wait in turn.

    A frame that comes again, among the last 65,536 or so, costs no cryptography.
    """

    name = "openssl"

    def __init__(self, library: ctypes.CDLL) -> None:
        """Make the contexts; raise OpenSslError if the library is too old, or has no AES or CMAC."""
        self._library = library
        self.detail = version(library)
        self._lock = threading.Lock()
        self._contexts = Contexts(library)
        called = "EVP_EncryptInit_ex2", "EVP_EncryptUpdate", "EVP_MAC_init", "EVP_MAC_update", "EVP_MAC_final"
        addresses, words = (address(library, name) for name in called), aligned(8, np.int64)
        held = self._contexts.cipher, self._contexts.mac, words.ctypes.data, words
        self._calls = blocks.Calls._make((*addresses, *held))
        self._labels = np.frombuffer(wire_status.MAC_LABEL + wire_status.ENC_LABEL, np.uint8)
        self._memo = aligned(4 * blocks.MEMO_LINES, np.int64)

    def close(self) -> None:
        """Free the contexts, and forget keys and frames. May be called again."""
        with self._lock:
            super().close()
            self._contexts.close()
            self._memo[...] = 0

    def _derive(self, keys: _Octets, exponents: _Octets, quanta: NDArray[np.int64]) -> NDArray[np.uint64]:
        ids = np.empty(len(keys), np.int64)
        self._run(len(keys), blocks.derive, _as_words(keys), exponents, quanta, ids)
        return ids.view(np.uint64)

    def _write_status_keys(self, keys: _Octets, mac_keys: _Octets, enc_keys: _Octets) -> None:
        self._run(len(keys), blocks.status_keys, self._labels, keys, mac_keys, enc_keys)

    def _open(self, frames: _Frames) -> None:
        try:
            keys = _as_words(frames.mac_keys).ravel(), _as_words(frames.enc_keys).ravel()
            self._run(len(frames.tags), blocks.open_frames, self._memo, (*keys, *frames[2:]))
        except OpenSslError:
            frames.bodies[...] = -1
            raise

    def _run(self, rows: int, loop: Callable[..., int], *arguments: Any) -> None:
        with self._lock:
            self._check_in_use()
            done = loop(self._calls, *arguments)
            self._calls.words[...] = 0  # a temporary key was there
            if done != rows:
                raise OpenSslError(reason(self._library))


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
