"""OpenSSL's libcrypto: found, opened, asked for contexts, and called from compiled loops.

The calls take the addresses of functions and contexts as arguments, so that a compiled loop holds no pointer of its own
and can be kept on disk. What is computed with them is in blocks.py.

Source: OpenSSL 3.0 manual, EVP_EncryptInit(3), EVP_MAC(3), EVP_MAC-CMAC(7), OSSL_PARAM(3).
"""

import contextlib
import ctypes
import sys
import weakref
from collections.abc import Callable
from ctypes.util import find_library
from typing import Any, Final, cast

from llvmlite import ir
from numba import types as numba_types
from numba.extending import intrinsic

from server.errors import ServerError

types: Any = numba_types
_UTF8_STRING: Final = 4  # OSSL_PARAM_UTF8_STRING
_MAC_CIPHER: Final = b"AES-128-CBC"
_P, _STRING, _SIZE = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t
_I32, _I64 = ir.IntType(32), ir.IntType(64)


class OpenSslError(ServerError):
    """OpenSSL is absent, too old, gives wrong results or refused a call. Trying again does not help."""


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


class Contexts:
    """One context that encrypts single blocks and one that makes CMACs; both want a key only.

    Attributes:
        cipher: address of the one that encrypts.
        mac: address of the one that authenticates.
    """

    def __init__(self, library: ctypes.CDLL) -> None:
        """Make both; raise OpenSslError if the library has no AES or CMAC."""
        self._library = library
        self._releases: list[weakref.finalize[..., Any]] = []
        cipher = self._made("EVP_CIPHER_fetch", "EVP_CIPHER_free", None, b"AES-128-ECB", None)
        self.cipher: Final = self._made("EVP_CIPHER_CTX_new", "EVP_CIPHER_CTX_free")
        self._set_up("EVP_EncryptInit_ex2", self.cipher, cipher, None, None, None)
        self._set_up("EVP_CIPHER_CTX_set_padding", self.cipher, None)
        mac = self._made("EVP_MAC_fetch", "EVP_MAC_free", None, b"CMAC", None)
        self.mac: Final = self._made("EVP_MAC_CTX_new", "EVP_MAC_CTX_free", mac)
        params = (_Param * 2)(_Param(b"cipher", _UTF8_STRING, _MAC_CIPHER, len(_MAC_CIPHER), 0), _Param())
        self._set_up("EVP_MAC_CTX_set_params", self.mac, ctypes.addressof(params))

    def close(self) -> None:
        """Free them. May be called again; nothing may use their addresses afterwards."""
        for release in self._releases:
            release()

    def _made(self, name: str, free: str, *arguments: int | bytes | None) -> int:
        """Return the address of what a function makes of pointers and strings; freed on close or with this object."""
        kinds = (_STRING if isinstance(argument, bytes) else _P for argument in arguments)
        made: int | None = _function(self._library, name, _P, *kinds)(*arguments)
        if not made:
            raise OpenSslError(reason(self._library))
        release = weakref.finalize(self, _function(self._library, free, None, _P), made)
        release.atexit = False  # a thread may still be in a loop then, and the memory goes with the process
        self._releases.append(release)
        return made

    def _set_up(self, name: str, *arguments: int | None) -> None:
        """Call a function that returns 1; None is a null pointer and, to C, as good a 0."""
        if _function(self._library, name, ctypes.c_int, *[_P] * len(arguments))(*arguments) != 1:
            raise OpenSslError(reason(self._library))


class _Param(ctypes.Structure):
    """OSSL_PARAM of openssl/core.h."""

    _fields_ = (("key", _STRING), ("kind", ctypes.c_uint), ("data", _STRING), ("size", _SIZE), ("returned", _SIZE))


def address(library: ctypes.CDLL, name: str) -> int:
    """Return where a function begins; raise OpenSslError if the library has none of that name."""
    try:
        return ctypes.cast(getattr(library, name), _P).value or 0
    except AttributeError as error:
        raise OpenSslError(f"the library has no {name}") from error


def _function(library: ctypes.CDLL, name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
    """Return a function of the library, given the ctypes of its result and its arguments; raise as `address`."""
    return cast("Callable[..., Any]", ctypes.CFUNCTYPE(result, *arguments)(address(library, name)))


def version(library: ctypes.CDLL) -> str:
    """Return what the library calls itself; raise OpenSslError if it is too old, or not OpenSSL."""
    if _function(library, "OPENSSL_version_major", ctypes.c_uint)() < 3:
        raise OpenSslError("OpenSSL is older than 3.0")
    said: bytes = _function(library, "OpenSSL_version", _STRING, ctypes.c_int)(0)
    return said.decode("ascii", "replace")


def reason(library: ctypes.CDLL) -> str:
    """Return why the last call of this thread was refused, and empty OpenSSL's list of errors.

    The list may be shared with Python's own `ssl`, which would take what is left there for an error of its own.
    """
    code = _function(library, "ERR_peek_last_error", ctypes.c_ulong)()
    said: bytes | None = _function(library, "ERR_reason_error_string", _STRING, ctypes.c_ulong)(code)
    _function(library, "ERR_clear_error", None)()
    return f"OpenSSL refused a call: {(said or b'no reason given').decode('ascii', 'replace')}"


def _calling(*arguments: Any) -> Any:
    """Return signature and code of a call to a C function that returns an int: its address, then its arguments.

    All come as words, which is also how C is given a pointer or a size.
    """

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        callee = builder.inttoptr(args[0], ir.FunctionType(_I32, arguments).as_pointer())
        pairs = zip(args[1:], arguments, strict=True)
        return builder.call(callee, [builder.trunc(word, _I32) if kind is _I32 else word for word, kind in pairs])

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
evp_encrypt_init: Final = cast("Callable[..., int]", intrinsic(_encrypt_init))
evp_encrypt_update: Final = cast("Callable[..., int]", intrinsic(_encrypt_update))
evp_mac_init: Final = cast("Callable[..., int]", intrinsic(_mac_init))
evp_mac_update: Final = cast("Callable[..., int]", intrinsic(_mac_update))
evp_mac_final: Final = cast("Callable[..., int]", intrinsic(_mac_final))
