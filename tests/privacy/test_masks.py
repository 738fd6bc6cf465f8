from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy import masks
from privacy.masks import Mask, MaskError, Polygon
from wire import keys
from wire.errors import MessageError, SealError

CITY = keys.new_signing_key()
WINDOW = ((0.1, 0.1), (0.4, 0.1), (0.4, 0.5), (0.1, 0.5))
MASK = Mask("gw-001", 2, (WINDOW,), 1_000)
DOCUMENT = masks.sign(MASK, "town", signer=CITY)


def test_a_mask_of_the_city_is_read() -> None:
    assert masks.verify(DOCUMENT, "town", "gw-001", verifier=CITY.public_key()) == MASK


@given(st.lists(st.tuples(st.integers(0, 4_000), st.integers(0, 4_000)), min_size=1, max_size=5))
def test_a_mask_survives_the_wire(corners: list[tuple[int, int]]) -> None:
    areas = tuple(
        ((x / 10_000, y / 10_000), ((x + 900) / 10_000, y / 10_000), (x / 10_000, (y + 900) / 10_000))
        for x, y in corners
    )
    mask = Mask("gw-001", 1, areas, 5)
    assert Mask.decode(mask.encode()) == mask


@pytest.mark.parametrize(("city", "camera"), [("other", "gw-001"), ("town", "gw-002")])
def test_a_mask_of_another_camera_is_refused(city: str, camera: str) -> None:
    with pytest.raises(SealError):
        masks.verify(DOCUMENT, city, camera, verifier=CITY.public_key())


def test_a_mask_signed_by_another_key_is_refused() -> None:
    with pytest.raises(SealError):
        masks.verify(DOCUMENT, "town", "gw-001", verifier=keys.new_signing_key().public_key())


@pytest.mark.parametrize("place", range(0, len(DOCUMENT), 7))
def test_a_mask_with_a_flipped_bit_is_refused(place: int) -> None:
    flipped = bytearray(DOCUMENT)
    flipped[place] ^= 1
    with pytest.raises((SealError, MessageError)):
        masks.verify(bytes(flipped), "town", "gw-001", verifier=CITY.public_key())


@pytest.mark.parametrize(
    "polygon",
    [
        ((0.1, 0.1), (0.2, 0.2)),
        ((0.1, 0.1), (0.2, 0.2), (0.3, 0.3)),
        ((0.0, 0.0), (1.1, 0.0), (0.5, 1.0)),
        ((0.0, 0.0), (float("nan"), 0.0), (0.5, 1.0)),
        ((0.1, 0.1), (0.5, 0.5), (0.5, 0.1), (0.1, 0.6)),
        tuple((0.5 + n / 10_000, 0.5) for n in range(300)),
    ],
    ids=["a line", "no inside", "outside", "not a number", "crosses itself", "too many points"],
)
def test_what_is_no_area_is_refused(polygon: Polygon) -> None:
    with pytest.raises(MaskError):
        Mask("gw-001", 1, (polygon,), 5)


def test_a_star_whose_middle_would_stay_clear_is_refused() -> None:
    star = ((0.5, 0.1), (0.7, 0.9), (0.1, 0.4), (0.9, 0.4), (0.3, 0.9))
    with pytest.raises(MaskError, match="cross"):
        Mask("gw-001", 1, (star,), 5)


def test_no_area_must_be_meant() -> None:
    with pytest.raises(MaskError):
        Mask("gw-001", 1, (), 5)
    assert Mask("gw-001", 1, (), 5, is_bare=True).polygons == ()
    with pytest.raises(MaskError):
        replace(MASK, is_bare=True)


@given(st.binary(max_size=80))
def test_any_octets_are_a_mask_or_an_error(data: bytes) -> None:
    try:
        Mask.decode(data)
    except MessageError:
        return
