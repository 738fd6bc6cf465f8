"""Shows a gateway's own log to whoever stands before it: as a table, or as JSON lines for other programs."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from edge import journal
from edge.config import EdgeConfig
from edge.journal import Look

_JAPANESE: Final = {
    "order.received": "命令を受領",
    "order.done": "命令を実行",
    "order.failed": "命令に失敗",
    "order.refused": "命令を拒否",
    "order.forged": "偽の命令",
    "order.interrupted": "命令が中断",
    "journal.renewed": "記録を新規作成",
    "gateway.started": "機器を起動",
    "footage.deleted": "映像を削除",
    "footage.missing": "映像が失われた",
    "camera.state": "カメラの状態",
    "camera.moved": "カメラが動いた",
    "mask.missing": "マスクがない",
    "settings.missing": "市の設定がない",
}
_STYLES: Final = {"order.forged": "red", "order.failed": "red", "order.refused": "yellow", "journal.renewed": "red"}


def look(config: EdgeConfig, n: int, *, verify: bool) -> Look:
    """Return the newest `n` entries of a gateway's log, also while it runs.

    Raises:
        JournalError: there is none, or it cannot be read.
    """
    return journal.look(config.state_dir / journal.FILE, n, verify=verify)


def lines(seen: Look) -> Iterator[str]:
    """Return the entries as JSON, one a line; octets as hexadecimal digits."""
    for entry in seen.entries:
        said = {"epoch": seen.epoch, "sequence": entry.sequence, "at": _utc(entry.at_ms), "kind": entry.kind}
        yield json.dumps(said | {"body": _plain(entry.body), "previous": entry.previous.hex()}, ensure_ascii=False)


def show(seen: Look, console: Console) -> None:
    """Print the entries as a table, the newest last."""
    title = f"機器の記録 Log of this gateway ({len(seen.entries)}/{seen.total}, 未送信 unsent {seen.unsent})"
    table = Table("番号 #", "時刻 at (UTC)", "種類 kind", "内容 facts", title=title)
    for entry in seen.entries:
        kind = " ".join(filter(None, (_JAPANESE.get(entry.kind, ""), entry.kind)))
        facts = " ".join(f"{name}={_brief(value)}" for name, value in entry.body.items())
        style = _STYLES.get(entry.kind, "")
        table.add_row(str(entry.sequence), _utc(entry.at_ms), Text(kind, style), Text(facts))
    console.print(table)


def _utc(at_ms: int) -> str:
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):  # a clock that stood in no year we can name
        return f"{at_ms} ms"


def _plain(value: object) -> object:
    match value:
        case bytes():
            return value.hex()
        case Mapping():
            return {str(_plain(key)): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case _:
            return value


def _brief(value: object) -> str:
    match value:
        case bytes():
            return f"{value.hex()[:16]}{'…' if len(value) > 8 else ''}"
        case list() | tuple() | Mapping():
            return f"({len(value)})"
        case _:
            return str(value)[:60]
