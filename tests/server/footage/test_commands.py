import asyncio
import json
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from server.cli import app
from server.config import ServerConfig, save
from server.store import export as store
from server.store.connection import connect
from server.store.export import Expected
from tests.server.footage.conftest import Given

RUN = CliRunner()


def options(given: Given, file: Path | None = None) -> list[str]:
    keys = ("--identity", str(given.folder / "key.txt"), "--ca", str(given.folder / "city.pem"))
    return ["footage", "open", str(file or given.sealed), *keys, "--tsa", str(given.folder / "tsa.pem")]


def test_open_prints_every_check_in_both_languages_and_writes_nothing(given: Given, tmp_path: Path) -> None:
    before = sorted(given.folder.rglob("*"))
    done = RUN.invoke(app, options(given))
    assert done.exit_code == 0, done.output
    assert "すべて確認できました。Every check was passed." in done.output
    assert "欠落 Gap" in done.output
    assert sorted(given.folder.rglob("*")) == before
    assert list(tmp_path.iterdir()) == []


def test_open_tells_programs_and_writes_where_it_is_told(given: Given, tmp_path: Path) -> None:
    done = RUN.invoke(app, [*options(given), "--json", "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    told = json.loads(done.output)
    assert told["is_sound"] is True
    assert told["manifest"]["camera"] == "gw-1"
    assert all(check["ja"] and check["en"] for check in told["checks"])
    assert (tmp_path / "out" / "clip-001.mp4").read_bytes() == given.members["clip-001.mp4"]


def test_open_ends_with_1_when_a_check_fails(given: Given, tmp_path: Path) -> None:
    clip = bytearray(given.members["clip-001.mp4"])
    clip[len(clip) // 2] ^= 1
    path = given.sealed_again(tmp_path / "spoilt.age", {**given.members, "clip-001.mp4": bytes(clip)})
    done = RUN.invoke(app, [*options(given, path), "--out", str(tmp_path / "out")])
    assert done.exit_code == 1
    assert "証拠として使わないでください" in done.output
    assert not (tmp_path / "out").exists()


def test_open_as_a_program_needs_no_server_around_it(given: Given, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "server", *options(given), "--json"]
    root = Path(__file__).parents[3]
    done = subprocess.run(command, capture_output=True, cwd=root, env={"HOME": str(tmp_path)}, check=True, timeout=60)
    assert json.loads(done.stdout)["is_sound"] is True


def test_a_key_that_is_none_is_told_in_one_line(given: Given, tmp_path: Path) -> None:
    (tmp_path / "key.txt").write_text("none")
    command = [sys.executable, "-m", "server", *options(given), "--identity", str(tmp_path / "key.txt")]
    root = Path(__file__).parents[3]
    done = subprocess.run(command, capture_output=True, cwd=root, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "key.txt: no key of age" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_a_forger_calls_a_member_paints_nothing(given: Given, tmp_path: Path) -> None:
    path = given.sealed_again(tmp_path / "more.age", {**given.members, "\x1b[2Jwell[green]": b"evil"})
    done = RUN.invoke(app, options(given, path))
    assert done.exit_code == 1
    assert "\x1b[2J" not in done.output
    assert "[2Jwell[green]" in done.output


@pytest.mark.db
def test_list_shows_what_is_expected(db: ServerConfig, tmp_path: Path) -> None:
    with psycopg.connect(db.dsn(), autocommit=True) as conn:
        conn.execute("INSERT INTO city VALUES ('mimamori', 'みまもり市', 'Mimamori City', 'Asia/Tokyo')")
        conn.execute(
            "INSERT INTO detector (id, city_id, kind, label_ja, label_en, lat_deg, lon_deg, public_key)"
            " VALUES ('gw-1', 'mimamori', 'fixed', '角', 'corner', 34.7, 134.8, '\\x00')"
        )
    expected = Expected("e-1", "gw-1", "case-1", 1_795_402_800_000, 1_795_403_400_000, "age1recipient")

    async def expect() -> None:
        connection = await connect(db.dsn())
        await store.expect(connection, expected)
        await connection.close()

    asyncio.run(expect())
    save(db, tmp_path / "mimamori.toml")
    done = RUN.invoke(app, ["footage", "list", "--config", str(tmp_path / "mimamori.toml"), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.output) == [
        {
            "export": "e-1",
            "case": "case-1",
            "camera": "gw-1",
            "from_ms": 1_795_402_800_000,
            "to_ms": 1_795_403_400_000,
            "state": "expected",
            "size_bytes": None,
            "sha256": "",
        }
    ]
    table = RUN.invoke(app, ["footage", "list", "--config", str(tmp_path / "mimamori.toml")])
    assert "e-1" in table.output
