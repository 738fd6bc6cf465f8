"""The town's map as this process keeps it: the bytes that are served, and the landmarks in it."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass

from server.api.near import Landmark, of_map, of_places
from server.store import townmap as rows
from server.store.connection import Connection


@dataclass(frozen=True, slots=True)
class MapNow:
    """One version of the map.

    Attributes:
        geojson: UTF-8; empty when no map was imported.
        etag: changes with the bytes.
        landmarks: public places first, then what the map names.
    """

    geojson: bytes
    etag: str
    landmarks: tuple[Landmark, ...]


class TownMap:
    """Reads the map when it is first wanted and looks for a newer one every `fresh_s`."""

    def __init__(self, city_id: str, *, fresh_s: float = 60.0) -> None:
        self._city_id = city_id
        self._fresh_s = fresh_s
        self._looked_s = -fresh_s
        self._version: str | None = None
        self._named: tuple[Landmark, ...] = ()
        self._now = MapNow(b"", '""', ())

    async def now(self, conn: Connection) -> MapNow:
        """Return the map; two small queries a minute, the whole of it only when it has changed."""
        if time.monotonic() - self._looked_s < self._fresh_s:
            return self._now
        version = await rows.version(conn, self._city_id)
        public = of_places(await rows.public_places(conn, self._city_id))
        geojson, etag = self._now.geojson, self._now.etag
        if version != self._version or not geojson:
            row = await rows.read(conn, self._city_id)
            geojson = row.geojson if row else b""
            etag = f'"{hashlib.sha256(geojson).hexdigest()[:16]}"'
            self._named, self._version = tuple(of_map(geojson)), version
        self._now = MapNow(geojson, etag, (*public, *self._named))
        self._looked_s = time.monotonic()
        return self._now
