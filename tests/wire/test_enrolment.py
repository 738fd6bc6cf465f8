import dataclasses
import datetime as dt
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.enrolment import Grant, Renewal, Ticket, certificates, code_of, code_sha256, verified
from wire.errors import EnrolmentError, MessageError

VECTORS = Path(__file__).parents[1] / "vectors"
TICKET = Ticket("https://city.example.jp", "gw-1", code_of(bytes(range(16))), "ab" * 32)


def test_a_ticket_survives_its_file() -> None:
    assert Ticket.from_json(TICKET.to_json()) == TICKET


@pytest.mark.parametrize("typed", [":".join(["AB"] * 32), " ".join(["abab"] * 16), "AB" * 32])
def test_a_fingerprint_is_read_as_people_write_it(typed: str) -> None:
    assert dataclasses.replace(TICKET, ca_sha256=typed).checked() == TICKET


@pytest.mark.parametrize(
    "change", [{"ca_sha256": "ab"}, {"ca_sha256": "zz" * 32}, {"detector": "a/b"}, {"detector": 1}, {"code": None}]
)
def test_what_is_no_ticket_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(EnrolmentError):
        Ticket.from_json(json.dumps({**json.loads(TICKET.to_json()), **change}))


@given(st.text(max_size=200))
def test_any_text_is_a_ticket_or_refused(text: str) -> None:
    with pytest.raises(EnrolmentError):
        Ticket.from_json(text)


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=16, max_size=16))
def test_codes_differ_as_what_they_are_made_of(one: bytes, other: bytes) -> None:
    assert (code_sha256(code_of(one)) == code_sha256(code_of(other))) == (one == other)


@given(st.binary(min_size=16, max_size=16))
def test_a_code_is_the_same_however_it_is_typed(octets: bytes) -> None:
    code = code_of(octets)
    misread = code.replace("O", "0").replace("I", "1").replace("B", "8")
    wide = "".join(chr(ord(c) + 0xFEE0) for c in code)
    assert {code_sha256(text) for text in (code, code.lower(), code.replace("-", " "), misread, wide)} == {
        code_sha256(code)
    }


@given(st.binary(max_size=4096), st.binary(max_size=256))
def test_a_renewal_survives_the_wire(csr: bytes, seal_key: bytes) -> None:
    assert Renewal.decode(Renewal(csr, seal_key).encode()) == Renewal(csr, seal_key)


@given(st.binary(max_size=300))
def test_any_octets_are_a_renewal_or_refused(data: bytes) -> None:
    try:
        Renewal.decode(data)
    except MessageError:
        return


@given(st.binary(max_size=300))
def test_any_octets_are_no_grant(data: bytes) -> None:
    with pytest.raises(EnrolmentError):
        Grant.from_json(data)


GRANT = {"certificate": "", "ca": "", "city": {}, "broker_url": "", "proof_chain": "", "proof": ""}


@pytest.mark.parametrize("key", GRANT)
@pytest.mark.parametrize("value", [None, 1, ["x"], "\ud800é"])
def test_a_grant_of_other_kinds_is_refused(key: str, value: object) -> None:
    root = None
    with pytest.raises(EnrolmentError):
        Grant.from_json(json.dumps({**GRANT, key: value}).encode()).check("gw-1", root, now=None)  # type: ignore[arg-type]  # not reached


def test_a_kept_answer_is_believed_in_its_time_alone() -> None:
    """The bytes that other implementations must read as we do."""
    grant = Grant.from_json((VECTORS / "grant.json").read_bytes())
    root = certificates(grant.ca)[0]
    noon = dt.datetime(2026, 11, 26, 12, tzinfo=dt.UTC)
    grant.check("gw-1", root, now=noon)
    assert verified(certificates(grant.certificate), root, now=noon) == "urn:mimamori:mimamori:gateway:gw-1"
    for wrong, now in (("gw-2", noon), ("gw-1", noon - dt.timedelta(days=2)), ("gw-1", noon + dt.timedelta(days=400))):
        with pytest.raises(EnrolmentError):
            grant.check(wrong, root, now=now)
