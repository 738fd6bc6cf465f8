import os
from pathlib import Path

import pytest

from server.gate.trespass import LogFollower, Trespass

HEAD = "[7] 2026/11/26 03:15:30.140814 "
DENIED = (
    HEAD + '[ERR] 127.0.0.1:36529 - mid:26 - "gw-002" - Publish Violation - Subject "mimamori.1.c.gw-001.sightings"\n'
)
HEARD = HEAD + '[ERR] [::1]:36530 - mid:27 - "gw-003" - Subscription Violation - Subject "x", SID x\n'
OTHER = HEAD + "[INF] Server is ready\n"


def _follower(folder: Path, text: str) -> LogFollower:
    (folder / "broker.log").write_text(text)
    return LogFollower(folder / "broker.log")


def test_what_is_there_already_is_found_first(tmp_path: Path) -> None:
    follower = _follower(tmp_path, OTHER + DENIED + HEARD)
    found = follower.read()
    follower.close()
    assert found == [Trespass(26, "127.0.0.1:36529", "publish"), Trespass(27, "[::1]:36530", "subscribe")]


def test_a_line_is_found_once_and_only_when_it_is_whole(tmp_path: Path) -> None:
    follower = _follower(tmp_path, DENIED[:40])
    assert follower.read() == []
    with follower.file.open("a") as log:
        log.write(DENIED[40:])
    assert [each.cid for each in follower.read()] == [26]
    assert follower.read() == []
    follower.close()


def test_a_rotated_log_is_read_to_its_end_and_the_new_one_from_its_beginning(tmp_path: Path) -> None:
    follower = _follower(tmp_path, OTHER)
    follower.read()
    with follower.file.open("a") as log:
        log.write(DENIED)
    follower.file.rename(tmp_path / "broker.log.1")
    follower.file.write_text(HEARD)
    found = [*follower.read(), *follower.read()]
    follower.close()
    assert [each.cid for each in found] == [26, 27]


def test_between_the_two_steps_of_a_rotation_nothing_is_missed(tmp_path: Path) -> None:
    follower = _follower(tmp_path, OTHER)
    follower.read()
    follower.file.rename(tmp_path / "broker.log.1")
    assert follower.read() == []
    follower.file.write_text(DENIED)
    found = [*follower.read(), *follower.read()]
    follower.close()
    assert [each.cid for each in found] == [26]


def test_a_log_that_was_cut_is_read_anew(tmp_path: Path) -> None:
    follower = _follower(tmp_path, OTHER * 9)
    follower.read()
    os.truncate(follower.file, 0)
    with follower.file.open("a") as log:
        log.write(DENIED)
    found = [*follower.read(), *follower.read()]
    follower.close()
    assert [each.cid for each in found] == [26]


def test_a_log_that_is_not_there_is_an_error_and_found_once_it_is(tmp_path: Path) -> None:
    follower = LogFollower(tmp_path / "broker.log")
    with pytest.raises(FileNotFoundError):
        follower.read()
    follower.file.write_text(DENIED)
    assert len(follower.read()) == 1
    follower.close()


@pytest.mark.parametrize(
    "line",
    [
        HEAD + '[INF] 127.0.0.1:1 - mid:26 - "x" - Publish Violation - Subject "y"\n',
        "x " + DENIED,
        HEAD + '[ERR] 127.0.0.1:1 - cid:26 - "v1" - Publish Violation - Subject "y"\n',
        HEAD + '[ERR] 127.0.0.1:1 - mid:26 - TLS handshake error: "Publish Violation"\n',
    ],
)
def test_a_line_of_another_shape_accuses_nobody(tmp_path: Path, line: str) -> None:
    follower = _follower(tmp_path, line)
    found = follower.read()
    follower.close()
    assert found == []


def test_a_line_without_end_does_not_fill_the_memory(tmp_path: Path) -> None:
    follower = _follower(tmp_path, "x" * 1_000_000)
    follower.read()
    kept = len(follower._rest)
    follower.close()
    assert kept == 0
