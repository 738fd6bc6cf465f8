"""PostGIS GiST for questions about last places: who is within so many metres, in a polygon, nearest.

Points are `geography` for distances and `geometry` for polygons, each with its index; statements are prepared, and only
the processor time of the server's own process counts.
"""

from typing import LiteralString, Self

import numpy as np
import psycopg
from numpy.typing import NDArray

from bench.measure import cpu_ns_of_process
from bench.peers.postgis_server import Cluster, Column, copy

_LOAD: LiteralString = """
create unlogged table place as
select tag, at_s, st_setsrid(st_makepoint(lon, lat), 4326) as point, st_makepoint(lon, lat)::geography as spot
from raw
"""
_WITHIN: LiteralString = """
select tag from place where st_dwithin(spot, st_makepoint(%s, %s)::geography, %s, false) and at_s >= %s
"""
_NEAREST: LiteralString = """
select tag from place where at_s >= %s order by spot <-> st_makepoint(%s, %s)::geography limit %s
"""
_INSIDE: LiteralString = "select tag from place where st_contains(st_geomfromtext(%s, 4326), point) and at_s >= %s"


class PostGisPlaces:
    """A table of last places in a cluster of its own.

    Args:
        lat_deg: shape (n,); the row's number is the tag.
        lon_deg: likewise.
        at_s: when each was last heard.
    """

    name = "postgis"

    def __init__(self, lat_deg: NDArray[np.float64], lon_deg: NDArray[np.float64], at_s: NDArray[np.int64]) -> None:
        self._columns = (lat_deg, lon_deg, at_s)
        self._cluster = Cluster()

    def __enter__(self) -> Self:
        self._cluster.__enter__()
        try:
            self._fill()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _fill(self) -> None:
        self._connection = self._cluster.connect()
        self._connection.execute("create extension postgis")
        self._connection.execute("create unlogged table raw (tag int, lat float8, lon float8, at_s bigint)")
        lat_deg, lon_deg, at_s = self._columns
        rows: dict[str, Column] = {
            "tag": (np.arange(len(at_s)), ">i4"),
            "lat": (lat_deg, ">f8"),
            "lon": (lon_deg, ">f8"),
            "at_s": (at_s, ">i8"),
        }
        copy(self._connection, "copy raw from stdin (format binary)", rows)
        self._connection.execute(_LOAD)
        self._connection.execute("create index on place using gist (spot)")
        self._connection.execute("create index on place using gist (point)")
        self._connection.execute("vacuum analyze place")

    def __exit__(self, *_: object) -> None:
        if hasattr(self, "_connection"):
            self._connection.close()
        self._cluster.__exit__()

    def within(self, lat_deg: float, lon_deg: float, radius_m: float, since_s: int) -> list[int]:
        """Return the tags within `radius_m` of a place, on the sphere, heard since `since_s`."""
        return self._tags(_WITHIN, (lon_deg, lat_deg, radius_m, since_s))

    def nearest(self, lat_deg: float, lon_deg: float, k: int, since_s: int) -> list[int]:
        """Return the `k` tags nearest to a place, nearest first, heard since `since_s`."""
        return self._tags(_NEAREST, (since_s, lon_deg, lat_deg, k))

    def inside(self, lat_deg: NDArray[np.float64], lon_deg: NDArray[np.float64], since_s: int) -> list[int]:
        """Return the tags in a polygon of these corners heard since `since_s`."""
        ring = [f"{lon!r} {lat!r}" for lat, lon in zip(lat_deg.tolist(), lon_deg.tolist(), strict=True)]
        return self._tags(_INSIDE, (f"POLYGON(({', '.join([*ring, ring[0]])}))", since_s))

    def spent_ns(self) -> int:
        """Return the processor time that the server's process of this connection has used so far."""
        return cpu_ns_of_process(self._connection.info.backend_pid)

    def _tags(self, statement: LiteralString, values: tuple[object, ...]) -> list[int]:
        cursor: psycopg.Cursor[tuple[int]] = self._connection.execute(statement, values, prepare=True)
        return [tag for (tag,) in cursor.fetchall()]
