"""The OpenAPI document is valid and true: schemathesis asks what it promises and what it does not."""

import asyncio
import dataclasses
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import jsonschema  # type: ignore[import-untyped]  # its stubs are a package of their own
import pytest
from fastapi import FastAPI

from server.accounts.signin import SignInLimits
from server.api.app import Knobs
from server.api.rates import EnrolmentLimits

SignIn = Callable[[str], Awaitable[httpx.AsyncClient]]
COOKIE = "mimamori_session"
JSON = "application/json"
PROBLEM = "application/problem+json"
METHODS = {"get", "put", "post", "delete"}


@pytest.fixture
async def document(app: FastAPI) -> Any:
    async with httpx.AsyncClient(base_url=app.state.url) as client:
        return (await client.get("/api/openapi.json")).json()


def operations(document: Any) -> list[tuple[str, str, Any]]:
    return [(path, method, operation) for path, item in document["paths"].items() for method, operation in item.items()]


SETTINGS = """
hooks = "hooks.py"
request-timeout = 15
[auth.openapi.APIKeyCookie]
api_key = "{token}"
[[operations]]
include-name = "POST /api/v1/batches"
[operations.checks]
positive_data_acceptance.enabled = false  # octets are octets, but few are an envelope
[[operations]]
include-path-regex = "^/api/v1/gateways/"
[operations.checks]
positive_data_acceptance.enabled = false  # texts and octets, but few are a signed request
negative_data_rejection.expected-statuses = [400, 403, 413, 415, 422]  # too long a text is too large a body first
[[operations]]
include-name = "PUT /api/v1/exports/{{export}}/{{part}}"
[operations.checks]
positive_data_acceptance.enabled = false  # as above
[[operations]]
include-name = "GET /api/v1/exports/{{export}}"
[operations.checks]
positive_data_acceptance.enabled = false  # likewise: few headers are a signed question
[[operations]]
include-path-regex = "^/api/v1/passkeys/(assertion|registration)$"
[operations.checks]
positive_data_acceptance.enabled = false  # few texts are what an authenticator signed
[[operations]]
include-name = "PUT /api/v1/me/recipient"
[operations.checks]
positive_data_acceptance.enabled = false  # few texts have a right checksum
"""
HOOKS = """
import schemathesis

@schemathesis.serializer("application/cose")
def octets(ctx, value):
    return value if isinstance(value, bytes) else str(value).encode()
"""


_OFTEN = ("9999 per minute",) * 3


@pytest.fixture
def knobs(knobs: Knobs) -> Knobs:
    """Nobody is turned away for trying often."""
    return dataclasses.replace(knobs, limits=SignInLimits(*_OFTEN[:2]), enrolments=EnrolmentLimits(*_OFTEN))


@pytest.mark.timeout(180)
async def test_schemathesis_finds_no_failure(app: FastAPI, signed_in: SignIn, tmp_path: Path) -> None:
    token = (await signed_in("demo")).cookies[COOKIE]
    (tmp_path / "schemathesis.toml").write_text(SETTINGS.format(token=token))
    (tmp_path / "hooks.py").write_text(HOOKS)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{app.state.url}/api/openapi.json"),
        *("--phases", "examples,coverage,fuzzing", "--max-examples", "8", "--max-time", "25", "--seed", "1"),
        *("--header", "Sec-Fetch-Site: same-origin"),
        # The stream does not end, test_live.py has it. Signing out would end the session of this very run.
        *("--exclude-path", "/api/v1/live", "--exclude-operation-id", "delete_session", "--no-color"),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()


async def test_it_is_openapi_3_1_and_its_schemas_are_json_schema(document: Any) -> None:
    assert document["openapi"].startswith("3.1")
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


async def test_every_operation_has_a_tag_a_summary_in_both_languages_and_documented_errors(document: Any) -> None:
    known = {tag["name"] for tag in document["tags"]}
    for path, method, operation in operations(document):
        assert method in METHODS
        assert set(operation["tags"]) <= known, path
        assert " / " in operation["summary"], path
        errors = {status: answer for status, answer in operation["responses"].items() if status >= "400"}
        assert errors or path == "/metrics"
        for status, answer in errors.items():
            # Without its database, health is still told as health.
            assert (path, list(answer["content"])) == (
                path,
                [JSON if (path, status) == ("/healthz", "503") else PROBLEM],
            )


async def test_examples_in_the_document_fit_its_schemas(document: Any) -> None:
    for schema in document["components"]["schemas"].values():
        for field in schema.get("properties", {}).values():
            for example in field.get("examples", []):
                jsonschema.validate(example, {**field, "components": document["components"]})


async def test_examples_of_problems_are_problems(document: Any) -> None:
    schema = {**document["components"]["schemas"]["Problem"], "components": document["components"]}
    for path, _, operation in operations(document):
        for status, answer in operation["responses"].items():
            problem = answer.get("content", {}).get("application/problem+json", {})
            for code, example in problem.get("examples", {}).items():
                jsonschema.validate(example["value"], schema)
                assert (example["value"]["code"], str(example["value"]["status"])) == (code, status), path
