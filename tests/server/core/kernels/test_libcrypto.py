import ctypes
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from server.core.kernels.aes import Aes, load
from server.core.kernels.libcrypto import OpenSslError, libcrypto
from wire import eid as wire_eid

POINTER, SIZE = ctypes.c_void_p, ctypes.c_size_t


@pytest.fixture
def library() -> ctypes.CDLL:
    """One of its own, so that its functions can be replaced."""
    try:
        return libcrypto()
    except OpenSslError as error:
        pytest.skip(str(error))


@pytest.mark.skipif(sys.platform != "linux", reason="portable elsewhere")
def test_the_library_of_this_machine_is_used_if_it_is_right(library: ctypes.CDLL) -> None:
    loaded = load(lambda: library)
    assert loaded.name == "openssl"
    assert loaded.detail.startswith("OpenSSL ")
    assert load().name == "openssl"


def assert_portable(aes: Aes, reason: str) -> None:
    assert aes.name == "portable"
    assert reason in aes.detail
    assert aes.derive(np.zeros((1, 16), np.uint8), np.zeros(1, np.uint8), np.zeros(1, np.int64)).tolist() == [
        int.from_bytes(wire_eid.derive(bytes(16), 0, 0), "little")
    ]


@pytest.mark.parametrize("found", [None, "libneither.so.3"])
def test_without_the_library_all_is_portable(found: str | None) -> None:
    reason = "cannot open" if sys.platform == "linux" else "only for Linux"
    assert_portable(load(lambda: libcrypto("libnowhere.so.3", lambda _: found)), reason)


def test_a_library_by_another_name_is_found(library: ctypes.CDLL) -> None:
    assert load(lambda: libcrypto("libnowhere.so.3", lambda _: library._name)).name == "openssl"


def test_a_library_that_is_not_openssl_is_not_used(library: ctypes.CDLL) -> None:
    del library  # where there is one, the loader finds the C library as well
    assert_portable(load(lambda: ctypes.CDLL("libc.so.6")), "no OPENSSL_version_major")


def replaced(library: ctypes.CDLL, name: str, function: Any) -> ctypes.CDLL:
    setattr(library, name, function)
    return library


def test_an_older_library_is_not_used(library: ctypes.CDLL) -> None:
    older = ctypes.CFUNCTYPE(ctypes.c_uint)(lambda: 1)
    assert_portable(load(lambda: replaced(library, "OPENSSL_version_major", older)), "older than 3.0")


@pytest.mark.parametrize("name", ["EVP_CIPHER_fetch", "EVP_MAC_fetch"])
def test_a_library_without_the_algorithm_is_not_used(library: ctypes.CDLL, name: str) -> None:
    nothing = ctypes.CFUNCTYPE(POINTER, POINTER, POINTER, POINTER)(lambda *_: None)
    assert_portable(load(lambda: replaced(library, name, nothing)), "refused")


@pytest.mark.parametrize("name", ["EVP_EncryptInit_ex2", "EVP_MAC_CTX_set_params", "EVP_MAC_final"])
def test_a_library_that_refuses_is_not_used(library: ctypes.CDLL, name: str) -> None:
    refuse = ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 0)
    assert_portable(load(lambda: replaced(library, name, refuse)), "refused")


def flipping(library: ctypes.CDLL, name: str, kinds: list[Any], rarely: int) -> Callable[..., Any]:
    """One of OpenSSL's functions, but every so often the first octet of what it writes has a bit wrong."""
    kind, calls = ctypes.CFUNCTYPE(ctypes.c_int, *kinds), iter(range(1, 1 << 30))
    true = kind(ctypes.cast(getattr(library, name), POINTER).value or 0)

    def lie(context: int, out: int, *others: int) -> int:
        done: int = true(context, out, *others)
        if next(calls) % rarely == 0:
            ctypes.cast(out, ctypes.POINTER(ctypes.c_uint8))[0] ^= 1
        return done

    return kind(lie)


@pytest.mark.parametrize("rarely", [1, 200])
@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("EVP_EncryptUpdate", [POINTER, POINTER, POINTER, POINTER, ctypes.c_int]),
        ("EVP_MAC_final", [POINTER, POINTER, POINTER, SIZE]),
    ],
)
def test_a_library_that_lies_is_not_used(library: ctypes.CDLL, name: str, kinds: list[Any], rarely: int) -> None:
    lying = flipping(library, name, kinds, rarely)
    assert_portable(load(lambda: replaced(library, name, lying)), "other results")


def test_a_library_that_writes_less_than_a_block_is_an_error(library: ctypes.CDLL) -> None:
    idle = ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 1)
    assert_portable(load(lambda: replaced(library, "EVP_EncryptUpdate", idle)), "refused")
