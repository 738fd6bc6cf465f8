"""The one configuration of all server processes: a TOML file, and `MIMAMORI_*` variables over it."""

import dataclasses
import json
import os
import tomllib
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from server.embedded import place
from server.embedded.dsn import conninfo, database_of
from server.errors import ConfigError
from server.sections import (
    BrokerConfig,
    CityConfig,
    ClerkConfig,
    DatabaseConfig,
    EnrolmentConfig,
    GateConfig,
    HttpConfig,
    IngestConfig,
    KeystoreConfig,
    LedgerConfig,
    NotifyConfig,
    OidcConfig,
    OidcProvider,
    is_safe_url,
)
from wire.clock import Clock

__all__ = [
    "DEFAULT_FILE",
    "ROLES",
    "BrokerConfig",
    "CityConfig",
    "ClerkConfig",
    "DatabaseConfig",
    "EnrolmentConfig",
    "GateConfig",
    "HttpConfig",
    "IngestConfig",
    "KeystoreConfig",
    "LedgerConfig",
    "NotifyConfig",
    "OidcConfig",
    "OidcProvider",
    "ServerConfig",
    "is_safe_url",
    "load",
    "parse",
    "save",
    "with_ports",
]

DEFAULT_FILE: Final = Path(".mimamori/mimamori.toml")
ROLES: Final = ("mimamori", "ingest", "api", "notify", "gate", "warden", "ledger", "clerk")
"""Database roles: the owner, and one of least rights for each process."""
_ALIASES: Final = {"MIMAMORI_NATS_SERVER": "MIMAMORI_BROKER_NATS_SERVER"}
_OTHER_PROGRAMS: Final = ("EDGE", "DETECTOR", "SIM", "DEMO", "WEB", "SKIP", "TEST", "BENCH")
_Section = TypeVar("_Section")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """All a server process knows of its surroundings.

    Attributes:
        state_dir: keys, embedded database and broker, logs. Relative paths count from the working directory.
        clock: town time; absent means wall time.
    """

    state_dir: Path = Path(".mimamori")
    city: CityConfig = field(default_factory=CityConfig)
    database: DatabaseConfig = field(default_factory=DatabaseConfig)
    keystore: KeystoreConfig = field(default_factory=KeystoreConfig)
    broker: BrokerConfig = field(default_factory=BrokerConfig)
    http: HttpConfig = field(default_factory=HttpConfig)
    ingest: IngestConfig = field(default_factory=IngestConfig)
    notify: NotifyConfig = field(default_factory=NotifyConfig)
    gate: GateConfig = field(default_factory=GateConfig)
    ledger: LedgerConfig = field(default_factory=LedgerConfig)
    clerk: ClerkConfig = field(default_factory=ClerkConfig)
    enrolment: EnrolmentConfig = field(default_factory=EnrolmentConfig)
    oidc: OidcConfig = field(default_factory=OidcConfig)
    clock: Clock = field(default_factory=Clock)

    @property
    def keys_dir(self) -> Path:
        """Where `mimamori init` puts the keys, ca.pem and city.json; see `server/keys.py`."""
        return self.state_dir / "keys"

    @property
    def run_dir(self) -> Path:
        """Sockets, process ids and other things that a restart may lose."""
        return self.state_dir / "run"

    def dsn(self, role: str = "mimamori") -> str:
        """Return the libpq conninfo for `role`.

        Raises:
            ConfigError: an unknown role, or a URL that libpq cannot read.
        """
        if role not in ROLES:
            raise ConfigError(f"no such database role: {role}")
        if not self.database.url:
            socket_dir = place.of(self.state_dir).socket_dir
            return conninfo("", host=str(socket_dir), user=role, dbname="mimamori", application_name=f"mimamori-{role}")
        user = "" if role == "mimamori" else role
        passfile = self.database.passfile
        return conninfo(self.database.url, user=user, passfile=passfile, application_name=f"mimamori-{role}")

    def keeper_dsn(self) -> str:
        """Return the libpq conninfo by which the owner works on personal rows, bound by nothing but grants.

        Row-level security binds the owner too: whoever keeps the tables says so, by taking the role `keeper`.

        Raises:
            ConfigError: see `dsn`.
        """
        return conninfo(self.dsn(), options="-c role=keeper")

    def keystore_dsn(self, role: str = "mimamori") -> str:
        """Return the libpq conninfo of the key store for `role`.

        Raises:
            ConfigError: see `dsn`.
        """
        main = self.dsn(role)
        user = "" if role == "mimamori" else role
        url = self.keystore.url or conninfo(main, dbname=f"{database_of(main)}_keys")
        passfile = self.database.passfile
        return conninfo(
            url, user=user, passfile=passfile, application_name=f"mimamori-{role}-keys", connect_timeout="3"
        )

    def mqtt_url(self) -> str:
        """Return `mqtts://host:port` of the broker, `mqtt://` where it is run without TLS.

        Raises:
            ConfigError: the embedded broker has no port yet.
        """
        if self.broker.url:
            return self.broker.url
        if not self.broker.mqtt_port:
            raise ConfigError("broker.mqtt_port is 0: run `mimamori init`, it chooses one")
        return f"{'mqtts' if self.broker.tls else 'mqtt'}://127.0.0.1:{self.broker.mqtt_port}"

    @property
    def has_door(self) -> bool:
        """Whether the broker asks the gate who may come in: NATS with TLS. Any other one keeps a list of its own."""
        return self.broker.tls and bool(not self.broker.url or self.broker.nats_url)

    def nats_url(self) -> str:
        """Return where the gate signs in to the broker.

        Raises:
            ConfigError: the embedded broker has no port yet.
        """
        if self.broker.nats_url:
            return self.broker.nats_url
        if not self.broker.nats_port:
            raise ConfigError("broker.nats_port is 0: run `mimamori init`, it chooses one")
        return f"nats://127.0.0.1:{self.broker.nats_port}"

    @property
    def log_origin(self) -> str:
        """Name of the audit log and of its key."""
        return self.ledger.origin or f"mimamori/{self.city.id}"

    @property
    def log_dir(self) -> Path:
        """The folder of the public audit log."""
        return Path(self.ledger.publish_dir) if self.ledger.publish_dir else self.state_dir / "log-public"

    @property
    def broker_log(self) -> Path:
        """The log in which the broker says who tried a topic that is not its own."""
        return Path(self.broker.log_file) if self.broker.log_file else self.state_dir / "log" / "broker.log"

    def to_toml(self) -> str:
        """Return this configuration as TOML that `load` reads back as the same."""
        lines = [f"state_dir = {_toml(str(self.state_dir))}"]
        for item in dataclasses.fields(self):
            section = getattr(self, item.name)
            if dataclasses.is_dataclass(section) and not isinstance(section, type):
                pairs = dataclasses.asdict(section).items()
                lines += ["", f"[{item.name}]", *(f"{key} = {_toml(value)}" for key, value in pairs)]
        return "\n".join(lines) + "\n"


def load(file: Path | None = None, environ: Mapping[str, str] | None = None) -> ServerConfig:
    """Return the configuration in `file` with `MIMAMORI_SECTION_KEY` variables over it.

    Args:
        file: None means `.mimamori/mimamori.toml` when it is there, defaults when not.
        environ: the process's own by default.

    Raises:
        ConfigError: unreadable file, unknown key or variable, wrong type, value out of range.
    """
    table = _read(file) if file else (_read(DEFAULT_FILE) if DEFAULT_FILE.is_file() else {})
    return parse(_overlay(table, os.environ if environ is None else environ))


def with_ports(settings: ServerConfig, free_port: Callable[[], int]) -> ServerConfig:
    """Return `settings` with a port in place of every 0: an embedded broker and the metrics need ports that stay."""
    broker = settings.broker
    if not broker.url:
        mqtt_port, nats_port = broker.mqtt_port or free_port(), broker.nats_port or free_port()
        broker = replace(broker, mqtt_port=mqtt_port, nats_port=nats_port)
    ingest = replace(settings.ingest, metrics_port=settings.ingest.metrics_port or free_port())
    notify = replace(settings.notify, metrics_port=settings.notify.metrics_port or free_port())
    gate = replace(settings.gate, metrics_port=settings.gate.metrics_port or free_port())
    ledger = replace(settings.ledger, metrics_port=settings.ledger.metrics_port or free_port())
    clerk = replace(settings.clerk, metrics_port=settings.clerk.metrics_port or free_port())
    return replace(settings, broker=broker, ingest=ingest, notify=notify, gate=gate, ledger=ledger, clerk=clerk)


def save(settings: ServerConfig, file: Path) -> None:
    """Write `settings` to `file` in one step, mode 0600: URLs of databases and mail services hold passwords."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    fresh.write_text(settings.to_toml(), "utf-8")
    fresh.replace(file)


def parse(table: Mapping[str, Any]) -> ServerConfig:
    """Return the configuration in an already parsed TOML `table`.

    Raises:
        ConfigError: see `load`.
    """
    sections = _sections()
    unknown = sorted(set(table) - set(sections) - {"state_dir", "clock"})
    if unknown:
        raise ConfigError(f"unknown key: {', '.join(unknown)}")
    try:
        clock = Clock.from_table(table.get("clock", {}))
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigError(f"[clock]: {error}") from error
    state_dir = table.get("state_dir", ".mimamori")
    if not isinstance(state_dir, str):
        raise ConfigError("state_dir: a path is a string")
    made = {name: _section(kind, name, table.get(name, {})) for name, kind in sections.items()}
    return ServerConfig(state_dir=Path(state_dir).expanduser().absolute(), clock=clock, **made)


def _sections() -> dict[str, type[Any]]:
    return {
        "city": CityConfig,
        "database": DatabaseConfig,
        "keystore": KeystoreConfig,
        "broker": BrokerConfig,
        "http": HttpConfig,
        "ingest": IngestConfig,
        "notify": NotifyConfig,
        "gate": GateConfig,
        "ledger": LedgerConfig,
        "clerk": ClerkConfig,
        "enrolment": EnrolmentConfig,
        "oidc": OidcConfig,
    }


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}. Run `mimamori init` first.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: {error}") from error


def _section(kind: type[_Section], name: str, table: object) -> _Section:
    if not isinstance(table, Mapping):
        raise ConfigError(f"[{name}]: a table, not a value")
    kinds = _key_types(kind)
    for key, value in table.items():
        if key not in kinds:
            raise ConfigError(f"unknown key: {name}.{key}")
        if type(value) is not kinds[key]:
            raise ConfigError(f"{name}.{key}: {kinds[key].__name__} wanted, not {type(value).__name__}")
    return kind(**table)


def _key_types(kind: type[Any]) -> dict[str, type]:
    return typing.get_type_hints(kind)


def _overlay(table: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    merged = {key: dict(value) if isinstance(value, Mapping) else value for key, value in table.items()}
    for variable, text in environ.items():
        name = _ALIASES.get(variable, variable)
        prefix, _, rest = name.partition("_")
        section, _, key = rest.lower().partition("_")
        if prefix != "MIMAMORI" or section.upper() in _OTHER_PROGRAMS:
            continue
        if rest == "STATE_DIR":
            merged["state_dir"] = text
        else:
            value = _converted(variable, section, key, text=text)
            values = merged.setdefault(section, {})
            if not isinstance(values, dict):
                raise ConfigError(f"[{section}]: a table, not a value")
            values[key] = value
    return merged


def _converted(variable: str, section: str, key: str, *, text: str) -> str | float:
    kinds = {**_sections(), "clock": Clock}
    wanted = _key_types(kinds[section]).get(key) if section in kinds else None
    if wanted is None:
        raise ConfigError(f"unknown variable: {variable}")
    if wanted is bool:
        if text.lower() not in {"true", "false"}:
            raise ConfigError(f"{variable}: true or false wanted, not {text!r}")
        return text.lower() == "true"
    try:
        return wanted(text)  # type: ignore[no-any-return]  # one of str, int and float
    except ValueError as error:
        raise ConfigError(f"{variable}: {wanted.__name__} wanted, not {text!r}") from error


def _toml(value: str | float) -> str:
    # A JSON string is a TOML basic string, but for DEL, which no path or URL of ours holds.
    return json.dumps(value, ensure_ascii=False)
