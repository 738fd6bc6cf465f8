import os

import pytest

from server.history import envelope
from server.history.errors import KeyStoreError, SealedHourError

HOUR = 1_795_402_800_000
KEY = envelope.new_key()
SEALED = envelope.seal(b"a day at school", KEY, "w-1", HOUR)


def test_what_is_sealed_opens_with_its_key_for_its_ward_and_hour() -> None:
    assert envelope.open_(SEALED, KEY, "w-1", HOUR) == b"a day at school"
    assert envelope.key_id(SEALED) == KEY.id
    assert b"school" not in SEALED


def test_the_same_hour_sealed_twice_shares_nothing_but_its_head() -> None:
    again = envelope.seal(b"a day at school", KEY, "w-1", HOUR)
    assert again[:17] == SEALED[:17]
    assert again[17:29] != SEALED[17:29]
    assert again[29:] != SEALED[29:]


@pytest.mark.parametrize(("ward", "hour_ms"), [("w-2", HOUR), ("w-1", HOUR + 3_600_000), ("", HOUR), ("w-1", 0)])
def test_a_row_passes_for_no_other_ward_or_hour(ward: str, hour_ms: int) -> None:
    with pytest.raises(SealedHourError):
        envelope.open_(SEALED, KEY, ward, hour_ms)


@pytest.mark.parametrize("at", range(len(SEALED)))
def test_every_altered_octet_is_noticed(at: int) -> None:
    altered = bytearray(SEALED)
    altered[at] ^= 1
    with pytest.raises(SealedHourError):
        envelope.open_(bytes(altered), KEY, "w-1", HOUR)


@pytest.mark.parametrize("length", [0, 1, 17, 29, 30, len(SEALED) - 1])
def test_every_cut_is_noticed(length: int) -> None:
    with pytest.raises(SealedHourError):
        envelope.open_(SEALED[:length], KEY, "w-1", HOUR)


def test_another_key_with_the_same_name_opens_nothing() -> None:
    with pytest.raises(SealedHourError):
        envelope.open_(SEALED, envelope.DataKey(KEY.id, os.urandom(32)), "w-1", HOUR)


def test_a_wrapped_key_comes_back_for_its_ward_alone() -> None:
    kek = os.urandom(32)
    wrapped = envelope.wrap(kek, KEY, "w-1")
    assert envelope.unwrap(kek, wrapped, "w-1", KEY.id) == KEY
    for other in [(os.urandom(32), "w-1", KEY.id), (kek, "w-2", KEY.id), (kek, "w-1", bytes(16))]:
        with pytest.raises(KeyStoreError):
            envelope.unwrap(other[0], wrapped, other[1], other[2])
    with pytest.raises(KeyStoreError):
        envelope.unwrap(kek, b"", "w-1", KEY.id)


def test_no_key_is_printed() -> None:
    assert KEY.octets.hex() not in repr(KEY)
    assert repr(KEY.octets) not in repr(KEY)
