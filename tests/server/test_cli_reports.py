"""Reports, ledgers and statistics from the command line, out of a database."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner, Result

from server.cli import app
from server.config import ServerConfig
from tests.publishing import append, sequence
from tests.server.reports.conftest import Log, year_of_everything

pytestmark = pytest.mark.db
runner = CliRunner()
Run = Callable[..., Result]
TOWN = """
INSERT INTO city VALUES ('mimamori', 'みまもり市', 'Mimamori City', 'Asia/Tokyo');
INSERT INTO detector (id, city_id, kind, label_ja, label_en, lat_deg, lon_deg, public_key, enrolled_at)
    VALUES ('gw-1', 'mimamori', 'fixed', '東の角', 'East corner', 34.75, 134.84, 'k', '2026-04-02 00:00+09'),
           ('ph-1', 'mimamori', 'phone', '電話', 'Phone', NULL, NULL, 'k', NULL);
"""


@pytest.fixture
def run(db: ServerConfig, tmp_path: Path) -> Run:
    """Run a command on a town's database."""
    with psycopg.connect(db.dsn(), autocommit=True) as conn:
        conn.execute(TOWN.encode())
    file = tmp_path / "mimamori.toml"
    file.write_text(f'state_dir = "{db.state_dir}"\n[database]\nurl = "{db.database.url}"\n')

    def run(*words: str) -> Result:
        return runner.invoke(app, [*words, "--config", str(file)], env={})

    return run


@pytest.fixture
def log(db: ServerConfig) -> Log:
    made = year_of_everything(Log())
    append(db, made.bodies)
    asyncio.run(sequence(db))
    return made


@pytest.mark.usefixtures("log")
def test_the_database_and_the_published_folder_give_the_same_report(db: ServerConfig, run: Run, tmp_path: Path) -> None:
    one, two = tmp_path / "one.pdf", tmp_path / "two.pdf"
    words = ("report", "annual", "2026", "--format", "pdf")
    assert run(*words, "--out", str(one)).exit_code == 0
    assert run(*words, "--out", str(two), "--from", str(db.log_dir)).exit_code == 0
    assert one.read_bytes() == two.read_bytes()


def test_a_report_goes_to_standard_output_without_a_file(run: Run) -> None:
    done = run("report", "annual", "2026", "--format", "csv")
    assert done.exit_code == 0
    assert done.stdout_bytes.startswith(b"\xef\xbb\xbf")


def test_the_ledger_of_cameras_has_the_fixed_devices(run: Run) -> None:
    told = run("report", "ledger", "cameras", "--format", "csv").stdout
    assert "東の角" in told
    assert "ph-1" not in told


def test_the_ledger_of_equipment_has_no_volunteers_phone(run: Run) -> None:
    told = run("report", "ledger", "equipment", "--format", "csv").stdout
    assert "gw-1,東の角,固定(カメラ・検知器),2026-04-02,使用中,-" in told
    assert "ph-1" not in told


@pytest.mark.usefixtures("log")
def test_city_hall_alone_gets_a_line_a_case(run: Run) -> None:
    assert "2026-0001" not in run("report", "ledger", "provision", "--format", "json").stdout
    cases = run("report", "ledger", "provision", "--cases", "--format", "csv").stdout
    assert "2026-0012,県警察本部,行方不明者の捜索" in cases
    assert "庁内用" in run("report", "ledger", "provision", "--cases").stdout


@pytest.mark.parametrize(
    "words",
    [
        ("report", "annual", "20260"),
        ("report", "annual", "2026", "--size", "5"),
        ("report", "ledger", "cameras", "--cases"),
        ("report", "annual", "2026", "--out", "/nonexistent/x.html"),
        ("report", "annual", "2026", "--from", "/nonexistent"),
    ],
)
def test_what_cannot_be_is_said_in_both_languages(run: Run, words: tuple[str, ...]) -> None:
    done = run(*words)
    assert done.exit_code
    assert any(ord(letter) > 0x3000 for letter in str(done.exception))


def test_without_a_crowd_nothing_is_published(run: Run) -> None:
    assert "まだ公表していません" in run("statistics", "list").stdout
    assert "公表する日はありません" in run("statistics", "publish").stdout


def test_a_day_that_was_counted_is_published_and_listed(db: ServerConfig, run: Run) -> None:
    with psycopg.connect(db.dsn(), autocommit=True) as conn:
        conn.execute("INSERT INTO statistic_day (day, meshes) VALUES ('2026-01-10', '{52341607}')")
        conn.execute("INSERT INTO statistic_hour VALUES ('2026-01-10', 7), ('2026-01-10', 8)")
        conn.execute(
            "INSERT INTO statistic_count VALUES ('2026-01-10', 7, 52341607, 400), ('2026-01-10', 8, 52341607, 9)"
        )
    told = run("statistics", "publish").stdout
    assert "2026-01-10\t公表 shown 1\t非公表 suppressed 1\tk>=10\tε=1\tδ=1e-05" in told
    assert run("statistics", "list").stdout == told
    assert "公表する日はありません" in run("statistics", "publish").stdout
