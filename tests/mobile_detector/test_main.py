from pathlib import Path

import pytest
from typer.testing import CliRunner

from mobile_detector.__main__ import app
from mobile_detector.duty import Usage
from mobile_detector.usage import BANDS, Diary, helped_band

runner = CliRunner()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "phone.toml"
    path.write_text(
        'city = "c"\ndetector = "phone-01"\nstate_dir = "state"\n'
        '[keys]\nsigning_key_file = "k.pem"\ncity_file = "city.json"\n'
        '[upload]\nurl = "http://127.0.0.1:1/"\n[position]\nlat_deg = 34.75\nlon_deg = 134.83\n'
    )
    return path


def test_zones_are_added_listed_and_removed(config: Path) -> None:
    where = ["--config", str(config)]
    added = runner.invoke(app, ["zones", "add", *where, "--lat", "34.75", "--lon", "134.83", "--name", "いえ"])
    assert added.exit_code == 0, added.output
    assert "いえ" in runner.invoke(app, ["zones", "list", *where]).output
    assert runner.invoke(app, ["zones", "remove", *where, "2"]).exit_code == 2
    assert runner.invoke(app, ["zones", "remove", *where, "1"]).exit_code == 0
    assert "区域はありません" in runner.invoke(app, ["zones", "list", *where]).output


def test_an_impossible_zone_and_a_broken_file_are_said(config: Path) -> None:
    where = ["--config", str(config)]
    assert runner.invoke(app, ["zones", "add", *where, "--lat", "99", "--lon", "0"]).exit_code == 2
    (config.parent / "state").mkdir()
    (config.parent / "state" / "zones.json").write_text("broken")
    assert runner.invoke(app, ["zones", "list", *where]).exit_code == 2


def test_status_says_the_cost_and_only_a_band_of_the_help(config: Path) -> None:
    (config.parent / "state").mkdir()
    usage = Usage(on_s=7200, scanning_s=720, wakes=360, in_zone_s=3600)
    Diary(usage, helped_band(137), 2).save(config.parent / "state" / "usage.json")
    output = runner.invoke(app, ["status", "--config", str(config)]).output
    assert "10.0%" in output
    assert "180 /h" in output
    assert "100〜999回" in output
    assert "137" not in output


@pytest.mark.parametrize(("rows", "band"), [(0, 0), (1, 1), (9, 1), (10, 2), (99, 2), (100, 3), (1000, 4), (10**9, 4)])
def test_bands_are_coarse(rows: int, band: int) -> None:
    assert helped_band(rows) == band
    assert len(BANDS) == 5


@pytest.mark.parametrize("text", ["", "{}", '{"usage": 3}', '{"usage": {"x": 1}, "helped": 1, "waiting_batches": 0}'])
def test_a_broken_diary_is_an_empty_one(tmp_path: Path, text: str) -> None:
    path = tmp_path / "usage.json"
    path.write_text(text)
    assert Diary.load(path) == Diary()


def test_run_without_a_configuration_says_so(tmp_path: Path) -> None:
    assert runner.invoke(app, ["run"]).exit_code == 2
    assert runner.invoke(app, ["run", "--config", str(tmp_path / "none.toml")]).exit_code == 2
