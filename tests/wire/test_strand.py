import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from wire.errors import SealError
from wire.strand import Strand, unwrap

CITY = X25519PrivateKey.generate()
STRAND = Strand.new("gw-001", CITY.public_key())


def test_the_city_opens_a_strand() -> None:
    assert unwrap("gw-001", STRAND.id, STRAND.wrapped, CITY) == STRAND.key


def test_strands_differ() -> None:
    other = Strand.new("gw-001", CITY.public_key())
    assert (other.id, other.key) != (STRAND.id, STRAND.key)


def test_a_strand_opens_for_its_camera_its_id_and_its_city_alone() -> None:
    for camera, strand_id, key in (
        ("gw-002", STRAND.id, CITY),
        ("gw-001", bytes(16), CITY),
        ("gw-001", STRAND.id, X25519PrivateKey.generate()),
    ):
        with pytest.raises(SealError):
            unwrap(camera, strand_id, STRAND.wrapped, key)


@pytest.mark.parametrize("wrapped", [b"", b"x", bytes(80)])
def test_octets_that_are_no_strand_are_refused(wrapped: bytes) -> None:
    with pytest.raises(SealError):
        unwrap("gw-001", STRAND.id, wrapped, CITY)


def test_a_strand_does_not_print_its_key() -> None:
    assert repr(STRAND.key) not in repr(STRAND)
