"""What the agent has of a camera: the recorder, the orders that concern it, how it is, and exports to the city."""

import asyncio
import logging
import ssl
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import httpx
from cryptography.hazmat.primitives.asymmetric import ec

from edge.camera import bring, drift
from edge.camera.bring import Bearer
from edge.camera.camera import Camera
from edge.camera.credential import Device
from edge.camera.export import Exporter, sweep
from edge.camera.exports import Exports
from edge.camera.senses import Senses
from edge.camera.sound import SoundGate
from edge.camera.timestamp import Authority
from edge.clock import WallClock
from edge.condition import CameraVitals
from edge.config import EdgeConfig
from edge.errors import BringError, CameraError, OrderRefusedError
from edge.journal import Journal
from edge.lanes import Handler
from wire.keys import CityBundle
from wire.orders import Command, Export
from wire.upload import Sender

log = logging.getLogger(__name__)

EXPORTS: Final = "exports"
REFERENCE: Final = "view.cbor"
_STAMP_S: Final = 10.0
_AGAIN_S: Final = 60.0
_TRIES: Final = 3 * 24 * 60
_ROOM_MB: Final = 200
"""What an export leaves free beyond what recording does."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What a gateway proves itself with.

    Attributes:
        key: signs exports.
        software: name and version.
    """

    key: ec.EllipticCurvePrivateKey = field(repr=False)
    software: str


@dataclass(slots=True)
class Filming:
    """A camera in the service of the city."""

    config: EdgeConfig
    camera: Camera
    proof: Proof

    @classmethod
    def open(cls, config: EdgeConfig, city: CityBundle, journal: Journal, proof: Proof) -> Self:
        """Return the camera of a gateway, what a crash left of an export removed.

        Raises:
            CameraError: the city gives no keys for a camera.
        """

        def write(kind: str, body: Mapping[str, Any]) -> None:
            journal.add(kind, body)

        camera = Camera.open(config, city, journal=write, clock=WallClock(), senses=_senses(config))
        filming = cls(config, camera, proof)
        filming._sweep()
        return filming

    def _sweep(self) -> None:
        try:
            sweep(self._folder, now_ms=self.camera.clock.now_ms())
        except OSError as error:  # a disk that fails is told by the recorder, and by each export
            log.warning("exports.unswept", extra={"reason": type(error).__name__})

    @property
    def counts(self) -> Counter[str]:
        """Return what the camera counts."""
        return self.camera.counts

    @property
    def _folder(self) -> Path:
        return self.config.state_dir / EXPORTS

    async def run(self) -> None:
        """Record for ever; cancelled, end the open segment first."""
        await self.camera.run()

    def vitals(self) -> CameraVitals:
        """Return how the camera is."""
        camera = self.camera
        return CameraVitals(
            state=camera.state,
            fps_centi=camera.fps_centi,
            mask_version=camera.mask_version,
            footage_from_ms=camera.footage_from_ms,
            footage_mb=camera.footage_mb,
            footage_chain=camera.footage_chain,
        )

    def handlers(self) -> dict[type[Command], Handler]:
        """Return who carries out which order."""
        return {**self.camera.handlers(), Export: self._export}

    async def _export(self, order: Export) -> Mapping[str, Any]:
        """Make an export and bring it, though the city cannot be reached for three days.

        Raises:
            BringError: it could not in all that time; the same order again only brings it.
        """
        self._sweep()
        with httpx.Client(timeout=_STAMP_S) as asking:
            async with httpx.AsyncClient(timeout=bring.TIMEOUT, verify=_trust(self.config)) as bringing:
                exports = Exports(
                    exporter=lambda: self._exporter(asking),
                    segments=self.camera.segments_in,
                    bearer=lambda: Bearer(self._sender(), bringing, self.camera.clock.now_ms),
                )
                for _ in range(_TRIES):
                    try:
                        return await exports.carry_out(order)
                    except BringError:
                        self.counts["export_delays"] += 1
                        await asyncio.sleep(_AGAIN_S)
                return await exports.carry_out(order)

    def _sender(self) -> Sender:
        return Sender(self.config.city, self.config.detector, self.proof.key)

    def _exporter(self, client: httpx.Client) -> Exporter:
        camera = self.config.camera
        authority = Authority.load(camera.tsa_url, Path(camera.tsa_root_file)) if camera.tsa_url else None
        self._folder.mkdir(mode=0o700, exist_ok=True)
        now_ms = self.camera.clock.now_ms
        return Exporter(self._folder, self._device(), authority, client, now_ms, camera.min_free_mb + _ROOM_MB)

    def _device(self) -> Device:
        file = self.config.broker.certificate_file
        if not file:
            raise OrderRefusedError("no-certificate")
        try:
            chain_pem = Path(file).read_bytes()
        except OSError as error:
            raise CameraError(f"the certificate cannot be read: {error.strerror}") from error
        return Device(self.config.city, self.config.detector, self.proof.key, chain_pem, self.proof.software)


def _senses(config: EdgeConfig) -> Senses:
    """Return what watches and hears; the reference view lies beside the footage, as features and no picture."""
    path = config.state_dir / "camera" / REFERENCE
    return Senses(
        watch=lambda mask, painted: drift.Watch.open(path, mask.version, painted),
        ear=SoundGate,
    )


def _trust(config: EdgeConfig) -> ssl.SSLContext:
    """Return whom the city's server is known by: the system's authorities, or its own."""
    return ssl.create_default_context(cafile=config.enrolment.server_ca_file or None)
