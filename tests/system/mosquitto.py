"""Mosquitto with the configuration that we hand out, in a directory of its own and on a free port."""

import os
from pathlib import Path

DEPLOY = Path(__file__).parents[2] / "deploy"
_THERE = "/etc/mosquitto/mimamori"


def configure(folder: Path, keys_dir: Path, port: int) -> Path:
    """Write deploy/mosquitto.conf for the keys in `keys_dir`, and return the file."""
    text = (DEPLOY / "mosquitto.conf").read_text()
    text = text.replace("listener 8883", f"listener {port} 127.0.0.1")
    text = text.replace(f"{_THERE}/mosquitto.acl", str(DEPLOY / "mosquitto.acl")).replace(_THERE, str(keys_dir))
    if os.geteuid() == 0:
        text += "user root\n"  # the keys are root's here
    file = folder / "mosquitto.conf"
    file.write_text(text)
    return file
