"""`mimamori audit` says in both languages what is wrong, and docs/AUDIT.md names commands that there are."""

import json
import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from privacy.transparency import tree
from privacy.transparency.checkpoint import issue
from privacy.transparency.edge import Edge
from privacy.transparency.note import KeyKind, Signer
from privacy.transparency.tiles import ENTRIES, Tile, bundle
from server.cli import app
from server.errors import ServerError
from server.publiclog.folder import Folder

SIGNER = Signer("mimamori/machi", Ed25519PrivateKey.from_private_bytes(b"\1" * 32))
WITNESSES = [Signer(f"w{n}.example", Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32)) for n in (2, 3, 4)]
DOC = (Path(__file__).parents[2] / "docs" / "AUDIT.md").read_text()
COMMANDS = sorted({line.split("  ")[0] for line in DOC.splitlines() if line.startswith("mimamori ")})
SIZE = 40


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A published log that two witnesses cosigned, with key and policy beside it."""
    folder, edge = Folder(tmp_path / "log"), Edge()
    entries = [b'{"n":%d}' % number for number in range(SIZE)]
    for entry in entries:
        edge.grow(tree.leaf_hash(entry))
    folder.write_tiles([*edge.partial(), (Tile(ENTRIES, 0, SIZE), bundle(entries))])
    note = issue(SIGNER, edge.head())
    note = note.plus(one.cosign(note.text, 1_800_000_000) for one in WITNESSES[:2])
    folder.write("checkpoint", note.whole().encode())
    (tmp_path / "log.vkey").write_text(f"{SIGNER.verifier().vkey}\n")
    keys = [one.verifier(KeyKind.COSIGNATURE).vkey for one in WITNESSES]
    lines = [f"witness W{n} {key}" for n, key in enumerate(keys)]
    (tmp_path / "policy").write_text("\n".join([*lines, "group panel 2 W0 W1 W2", "quorum panel", ""]))
    return folder.path


def _verify(log: Path, *more: str) -> tuple[int, str]:
    key = str(log.parent / "log.vkey")
    done = CliRunner().invoke(app, ["audit", "verify", str(log), "--key", key, "--processes", "1", *more])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout


def test_a_whole_log_is_said_to_be_whole_japanese_first(log: Path) -> None:
    code, said = _verify(log, "--policy", str(log.parent / "policy"))
    assert code == 0
    assert said.startswith("✓ 記録は改ざんされていません。The log is whole")
    assert "証人2者が40件目までを確認" in said


def test_without_witnesses_it_says_what_that_does_not_tell(log: Path) -> None:
    code, said = _verify(log)
    assert code == 0
    assert "証人を確かめていません" in said


def test_a_changed_entry_is_named_in_both_languages(log: Path) -> None:
    file = log / Tile(ENTRIES, 0, SIZE).path
    file.write_bytes(file.read_bytes().replace(b'{"n":7}', b'{"n":8}'))
    code, said = _verify(log)
    assert code == 1
    assert "✗ 記録 7 が書き換えられています。Entry 7 was changed" in said
    code, said = _verify(log, "--json")
    assert [(one["fault"], one["first"]) for one in json.loads(said)["findings"]] == [("changed", 7)]


def test_several_processes_find_the_same_as_one(log: Path) -> None:
    assert json.loads(_verify(log, "--json", "--processes", "2")[1])["whole"] is True


@pytest.mark.parametrize("arguments", [["--key", "nonsense"], []])
def test_without_a_proper_key_nothing_is_verified(log: Path, arguments: list[str]) -> None:
    done = CliRunner().invoke(app, ["audit", "verify", str(log), *arguments])
    assert isinstance(done.exception, ServerError)
    assert "公開鍵" in str(done.exception)


def test_a_log_that_is_not_there_is_not_verified(log: Path) -> None:
    key = str(log.parent / "log.vkey")
    done = CliRunner().invoke(app, ["audit", "verify", str(log / "nowhere"), "--key", key])
    assert isinstance(done.exception, ServerError)


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_of_the_document_is_there_with_its_options(line: str) -> None:
    words = line.split()[1:3]
    done = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert done.exit_code == 0, done.output
    assert set(re.findall(r"--[a-z-]+", line)) <= set(re.findall(r"--[a-z-]+", done.output))


def test_the_document_names_commands() -> None:
    assert len(COMMANDS) >= 5
