from pathlib import Path

import pytest

from server import config
from server.demo import run
from server.demo.options import DemoOptions
from server.demo.run import Demo, StoreDownError, Told
from server.demo.screen import Screen
from server.demo.setup import Prepared
from server.supervisor import Supervisor


def test_a_database_that_is_down_at_the_end_is_said_and_is_no_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "_STORE_S", 0.1)
    monkeypatch.setattr(run, "_NOTICES_S", 0.1)
    settings = config.parse({"state_dir": str(tmp_path), "database": {"url": f"host={tmp_path} dbname=none"}})
    options = DemoOptions(state_dir=tmp_path)
    for name in ("gateways", "phones"):
        (options.town_dir / name).mkdir(parents=True)
    demo = Demo(options, Supervisor(tmp_path / "log", tmp_path / "children.json"), Screen(), Told())
    demo.drain(Prepared(settings, (), tmp_path / "town-time.json"))
    with pytest.raises(StoreDownError, match=r"could not be read at the end.*postgres\.log"):
        demo.summary()
