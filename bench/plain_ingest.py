"""Ingest as one would write it first: a loop over messages, a dictionary of ids, one statement or pipeline a batch.

The same sealed batches, the same signed receipts after the commit. It does less than ours: it takes a tag's id at its
word without opening the sealed octets, learns no clock, places nobody, watches no fence and writes no cursor.

    python -m bench.plain_ingest --config mimamori.toml --tags 5000 --detectors 200 --until-ms 1795480000000
"""

import argparse
import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import aiomqtt
import psycopg
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from bench.crowd import BUCKET_MS, CITY, ROTATION_EXPONENT, START_MS, Town, name_of
from server import config as configuration
from server import keys as files
from server.config import ServerConfig
from wire import batch, eid, seal, topics
from wire.keys import load_seal_key, load_signing_key
from wire.messages import Receipt
from wire.seal import Header

if TYPE_CHECKING:
    from redis.asyncio import Redis

READY: Final = "ready"
TABLE: Final = "plain_sighting"
_EXPIRE_S: Final = 60
_CREATE: Final = f"""CREATE TABLE IF NOT EXISTS {TABLE} (tag integer, detector integer, ts timestamptz, rssi smallint,
    PRIMARY KEY (tag, detector, ts))"""
_INSERT: Final = f"INSERT INTO {TABLE} (tag, detector, ts, rssi) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING"
Row = tuple[int, int, int, int]
"""Tag, detector, UTC milliseconds, dBm."""


class Store(Protocol):
    """Where sightings go."""

    async def save(self, rows: list[Row], place: tuple[float, float]) -> None:
        """Keep the rows of one batch, heard at a place (degrees north and east)."""


@dataclass(frozen=True, slots=True)
class PostgresStore:
    """One `executemany` and one commit a batch, into a table whose key makes a repeated row count once."""

    conn: psycopg.AsyncConnection

    async def save(self, rows: list[Row], place: tuple[float, float]) -> None:  # noqa: ARG002 - see `Store`
        """See `Store`."""
        values = [(tag, detector, datetime.fromtimestamp(ms / 1000, UTC), dbm) for tag, detector, ms, dbm in rows]
        async with self.conn.transaction(), self.conn.cursor() as cursor:
            await cursor.executemany(_INSERT, values)


@dataclass(frozen=True, slots=True)
class RedisStore:
    """One pipeline a batch: a key with a time to live for each (tag, detector, bucket), and each tag's last place."""

    client: "Redis"

    async def save(self, rows: list[Row], place: tuple[float, float]) -> None:
        """See `Store`."""
        pipeline = self.client.pipeline(transaction=False)
        for tag, detector, ms, dbm in rows:
            pipeline.set(f"{tag}:{detector}:{ms // BUCKET_MS}", dbm, nx=True, ex=_EXPIRE_S)
        for tag in {row[0] for row in rows}:
            pipeline.geoadd("place", (place[1], place[0], str(tag)))
        await pipeline.execute()


@dataclass(frozen=True, slots=True)
class Plain:
    """What it knows."""

    town: Town
    seal_key: X25519PrivateKey
    receipt_key: ec.EllipticCurvePrivateKey
    detectors: dict[str, tuple[int, ec.EllipticCurvePublicKey]]
    tags: dict[int, int]

    @classmethod
    def of(cls, config: ServerConfig, town: Town, *, until_ms: int) -> "Plain":
        """Return it with the ids of all tags from the town's start until a time, as a dictionary."""
        tags: dict[int, int] = {}
        for tag, (key, offset_ms) in enumerate(zip(town.identity_keys, town.offsets_ms.tolist(), strict=True)):
            first, last = ((ms - offset_ms) // 1000 >> ROTATION_EXPONENT for ms in (START_MS, until_ms))
            ids = eid.derive_many(key.tobytes(), ROTATION_EXPONENT, first - 1, last - first + 3)
            tags |= dict.fromkeys(ids.tolist(), tag)
        folder = config.keys_dir
        numbers = range(town.n_detectors)
        detectors = {name_of(number): (number, town.detector_key(number).public_key()) for number in numbers}
        return cls(town, load_seal_key(folder / files.SEAL), load_signing_key(folder / files.RECEIPT), detectors, tags)

    def open(self, topic: str, payload: bytes) -> tuple[int, Header, list[Row]]:
        """Return a batch's detector, header and rows of our tags."""
        number, key = self.detectors[topics.parse(topic).detector]
        header, opened = seal.unseal(payload, verifier=key, recipient=self.seal_key)
        heard = batch.decode(opened)
        columns = zip(heard.ids.tolist(), heard.last_heard_ms.tolist(), heard.rssi_best_dbm.tolist(), strict=True)
        rows = [(self.tags[name], number, ms, dbm) for name, ms, dbm in columns if name in self.tags]
        return number, header, rows

    def receipt(self, header: Header) -> tuple[str, bytes]:
        """Return topic and payload of a batch's receipt."""
        said = Header(
            city=CITY,
            detector=header.detector,
            epoch=header.epoch,
            sequence=header.sequence,
            sealed_at_ms=header.sealed_at_ms,
            recipient_kid=b"",
            signer_kid=seal.kid(self.receipt_key.public_key()),
            content="receipt",
        )
        signed = seal.sign(Receipt(header.epoch, (header.sequence,)).encode(), said, signer=self.receipt_key)
        return topics.receipts(CITY, header.detector), signed


async def run(config: ServerConfig, plain: Plain, store: Store) -> None:
    """Take in sightings until stopped."""
    host, port = config.mqtt_url().removeprefix("mqtt://").split(":")
    async with aiomqtt.Client(host, int(port)) as client:
        await client.subscribe(topics.city_filter(CITY, "sightings"), qos=1)
        print(READY, flush=True)
        async for message in client.messages:
            number, header, rows = plain.open(message.topic.value, bytes(message.payload))
            north, east = plain.town.places[number].tolist()
            await store.save(rows, (north, east))
            await client.publish(*plain.receipt(header))


@contextlib.asynccontextmanager
async def opened(config: ServerConfig, redis_socket: str) -> AsyncIterator[Store]:
    """Give the store: Redis where its socket is named, else PostgreSQL."""
    if redis_socket:
        from redis.asyncio import Redis  # noqa: PLC0415 - may not be here, and the other store does without

        client = Redis(unix_socket_path=redis_socket)
        try:
            yield RedisStore(client)
        finally:
            await client.aclose()
        return
    async with await psycopg.AsyncConnection.connect(config.dsn(), autocommit=True) as conn:
        await conn.execute(_CREATE)
        yield PostgresStore(conn)


async def _main(options: argparse.Namespace) -> None:
    config = configuration.load(options.config)
    plain = Plain.of(config, Town(options.tags, options.detectors), until_ms=options.until_ms)
    async with opened(config, options.redis_socket) as store:
        await run(config, plain, store)


def main() -> None:
    """Run until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--tags", type=int, required=True)
    parser.add_argument("--detectors", type=int, required=True)
    parser.add_argument("--until-ms", type=int, required=True, help="town time up to which ids are worked out")
    parser.add_argument("--redis-socket", default="", help="store into this Redis instead of PostgreSQL")
    asyncio.run(_main(parser.parse_args()))


if __name__ == "__main__":
    main()
