"""The web app's files, as Vite built them; its own routes get `index.html`."""

from __future__ import annotations

import mimetypes
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.types import Receive, Scope, Send

from server.api import problems

STATIC_DIR: Final = Path(__file__).parents[1] / "static"
_TYPES: Final = {
    ".webmanifest": "application/manifest+json",
    ".js": "text/javascript",
    ".pmtiles": "application/octet-stream",
}
_IMMUTABLE: Final = "public, max-age=31536000, immutable"
_NO_CACHE: Final = "no-cache"

NOT_BUILT: Final = """<!doctype html>
<html lang="ja"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>mimamori</title></head>
<body><h1>画面がまだ作られていません</h1>
<p>サーバーは動いていますが、ウェブアプリがビルドされていません。
<code>make demo</code> または <code>npm --prefix server/web run build</code> を実行してください。</p>
<hr><div lang="en"><h1>The web app has not been built yet</h1>
<p>The server is running, but its pages are missing.
Run <code>make demo</code> or <code>npm --prefix server/web run build</code>.</p></div>
</body></html>
"""


class WebApp:
    """Answers whatever no route of the API does."""

    def __init__(self, folder: Path = STATIC_DIR) -> None:
        self._folder = folder.resolve()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        await self.answer(Request(scope))(scope, receive, send)

    def answer(self, request: Request) -> Response:
        """Return the file asked for, `index.html` for a page of the app, a problem for everything else."""
        path = request.url.path
        if path.startswith("/api/") or path == "/api":
            return problems.answer(problems.NOT_FOUND)
        if request.method not in {"GET", "HEAD"}:
            return problems.answer(problems.NOT_ALLOWED, {"allow": "GET, HEAD"})
        file = self._file(path)
        if file:
            return _send(file, _IMMUTABLE if path.startswith("/assets/") else _NO_CACHE)
        if "." in path.rpartition("/")[2]:
            return problems.answer(problems.NOT_FOUND)
        index = self._file("/index.html")
        return _send(index, _NO_CACHE) if index else HTMLResponse(NOT_BUILT, 503, headers={"retry-after": "60"})

    def _file(self, path: str) -> Path | None:
        """Return the file of `path` if it lies in the folder, whatever dots and links say."""
        if "\0" in path:
            return None
        file = (self._folder / path.lstrip("/")).resolve()
        return file if file.is_relative_to(self._folder) and file.is_file() else None


def _send(file: Path, cache_control: str) -> Response:
    kind = _TYPES.get(file.suffix) or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    return FileResponse(file, media_type=kind, headers={"cache-control": cache_control})
