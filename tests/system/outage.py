"""The outage: days without a network on a moved clock, then all of it to the real server, with live sightings on top.

make outage                           # 72 hours at 200 sightings a second
make outage HOURS=24 RATE=50 JSON=1   # shorter; the last line is JSON

One gateway's whole pipeline (Sight, Merge, Keeper, Outbox, Uplink), a real broker, ingest and PostgreSQL. Simulated are
the air, by tags with real keys that turn their ids and seal their status, and the clock while there is no network.
"""

import argparse
import asyncio
import json
import random
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, cast

import psycopg
from rich.console import Console
from rich.table import Table

from bench.crowd import CITY, CROWD, ROTATION_EXPONENT, START_MS, Town, name_of, tag_name
from bench.pipeline import Site
from edge.config import BrokerConfig, OutboxConfig
from edge.health import Health
from edge.journal import Journal
from edge.keep import Keeper, Sealer
from edge.orders import Desk
from edge.parts import UNDER_WAY
from edge.reports import Reports
from edge.sight import Sight
from edge.uplink import Uplink
from server.store.totals import read as read_totals
from wire import eid, frames, status
from wire.clock import Clock
from wire.formats import Formats
from wire.keys import CityBundle
from wire.merge import Merge
from wire.outbox import Outbox
from wire.status import StatusKeys, TagStatus
from wire.window import SendWindow

WINDOW_MS: Final = 10_000
STAY_S: Final = 30
"""Every so many seconds one tag goes and another one comes."""
DRAIN_S: Final = 3600.0
MIB: Final = 1 << 20
_COUNTS: Final = "SELECT tag_id, sum(count)::bigint FROM sighting_by_name GROUP BY 1"
_SOS: Final = "SELECT sum(count)::bigint FROM sighting_by_name WHERE tag_id = %s"
_LIMIT: Final = OutboxConfig().max_bytes


@dataclass(frozen=True, slots=True)
class Asked:
    """What to play.

    Attributes:
        hours: without a network.
        rate: sightings a second: so many tags are there, each heard once a second.
        live_rate: likewise while the queue is sent.
        merges: whether tags stay; without it every sighting is of an id of its own and no two of them merge.
        sparse: only every so many-th second somebody is heard, to go through 72 hours in seconds.
        max_bytes: of the outbox.
    """

    hours: float = 72.0
    rate: int = 200
    live_rate: int = 200
    merges: bool = True
    sparse: int = 1
    max_bytes: int = _LIMIT


@dataclass(slots=True)
class Hands:
    """A clock that is set."""

    ms: int

    def now_ms(self) -> int:
        """Return town time."""
        return self.ms


@dataclass(slots=True)
class Still:
    """A radio that is fed by hand and forgets what it may."""

    position: int = 0
    released: int = 0

    async def run(self) -> None:
        """Hear nothing by itself."""
        await asyncio.Event().wait()

    def release(self, position: int) -> None:
        """Note what is safe."""
        self.released = position

    async def finish(self) -> None:
        """Have nothing more to give."""


@dataclass(slots=True)
class Air:
    """Tags that walk past: what each sends at a moment, with its real id and its real sealed status."""

    town: Town
    _ids: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    _keys: dict[int, StatusKeys] = field(default_factory=dict)
    _frames: dict[tuple[int, bool], tuple[int, bytes]] = field(default_factory=dict)

    def present(self, second: int, rate: int) -> Iterator[int]:
        """Yield the tags that are heard in a second; the last one of the town is kept for the call for help."""
        first = second // STAY_S
        return ((first + n) % (self.town.n_tags - 1) for n in range(rate))

    def frame(self, tag: int, at_ms: int, *, is_sos: bool = False) -> bytes:
        """Return the advertisement of a tag."""
        beacon_s = (at_ms - int(self.town.offsets_ms[tag])) // 1000
        step, octets = self._frames.get((tag, is_sos), (-1, b""))
        if step != beacon_s // status.STEP_S:
            octets = self._made(tag, beacon_s, is_sos=is_sos)
            self._frames[tag, is_sos] = beacon_s // status.STEP_S, octets
        return octets

    def _made(self, tag: int, beacon_s: int, *, is_sos: bool) -> bytes:
        key = self.town.identity_keys[tag].tobytes()
        keys = self._keys.setdefault(tag, StatusKeys.of(key))
        if self._ids.get(tag, (-1, b""))[0] != beacon_s >> ROTATION_EXPONENT:
            self._ids[tag] = beacon_s >> ROTATION_EXPONENT, eid.derive(key, ROTATION_EXPONENT, beacon_s)
        name = self._ids[tag][1]
        told = TagStatus(status.step_of(beacon_s), sos=is_sos, moving=True)
        return frames.encode(frames.EidFrame(-10, name, status.seal(keys, name, told)))


@dataclass(slots=True)
class Gateway:
    """One gateway without a radio and, at first, without a network."""

    keeper: Keeper
    health: Health
    air: Air
    radio: Still
    hands: Hands
    truth: Counter[int] = field(default_factory=Counter)
    heard: int = 0
    disk_octets: int = 0

    def hear(self, tag: int, at_ms: int, *, is_sos: bool = False) -> None:
        """Hear one tag once."""
        octets = self.air.frame(tag, at_ms, is_sos=is_sos)
        self.keeper.sight.hear(octets, -70, at_ms=at_ms, address=octets[:6])
        self.radio.position += 1
        self.truth[tag] += 1
        self.heard += 1

    def hear_strangers(self, rate: int, at_ms: int, draw: random.Random) -> None:
        """Hear so many ids that nobody has heard before."""
        for n in range(rate):
            octets = frames.encode(frames.EidFrame(-10, draw.randbytes(8), bytes(6)))
            self.keeper.sight.hear(octets, -70, at_ms=at_ms + n, address=octets[-6:])
            self.radio.position += 1
            self.heard += 1

    def live_second(self, at_ms: int, rate: int) -> None:
        """Hear everybody who is there once."""
        for n, tag in enumerate(self.air.present(at_ms // 1000, rate)):
            self.hear(tag, at_ms + n * 1000 // rate)


def opened(site: Site, folder: Path, hands: Hands, max_bytes: int) -> Gateway:
    """Return a gateway of the site's town, enrolled as its first detector."""
    sealer = Sealer(CityBundle.load(site.city_file), name_of(0), site.town.detector_key(0), cast("Clock", hands))
    outbox = Outbox.open(folder / "outbox.db", max_bytes=max_bytes)
    sight = Sight(Formats.parse(["eid"]), Merge(WINDOW_MS))
    health = Health(name_of(0), sight, outbox)
    radio = Still()
    return Gateway(Keeper(sight, outbox, radio, sealer, health.counts), health, Air(site.town), radio, hands)


def endure(gateway: Gateway, asked: Asked, folder: Path) -> None:
    """Hear for so many hours of the clock with nowhere to send to; the keeper works once a second, as it does."""
    draw = random.Random(4)
    seconds = round(asked.hours * 3600)
    for second in range(0, seconds, asked.sparse):
        at_ms = START_MS + second * 1000
        gateway.hands.ms = at_ms + 999
        if asked.merges:
            gateway.live_second(at_ms, asked.rate)
        else:
            gateway.hear_strangers(asked.rate, at_ms, draw)
        gateway.keeper.keep()
    gateway.hands.ms = START_MS + seconds * 1000
    gateway.keeper.keep(is_final=True)
    gateway.disk_octets = sum(file.stat().st_size for file in folder.iterdir())


@dataclass(frozen=True, slots=True)
class Recovered:
    """How the queue went.

    Attributes:
        took_s: from the first connection until everything had its receipt, live sightings too.
        sos_s: from pressing the button, behind the whole queue, to its row in the database; -1: never.
        live: sightings heard meanwhile.
    """

    took_s: float
    sos_s: float
    live: int


async def recover(gateway: Gateway, site: Site, clock: Clock, asked: Asked) -> Recovered:
    """Send the queue while sightings go on, until nothing is left."""
    gateway.keeper.sealer = Sealer(
        gateway.keeper.sealer.city, gateway.keeper.sealer.detector, gateway.keeper.sealer.key, clock
    )
    outbox, heard = gateway.keeper.outbox, gateway.heard
    sealer = gateway.keeper.sealer
    journal = Journal.open(site.settings.state_dir / "gateway-journal.db")
    uplink = Uplink(
        BrokerConfig(site.broker.url, heartbeat_s=5.0),
        gateway.keeper.sealer,
        outbox,
        gateway.health,
        gateway.keeper.put,
        SendWindow(size=UNDER_WAY),
        Desk(sealer.city, sealer.detector, journal, {}, gateway.health.counts),
        Reports(journal, sealer.sign_report, 10.0),
    )
    queued = outbox.totals().pending_batches
    began_s = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(uplink.run()), tasks.create_task(gateway.keeper.run())]
        help_called = tasks.create_task(_call_for_help(gateway, site, clock))
        living = tasks.create_task(_live(gateway, clock, asked.live_rate))
        while outbox.totals().pending_batches > min(queued / 20, 10) and time.monotonic() < began_s + DRAIN_S:  # noqa: ASYNC110 -- as a disk is asked
            await asyncio.sleep(0.1)
        sos_s = await help_called
        living.cancel()
        running[1].cancel()
        gateway.keeper.keep(is_final=True)
        await uplink.drained(60.0)
        took_s = time.monotonic() - began_s
        running[0].cancel()
    journal.close()
    return Recovered(took_s, sos_s, gateway.heard - heard)


async def _live(gateway: Gateway, clock: Clock, rate: int) -> None:
    while True:
        gateway.live_second(clock.now_ms() - 1000, rate)
        await asyncio.sleep(1.0)


async def _call_for_help(gateway: Gateway, site: Site, clock: Clock) -> float:
    """Hold the button of a tag for three seconds and return how long its first row took to the database."""
    await asyncio.sleep(1.0)
    tag, began_s = site.town.n_tags - 1, time.monotonic()
    conn = await psycopg.AsyncConnection.connect(site.settings.dsn(), autocommit=True)
    async with conn:
        while time.monotonic() < began_s + 60:
            if time.monotonic() < began_s + 3:
                gateway.hear(tag, clock.now_ms(), is_sos=True)
            row = await (await conn.execute(_SOS, (tag_name(tag),))).fetchone()
            if row is not None and row[0] is not None and row[0] > 1:  # more than the first sight, which says no more
                return time.monotonic() - began_s
            await asyncio.sleep(0.1)
    return -1.0


@dataclass(frozen=True, slots=True)
class Sum:
    """What came out.

    Attributes:
        heard: sightings, in the outage and after.
        queued_rows: in the outbox when the network came back.
        queued_batches: that held them.
        disk_mb: of all its files then, 10**6 octets.
        octets_per_row: on disk.
        thinned_rows: given up.
        lost: sightings heard and not stored; of strangers: rows sent and not received.
        doubled: stored and not heard.
        expired: rows that the server held for too old.
        outage_s: wall seconds that it took to play.
        recovery_s: until the queue was empty.
        recovery_rows_per_s: queued rows by that time.
        recovery_sightings_per_s: sightings in them by that time.
        sos_s: a call for help behind the whole queue, until it was in the database.
        rss_mb: most memory of this process, which is the gateway and the simulated air.
        rss_growth_mb: of it, what came after the first hour of the clock.
    """

    heard: int
    queued_rows: int
    queued_batches: int
    disk_mb: float
    octets_per_row: float
    thinned_rows: int
    lost: int
    doubled: int
    expired: int
    outage_s: float
    recovery_s: float
    recovery_rows_per_s: float
    recovery_sightings_per_s: float
    sos_s: float
    rss_mb: float
    rss_growth_mb: float

    @property
    def is_good(self) -> bool:
        """Whether all that was heard is there once, on a disk that is not passed. Nothing heard proves nothing."""
        return self.heard > 0 and not (self.lost or self.doubled or self.expired) and self.sos_s >= 0


def play(asked: Asked, site: Site) -> Sum:
    """Play an outage against a site that stands, and return what came out."""
    with tempfile.TemporaryDirectory(prefix="mmo-") as name:
        folder = Path(name)
        gateway = opened(site, folder, Hands(START_MS), asked.max_bytes)
        try:
            return _played(asked, site, gateway, folder)
        finally:
            gateway.keeper.outbox.close()


def _played(asked: Asked, site: Site, gateway: Gateway, folder: Path) -> Sum:
    began_s, before_mb = time.monotonic(), _rss_mb()
    endure(gateway, asked, folder)
    outage_s, after_mb = time.monotonic() - began_s, _rss_mb()
    queued, heard = gateway.keeper.outbox.totals(), gateway.heard
    with site.ingest(town_ms=gateway.hands.ms, speed=1.0) as ingest:
        found = asyncio.run(recover(gateway, site, ingest.clock, asked))
    lost, doubled = _wrong(gateway, site, is_known=asked.merges)
    return Sum(
        heard=gateway.heard,
        queued_rows=queued.pending_rows,
        queued_batches=queued.pending_batches,
        disk_mb=gateway.disk_octets / 1e6,
        octets_per_row=gateway.disk_octets / max(1, queued.pending_rows),
        thinned_rows=gateway.keeper.outbox.totals().thinned_rows,
        lost=lost,
        doubled=doubled,
        expired=read_totals(site.settings.dsn()).expired,
        outage_s=outage_s,
        recovery_s=found.took_s,
        recovery_rows_per_s=queued.pending_rows / found.took_s,
        recovery_sightings_per_s=heard / found.took_s,
        sos_s=found.sos_s,
        rss_mb=_rss_mb(),
        rss_growth_mb=after_mb - before_mb,
    )


def _wrong(gateway: Gateway, site: Site, *, is_known: bool) -> tuple[int, int]:
    """Return how many sightings, or rows where these are nobody's, are missing and how many are too many."""
    totals, put = read_totals(site.settings.dsn()), gateway.keeper.outbox.totals()
    missing = put.put_rows - put.thinned_rows - totals.received
    if not is_known:
        return max(0, missing), max(0, -missing)
    with psycopg.connect(site.settings.dsn()) as conn:
        stored = {str(tag): int(count) for tag, count in conn.execute(_COUNTS)}
    pairs = [(count, stored.get(tag_name(tag), 0)) for tag, count in gateway.truth.items()]
    lost = sum(max(0, heard - there) for heard, there in pairs)
    return max(lost, missing), sum(max(0, there - heard) for heard, there in pairs)


def _rss_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def town_for(rate: int) -> Town:
    """Return a town in which so many tags can be there and others come by."""
    return Town(max(CROWD, 2 * rate), 3)


def main() -> int:
    """Play, show and tell; 1 if anything was lost or doubled."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--hours", type=float, default=72.0, help="of the clock without a network")
    parser.add_argument("--rate", type=int, default=200, help="sightings a second")
    parser.add_argument("--strangers", action="store_true", help="every sighting of an id of its own: nothing merges")
    parser.add_argument("--max-mb", type=int, default=_LIMIT // 10**6, help="of the outbox")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no program outlives this one
    merges, max_bytes = not options.strangers, options.max_mb * 10**6
    asked = Asked(options.hours, options.rate, options.rate, merges=merges, max_bytes=max_bytes)
    with Site(town_for(asked.rate)) as site:
        found = play(asked, site)
    show(found)
    if options.json:
        print(json.dumps({"hours": asked.hours, "rate": asked.rate, "city": CITY, **asdict(found)}), flush=True)  # noqa: T201 - the line that scripts read
    return 0 if found.is_good else 1


def show(found: Sum) -> None:
    """Print what came out."""
    console = Console(highlight=False) if sys.stdout.isatty() else Console(width=100, highlight=False)
    table = Table("", "figure", title="nothing lost" if found.is_good else "WRONG", title_justify="left")
    table.columns[1].justify = "right"
    for name, value in asdict(found).items():
        table.add_row(name.replace("_", " "), f"{value:,.1f}" if isinstance(value, float) else f"{value:,}")
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
