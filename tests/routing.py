"""The routes of the API as FastAPI has them, for tests that leave none out."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute


def routes_of(app: FastAPI) -> list[APIRoute]:
    """Return every route, also those of routers that were included, by path and method."""
    return sorted(_routes(app.router), key=lambda route: (route.path, sorted(route.methods or ())))


def _routes(router: Any) -> Iterator[APIRoute]:
    for route in router.routes:
        if isinstance(route, APIRoute):
            yield route
        elif hasattr(route, "original_router"):
            yield from _routes(route.original_router)


def dependencies(dependant: Dependant) -> Iterator[Any]:
    """Yield all that a route depends on, near and far."""
    for one in dependant.dependencies:
        yield one.call
        yield from dependencies(one)
