import itertools

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from privacy.transparency.errors import PolicyError
from privacy.transparency.note import KeyKind, Signer
from privacy.transparency.policy import Policy

LOG = Signer("city.example/log", Ed25519PrivateKey.from_private_bytes(bytes(32))).verifier()
W = [
    Signer(f"w{n}.example", Ed25519PrivateKey.from_private_bytes(bytes([n + 1] * 32))).verifier(KeyKind.COSIGNATURE)
    for n in range(5)
]
LINES = [f"witness W{n} {key.vkey} http://w{n}.example/" for n, key in enumerate(W)]
THREE = "\n".join([f"log {LOG.vkey}", *LINES[:3], "group panel 2 W0 W1 W2", "quorum panel", ""])


def test_two_of_three_are_a_quorum() -> None:
    policy = Policy.parse(THREE)
    for count in range(4):
        for some in itertools.combinations(W[:3], count):
            assert policy.is_met_by(some) is (count >= 2)
    assert not policy.is_met_by([W[0], W[4]])
    assert [witness.url for witness in policy.witnesses] == [f"http://w{n}.example/" for n in range(3)]
    assert [log.name for log in policy.logs] == ["city.example/log"]


def test_groups_of_groups_agree_as_the_specification_has_it() -> None:
    policy = Policy.parse(
        "\n".join([*LINES, "group X 2 W0 W1 W2", "group Y any W3 W4", "group both all X Y", " quorum\tboth", "# end"])
    )
    assert policy.is_met_by([W[0], W[2], W[4]])
    assert not policy.is_met_by([W[0], W[1], W[2]])
    assert not policy.is_met_by([W[0], W[3], W[4]])


def test_no_quorum_is_met_by_nobody() -> None:
    assert Policy.parse("quorum none\n").is_met_by([])


def test_one_witness_may_be_the_quorum() -> None:
    policy = Policy.parse(f"{LINES[0]}\nquorum W0\n")
    assert policy.is_met_by([W[0]])
    assert not policy.is_met_by([W[1]])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "quorum\n",
        "quorum W0\n",
        "quorum none\nquorum none\n",
        f"{LINES[0]}\n{LINES[0]}\nquorum none\n",
        f"witness none {W[0].vkey}\nquorum none\n",
        f"witness A {W[0].vkey}\nwitness A {W[1].vkey}\nquorum none\n",
        f"witness A {LOG.vkey}\nquorum none\n",
        f"log {W[0].vkey}\nquorum none\n",
        f"log {LOG.vkey}\nlog {LOG.vkey}\nquorum none\n",
        f"{LINES[0]}\ngroup g 2 W0\nquorum g\n",
        f"{LINES[0]}\ngroup g 0 W0\nquorum g\n",
        f"{LINES[0]}\ngroup g some W0\nquorum g\n",
        f"{LINES[0]}\ngroup g any\nquorum g\n",
        f"{LINES[0]}\ngroup g any W1\nquorum g\n",
        f"{LINES[0]}\ngroup g all W0 W0\nquorum g\n",
        f"{LINES[0]}\ngroup g all W0\ngroup h all W0\nquorum g\n",
        f"{LINES[0]}\ngroup g all none\nquorum g\n",
        f"{LINES[0]}\nquorum g\ngroup g all W0\n",
        "witness A nonsense\nquorum none\n",
        "believe everybody\nquorum none\n",
        "quorum none\r\n",
    ],
)
def test_what_is_no_policy_is_refused(text: str) -> None:
    with pytest.raises(PolicyError):
        Policy.parse(text)


@given(st.text(max_size=200))
def test_any_text_is_a_policy_or_refused(text: str) -> None:
    try:
        Policy.parse(text)
    except PolicyError:
        return
