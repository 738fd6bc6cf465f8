"""Keys and certificates of a gateway that enrolled, on its disk.

`identity` is a link to a folder with all of them. A new set is made in a folder of its own, behind another link, and
put in place by renaming that link: whenever the power is cut, there is the old set or the new one, and a key that the
city has been told of is still there.
"""

import datetime as dt
import json
import os
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from edge.config import IDENTITY
from edge.errors import EnrolError, NotEnrolledError
from wire import enrolment, keys
from wire.enrolment import Grant
from wire.errors import WireError

Purpose = Literal["enrol", "renew"]
SIGNING: Final = "signing.pem"
SEAL: Final = "seal.pem"
CERTIFICATE: Final = "certificate.pem"
CA: Final = "ca.pem"
CITY: Final = "city.json"
ADDRESSES: Final = "addresses.json"


@dataclass(frozen=True, slots=True, repr=False)
class KeyPair:
    """The two keys of a gateway: to sign, and to be sealed to."""

    signing: ec.EllipticCurvePrivateKey
    seal: X25519PrivateKey


@dataclass(frozen=True, slots=True, repr=False)
class Identity:
    """Who this gateway is.

    Attributes:
        certificate: its own, the first of the chain.
        root: of the city.
        city: the text of city.json.
        server_url: where it enrolled.
        broker_url: where it connects.
    """

    pair: KeyPair
    certificate: x509.Certificate
    root: x509.Certificate
    city: str
    server_url: str
    broker_url: str

    def due_at(self, share: float) -> dt.datetime:
        """Return when a share of the certificate's life is over."""
        begin, end = self.certificate.not_valid_before_utc, self.certificate.not_valid_after_utc
        return begin + (end - begin) * share

    @property
    def until_ms(self) -> int:
        """When the certificate ends, Unix milliseconds."""
        return round(self.certificate.not_valid_after_utc.timestamp() * 1000)


@dataclass(frozen=True, slots=True)
class Credentials:
    """The files of one gateway. `state_dir`: of the gateway."""

    state_dir: Path

    @property
    def folder(self) -> Path:
        """Where the identity is: a link."""
        return self.state_dir / IDENTITY

    def exist(self) -> bool:
        """Return whether there is an identity."""
        return self.folder.exists()

    def load(self) -> Identity:
        """Return the identity.

        Raises:
            NotEnrolledError: there is none.
            EnrolError: its files are damaged.
        """
        if not self.exist():
            raise NotEnrolledError
        try:
            addresses = json.loads((self.folder / ADDRESSES).read_text("utf-8"))
            return Identity(
                _pair(self.folder),
                enrolment.certificates((self.folder / CERTIFICATE).read_text("utf-8"))[0],
                enrolment.certificates((self.folder / CA).read_text("utf-8"))[0],
                (self.folder / CITY).read_text("utf-8"),
                str(addresses["server_url"]),
                str(addresses["broker_url"]),
            )
        except (OSError, ValueError, KeyError, TypeError, WireError) as error:
            raise EnrolError(
                f"{self.folder}: 壊れています。再登録を。Damaged ({error}): enrol again with --force"
            ) from error

    def draft(self, purpose: Purpose, make: Callable[[], KeyPair] | None = None) -> KeyPair:
        """Return the keys that the next identity gets; they are on the disk, and the same until it is adopted.

        Args:
            purpose: what they are asked for; one draft each.
            make: gives the keys, where there is no draft; None makes new ones.

        Raises:
            OSError: the disk takes nothing.
        """
        link = self._link(purpose)
        if link.exists():
            try:
                return _pair(link)
            except WireError:  # the disk lost what it had taken: if the city took them, only a new ticket helps
                self.discard(purpose)
        pair = make() if make is not None else KeyPair(keys.new_signing_key(), X25519PrivateKey.generate())
        self.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = self.state_dir / f"{IDENTITY}-{secrets.token_hex(8)}"
        folder.mkdir(mode=0o700)
        keys.save_private(folder / SIGNING, pair.signing)
        keys.save_private(folder / SEAL, pair.seal)
        _sync(folder)
        link.unlink(missing_ok=True)
        link.symlink_to(folder.name)
        _sync(self.state_dir)
        return pair

    def has_draft(self, purpose: Purpose) -> bool:
        """Return whether an answer is still waited for."""
        return self._link(purpose).exists()

    def adopt(self, purpose: Purpose, grant: Grant, server_url: str) -> Identity:
        """Make a draft the identity, with what the city answered; return it.

        Raises:
            OSError: the disk takes nothing; the identity is what it was.
        """
        link = self._link(purpose)
        addresses = {"server_url": server_url, "broker_url": grant.broker_url}
        texts = {
            CERTIFICATE: grant.certificate,
            CA: grant.ca,
            CITY: json.dumps(grant.city, indent=1) + "\n",
            ADDRESSES: json.dumps(addresses) + "\n",
        }
        for name, text in texts.items():
            _write(link / name, text)
        _sync(link)
        if self.folder.is_dir() and not self.folder.is_symlink():
            raise EnrolError(f"{self.folder} はリンクではありません。Is no link: move it away")
        link.replace(self.folder)
        _sync(self.state_dir)
        self._sweep()
        return self.load()

    def discard(self, purpose: Purpose) -> None:
        """Forget the keys of a draft."""
        self._link(purpose).unlink(missing_ok=True)
        self._sweep()

    def _sweep(self) -> None:
        """Delete the folders that no link leads to."""
        links = (self.folder, self._link("enrol"), self._link("renew"))
        kept = {link.readlink().name for link in links if link.is_symlink()}
        for folder in self.state_dir.glob(f"{IDENTITY}-*"):
            if folder.name not in kept:
                shutil.rmtree(folder)

    def _link(self, purpose: Purpose) -> Path:
        return self.state_dir / f"{IDENTITY}.{purpose}"


def _pair(folder: Path) -> KeyPair:
    return KeyPair(keys.load_signing_key(folder / SIGNING), keys.load_seal_key(folder / SEAL))


def _write(file: Path, text: str) -> None:
    with file.open("w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
