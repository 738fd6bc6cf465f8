"""The OpenAPI 3.1 document: FastAPI's, with problem+json for every error and the messages of the live stream."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from starlette.routing import compile_path

from server.api.schemas import LiveEvent, LivePlace, ProblemBody

DESCRIPTION: Final = """\
見守りサービスの API です。家族は Cookie のセッションで、検知する端末は署名した封筒で話します。
エラーはすべて `application/problem+json` (RFC 9457) で、`title` は日本語、`detail` は英語、`code` はプログラム用です。

The API of a watch-over service. Families speak with a session cookie, detectors with signed envelopes.
Someone else's ward answers like one who does not exist, byte for byte. Times are UTC milliseconds of the town's clock.
"""
TAGS: Final = [
    {"name": "session", "description": "サインイン / signing in and out"},
    {"name": "family", "description": "見守る人の場所とできごと / a ward's places and events"},
    {"name": "look-ups", "description": "照会 / who looked a ward's records up, and why"},
    {"name": "live", "description": "ライブ / Server-Sent Events"},
    {"name": "notices", "description": "通知 / Web Push"},
    {"name": "map", "description": "地図 / the town"},
    {"name": "cases", "description": "映像の提供依頼 / requests for footage"},
    {"name": "detectors", "description": "検知する端末 / sealed batches and exports"},
    {"name": "gateways", "description": "ゲートウェイの登録 / enrolment of gateways"},
    {"name": "log", "description": "監査記録 / the audit log, for everybody"},
    {"name": "public", "description": "公表するもの / reports, ledgers, anonymous statistics"},
    {"name": "operation", "description": "運用 / health and counters"},
]
_EXTRA: Final[dict[str, type[BaseModel]]] = {"Problem": ProblemBody, "LivePlace": LivePlace, "LiveEvent": LiveEvent}


def document(app: FastAPI) -> dict[str, Any]:
    """Return the document; made once, then kept by FastAPI."""
    if app.openapi_schema is None:
        made = get_openapi(
            title=app.title,
            version=app.version,
            description=DESCRIPTION,
            tags=TAGS,
            routes=app.routes,
            openapi_version="3.1.0",
        )
        schemas = made.setdefault("components", {}).setdefault("schemas", {})
        for name, model in _EXTRA.items():
            schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas.update(schema.pop("$defs", {}))
            schemas[name] = {**schema, "title": name}
        _drop_defaults(made)
        app.openapi_schema = made
    return app.openapi_schema


def _drop_defaults(made: dict[str, Any]) -> None:
    """Remove the 422 that FastAPI adds to routes whose parameters cannot be wrong."""
    for operation in (operation for item in made["paths"].values() for operation in item.values()):
        if "application/json" in operation["responses"].get("422", {}).get("content", {}):
            del operation["responses"]["422"]
    for name in ("HTTPValidationError", "ValidationError"):
        made["components"]["schemas"].pop(name, None)


def allowed(app: FastAPI, path: str) -> str:
    """Return the methods that a path takes, for `Allow`: the router itself knows only those of its first match."""
    methods = {
        method.upper()
        for template, operations in document(app)["paths"].items()
        if compile_path(template)[0].fullmatch(path)
        for method in operations
    }
    return ", ".join(sorted(methods or {"GET"}))
