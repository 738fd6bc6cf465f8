"""Redis: HMGET for the ids, SET NX EX for pairs, GEOADD for places, all pipelined over a Unix socket.

The server's processor time and its client's count, for who picks Redis needs both: the client packs commands, reads
replies and does the arithmetic that Redis does not do. The server's share is told apart.
"""

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bench.job import M_PER_DEG, MIN_ACCURACY_M, AbsentError, Answer, Job
from bench.measure import cpu_ns_of, cpu_ns_of_process
from bench.world import BUCKET_MS

try:
    import hiredis
except ImportError:  # pragma: no cover - reported by __init__
    hiredis = None  # type: ignore[assignment]

_COMMANDS_AT_ONCE = 500
_IDS_AT_ONCE = 500
_PLACES_AT_ONCE = 100
_EXPIRE_S = b"60"
_START_S = 10.0


class Redis:
    """A server of its own on a socket in a temporary folder, nothing written to disk; gone with the `with`."""

    name = "redis"

    def __init__(self, job: Job) -> None:
        program = shutil.which("redis-server")
        if program is None:
            raise AbsentError(self.name, "make bench-peers (Debian: redis-server)")
        if hiredis is None:
            raise AbsentError(self.name, "uv sync --group bench")
        version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
        self.title = f"Redis {version.partition('v=')[2].split(' ')[0]}, server and client"
        self.steps: dict[str, float] = {}
        self._job = job
        self._folder = tempfile.TemporaryDirectory(prefix="mimamori-redis-")
        self._path = f"{self._folder.name}/redis.sock"
        options = ["--port", "0", "--unixsocket", self._path, "--save", "", "--appendonly", "no"]
        self._server = subprocess.Popen(
            [program, *options, "--dir", self._folder.name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._socket = socket.socket(socket.AF_UNIX)
        self._reader = hiredis.Reader()
        self._kept: NDArray[np.int64] = np.empty(0, np.int64)
        self._bucket = 0
        self._places: Answer

    def __enter__(self) -> Self:
        deadline_s = time.monotonic() + _START_S
        while not Path(self._path).exists():
            if time.monotonic() > deadline_s or self._server.poll() is not None:
                self.__exit__()
                raise AbsentError(self.name, "redis-server did not start")
            time.sleep(0.02)
        try:
            self._fill()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _fill(self) -> None:
        self._socket.connect(self._path)
        ids, tags = self._job.world.ids.ravel().astype("<u8"), self._job.world.id_tags()
        fields = ((b"HSET", b"id", *_pairs_of(ids[at], tags[at])) for at in _slices(len(ids), _IDS_AT_ONCE))
        self._ask(_packed(fields, each=20))
        world = self._job.world
        homes = (world.lat_deg[world.home], world.lon_deg[world.home])
        self._ask(_adds(np.arange(world.size.n_tags), *homes))

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._server.send_signal(signal.SIGTERM)
        self._server.wait(10)
        self._folder.cleanup()

    def run(self) -> float:
        """See `Peer`. The server's time and that of its client, which runs here; `server_ns` is the former alone."""
        self._forget_pairs()
        self.steps.clear()
        return cpu_ns_of(self._run) + self.server_ns

    @property
    def server_ns(self) -> float:
        """The server's processor time of the newest run."""
        return sum(self.steps.values())

    def _run(self) -> None:
        heard = self._job.sightings
        octets = heard.ids.astype("<u8").tobytes()
        ids = [octets[at : at + 8] for at in range(0, len(octets), 8)]
        asked = _packed(((b"HMGET", b"id", *ids[at]) for at in _slices(len(ids), _IDS_AT_ONCE)), each=1)
        found = self._timed("resolve", asked)
        tags = np.array([-1 if tag is None else int(tag) for tags in found for tag in tags], np.int64)
        is_ours = tags >= 0
        keys, at_ms = tags[is_ours] << 32 | heard.detectors[is_ours], heard.heard_at_ms[is_ours]
        names = zip(keys.tolist(), (at_ms // BUCKET_MS).tolist(), strict=True)
        commands = ((b"SET", b"%d:%d" % name, b"1", b"NX", b"EX", _EXPIRE_S) for name in names)
        replies = self._timed("suppress", _packed(commands, each=_COMMANDS_AT_ONCE))
        places = self._middles(keys, heard.rssi_dbm[is_ours], at_ms)
        self._timed("place", _adds(places.tags, places.lat_deg, places.lon_deg))
        is_new = np.array([reply is not None for reply in replies])
        self._kept, self._bucket = keys[is_new], int(at_ms[0]) // BUCKET_MS
        self._places = places

    def answer(self) -> Answer:
        """See `Peer`."""
        found = self._places
        asks = ((b"GEOPOS", b"place", *(b"%d" % t for t in part)) for part in np.array_split(found.tags, 20))
        places = np.array([place for reply in self._ask(_packed(asks, each=1)) for place in reply], np.float64)
        return Answer.of(self._kept, found.tags, places[:, 1], places[:, 0], found.accuracy_m, found.heard_at_ms)

    def _middles(self, keys: NDArray[np.int64], rssi_dbm: NDArray[np.int8], at_ms: NDArray[np.int64]) -> Answer:
        """Return pairs and places, which Redis leaves to its client."""
        order = np.lexsort((rssi_dbm, keys))
        last = np.flatnonzero(np.append(keys[order][1:] != keys[order][:-1], [True]))
        pairs, weight = keys[order][last], self._job.weights[rssi_dbm[order][last].astype(np.int16) + 128]
        tags, start = np.unique(pairs >> 32, return_index=True)
        north, east = (c[pairs & 0xFFFFFFFF] for c in (self._job.world.lat_deg, self._job.world.lon_deg))
        total, count = np.add.reduceat(weight, start), np.diff(np.append(start, len(pairs)))
        lat_deg, lon_deg = (np.add.reduceat(weight * c, start) / total for c in (north, east))
        north2, east2 = (np.add.reduceat(weight * c * c, start) / total for c in (north, east))
        spread = north2 - lat_deg**2 + (east2 - lon_deg**2) * np.cos(np.radians(lat_deg)) ** 2
        square_m2 = count / total + spread * M_PER_DEG**2
        accuracy_m = np.maximum(MIN_ACCURACY_M, np.sqrt(square_m2 / np.sqrt(count)))
        by_tag = np.lexsort((at_ms, keys >> 32))
        newest = np.flatnonzero(np.append(np.diff(keys[by_tag] >> 32) != 0, [True]))
        return Answer(pairs, tags, lat_deg, lon_deg, accuracy_m, at_ms[by_tag][newest])

    def _forget_pairs(self) -> None:
        """Drop the pairs of the last run and keep the ids."""
        names = [b"%d:%d" % (key, self._bucket) for key in self._kept.tolist()]
        self._ask(_packed(((b"DEL", *names[at]) for at in _slices(len(names), 500)), each=10))

    def _timed(self, step: str, packed: Sequence[tuple[bytes, int]]) -> list[Any]:
        start_ns = cpu_ns_of_process(self._server.pid)
        replies = self._ask(packed)
        self.steps[step] = float(cpu_ns_of_process(self._server.pid) - start_ns)
        return replies

    def _ask(self, packed: Sequence[tuple[bytes, int]]) -> list[Any]:
        replies: list[Any] = []
        for data, commands in packed:
            self._socket.sendall(data)
            wanted = len(replies) + commands
            while len(replies) < wanted:
                reply = self._reader.gets()
                if reply is False:
                    self._reader.feed(self._socket.recv(1 << 20))
                    continue
                if isinstance(reply, hiredis.ReplyError):
                    raise reply
                replies.append(reply)
        return replies


def _packed(commands: Iterable[tuple[bytes, ...]], *, each: int) -> list[tuple[bytes, int]]:
    """Return pipelines of `each` commands, and how many there are in each."""
    packed = [hiredis.pack_command(command) for command in commands]  # type: ignore[arg-type] # its stub means a tuple of one
    return [(b"".join(packed[at]), len(packed[at])) for at in _slices(len(packed), each)]


def _adds(
    tags: NDArray[np.int64], lat_deg: NDArray[np.float64], lon_deg: NDArray[np.float64]
) -> list[tuple[bytes, int]]:
    """Return the pipelines that put tags into their places."""
    rows = list(zip(lon_deg.tolist(), lat_deg.tolist(), tags.tolist(), strict=True))
    commands = (
        (b"GEOADD", b"place", *(repr(value).encode() for row in rows[at] for value in row))
        for at in _slices(len(rows), _PLACES_AT_ONCE)
    )
    return _packed(commands, each=5)


def _slices(n: int, each: int) -> Iterator[slice]:
    return (slice(start, min(n, start + each)) for start in range(0, n, each))


def _pairs_of(ids: NDArray[np.uint64], tags: NDArray[np.int32]) -> Iterator[bytes]:
    for id_, tag in zip(ids, tags.tolist(), strict=True):
        yield id_.tobytes()
        yield b"%d" % tag
