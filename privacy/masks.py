"""Privacy masks: which part of a camera's view is nobody's business. Signed by the city, versioned, normalised.

Rule 15: masked pixels never reach storage, stream or thumbnail, and without a valid mask a camera does not record.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Self

from cryptography.hazmat.primitives.asymmetric import ec

from wire import fields as _f
from wire import keys, seal
from wire.errors import MessageError, SealError

MAX_POLYGONS: Final = 64
MAX_POINTS: Final = 256
_GRID: Final = 10_000
"""Coordinates are sent as ten-thousandths of the picture's width and height: whole numbers have one encoding."""

Point = tuple[float, float]
"""x and y, each from 0 (left, top) to 1 (right, bottom)."""
Polygon = tuple[Point, ...]


class MaskError(MessageError):
    """This is no mask. Nothing is recorded with it."""


@dataclass(frozen=True, slots=True)
class Mask:
    """A mask of one camera.

    Attributes:
        camera: id of the gateway that it is of.
        version: 1, 2, 3 …; a lower one than is in force is refused.
        polygons: areas that are painted black; a polygon is closed, its points in order.
        made_at_ms: when it was drawn, Unix milliseconds.
        is_bare: nothing private is in view, and the city says so: only then there may be no polygon.
    """

    camera: str
    version: int
    polygons: tuple[Polygon, ...]
    made_at_ms: int
    is_bare: bool = False

    def __post_init__(self) -> None:
        """Refuse what is no mask.

        Raises:
            MaskError: says why.
        """
        if not self.polygons and not self.is_bare:
            raise MaskError("a mask without an area must say that nothing private is in view")
        if self.polygons and self.is_bare:
            raise MaskError("a mask with areas cannot say that nothing private is in view")
        if len(self.polygons) > MAX_POLYGONS:
            raise MaskError(f"at most {MAX_POLYGONS} areas")
        if self.version < 1:
            raise MaskError("versions begin at 1")
        for polygon in self.polygons:
            _check(polygon)

    def encode(self) -> bytes:
        """Return the mask as CBOR."""
        areas = [[round(value * _GRID) for point in polygon for value in point] for polygon in self.polygons]
        return _f.dumps({1: self.camera, 2: self.version, 3: areas, 4: self.made_at_ms, 5: self.is_bare})

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the mask in `data`.

        Raises:
            MessageError: malformed, of an unknown version, or no mask.
        """
        fields = _f.loads(data)
        areas = fields.get(3)
        if not isinstance(areas, list):
            raise MaskError("a mask lists its areas")
        polygons = tuple(_polygon(area) for area in areas)
        return cls(_f.text(fields, 1), _f.uint(fields, 2), polygons, _f.uint(fields, 4), _f.flag(fields, 5))


def sign(mask: Mask, city: str, *, signer: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the document that the city sends to the camera's gateway, and the gateway keeps."""
    kid = keys.kid(signer.public_key())
    header = seal.Header(city, mask.camera, 0, mask.version, mask.made_at_ms, b"", kid, "mask")
    return seal.sign(mask.encode(), header, signer=signer)


def verify(document: bytes, city: str, camera: str, *, verifier: ec.EllipticCurvePublicKey) -> Mask:
    """Return the mask in a document of the city for `camera`.

    Raises:
        SealError: not signed by the city, or for another camera.
        MessageError: what is signed is no mask.
    """
    header, payload = seal.verify(document, verifier=verifier)
    mask = Mask.decode(payload)
    if (header.city, header.detector, header.content) != (city, camera, "mask") or mask.camera != camera:
        raise SealError("a mask of another camera")
    if header.sequence != mask.version:
        raise SealError("the header names another version")
    return mask


def _polygon(area: object) -> Polygon:
    if not isinstance(area, list) or len(area) % 2:
        raise MaskError("an area is a list of pairs")
    if not all(type(value) is int and 0 <= value <= _GRID for value in area):
        raise MaskError("a point lies within the picture")
    return tuple(zip((x / _GRID for x in area[::2]), (y / _GRID for y in area[1::2]), strict=True))


def _check(polygon: Polygon) -> None:
    if not 3 <= len(polygon) <= MAX_POINTS:
        raise MaskError(f"an area has 3 to {MAX_POINTS} points")
    if not all(0 <= value <= 1 for point in polygon for value in point):
        raise MaskError("a point lies within the picture")
    if abs(_twice_area(polygon)) < 2 / _GRID:
        raise MaskError("an area has an inside")
    if _crosses_itself(polygon):
        # Painters fill by the even-odd rule: where an area lies over itself, it would be left clear.
        raise MaskError("the outline of an area does not cross itself")


def _crosses_itself(polygon: Polygon) -> bool:
    edges = list(pairwise((*polygon, polygon[0])))
    return any(
        _cross(edges[one], edges[other])
        for one in range(len(edges))
        for other in range(one + 2, len(edges))
        if (one, other) != (0, len(edges) - 1)  # the first and the last share a point, as neighbours do
    )


def _cross(one: tuple[Point, Point], other: tuple[Point, Point]) -> bool:
    return _sides(one, other) and _sides(other, one)


def _sides(line: tuple[Point, Point], ends: tuple[Point, Point]) -> bool:
    """Return whether `ends` lie on different sides of `line`; one that lies on it counts as across."""
    (x0, y0), (x1, y1) = line
    first, second = ((x1 - x0) * (y - y0) - (y1 - y0) * (x - x0) for x, y in ends)
    return first * second <= 0


def _twice_area(polygon: Polygon) -> float:
    """Return the shoelace sum: twice the signed area, in shares of the picture."""
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairwise((*polygon, polygon[0])))
