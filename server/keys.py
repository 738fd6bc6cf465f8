"""The city's keys: made once by `mimamori init`, each in a file of its own, 0600.

Certificates of the broker and of our own programs are made here too, and anew when two thirds of their life are over.
"""

import datetime as dt
import secrets
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from server import nkey, notekey
from server.config import ServerConfig
from server.embedded.broker import Door
from server.enrolment import authority, profile, vault
from server.enrolment.authority import Authority
from server.enrolment.profile import Profile
from server.errors import ConfigError
from server.registry.kek import load as load_kek
from wire.keys import CityBundle, load_seal_key, load_signing_key, new_signing_key, save_private

SEAL: Final = "seal.pem"
RECEIPT: Final = "receipt.pem"
ORDER: Final = "order.pem"
"""Signs orders, masks and settings for gateways."""
FOOTAGE: Final = "footage.pem"
"""Opens the keys of recorded footage; may be kept away from the servers once its public half is in city.json."""
VAPID: Final = "vapid.pem"
LOG: Final = "log.pem"
"""Ed25519: signs the checkpoints of the audit log. Its public half is log.vkey, which outsiders verify by."""
LOG_VKEY: Final = "log.vkey"
KEK: Final = "kek.bin"
HISTORY: Final = "history.bin"
"""Wraps the wards' data keys in the key store."""
PAPERS: Final = "papers.bin"
"""Seals the papers of requests for footage."""
CITY: Final = "city.json"
CA: Final = "ca"
"""Folder of the certificate authority."""
CA_PEM: Final = "ca.pem"
"""The root's certificate, published beside city.json."""
BROKER: Final = "broker"
"""broker.key and broker.pem: the broker's TLS identity."""
SERVICES: Final = ("ingest", "api", "gate")
"""service-NAME.key and service-NAME.pem: our programs' TLS identities as clients of the broker."""
_LOCAL_NAMES: Final = ("localhost", "127.0.0.1")
_KEK_BYTES: Final = 32


def make(config: ServerConfig, *, now: dt.datetime | None = None) -> list[Path]:
    """Make the keys that are missing, certificates that are due, `ca.pem` and `city.json`; return the new files.

    Keys that are there are never replaced. A power cut leaves each file whole or missing, never in part.

    Args:
        config: of the server.
        now: wall time; None asks the clock.

    Raises:
        KeysError: kek.bin, history.bin or papers.bin is there, but cut short or empty; or the authority is broken.
        wire.errors.KeyFileError: one of the others is there and is not what its name says.
    """
    folder = config.keys_dir
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    before = set(folder.rglob("*"))
    for name in (SEAL, FOOTAGE):
        if not (folder / name).exists():
            save_private(folder / name, X25519PrivateKey.generate())
    for name in (RECEIPT, ORDER, VAPID):
        if not (folder / name).exists():
            save_private(folder / name, new_signing_key())
    for name in (KEK, HISTORY, PAPERS):
        if not (folder / name).exists():
            vault.write(folder / name, secrets.token_bytes(_KEK_BYTES), mode=0o600)
        load_kek(folder / name)
    load_signing_key(folder / VAPID)
    notekey.make(folder / LOG)
    vkey = notekey.load(folder / LOG, config.log_origin).verifier().vkey
    vault.write(folder / LOG_VKEY, f"{vkey}\n".encode(), mode=0o644)
    _make_nkeys(folder)
    vault.write(folder / CITY, _bundle(config).to_json().encode(), mode=0o644)
    make_certificates(config, now=now or dt.datetime.now(dt.UTC))
    return sorted(file for file in set(folder.rglob("*")) - before if file.is_file())


def write_door(config: ServerConfig, folder: Path) -> list[Path]:
    """Write into `folder` all that a NATS of your own needs of the city, and nothing else; return the files.

    They are `broker.pem`, `broker.key` (0600), `ca.pem`, and `door.conf` for its `include`.

    Raises:
        KeysError: a file is missing; run `mimamori init`.
        ConfigError: the broker is run without TLS.
    """
    door = broker_door(config)
    if door is None:
        raise ConfigError("broker.tls is false: such a broker has no door")
    wanted = {
        "broker.pem": (door.certificate_file.read_bytes(), 0o644),
        "broker.key": (vault.private_pem(vault.private_key(door.key_file)), 0o600),
        "ca.pem": (door.ca_file.read_bytes(), 0o644),
        "door.conf": (door.who().encode(), 0o644),
    }
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    for name, (content, mode) in wanted.items():
        vault.write(folder / name, content, mode=mode)
    return [folder / name for name in wanted]


def _make_nkeys(folder: Path) -> None:
    kinds: tuple[tuple[str, nkey.Kind], ...] = ((nkey.GATE, "user"), (nkey.CALLOUT, "account"))
    for name, kind in kinds:
        if not (folder / name).exists():
            vault.write(folder / name, nkey.new_seed(kind), mode=0o600)
        nkey.load(folder / name)


def broker_door(config: ServerConfig) -> Door | None:
    """Return what the embedded broker's door is made of, None where it is run without one.

    Raises:
        KeysError: a file is missing; run `mimamori init`.
    """
    if not config.broker.tls:
        return None
    folder = config.keys_dir
    door = Door(
        certificate_file=folder / f"{BROKER}.pem",
        key_file=folder / f"{BROKER}.key",
        ca_file=folder / CA_PEM,
        gate=nkey.public(folder / nkey.GATE),
        issuer=nkey.public(folder / nkey.CALLOUT),
    )
    for file in (door.certificate_file, door.ca_file):
        vault.certificate(file)
    return door


def make_certificates(config: ServerConfig, *, now: dt.datetime, anew: Collection[str] = ()) -> list[Path]:
    """Make the authority where it is missing, and certificates that are missing, due or of other names.

    Args:
        config: of the server.
        now: wall time.
        anew: names of certificates, such as "broker", that are made in any case.

    Returns:
        The certificates that are new: whoever uses one has to read it again.

    Raises:
        KeysError: the authority's files are broken.
        AuthorityError: the issuing certificate has ended.
    """
    folder = config.keys_dir
    city = Authority.create(folder / CA, config.city.id, now=now)
    vault.write(folder / CA_PEM, city.ca_pem.encode(), mode=0o644)
    return list(_renewed(config, city, now=now, anew=anew))


def _renewed(config: ServerConfig, city: Authority, *, now: dt.datetime, anew: Collection[str]) -> Iterator[Path]:
    names = tuple(dict.fromkeys((*_LOCAL_NAMES, *config.enrolment.broker_names.split())))
    wanted = {BROKER: profile.broker(names), **{f"service-{name}": profile.service(name) for name in SERVICES}}
    for stem, what in wanted.items():
        key = vault.signing_key(config.keys_dir / f"{stem}.key")
        file = config.keys_dir / f"{stem}.pem"
        if stem in anew or not _is_good(file, city, what, now=now, key=key.public_key()):
            chain = city.chain_pem(city.issue(what, key.public_key(), now=now))
            vault.write(file, chain.encode(), mode=0o644)
            yield file


def _is_good(file: Path, city: Authority, what: Profile, *, now: dt.datetime, key: object) -> bool:
    if not file.exists():
        return False
    certificate = vault.certificate(file)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    is_ours = certificate.public_key() == key and names == what.alternatives(city.city)
    return is_ours and not authority.is_due(certificate, now=now)


def _bundle(config: ServerConfig) -> CityBundle:
    folder = config.keys_dir
    return CityBundle(
        config.city.id,
        load_seal_key(folder / SEAL).public_key(),
        load_signing_key(folder / RECEIPT).public_key(),
        load_signing_key(folder / ORDER).public_key(),
        load_seal_key(folder / FOOTAGE).public_key(),
    )


def city_file(config: ServerConfig) -> Path:
    """Return where detectors find the city's public keys."""
    return config.keys_dir / CITY
