"""The simulated town on disk: made once, given its clock anew at every start."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from server.config import ServerConfig
from server.demo.options import DemoOptions
from server.demo.parts import STREET, FamilyPorts
from server.errors import ServerError

DEMO_LOGIN: Final = "demo"
CAMERA: Final = "gw-001"
"""The gateway whose camera films the street scene."""


class TownError(ServerError):
    """The simulator could not make the town. Its own message follows."""


def make(options: DemoOptions, settings: ServerConfig, ports: FamilyPorts, city_file: Path) -> None:
    """Let the simulator lay out the town in `options.town_dir`, with keys and configurations of all detectors.

    A town that is there keeps its seed, keys and codes, and is given the clock and the addresses of `settings`.

    Raises:
        TownError: it could not.
    """
    air, clock = options.air_dir, settings.clock.to_table()
    arguments = {
        "--seed": str(_seed(options)),
        "--out": str(options.town_dir),
        "--city-file": str(city_file),
        "--broker-url": settings.mqtt_url(),
        "--upload-url": f"http://127.0.0.1:{settings.http.port}/api/v1/batches",
        "--push-url": f"http://127.0.0.1:{ports.http}",
        "--radio-socket": str(air / "radio.sock"),
        "--gpsd-socket": str(air / "gpsd.sock"),
        "--camera-url": f"unix:{air / STREET}" if options.has_camera else "",
        "--clock": json.dumps(clock),
    }
    pairs = [text for pair in arguments.items() for text in pair]
    command = [sys.executable, "-m", "firmware_sim", "town", *pairs]
    # A session of its own: a Ctrl-C in the terminal is for us to heed, when the town is whole.
    done = subprocess.run(command, capture_output=True, text=True, check=False, start_new_session=True)
    if done.returncode != 0:
        raise TownError(f"the simulator could not make the town: {done.stderr.strip()[-2000:]}")


def demo_code(town_dir: Path) -> str:
    """Return the sign-in code of the demonstration's guardian, "" when the town has none."""
    found = [guardian["code"] for guardian in _registry(town_dir)["guardians"] if guardian["login"] == DEMO_LOGIN]
    return str(found[0]) if found else ""


def exists(town_dir: Path) -> bool:
    """Return whether a town was laid out here."""
    return (town_dir / "town.json").exists()


def digest(town_dir: Path) -> str:
    """Return a digest of the registry, whatever the clock says."""
    lasting = {key: value for key, value in _registry(town_dir).items() if key != "clock"}
    return hashlib.sha256(json.dumps(lasting, sort_keys=True).encode()).hexdigest()


def detector_dirs(town_dir: Path) -> tuple[Path, Path]:
    """Return where the configurations of gateways and cars, and of phones are."""
    return town_dir / "gateways", town_dir / "phones"


def _seed(options: DemoOptions) -> int:
    return int(_registry(options.town_dir)["seed"]) if exists(options.town_dir) else options.seed


def _registry(town_dir: Path) -> dict[str, Any]:
    table = json.loads((town_dir / "town.json").read_text("utf-8"))
    if not isinstance(table, dict):
        raise TownError("town.json is not an object")
    return table
