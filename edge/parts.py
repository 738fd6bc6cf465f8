"""The parts of one gateway, each made from its configuration; what a gateway does not have is not even loaded."""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from edge import identity, position
from edge.clock import WallClock
from edge.config import EdgeConfig, PositionConfig
from edge.errors import CameraError, EdgeError, JournalError
from edge.health import software
from edge.journal import Journal
from edge.keep import Sealer
from edge.lanes import Handler
from edge.parked import Whereabouts
from edge.position import GpsdClient
from edge.uplink import Uplink
from wire import keys
from wire.orders import RotateKeys
from wire.outbox import Outbox
from wire.window import SendWindow

if TYPE_CHECKING:
    from edge.camera.filming import Filming
    from edge.camera.leftover import Leftover
    from edge.renewal import Renewal

log = logging.getLogger(__name__)

UNDER_WAY = 16
"""Batches sent and not yet receipted, at most: with four, a queue of three days took three times as long to send."""


def sealer(config: EdgeConfig) -> Sealer:
    """Return who signs and seals for this gateway.

    Raises:
        KeyFileError: a key file cannot be used.
        EdgeError: the city file is of another city.
    """
    city = keys.CityBundle.load(config.keys.city_file)
    if city.city != config.city:
        raise EdgeError(f"the city file is of {city.city}, the configuration of {config.city}")
    return Sealer(city, config.detector, keys.load_signing_key(config.keys.signing_key_file), config.clock)


def outbox(config: EdgeConfig) -> Outbox:
    """Return the outbox, open; a damaged one was moved aside for a new one.

    Raises:
        EdgeError: there is no place for it.
        OutboxError: the disk fails.
    """
    try:
        config.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise EdgeError(f"state_dir cannot be made: {error.strerror}") from error
    opened = Outbox.open(config.state_dir / "outbox.db", max_bytes=config.outbox.max_bytes, may_renew=True)
    if opened.broken_file is not None:
        log.error("outbox.renewed", extra={"detector": config.detector, "bytes": opened.broken_file.stat().st_size})
    return opened


def leftover(config: EdgeConfig, sealer: Sealer, journal: Journal) -> "Leftover | None":
    """Return what deletes the footage of a camera that is configured no longer; None where there is none."""
    if config.camera.url or not (config.state_dir / "camera").is_dir():
        return None
    from edge.camera.leftover import Leftover  # noqa: PLC0415 -- a gateway that never had a camera needs none of it

    def write(kind: str, body: Mapping[str, Any]) -> None:
        journal.add(kind, body)

    return Leftover.open(config, sealer.city, journal=write, clock=WallClock())


def filming(config: EdgeConfig, sealer: Sealer, journal: Journal) -> "Filming | None":
    """Return the camera; None where none is configured, or it cannot be used: the radio goes on without it."""
    if not config.camera.url:
        return None
    # libav, OpenCV and C2PA take 100 MB: a gateway without a camera does without, and needs not even have them.
    try:
        from edge.camera.filming import Filming, Proof  # noqa: PLC0415 -- see above

        return Filming.open(config, sealer.city, journal, Proof(sealer.key, software()))
    except (CameraError, ImportError) as error:
        extra = {"detector": config.detector, "reason": type(error).__name__}
        log.error("camera.unusable", extra=extra)  # noqa: TRY400 -- the doctor says what is missing
        return None


def window(config: EdgeConfig) -> SendWindow:
    """Return what says which batches are sent when."""
    jitter = random.uniform(1.0, 1.3)  # noqa: S311 -- spreads load, keeps no secret
    return SendWindow(size=UNDER_WAY, timeout_s=config.broker.receipt_timeout_s * jitter)


def certificate_end(config: EdgeConfig) -> Callable[[], int | None]:
    """Return what gives the end of the certificate, Unix milliseconds; None without one."""
    file = config.broker.certificate_file
    return lambda: identity.certificate_until_ms(Path(file)) if file else None


def newest_order(journal: Journal) -> Callable[[], int | None]:
    """Return what gives the sequence of the newest order; None where there was none, or the disk does not say."""

    def newest() -> int | None:
        try:
            return journal.order_sequence or None
        except JournalError:
            return None

    return newest


def whereabouts(config: PositionConfig) -> Whereabouts | None:
    """Return where a vehicle is, nothing known yet; None for what does not move."""
    return position.whereabouts(config.max_age_s, config.parked_max_age_s) if config.gpsd else None


def renewal(config: EdgeConfig, uplink: Uplink, counts: Counter[str], again: asyncio.Event) -> "Renewal | None":
    """Return what keeps the certificate in force; None where the keys were put there by hand."""
    if not config.makes_its_keys:
        return None
    # An HTTP client costs 10 MB; a gateway whose keys are put there by hand does without.
    from edge.enrol import Enroller  # noqa: PLC0415 -- see above
    from edge.renewal import Renewal  # noqa: PLC0415 -- as above

    return Renewal(Enroller(config), counts, renewed=uplink.reconnect, changed=again.set)


def rotating(renewal: "Renewal") -> Handler:
    """Return what carries out an order for new keys; the agent begins anew with them once that is written down."""

    async def rotate(_: RotateKeys) -> dict[str, Any]:
        identity = await renewal.rotate()
        return {"certificate_until_ms": identity.until_ms}

    return rotate


def seal_key(config: EdgeConfig) -> Callable[[], X25519PrivateKey | None]:
    """Return what gives the key that orders with secrets are sealed to."""
    file = config.keys.seal_key_file
    key = None if file is None else keys.load_seal_key(file)
    return lambda: key


async def ready(config: EdgeConfig, stop: asyncio.Event) -> EdgeConfig | None:
    """Return the configuration with what enrolment adds, once that is done; None where `stop` was set before."""
    if not config.makes_its_keys:
        return config
    from edge import enrol  # noqa: PLC0415 -- as in `renewal`

    asking, stopped = asyncio.ensure_future(enrol.ready(config)), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((asking, stopped), return_when=asyncio.FIRST_COMPLETED)
        return await asking if asking.done() else None
    finally:
        asking.cancel()
        stopped.cancel()
        await asyncio.gather(asking, stopped, return_exceptions=True)


def gpsd(config: EdgeConfig, track: Whereabouts | None, counts: Counter[str]) -> GpsdClient | None:
    """Return what asks gpsd; None for what does not move."""
    if track is None:
        return None
    device = config.position.gpsd_device(config.detector)
    return GpsdClient(config.position.gpsd, device, track, counts=counts, now_ms=config.clock.now_ms)
