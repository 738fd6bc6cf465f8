import base64
import json
from typing import Any

import nkeys
import pytest

from server import nkey
from server.gate import token
from server.gate.errors import RefusedError

PAIR = nkeys.from_seed(bytearray(nkey.new_seed("account")))
ASKED = {
    "nats": {
        "server_id": {"id": "NSERVER"},
        "user_nkey": "UCLIENT",
        "client_info": {"type": "mqtt", "mqtt_id": "gw-001"},
        "client_tls": {"verified_chains": [["own", "issuing", "root"]]},
    }
}


def _token(claims: object) -> bytes:
    return b"x." + base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=") + b".y"


def _claims(data: bytes) -> dict[str, Any]:
    head, body, signature = data.split(b".")
    assert PAIR.verify(head + b"." + body, base64.urlsafe_b64decode(signature + b"=="))
    claims = json.loads(base64.urlsafe_b64decode(body + b"=="))
    assert isinstance(claims, dict)
    return claims


def test_a_question_is_read() -> None:
    expected = token.Request("UCLIENT", "NSERVER", is_mqtt=True, client_id="gw-001", chain=("own", "issuing", "root"))
    assert token.read(_token(ASKED)) == expected


def test_a_question_about_a_client_without_tls_has_no_chain() -> None:
    nats = {name: value for name, value in ASKED["nats"].items() if name != "client_tls"}
    assert token.read(_token({"nats": nats})).chain == ()


@pytest.mark.parametrize("data", [b"", b"x", b"x.!.y", b"x.\xff.y", _token([]), _token({}), _token({"nats": {}})])
def test_what_is_no_question_is_refused(data: bytes) -> None:
    with pytest.raises(RefusedError, match="malformed"):
        token.read(data)


def test_who_is_let_in_gets_its_subjects_its_end_and_nothing_else() -> None:
    grant = token.Grant("gateway.gw-001.ab", "CITY", ("a.b",), ("c.d",), until_s=2_000)
    answer = _claims(token.Writer(PAIR).let_in(token.read(_token(ASKED)), grant, now_s=1_000))
    assert (answer["sub"], answer["aud"]) == ("UCLIENT", "NSERVER")
    user = _claims(answer["nats"]["jwt"].encode())
    assert (user["sub"], user["aud"], user["name"], user["exp"]) == ("UCLIENT", "CITY", "gateway.gw-001.ab", 2_000)
    assert (user["nats"]["pub"], user["nats"]["sub"]) == ({"allow": ["a.b"]}, {"allow": ["c.d"]})
    assert user["nats"]["allowed_connection_types"] == ["MQTT"]


def test_who_may_hear_nothing_hears_nothing() -> None:
    grant = token.Grant("service.x.ab", "CITY", ("a.b",), (), until_s=2_000)
    answer = _claims(token.Writer(PAIR).let_in(token.read(_token(ASKED)), grant, now_s=1_000))
    assert _claims(answer["nats"]["jwt"].encode())["nats"]["sub"] == {"deny": [">"]}


def test_who_is_refused_gets_no_token() -> None:
    answer = _claims(token.Writer(PAIR).refuse(token.read(_token(ASKED)), "taken-back", now_s=1_000))
    assert answer["nats"] == {"type": "authorization_response", "version": 2, "error": "taken-back"}
