import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge.__main__ import app
from wire import keys

CRACKLE = Path(__file__).parents[1] / "vectors" / "captures" / "crackle"
RUNNER = CliRunner()


def test_replay_prints_one_json_object() -> None:
    done = RUNNER.invoke(app, ["replay", "--json", str(CRACKLE / "pairing_and_ltk_exchange.pcap")])
    assert done.exit_code == 0
    told = json.loads(done.stdout)
    assert (told["packets"], told["advertisements"], told["accepted"], told["dropped"]) == (713, 515, 0, 515)
    assert told["addresses"] == {"78:c5:e5:6e:dd:e8": 515}


def test_replay_prints_tables_and_says_that_nothing_would_be_stored() -> None:
    done = RUNNER.invoke(app, ["replay", str(CRACKLE / "le_secure_connections.pcapng")])
    assert done.exit_code == 0
    assert "7d:43:82:42:23:16" in done.stdout
    assert "Nothing of this would be stored" in done.stdout


def test_replay_of_a_damaged_file_tells_and_fails(tmp_path: Path) -> None:
    (tmp_path / "cut.pcap").write_bytes((CRACKLE / "pairing_and_ltk_exchange.pcap").read_bytes()[:-1])
    for option in ([], ["--json"]):
        done = RUNNER.invoke(app, ["replay", *option, str(tmp_path / "cut.pcap")])
        assert done.exit_code == 1
        assert "ends within" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["replay", "/etc/passwd"],
        ["replay", "/nonexistent"],
        ["replay", "--format", "all", str(CRACKLE / "pairing_and_ltk_exchange.pcap")],
        ["replay", "--config", "/nonexistent", str(CRACKLE / "pairing_and_ltk_exchange.pcap")],
        ["run"],
        ["run", "--config", "/nonexistent"],
        ["keygen", "/etc/passwd"],
        ["keygen", "/nonexistent/key.pem"],
    ],
)
def test_bad_input_ends_with_a_message_and_code_2(arguments: list[str]) -> None:
    done = RUNNER.invoke(app, arguments)
    assert done.exit_code == 2
    assert len(done.stderr.strip().splitlines()) == 1


def test_keygen_writes_a_secret_and_prints_what_the_registry_wants(tmp_path: Path) -> None:
    file = tmp_path / "gw.pem"
    done = RUNNER.invoke(app, ["keygen", str(file)])
    assert done.exit_code == 0
    assert file.stat().st_mode & 0o777 == 0o600
    assert keys.decode_public(done.stdout.strip()) == keys.load_signing_key(file).public_key()


def test_a_gateway_with_keys_of_its_own_is_not_enrolled(tmp_path: Path) -> None:
    file = tmp_path / "gw.toml"
    file.write_text(
        'city = "c"\ndetector = "d"\nstate_dir = "s"\n[keys]\nsigning_key_file = "k"\ncity_file = "c"\n'
        '[broker]\nurl = "mqtt://a"\n'
    )
    done = RUNNER.invoke(app, ["enrol", "--config", str(file), "--detector", "d"])
    assert (done.exit_code, "[keys]" in done.stderr) == (2, True)


def test_a_ticket_typed_in_part_is_refused_in_words(tmp_path: Path) -> None:
    file = tmp_path / "gw.toml"
    file.write_text('city = "c"\ndetector = "d"\nstate_dir = "s"\n')
    done = RUNNER.invoke(app, ["enrol", "--config", str(file), "--detector", "d", "--code", "X"])
    assert (done.exit_code, "fingerprint" in done.stderr) == (2, True)
    missing = RUNNER.invoke(app, ["enrol", str(tmp_path / "none.json"), "--config", str(file)])
    assert missing.exit_code == 2
