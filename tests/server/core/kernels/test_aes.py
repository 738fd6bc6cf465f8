import ctypes
import gc
import json
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.cmac import CMAC
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from server.core.kernels.aes import Aes, OpenSsl, Portable
from server.core.kernels.libcrypto import OpenSslError, libcrypto
from wire import eid as wire_eid
from wire import status as wire_status
from wire.errors import SealError

VECTORS = Path(__file__).parents[3] / "vectors"
SETTINGS = settings(deadline=None, max_examples=60)
CALLED = ("encrypt_init", "encrypt_update", "mac_init", "mac_update", "mac_final")

keys = st.binary(min_size=16, max_size=16)
eids = st.binary(min_size=8, max_size=8)
bodies = st.integers(0, 0xFFFF)  # also of bits that have no name yet
# Around the ends of an epoch and of the clock, and beyond both: a clock counts modulo 2**32.
quanta = st.integers(-(2**40), 2**40) | st.builds(
    lambda exponent, end, past: (end >> exponent) + past,
    st.integers(0, 15),
    st.sampled_from([0, 1 << 16, 1 << 32, 1 << 33]),
    st.integers(-2, 2),
)


class Frames(NamedTuple):
    mac_keys: NDArray[np.uint8]
    enc_keys: NDArray[np.uint8]
    tags: NDArray[np.int32]
    eids: NDArray[np.int64]
    sealed: NDArray[np.uint8]

    @classmethod
    def of(cls, identity_keys: list[bytes], rows: list[tuple[int, bytes, bytes]]) -> "Frames":
        pairs = Portable().status_keys(octets(identity_keys, 16))
        tags, ids, sealed = zip(*rows, strict=True) if rows else ((), (), ())
        flat = np.frombuffer(b"".join(ids), "<i8").astype(np.int64)
        return cls(*pairs, np.array(tags, np.int32), flat, octets(list(sealed), 6))


def octets(rows: list[bytes], width: int) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), width).copy()


def seal(identity_key: bytes, eid: bytes, body: int) -> bytes:
    both = wire_status.StatusKeys.of(identity_key)
    plain = body.to_bytes(2, "little")
    cmac = CMAC(algorithms.AES128(both.mac_key))
    cmac.update(eid + plain)
    tag = cmac.finalize()[:4]
    mask = wire_eid.encrypt_blocks(both.enc_key, eid + tag + bytes(4))
    return tag + bytes((plain[0] ^ mask[0], plain[1] ^ mask[1]))


def opened(aes: Aes, frames: Frames) -> list[int]:
    found = np.full(len(frames.tags), 12345, np.int32)
    aes.open_statuses(*frames, found)
    return [int(body) for body in found]


def by_wire(identity_key: bytes, eid: bytes, sealed: bytes) -> tuple[int, int] | None:
    """Step and named bits as wire reads them; None: forged."""
    try:
        said = wire_status.open_(wire_status.StatusKeys.of(identity_key), eid, sealed)
    except SealError:
        return None
    bits = said.sos << 7 | said.moving << 6 | said.clock_lost << 5 | (said.battery_dv - wire_status.MIN_BATTERY_DV)
    return said.step, bits


def named(body: int) -> tuple[int, int] | None:
    return None if body < 0 else (body & 0xFF, body >> 8 & 0xEF)


def new_openssl() -> OpenSsl:
    try:
        return OpenSsl(libcrypto())
    except OpenSslError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module", params=[new_openssl, Portable])
def aes(request: pytest.FixtureRequest) -> Iterator[Aes]:
    made: Aes = request.param()
    yield made
    made.close()


@pytest.fixture
def openssl() -> Iterator[OpenSsl]:
    made = new_openssl()
    yield made
    made.close()


@SETTINGS
@given(st.lists(keys, min_size=1, max_size=3), st.data())
def test_ids_are_those_of_wire(aes: Aes, few_keys: list[bytes], data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.tuples(st.sampled_from(few_keys), st.integers(0, 15), quanta), max_size=20))
    ids = aes.derive(
        octets([key for key, _, _ in rows], 16),
        np.array([exponent for _, exponent, _ in rows], np.uint8),
        np.array([quantum for _, _, quantum in rows], np.int64),
    )
    assert ids.dtype == np.uint64
    assert [int(eid) for eid in ids] == [int(wire_eid.derive_many(k, e, q, 1)[0]) for k, e, q in rows]


@pytest.mark.parametrize("exponent", range(16))
@pytest.mark.parametrize("end", [1 << 16, 1 << 32])
def test_consecutive_ids_cross_the_end_of_an_epoch_and_of_the_clock(aes: Aes, exponent: int, end: int) -> None:
    key, first = bytes(range(16)), (end >> exponent) - 5
    column = np.arange(first, first + 10)
    ids = aes.derive(octets([key] * 10, 16), np.full(10, exponent, np.uint8), column)
    assert np.array_equal(ids, wire_eid.derive_many(key, exponent, first, 10))


def test_ids_are_those_of_eddystone(aes: Aes) -> None:
    cases = json.loads((VECTORS / "eddystone_eid.json").read_text())["eid"]
    exponents = [case["rotation_exponent"] for case in cases]
    times_s = [case["beacon_time_s"] for case in cases]
    ids = aes.derive(
        octets([bytes.fromhex(case["identity_key"]) for case in cases], 16),
        np.array(exponents, np.uint8),
        np.array(times_s, np.int64) >> np.array(exponents),
    )
    assert [int(eid).to_bytes(8, "little").hex().upper() for eid in ids] == [case["eid"] for case in cases]


def test_statuses_are_those_of_the_vectors(aes: Aes) -> None:
    cases = json.loads((VECTORS / "status.json").read_text())["cases"]
    identity_keys = [bytes.fromhex(case["identity_key"]) for case in cases]
    rows = [(i, bytes.fromhex(case["eid"]), bytes.fromhex(case["sealed"])) for i, case in enumerate(cases)]
    mac_keys, enc_keys = aes.status_keys(octets(identity_keys, 16))
    assert [key.tobytes().hex() for key in mac_keys] == [case["mac_key"] for case in cases]
    assert [key.tobytes().hex() for key in enc_keys] == [case["enc_key"] for case in cases]
    said = [case["status"] for case in cases]
    bits = [s["sos"] << 7 | s["moving"] << 6 | s["clock_lost"] << 5 | (s["battery_dv"] - 20) for s in said]
    expected = [s["step"] | b << 8 for s, b in zip(said, bits, strict=True)]
    assert opened(aes, Frames.of(identity_keys, rows)) == expected


@SETTINGS
@given(st.lists(keys, max_size=10))
def test_status_keys_are_those_of_wire(aes: Aes, identity_keys: list[bytes]) -> None:
    mac_keys, enc_keys = aes.status_keys(octets(identity_keys, 16))
    expected = [wire_status.StatusKeys.of(key) for key in identity_keys]
    assert [key.tobytes() for key in mac_keys] == [both.mac_key for both in expected]
    assert [key.tobytes() for key in enc_keys] == [both.enc_key for both in expected]


@SETTINGS
@given(st.lists(keys, min_size=1, max_size=3, unique=True), st.data())
def test_what_a_tag_sealed_is_opened_also_when_heard_again(
    aes: Aes, identity_keys: list[bytes], data: st.DataObject
) -> None:
    rows = st.tuples(st.integers(0, len(identity_keys) - 1), eids, bodies)
    distinct = data.draw(st.lists(rows, min_size=1, max_size=6))
    heard = data.draw(st.lists(st.sampled_from(distinct), max_size=20))
    frames = Frames.of(identity_keys, [(tag, eid, seal(identity_keys[tag], eid, body)) for tag, eid, body in heard])
    assert opened(aes, frames) == [body for _, _, body in heard]
    assert opened(aes, frames) == [body for _, _, body in heard]


@SETTINGS
@given(keys, eids, bodies, st.integers(0, 47), st.integers(1, 2**48 - 1))
def test_forged_octets_are_opened_by_nobody(
    aes: Aes, identity_key: bytes, eid: bytes, body: int, bit: int, noise: int
) -> None:
    sealed = int.from_bytes(seal(identity_key, eid, body), "little")
    forgeries = [(sealed ^ wrong).to_bytes(6, "little") for wrong in (1 << bit, noise, 0)]
    frames = Frames.of([identity_key], [(0, eid, forged) for forged in forgeries])
    expected = [by_wire(identity_key, eid, forged) for forged in forgeries]
    assert [named(found) for found in opened(aes, frames)] == expected
    assert [named(found) for found in opened(aes, frames)] == expected
    assert expected[2] is not None


def test_one_wrong_bit_anywhere_is_enough(aes: Aes) -> None:
    key, eid = bytes(range(16)), bytes(range(8))
    sealed = int.from_bytes(seal(key, eid, 0x0A07), "little")
    rows = [(0, eid, (sealed ^ 1 << bit).to_bytes(6, "little")) for bit in range(48)]
    rows += [(0, (int.from_bytes(eid, "little") ^ 1 << bit).to_bytes(8, "little"), rows[0][2]) for bit in range(64)]
    assert opened(aes, Frames.of([key], rows)) == [-1] * 112


def test_a_status_belongs_to_one_tag_and_nobodys_is_not_opened(aes: Aes) -> None:
    key, other, eid = bytes(range(16)), bytes(16), bytes(range(8))
    sealed = seal(key, eid, 0x0A07)
    rows = [(0, eid, sealed), (1, eid, sealed), (-1, eid, sealed), (-(2**31), eid, sealed), (0, eid, sealed)]
    assert opened(aes, Frames.of([key, other], rows)) == [0x0A07, -1, -1, -1, 0x0A07]


def test_a_tag_with_new_keys_is_not_answered_from_the_old_ones(aes: Aes) -> None:
    old, new, eid = bytes(range(16)), bytes(16), bytes(range(8))
    row = [(0, eid, seal(old, eid, 0x0A07))]
    assert opened(aes, Frames.of([old], row)) == [0x0A07]
    assert opened(aes, Frames.of([new], row)) == [-1]
    assert opened(aes, Frames.of([old], row)) == [0x0A07]


def test_frames_that_share_a_line_of_the_memo_are_told_apart(openssl: OpenSsl) -> None:
    random, n, tags = np.random.default_rng(3), 4000, 50
    identity_keys = [random.bytes(16) for _ in range(tags)]
    made = [(i % tags, random.bytes(8), int(random.integers(0, 1 << 16))) for i in range(n)]
    rows = [(tag, eid, seal(identity_keys[tag], eid, body)) for tag, eid, body in made]
    frames = Frames.of(identity_keys, rows)
    order = random.permutation(np.tile(np.arange(n), 3))
    again = frames._replace(tags=frames.tags[order], eids=frames.eids[order], sealed=frames.sealed[order])
    assert opened(openssl, again) == [made[i][2] for i in order]
    assert 0 < np.count_nonzero(openssl._memo[2::4]) < n  # so some did share one


def test_both_implementations_agree_on_noise(openssl: OpenSsl) -> None:
    random, n = np.random.default_rng(4), 2000
    column = random.integers(0, 256, (n, 16), np.uint8)
    exponents, starts = random.integers(0, 16, n, np.uint8), random.integers(-(1 << 62), 1 << 62, n)
    pairs, portable = openssl.status_keys(column), Portable()
    assert np.array_equal(openssl.derive(column, exponents, starts), portable.derive(column, exponents, starts))
    assert np.array_equal(pairs, portable.status_keys(column))
    tags = random.integers(-1, n, n, np.int32)
    frames = Frames(*pairs, tags, random.integers(-(1 << 63), 1 << 63, n), random.integers(0, 256, (n, 6), np.uint8))
    assert opened(openssl, frames) == opened(portable, frames)


def test_keys_may_lie_anywhere_in_memory(openssl: OpenSsl) -> None:
    raw = np.random.default_rng(5).integers(0, 256, 1 + 32, np.uint8)
    shifted, exponents, starts = raw[1:].reshape(2, 16), np.array([10, 10], np.uint8), np.array([5, 5])
    expected = Portable().derive(shifted, exponents, starts)
    assert np.array_equal(openssl.derive(shifted, exponents, starts), expected)
    shifted.flags.writeable = False
    assert np.array_equal(openssl.derive(shifted, exponents, starts), expected)


def test_no_rows_are_no_trouble(aes: Aes) -> None:
    none = np.empty((0, 16), np.uint8)
    assert aes.derive(none, np.empty(0, np.uint8), np.empty(0, np.int64)).size == 0
    assert aes.status_keys(none)[0].shape == (0, 16)
    assert opened(aes, Frames.of([], [])) == []


@pytest.mark.parametrize(
    "change",
    [
        {"keys": np.zeros((3, 15), np.uint8)},
        {"keys": np.zeros((3, 16), np.int8)},
        {"keys": np.zeros((6, 16), np.uint8)[::2]},
        {"exponents": np.zeros(2, np.uint8)},
        {"exponents": np.full(3, 16, np.uint8)},
        {"quanta": np.zeros(3, np.int32)},
    ],
)
def test_derive_refuses_what_it_would_misread(aes: Aes, change: dict[str, Any]) -> None:
    right: dict[str, Any] = {"keys": np.zeros((3, 16), np.uint8), "exponents": np.zeros(3, np.uint8)}
    right["quanta"] = np.zeros(3, np.int64)
    with pytest.raises(ValueError, match=r"wanted|exponent"):
        aes.derive(**(right | change))


@pytest.mark.parametrize(
    "change",
    [
        {"mac_keys": np.zeros((3, 16), np.uint8)},
        {"enc_keys": np.zeros((3, 16), np.uint8)},
        {"tags": np.array([0, 2], np.int32)},
        {"tags": np.array([0, 1], np.int64)},
        {"eids": np.zeros(2, np.uint64)},
        {"sealed": np.zeros((2, 5), np.uint8)},
        {"sealed": np.zeros((2, 12), np.uint8)[:, ::2]},
        {"bodies": np.zeros(3, np.int32)},
    ],
)
def test_open_statuses_refuses_what_it_would_misread(aes: Aes, change: dict[str, Any]) -> None:
    frames = Frames.of([bytes(16)] * 2, [(0, bytes(8), bytes(6)), (1, bytes(8), bytes(6))])
    right = frames._asdict() | {"bodies": np.zeros(2, np.int32)}
    with pytest.raises(ValueError, match=r"wanted|without keys"):
        aes.open_statuses(**(right | change))


def refusing(aes: OpenSsl, name: str) -> Any:
    """A C function that returns 0, in the place of one of OpenSSL; the caller keeps it alive."""
    refuse = ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 0)
    change: dict[str, Any] = {name: ctypes.cast(refuse, ctypes.c_void_p).value}
    aes._calls = aes._calls._replace(**change)
    return refuse


@pytest.mark.parametrize("name", CALLED)
def test_a_refused_call_is_an_error_and_opens_nothing(openssl: OpenSsl, name: str) -> None:
    key, eid = bytes(range(16)), bytes(range(8))
    row = (0, eid, seal(key, eid, 0x0A07))
    frames = Frames.of([key], [row, row])
    kept, found = refusing(openssl, name), np.full(2, 0x0A07, np.int32)
    with pytest.raises(OpenSslError, match="refused"):
        openssl.open_statuses(*frames, found)
    assert found.tolist() == [-1, -1]
    assert not openssl._memo.any()
    del kept


@pytest.mark.parametrize("name", CALLED[:2])
def test_a_refused_call_derives_nothing(openssl: OpenSsl, name: str) -> None:
    column, kept = np.zeros((2, 16), np.uint8), refusing(openssl, name)
    with pytest.raises(OpenSslError):
        openssl.derive(column, np.zeros(2, np.uint8), np.zeros(2, np.int64))
    with pytest.raises(OpenSslError):
        openssl.status_keys(column)
    del kept


def test_openssl_itself_says_why_it_refuses(openssl: OpenSsl) -> None:
    bare = openssl._contexts._made("EVP_CIPHER_CTX_new", "EVP_CIPHER_CTX_free")
    openssl._calls = openssl._calls._replace(cipher=bare)
    with pytest.raises(OpenSslError, match="no cipher set"):
        openssl.status_keys(np.zeros((1, 16), np.uint8))


def test_a_frame_heard_again_costs_no_cryptography(openssl: OpenSsl) -> None:
    key, eid = bytes(range(16)), bytes(range(8))
    known = Frames.of([key], [(0, eid, seal(key, eid, 0x0A07)), (0, eid, bytes(6))])
    assert opened(openssl, known) == [0x0A07, -1]
    kept = refusing(openssl, "encrypt_init")
    assert opened(openssl, known) == [0x0A07, -1]
    with pytest.raises(OpenSslError):
        opened(openssl, Frames.of([key], [(0, eid, seal(key, eid, 0x0A08))]))
    del kept


def test_the_loops_leave_no_key_in_their_scratch_line(openssl: OpenSsl) -> None:
    openssl.derive(np.ones((1, 16), np.uint8), np.zeros(1, np.uint8), np.zeros(1, np.int64))
    assert not openssl._calls.words.any()


def test_closed_is_closed(openssl: OpenSsl) -> None:
    for aes in (openssl, Portable()):
        aes.close()
        aes.close()
        with pytest.raises(ValueError, match="closed"):
            aes.status_keys(np.zeros((1, 16), np.uint8))
        with pytest.raises(ValueError, match="closed"):
            aes.derive(np.zeros((1, 16), np.uint8), np.zeros(1, np.uint8), np.zeros(1, np.int64))
        with pytest.raises(ValueError, match="closed"):
            opened(aes, Frames.of([], []))


def test_contexts_are_given_back_with_the_object() -> None:
    made = new_openssl()
    releases, gone = made._contexts._releases, weakref.ref(made)
    assert all(release.alive for release in releases)
    del made
    gc.collect()
    assert gone() is None
    assert not any(release.alive for release in releases)


def test_threads_may_have_one_each_or_share_one(openssl: OpenSsl) -> None:
    random, n = np.random.default_rng(6), 20_000
    column, exponents = random.integers(0, 256, (n, 16), np.uint8), np.full(n, 10, np.uint8)
    starts = random.integers(0, 1 << 22, n)
    expected = openssl.derive(column, exponents, starts)
    users = [openssl, openssl, new_openssl(), new_openssl()]
    with ThreadPoolExecutor(len(users)) as pool:
        for ids in pool.map(lambda aes: aes.derive(column, exponents, starts), users * 4):
            assert np.array_equal(ids, expected)
