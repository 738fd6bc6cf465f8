from pathlib import Path

import pytest

from server import logfile


def test_a_large_log_begins_anew_and_one_older_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logfile, "MAX_OCTETS", 4)
    file = tmp_path / "log" / "api.log"
    for words in (b"first", b"second", b"3", b"4"):
        with logfile.open_log(file) as out:
            out.write(words)
    assert file.read_bytes() == b"34"
    assert {each.name: each.read_bytes() for each in file.parent.iterdir()} == {
        "api.log": b"34",
        "api.log.1": b"second",
    }
