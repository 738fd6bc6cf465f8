import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from firmware_sim import town as towns
from firmware_sim.air import TZ, Air
from firmware_sim.registry import TAGS
from firmware_sim.tag import provision
from wire import keys

SCHOOL_MORNING_MS = int(dt.datetime(2026, 11, 24, 7, 40, tzinfo=TZ).timestamp() * 1000)


@pytest.fixture(scope="session")
def start_ms() -> int:
    return SCHOOL_MORNING_MS


@pytest.fixture(scope="session")
def town() -> towns.Town:
    return towns.build(7)


@pytest.fixture
def new_air(town: towns.Town) -> Callable[[], Air]:
    return lambda: Air(town, provision(7, TAGS, SCHOOL_MORNING_MS), SCHOOL_MORNING_MS)


@pytest.fixture
def vectors() -> Path:
    return Path(__file__).parents[1] / "vectors"


@pytest.fixture
def city_file(tmp_path: Path) -> Path:
    path = tmp_path / "city.json"
    seal_key, receipt_key = X25519PrivateKey.generate().public_key(), keys.new_signing_key().public_key()
    keys.CityBundle("mimamori", seal_key, receipt_key).save(path)
    return path
