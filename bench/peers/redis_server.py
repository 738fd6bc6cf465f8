"""Redis: HMGET for the ids, SET NX EX for pairs, GEOADD for places, all pipelined over a Unix socket.

Only the server's processor time counts: neither the client's, nor that of packing commands, nor of the arithmetic
between them, which Redis does not do.
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

from bench.job import AbsentError, Answer, Job
from bench.measure import cpu_ns_of_process

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
        self.title = f"Redis {version.partition('v=')[2].split(' ')[0]}, server's time only"
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
        self._tags: NDArray[np.int64] = np.empty(0, np.int64)

    def __enter__(self) -> Self:
        deadline_s = time.monotonic() + _START_S
        while not Path(self._path).exists():
            if time.monotonic() > deadline_s or self._server.poll() is not None:
                self.__exit__()
                raise AbsentError(self.name, "redis-server did not start")
            time.sleep(0.02)
        self._socket.connect(self._path)
        ids, tags = self._job.world.ids.ravel().astype("<u8"), self._job.world.id_tags()
        fields = ((b"HSET", b"id", *_pairs_of(ids[at], tags[at])) for at in _slices(len(ids), _IDS_AT_ONCE))
        self._ask(_packed(fields, each=20))
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._server.send_signal(signal.SIGTERM)
        self._server.wait(10)
        self._folder.cleanup()

    def run(self) -> float:
        """See `Peer`."""
        self._ask(_packed([(b"DEL", b"place")], each=1))
        self._forget_pairs()
        heard = self._job.sightings
        ids = [id_.tobytes() for id_ in heard.ids.astype("<u8")]
        asked = _packed(((b"HMGET", b"id", *ids[at]) for at in _slices(len(ids), _IDS_AT_ONCE)), each=1)
        found, self.steps["resolve"] = self._timed(asked)
        tags = np.array([-1 if tag is None else int(tag) for tags in found for tag in tags], np.int64)
        is_ours = tags >= 0
        keys = tags[is_ours] << 32 | heard.detectors[is_ours]
        commands = ((b"SET", b"p%d" % key, b"1", b"NX", b"EX", _EXPIRE_S) for key in keys.tolist())
        replies, self.steps["suppress"] = self._timed(_packed(commands, each=_COMMANDS_AT_ONCE))
        self._kept = keys[np.array([reply is not None for reply in replies])]
        self._tags, lat_deg, lon_deg = self._middles(keys, heard.rssi_dbm[is_ours])
        rows = list(zip(lon_deg.tolist(), lat_deg.tolist(), self._tags.tolist(), strict=True))
        adds = (
            (b"GEOADD", b"place", *(repr(value).encode() for row in rows[at] for value in row))
            for at in _slices(len(rows), _PLACES_AT_ONCE)
        )
        _, self.steps["place"] = self._timed(_packed(adds, each=5))
        return sum(self.steps.values())

    def answer(self) -> Answer:
        """See `Peer`."""
        asks = ((b"GEOPOS", b"place", *(b"%d" % t for t in part)) for part in np.array_split(self._tags, 20))
        places = np.array([place for reply in self._ask(_packed(asks, each=1)) for place in reply], np.float64)
        return Answer.of(self._kept, self._tags, places[:, 1], places[:, 0])

    def _middles(
        self, keys: NDArray[np.int64], rssi_dbm: NDArray[np.int8]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        """Return tags and their places, which Redis leaves to its client."""
        order = np.lexsort((rssi_dbm, keys))
        last = np.flatnonzero(np.append(keys[order][1:] != keys[order][:-1], [True]))
        pairs, weight = keys[order][last], self._job.weights[rssi_dbm[order][last].astype(np.int16) + 128]
        tags, start = np.unique(pairs >> 32, return_index=True)
        world, detectors = self._job.world, pairs & 0xFFFFFFFF
        total = np.add.reduceat(weight, start)
        lat_deg = np.add.reduceat(weight * world.lat_deg[detectors], start) / total
        return tags, lat_deg, np.add.reduceat(weight * world.lon_deg[detectors], start) / total

    def _forget_pairs(self) -> None:
        """Drop the pairs of the last run and keep the ids."""
        kept = getattr(self, "_kept", np.empty(0, np.int64)).tolist()
        self._ask(_packed(((b"DEL", *(b"p%d" % key for key in kept[at])) for at in _slices(len(kept), 500)), each=10))

    def _timed(self, packed: Sequence[tuple[bytes, int]]) -> tuple[list[Any], float]:
        start_ns = cpu_ns_of_process(self._server.pid)
        replies = self._ask(packed)
        return replies, float(cpu_ns_of_process(self._server.pid) - start_ns)

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


def _slices(n: int, each: int) -> Iterator[slice]:
    return (slice(start, min(n, start + each)) for start in range(0, n, each))


def _pairs_of(ids: NDArray[np.uint64], tags: NDArray[np.int32]) -> Iterator[bytes]:
    for id_, tag in zip(ids, tags.tolist(), strict=True):
        yield id_.tobytes()
        yield b"%d" % tag
