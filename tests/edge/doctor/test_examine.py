"""The whole examination, with real files, a real broker and a real camera file; findings by name and verdict."""

import dataclasses
import io
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from edge import config as configuration
from edge.__main__ import app
from edge.doctor import examine, machine, show
from edge.doctor.finding import Finding
from wire.outbox import Outbox

JAPANESE = re.compile(r"[ぁ-んァ-ヶ一-龠]")


def written(config: Any, file: Path, extra: str = "") -> Path:
    file.write_text(
        f'city = "{config.city}"\ndetector = "{config.detector}"\nstate_dir = "{config.state_dir}"\n'
        f'[keys]\nsigning_key_file = "{config.keys.signing_key_file}"\ncity_file = "{config.keys.city_file}"\n'
        f'[broker]\nurl = "{config.broker.url}"\n[scan]\nsource = "{config.scan.source}"\n{extra}',
        encoding="utf-8",
    )
    return file


def verdicts(findings: list[Finding]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for finding in findings:
        found.setdefault(finding.name, set()).add(finding.verdict)
    return found


async def test_a_gateway_that_is_well_has_no_failure(gateway: Any, broker: Any, radio: Any, tmp_path: Path) -> None:
    file = written(gateway("gw-1", broker.port, radio=radio.path), tmp_path / "gw.toml")
    findings = await examine.examine(file, {})
    assert [finding for finding in findings if finding.verdict == "fail"] == []
    assert set(verdicts(findings)) == {"configuration", "identity", "clock", "disk", "outbox", "adapter", "broker"}
    assert verdicts(findings)["broker"] == {"ok"}


async def test_what_is_missing_is_found_each_by_its_own_check(gateway: Any, tmp_path: Path) -> None:
    config = gateway("gw-1", 1)
    config.keys.signing_key_file.chmod(0o644)
    (tmp_path / "city.json").unlink()
    findings = await examine.examine(written(config, tmp_path / "gw.toml", '[position]\ngpsd = "unix:/nowhere"\n'), {})
    found = verdicts(findings)
    assert {name for name, seen in found.items() if "fail" in seen} == {"identity", "adapter", "broker", "gpsd"}
    for finding in findings:
        assert JAPANESE.search(finding.ja)
        assert not JAPANESE.search(finding.en + finding.do_en)
        assert finding.verdict == "ok" or (finding.do_ja and finding.do_en)


async def test_a_check_that_crashes_hinders_no_other(
    gateway: Any, broker: Any, radio: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(_: object) -> list[Finding]:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(machine, "disk", crash)
    file = written(gateway("gw-1", broker.port, radio=radio.path), tmp_path / "gw.toml")
    found = verdicts(await examine.examine(file, {}))
    assert found["disk"] == {"fail"}
    assert found["broker"] == {"ok"}


def test_the_command_prints_both_languages_ends_with_1_and_shows_no_key(gateway: Any, tmp_path: Path) -> None:
    config = gateway("gw-1", 1)
    file = written(config, tmp_path / "gw.toml")
    done = CliRunner().invoke(app, ["doctor", "--config", str(file)], env={"COLUMNS": "200"})
    assert done.exit_code == 1
    for said in ("診断結果", "異常", "Findings", "FAIL", "what to do"):
        assert said in done.output
    plain = CliRunner().invoke(app, ["doctor", "--config", str(file), "--json"])
    told = json.loads(plain.output)
    assert (plain.exit_code, told["well"]) == (1, False)
    assert {"name", "verdict", "ja", "en", "do_ja", "do_en"} == set(told["findings"][0])
    secret = Path(config.keys.signing_key_file).read_text().splitlines()[1]
    assert secret not in done.output + plain.output


def test_nothing_is_cut_off_on_a_narrow_screen() -> None:
    said = "見" * 70
    stream = io.StringIO()
    show.show([Finding("clock", "fail", said, "x" * 90, said, "y" * 90)], Console(file=stream, width=80))
    assert stream.getvalue().count("見") == 140
    assert stream.getvalue().count("y") == 90 + "what to do".count("y")
    assert "…" not in stream.getvalue()


async def test_a_gateway_that_enrols_is_looked_for_at_the_addresses_it_was_given(
    gateway: Any, broker: Any, radio: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = gateway("gw-1", broker.port, radio=radio.path)
    unnamed = dataclasses.replace(config, broker=dataclasses.replace(config.broker, url=""))
    monkeypatch.setattr(configuration, "load", lambda *_: unnamed)
    (*_, last) = await examine.examine(tmp_path, {})
    assert (last.name, last.verdict, last.en) == ("identity", "fail", "this gateway is not enrolled")
    (config.state_dir / "identity").mkdir(parents=True)
    told = {"server_url": "http://127.0.0.1:1", "broker_url": config.broker.url}
    (config.state_dir / "identity" / "addresses.json").write_text(json.dumps(told))
    found = await examine.examine(tmp_path, {})
    assert verdicts(found)["broker"] == {"ok"}
    assert "the server's time could not be read" in [finding.en for finding in found]


def test_a_configuration_that_is_wrong_is_the_only_finding(tmp_path: Path) -> None:
    file = tmp_path / "gw.toml"
    file.write_text("nonsense = 1\n")
    done = CliRunner().invoke(app, ["doctor", "--config", str(file), "--json"])
    (finding,) = json.loads(done.output)["findings"]
    assert (done.exit_code, finding["name"], finding["verdict"]) == (1, "configuration", "fail")
    assert "nonsense" in finding["en"]


async def test_the_outbox_of_a_running_gateway_is_read_beside_it(
    gateway: Any, broker: Any, radio: Any, running: Any, tmp_path: Path, until: Any, eid: Any
) -> None:
    config = gateway("gw-1", broker.port, radio=radio.path)
    async with running(config) as vitals:
        await until(lambda: radio.socket.connected == 1)
        radio.hear("gw-1", eid(1))
        await until(lambda: vitals["gw-1"].outbox.totals().pending_batches == 1)
        findings = await examine.examine(written(config, tmp_path / "gw.toml"), {"PATH": os.environ["PATH"]})
        (outbox,) = [finding for finding in findings if finding.name == "outbox"]
        assert (outbox.verdict, outbox.en) == ("ok", "1 batches wait (1 rows)")
        await until(lambda: vitals["gw-1"].is_connected)
    assert machine.queue(config, config.clock.now_ms).en == "1 batches wait (1 rows)"
    with Outbox.open(config.state_dir / "outbox.db", max_bytes=10**7) as kept:
        assert kept.totals().pending_batches == 1
