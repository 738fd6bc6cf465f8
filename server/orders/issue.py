"""Gives orders to gateways: masks and settings are signed here, the order itself by the gate when it sends it."""

import asyncio
import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric import ec

from privacy import masks
from privacy.masks import Mask, Polygon
from server.config import ServerConfig
from server.store import order as orders
from server.store.connection import Connection
from server.store.errors import UnknownDetectorError
from server.store.order import GatewayOrder
from wire import camera_settings, cbor, seal
from wire.camera_settings import MAX_RETENTION_DAYS, CameraSettings
from wire.errors import SealError
from wire.keys import load_signing_key
from wire.messages import MAX_OCTETS
from wire.orders import Command, Configure, SetMask, body_of, kind_of

_LOOK_S = 0.2


@dataclass(frozen=True, slots=True)
class CitySigner:
    """Signs masks and settings.

    Attributes:
        city: id.
        key: of orders; gateways know its public half from `city.json`.
    """

    city: str
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @classmethod
    def of(cls, config: ServerConfig) -> Self:
        """Return the signer with the city's key.

        Raises:
            KeyFileError: order.pem is missing or holds another kind of key.
        """
        return cls(config.city.id, load_signing_key(config.keys_dir / "order.pem"))


async def issue(conn: Connection, detector: str, command: Command, *, now_ms: int) -> int:
    """Return the sequence of a new order that the gate sends at once; the keys of an export are added there.

    Raises:
        MessageError: the command's values are out of range.
        UnknownDetectorError: there is no such gateway, or it is revoked.
    """
    return await orders.add(conn, detector=detector, kind=kind_of(command), body=body_of(command), now_ms=now_ms)


@dataclass(frozen=True, slots=True)
class Drawing:
    """What a mask is to cover.

    Attributes:
        polygons: areas that are painted black, points in shares of width and height.
        is_bare: there is none, as nothing private is in view.
    """

    polygons: tuple[Polygon, ...]
    is_bare: bool = False


async def issue_mask(
    conn: Connection, signer: CitySigner, detector: str, *, drawing: Drawing, now_ms: int
) -> tuple[int, int]:
    """Return the sequence of the order and the version of the mask, one above the last that was given.

    Raises:
        MaskError: the drawing is no mask.
        UnknownDetectorError: there is no such gateway, or it is revoked.
    """
    async with conn.transaction():
        await orders.lock(conn, detector)
        version = 1 + await _last_version(conn, detector, "mask")
        mask = Mask(detector, version, drawing.polygons, now_ms, drawing.is_bare)
        document = masks.sign(mask, signer.city, signer=signer.key)
        return await issue(conn, detector, SetMask(document), now_ms=now_ms), version


async def issue_settings(  # noqa: PLR0913 - of one order
    conn: Connection,
    signer: CitySigner,
    detector: str,
    *,
    changes: Mapping[str, Any],
    now_ms: int,
    most_days: int = MAX_RETENTION_DAYS,
) -> tuple[int, CameraSettings]:
    """Return the sequence of the order and the settings: the last that were given, with `changes` and a new version.

    Args:
        conn: of the owner.
        signer: of the city.
        detector: id of the gateway.
        changes: fields of CameraSettings, all but the version.
        now_ms: wall time.
        most_days: how long the city's ordinance lets footage be kept: what was set longer before is cut to it.

    Raises:
        MessageError: a value is out of range.
        UnknownDetectorError: there is no such gateway, or it is revoked.
    """
    async with conn.transaction():
        await orders.lock(conn, detector)
        version = 1 + await _last_version(conn, detector, "configure")
        before = await _last_settings(conn, signer, detector) or CameraSettings(1)
        settings = dataclasses.replace(before, **{**changes, "version": version})
        settings = dataclasses.replace(settings, retention_days=min(settings.retention_days, most_days))
        document = camera_settings.sign(settings, signer.city, detector, signer=signer.key, signed_at_ms=now_ms)
        return await issue(conn, detector, Configure(document), now_ms=now_ms), settings


async def outcome(conn: Connection, detector: str, sequence: int, *, wait_s: float) -> GatewayOrder:
    """Return an order as soon as it is settled, or as it is after `wait_s` wall seconds.

    Raises:
        UnknownDetectorError: there is no such order.
    """
    ends_s = time.monotonic() + wait_s
    while True:
        found = await orders.find(conn, detector, sequence)
        if found is None:
            raise UnknownDetectorError(f"{detector} has no order {sequence}")
        if found.is_settled or time.monotonic() >= ends_s:
            return found
        await asyncio.sleep(_LOOK_S)


async def _last_version(conn: Connection, detector: str, kind: str) -> int:
    return max((_version(order) for order in await orders.of_kinds(conn, detector, kind)), default=0)


def _version(order: GatewayOrder) -> int:
    try:
        return seal.peek(_document(order)).sequence
    except SealError:
        return 0  # the gateway refused it too


async def _last_settings(conn: Connection, signer: CitySigner, detector: str) -> CameraSettings | None:
    """Return the newest settings that the gateway has not refused."""
    given = [
        one for one in await orders.of_kinds(conn, detector, "configure") if one.state not in {"refused", "failed"}
    ]
    if not given:
        return None
    return camera_settings.verify(_document(given[-1]), signer.city, detector, verifier=signer.key.public_key())


def _document(order: GatewayOrder) -> bytes:
    body = cbor.loads(order.body, max_octets=MAX_OCTETS)
    return bytes(body["mask" if order.kind == "mask" else "settings"])
