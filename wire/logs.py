"""Logging as JSON lines on stdout, one event a line, with an allow-list of fields.

Never a name, a tag id, a coordinate, an image or an address. What a caller puts into `extra` under a name that is not
on the list is dropped; so are the arguments of the message and the text of exceptions, which may quote a database row.
"""

import json
import logging
import re
import sys
import time
import traceback
from collections.abc import Mapping
from typing import Final, TextIO

FIELDS: Final = frozenset({
    # who speaks and about which machine
    "adapter", "channel", "city", "component", "content", "detector", "detectors", "epoch", "gateway", "kind", "part",
    "pid", "port", "program", "role", "route", "sequence", "sequences", "source", "topic_leaf", "version",
    "worker", "shard", "migration", "migrations", "leaf", "mode", "format", "formats", "scan",
    # what came of it
    "error", "errors", "error_kind", "exit_code", "method", "outcome", "reason", "reasons", "result", "rc", "signal",
    "sqlstate", "state", "status", "step", "command", "settled", "retryable", "simulated", "speed", "resumed",
    # how many, how much, how long
    "accepted", "advertisements", "attempt", "attempts", "batches", "bytes", "callbacks", "changes", "connections",
    "count", "counts", "dead", "delay_s", "dropped", "duration_ms", "duration_s", "elapsed_ms", "elapsed_s", "events",
    "failed", "fixes", "free_bytes", "heard", "inserted", "interval_s", "lag_ms", "late", "limit", "lost", "max_bytes",
    "max_rows", "missed", "notices", "outstanding", "packets", "partitions", "pending", "places", "position",
    "published", "put", "put_rows", "queued", "queued_batches", "received", "refused", "restarts", "retries", "rows",
    "seconds", "sent", "skipped", "stored", "suspicious", "tags", "timeout_s", "total", "unknown", "uptime_s",
    "waited_s", "wards", "watches", "window", "window_s", "agents", "clients", "streams", "sessions", "removed",
})  # fmt: skip
"""Every field that a log line may carry besides `at`, `level`, `logger`, `event` and `exception`."""

_EVENT = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)+", re.ASCII)
_MAX_TEXT = 200


class JsonFormatter(logging.Formatter):
    """Turns a record into one line of JSON and leaves out all that is not on the list."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        template = record.msg if isinstance(record.msg, str) else ""
        line: dict[str, object] = {
            "at": _utc(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": template if _EVENT.fullmatch(template) else "library.message",
        }
        line.update({name: _plain(value) for name, value in vars(record).items() if name in FIELDS})
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = _exception(record.exc_info[1])
        return json.dumps(line, ensure_ascii=False)


def configure(level: str | int = "INFO", stream: TextIO | None = None) -> None:
    """Make the root logger write JSON lines to `stream` (None: stdout), and nothing else. For `__main__` alone."""
    handler = logging.StreamHandler(sys.stdout if stream is None else stream)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper() if isinstance(level, str) else level)
    logging.captureWarnings(True)


def _utc(at_s: float) -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(at_s))}.{int(at_s * 1000) % 1000:03d}Z"


def _plain(value: object) -> object:
    """Return a value that JSON holds, texts cut, and nothing of objects that might print themselves."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return value[:_MAX_TEXT]
    if isinstance(value, Mapping):
        return {str(key)[:_MAX_TEXT]: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return type(value).__name__


def _exception(error: BaseException | None) -> list[dict[str, object]]:
    """Return kinds and places of an exception and its causes, innermost last; never their text."""
    chain: list[dict[str, object]] = []
    while error is not None and len(chain) < 5:
        frames = traceback.extract_tb(error.__traceback__)[-8:]
        places = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames]
        chain.append({"kind": f"{type(error).__module__}.{type(error).__qualname__}", "at": places})
        error = error.__cause__ or error.__context__
    return chain
