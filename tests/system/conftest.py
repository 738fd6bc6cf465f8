"""Villages for the system tests."""

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from server.demo.options import DemoOptions
from tests.system import village
from tests.system.village import MOSQUITTO, Village


@pytest.fixture(scope="session")
def founded(open_dir: Path) -> Callable[..., contextlib.AbstractContextManager[Village]]:
    """Found a village for the length of a `with`."""

    @contextlib.contextmanager
    def found(
        *,
        broker: str = "nats",
        speed: float = 20.0,
        disks_mb: Mapping[str, int] | None = None,
        has_camera: bool = False,
    ) -> Iterator[Village]:
        if broker == "mosquitto" and MOSQUITTO is None:
            pytest.skip("mosquitto is not installed")
        place = open_dir / f"v{time.monotonic_ns() % 10**9}"
        options = DemoOptions(state_dir=place, speed=speed, has_camera=has_camera)
        with village.founded(Village(options, broker), disks_mb) as made:
            yield made
        shutil.rmtree(options.state_dir, ignore_errors=True)

    return found
