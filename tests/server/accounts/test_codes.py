"""Login codes: read kindly, kept as Argon2id, compared without telling who exists."""

import pytest

from server.accounts.codes import hash_code, is_code_of, normalise, normalise_login


@pytest.fixture(scope="module")
def phc() -> str:
    return hash_code("AB12-CD34")


def test_a_code_is_kept_as_argon2id_and_never_twice_alike(phc: str) -> None:
    assert phc.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert hash_code("AB12-CD34") != phc


@pytest.mark.parametrize("written", ["AB12-CD34", "ab12cd34", " ＡＢ１２ ＣＤ３４ ", "ab12—cd34", "ab12\u3000cd34"])
def test_a_code_may_be_written_as_people_write(phc: str, written: str) -> None:
    assert is_code_of(phc, written)


@pytest.mark.parametrize("written", ["", "AB12-CD3", "AB12-CD344", "0", "\0", "あ" * 1000])
def test_another_code_is_wrong(phc: str, written: str) -> None:
    assert not is_code_of(phc, written)


def test_nobody_has_no_code_and_a_broken_hash_is_nobody_s() -> None:
    assert not is_code_of(None, "")
    assert not is_code_of("not a hash", "x")
    assert not is_code_of("$argon2id$v=19$m=8,t=1,p=1$", "x")


def test_logins_are_narrowed_and_lose_control_characters() -> None:
    assert normalise_login(" ＤＥＭＯ\0 ") == "demo"
    assert normalise("１２-３４ a\u2010B") == "1234ab"
