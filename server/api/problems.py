"""Every error answer of the API, as `application/problem+json` (RFC 9457): a Japanese title, an English detail.

An answer depends on its kind alone. It repeats nothing of the request, so that it cannot tell whether a ward exists.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from fastapi import HTTPException
from fastapi.exceptions import RequestValidationError
from starlette.responses import JSONResponse

MEDIA_TYPE: Final = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Problem:
    """One kind of error.

    Attributes:
        status: HTTP status code.
        code: short name, stable: programs compare this one.
        title: for a citizen, in Japanese.
        detail: the same in English.
    """

    status: int
    code: str
    title: str
    detail: str

    def body(self, **more: object) -> dict[str, object]:
        """Return the members of RFC 9457, our `code`, and `more`."""
        kind = f"/problems/{self.code}"
        fixed = {"type": kind, "title": self.title, "status": self.status, "detail": self.detail, "code": self.code}
        return {**fixed, **more}


MALFORMED = Problem(400, "malformed-body", "送られたデータを読めませんでした。", "The body could not be read.")
NOT_SIGNED_IN = Problem(401, "not-signed-in", "サインインしてください。", "Sign in first.")
WRONG_CODE = Problem(
    401, "wrong-code", "ログイン名またはコードが違います。", "The login name or the code is not right."
)
WRONG_CARD = Problem(
    401,
    "wrong-card",
    "この登録カードは使えません。市の窓口で新しいカードをもらってください。",
    "This card opens nothing. Ask city hall for a new one.",
)
WRONG_KEY = Problem(
    401, "wrong-key", "このパスキーではサインインできません。", "This passkey does not sign anybody in here."
)
KEY_REFUSED = Problem(
    400,
    "key-refused",
    "このパスキーは登録できませんでした。もう一度お試しください。",
    "This passkey was not kept. Begin again; an account has at most ten.",
)
NOT_LET_IN = Problem(
    400,
    "not-let-in",
    "サインインできませんでした。最初からやり直してください。",
    "Nobody was signed in. Begin again; your account has to be linked by city hall first.",
)
STEP_UP = Problem(
    403,
    "step-up",
    "もう一度パスキーで確認してください。",
    "Show your passkey once more; that was too long ago for this.",
)
CROSS_SITE = Problem(
    403, "cross-site", "ほかのサイトからの操作は受け付けません。", "Requests from other sites are not accepted."
)
NOT_ENROLLED = Problem(
    403,
    "enrolment-refused",
    "登録できません。市の担当者に新しい登録票をもらってください。",
    "This gateway may not have a certificate. Ask the city for a new ticket.",
)
NOT_FOUND = Problem(404, "not-found", "見つかりませんでした。", "There is no such thing, or it is not yours to see.")
NOT_SEEN_YET = Problem(
    404, "not-seen-yet", "まだ一度も検知されていません。", "The tag has not been heard by any detector yet."
)
NOT_ALLOWED = Problem(405, "method-not-allowed", "この操作はできません。", "This method is not offered here.")
CONFLICT = Problem(
    409,
    "conflict",
    "すでに別の内容を受け取っています。",
    "Something else is here already, or a newer try to bring it is under way.",
)
REFUSED_BY_RULE = Problem(
    409,
    "refused-by-rule",
    "条例の規則により、できません。",
    "A rule of the ordinance stands against it; `reasons` names each.",
)
COPY_GONE = Problem(
    410,
    "copy-gone",
    "市が保管していた写しはありません。",
    "The city's copy was destroyed, or is not what the gateway signed.",
)
TOO_LARGE = Problem(413, "too-large", "送られたデータが大きすぎます。", "The body is too large.")
WRONG_TYPE = Problem(
    415, "unsupported-media-type", "このデータ形式は受け付けません。", "This content type is not accepted here."
)
INVALID = Problem(422, "invalid-input", "入力の内容を確かめてください。", "Some of the input is not valid.")
TOO_MANY = Problem(
    429, "too-many-tries", "回数が多すぎます。しばらくしてからお試しください。", "Too many tries. Please wait a while."
)
INTERNAL = Problem(
    500, "internal", "サーバーで問題が起きました。", "Something went wrong on the server; it has been recorded."
)
UNAVAILABLE = Problem(
    503, "unavailable", "ただいま利用できません。しばらくお待ちください。", "The service is not available for a moment."
)
BROKER_DOWN = Problem(
    503,
    "broker-down",
    "検知データを受け取れません。あとで送り直してください。",
    "The broker is down. Keep the batch and send it again.",
)
PROVIDER_DOWN = Problem(
    503,
    "provider-down",
    "認証サービスが応答しません。しばらくしてからお試しください。",
    "The identity provider does not answer as it should. Please wait a while.",
)
NO_RECEIPT = Problem(
    504,
    "no-receipt",
    "受領の確認が間に合いませんでした。あとで送り直してください。",
    "No receipt in time. Keep the batch and send it again; it is stored once at most.",
)

ALL: Final = (
    MALFORMED,
    NOT_SIGNED_IN,
    WRONG_CODE,
    WRONG_CARD,
    WRONG_KEY,
    KEY_REFUSED,
    NOT_LET_IN,
    STEP_UP,
    CROSS_SITE,
    NOT_ENROLLED,
    NOT_FOUND,
    NOT_SEEN_YET,
    NOT_ALLOWED,
    CONFLICT,
    REFUSED_BY_RULE,
    COPY_GONE,
    TOO_LARGE,
    WRONG_TYPE,
    INVALID,
    TOO_MANY,
    INTERNAL,
    UNAVAILABLE,
    BROKER_DOWN,
    PROVIDER_DOWN,
    NO_RECEIPT,
)
_BY_STATUS: Final = {
    400: MALFORMED,
    401: NOT_SIGNED_IN,
    404: NOT_FOUND,
    405: NOT_ALLOWED,
    409: CONFLICT,
    413: TOO_LARGE,
    415: WRONG_TYPE,
}


class ProblemError(HTTPException):
    """A request that is answered with a problem; raised anywhere below a route.

    Attributes:
        problem: the kind.
        more: extension members, such as `reasons`.
    """

    def __init__(self, problem: Problem, headers: Mapping[str, str] | None = None, **more: object) -> None:
        super().__init__(problem.status, detail=problem.code, headers=dict(headers or {}))
        self.problem, self.more = problem, more


def of_status(status: int) -> Problem:
    """Return the problem that stands for a bare HTTP status raised by the framework."""
    return _BY_STATUS.get(status, MALFORMED if status < 500 else INTERNAL)


def answer(problem: Problem, headers: Mapping[str, str] | None = None, **more: object) -> JSONResponse:
    """Return the response for `problem`; `more` are extension members such as `errors`."""
    return JSONResponse(problem.body(**more), problem.status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def documented(*problems: Problem) -> dict[int | str, dict[str, Any]]:
    """Return FastAPI's `responses` for a route that may answer with `problems`, each with its example."""
    responses: dict[int | str, dict[str, Any]] = {}
    for problem in problems:
        entry = responses.setdefault(problem.status, {"description": problem.detail, "content": {MEDIA_TYPE: {}}})
        content = entry["content"][MEDIA_TYPE]
        content["schema"] = {"$ref": "#/components/schemas/Problem"}
        content.setdefault("examples", {})[problem.code] = {"value": problem.body()}
    return responses


def of_validation(error: RequestValidationError) -> JSONResponse:
    """Return the answer to input that does not fit: which field and why, never its value."""
    found = error.errors()
    if any(one["type"] == "json_invalid" for one in found):
        return answer(MALFORMED)
    # An unknown name is the client's own text: it is told apart by its place alone.
    places = (one["loc"][:-1] if one["type"] == "extra_forbidden" else one["loc"] for one in found)
    where = [".".join(str(step) for step in place) for place in places]
    errors = [{"where": place, "what": str(one["type"])} for place, one in zip(where, found, strict=True)]
    return answer(INVALID, errors=errors)
