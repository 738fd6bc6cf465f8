import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from wire import logs

log = logging.getLogger("edge.agent")
PRIVATE = {"name_ja": "ゆい", "tag": "a9b76a71c5f89290", "lat_deg": 35.123456, "ip": "192.0.2.7", "image": b"\xff\xd8"}


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    logs.configure("debug", stream)
    yield stream
    root.handlers[:], root.level = handlers, level
    logging.captureWarnings(capture=False)


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_an_event_is_one_line_of_json_with_its_facts(out: io.StringIO) -> None:
    log.info("batch.put", extra={"detector": "gw-001", "rows": 3, "reasons": {"bad-seal": 2}, "state": None})
    (line,) = lines(out)
    assert line.pop("at").endswith("Z")
    assert line == {
        "level": "info", "logger": "edge.agent", "event": "batch.put", "detector": "gw-001", "rows": 3,
        "reasons": {"bad-seal": 2}, "state": None,
    }  # fmt: skip


def test_no_field_that_is_not_on_the_list_gets_through(out: io.StringIO) -> None:
    log.warning("tag.heard", extra=PRIVATE)
    log.warning("heard %s at %s", PRIVATE["name_ja"], PRIVATE["lat_deg"])
    log.warning(f"heard {PRIVATE['tag']} from {PRIVATE['ip']}")  # noqa: G004 - what a library might do
    log.warning(RuntimeError("192.0.2.7"))
    text = out.getvalue()
    assert not [name for name, value in PRIVATE.items() if f'"{name}"' in text or str(value) in text]
    assert [line["event"] for line in lines(out)] == ["tag.heard", *["library.message"] * 3]


def test_an_exception_is_told_by_kind_and_place_never_by_text(out: io.StringIO) -> None:
    try:
        try:
            raise KeyError("ゆい")  # noqa: TRY301 - a cause is what the test is about
        except KeyError as error:
            raise RuntimeError("192.0.2.7") from error
    except RuntimeError:
        log.exception("loop.failed")
    (line,) = lines(out)
    assert [one["kind"] for one in line["exception"]] == ["builtins.RuntimeError", "builtins.KeyError"]
    assert all("test_logs.py:" in one["at"][-1] for one in line["exception"])
    assert "ゆい" not in out.getvalue()
    assert "192.0.2.7" not in out.getvalue()


def test_an_object_or_a_long_text_in_a_known_field_is_cut_short(out: io.StringIO) -> None:
    class Ward:
        def __str__(self) -> str:
            return "ゆい"

    log.info("a.b", extra={"reason": Ward(), "reasons": [Ward(), "x" * 500]})
    (line,) = lines(out)
    assert line["reason"] == "Ward"
    assert line["reasons"] == ["Ward", "x" * 200]


def test_below_its_level_nothing_is_written_and_stdout_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        logs.configure("WARNING")
        log.info("a.b")
        log.error("c.d", exc_info=(None, None, None))
    finally:
        root.handlers[:], root.level = handlers, level
        logging.captureWarnings(capture=False)
    assert [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()] == ["c.d"]


def test_a_level_may_be_a_number(out: io.StringIO) -> None:
    logs.configure(logging.ERROR, sys.stderr)
    log.warning("a.b")
    assert out.getvalue() == ""
