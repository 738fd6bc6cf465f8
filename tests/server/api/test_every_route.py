"""Every route is decided about: by the policies, by being of one's own account alone, or by being public, and why."""

import ast
import inspect
import textwrap
import typing
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from server.api import access, track
from tests.routing import dependencies, routes_of

ROOT = Path(__file__).parents[3]
PERMITS = (access.Permit, track.DayPermit)
ASKED_INSIDE = {
    "get_proof": "permit",
    "post_look_up": "permit",
    "post_hold": "parts.holds",
    "confirm_hold": "parts.holds",
    "get_cameras": "parts.cases",
    "get_cases": "parts.cases",
    "post_case": "parts.cases",
    "get_case": "_shown",
    "put_case": "parts.cases",
    "get_case_export": "release",
    "get_paper": "parts.cases",
    "put_paper": "parts.cases",
    "post_step": "steps",
    "post_invitation": "parts.counter",
    "delete_member": "parts.counter",
}
"""Routes whose body asks the policies, and by what: the question needs what the request says."""
OWN = {
    "get_session": "the account that is signed in",
    "get_sessions": "its own sessions",
    "delete_one_session": "likewise",
    "get_passkeys": "its own keys",
    "delete_passkey": "likewise",
    "post_registration": "likewise",
    "put_registration": "likewise",
    "post_code": "its own code",
    "put_email": "its own address",
    "put_recipient": "its own key for footage",
    "get_household": "its own household",
    "delete_news": "what it was told itself",
    "put_subscription": "its own browsers",
    "delete_subscription": "likewise",
    "get_map": "the town's map, which names nobody",
}
"""Routes that say nothing of anybody but the session's own account; they want a session."""
PUBLIC = {
    "post_session": "signing in",
    "delete_session": "signing out",
    "post_card": "signing in",
    "post_assertion": "signing in",
    "put_assertion": "signing in",
    "get_oidc_start": "signing in",
    "get_oidc_callback": "signing in",
    "get_sign_in_ways": "signing in",
    "post_batch": "sealed and signed by a detector",
    "get_export": "signed by a gateway",
    "put_export_part": "signed by a gateway",
    "enrol_gateway": "a one-time code",
    "renew_gateway": "signed by a gateway",
    "get_ledger": "published",
    "get_reports": "published",
    "get_report": "published",
    "get_releases": "published, anonymous",
    "get_release": "published, anonymous",
    "get_open_cameras": "published",
    "get_open_map": "the town's map, which names nobody",
    "get_open_policies": "published",
    "get_checkpoint": "published",
    "get_daily": "published",
    "get_vkey": "published",
    "get_policy": "published",
    "get_tile": "published",
    "get_witnessed": "published",
    "get_health": "two words",
    "get_metrics": "counts; a proxy keeps it inside",
}
"""Routes that anybody may ask, and why."""
BARE = {
    "server/api/access.py": "opens tokens",
    "server/api/me.py": "opens tokens",
    "server/api/map.py": "the town's map",
    "server/api/monitor.py": "whether the database answers, states of devices",
    "server/api/open.py": "the ledger of cameras, the town's map",
    "server/api/statistics.py": "published counts",
    "server/api/uploads.py": "exports of devices",
}
"""Modules of the API that take a connection of the data plane, and what for."""


def _has_permit(route: APIRoute) -> bool:
    return any(
        typing.get_type_hints(one).get("return") in PERMITS
        for one in dependencies(route.dependant)
        if inspect.isfunction(one)
    )


def _wants_session(route: APIRoute) -> bool:
    return any(getattr(one, "__name__", "") == "_any_session" for one in dependencies(route.dependant))


async def test_every_route_of_personal_data_asks_the_policies(app: FastAPI) -> None:
    routes = routes_of(app)
    assert len(routes) > 50
    permitted = {route.name for route in routes if _has_permit(route)}
    assert permitted >= {"get_me", "get_place", "get_places", "get_track", "get_events", "get_live", "get_look_ups"}
    decided = [permitted, set(ASKED_INSIDE), set(OWN), set(PUBLIC)]
    names = {route.name for route in routes}
    assert names == set().union(*decided), "a route that nobody has decided about, or one that is no more"
    assert sum(map(len, decided)) == len(names), "decided about twice"


async def test_what_is_not_public_wants_a_session(app: FastAPI) -> None:
    for route in routes_of(app):
        assert _wants_session(route) == (route.name not in PUBLIC), route.name


async def test_a_route_that_asks_inside_really_does(app: FastAPI) -> None:
    for route in routes_of(app):
        if route.name in ASKED_INSIDE:
            tree = ast.parse(textwrap.dedent(inspect.getsource(route.endpoint)))
            called = [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]
            asker = ASKED_INSIDE[route.name]
            assert any(name == asker or name.startswith(f"{asker}.") for name in called), route.name


def _uses_of(path: Path, wanted: str) -> bool:
    tree = ast.parse(path.read_text())
    return any(ast.unparse(node) == wanted for node in ast.walk(tree) if isinstance(node, ast.Attribute))


def test_no_other_module_of_the_api_takes_a_connection_of_the_data_plane() -> None:
    users = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "server" / "api").glob("*.py")
        if _uses_of(path, "parts.pool")
    }
    assert users == set(BARE)


GRANTED = {
    "family": ("wards", "last_place", "events", "places"),
    "streams": ("places", "own_places", "newest_events", "events_after"),
    "ward_hour": ("read",),
    "look_up": ("listed", "registry", "provable"),
}
"""What reads personal rows for the API: over no connection but one with a purpose token."""


@pytest.mark.parametrize("module", GRANTED)
def test_what_reads_personal_rows_takes_a_granted_connection(module: str) -> None:
    tree = ast.parse((ROOT / "server" / "store" / f"{module}.py").read_text())
    takes: dict[str, Any] = {
        node.name: node.args.args[0].annotation for node in tree.body if isinstance(node, ast.AsyncFunctionDef)
    }
    for name in GRANTED[module]:
        assert ast.unparse(takes[name]) == "GrantedConnection", name


def test_only_the_grants_make_such_a_connection() -> None:
    makers = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "server").rglob("*.py")
        if "node_modules" not in path.parts
        and any(
            isinstance(node, ast.Call) and ast.unparse(node.func) == "GrantedConnection"
            for node in ast.walk(ast.parse(path.read_text()))
        )
    ]
    assert makers == ["server/store/grant.py"]
