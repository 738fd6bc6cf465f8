"""The shape of the tree, held by tests: who may import what, how large things may grow, what lives where."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("wire", "privacy", "edge", "mobile_detector", "firmware_sim", "server")
SOURCES = sorted(
    path for package in PACKAGES for path in (ROOT / package).rglob("*.py") if "node_modules" not in path.parts
)


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def _imports(tree: ast.Module) -> set[str]:
    plain = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    return plain | {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}


def _relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize(
    ("program", "foreign"),
    [
        ("edge.__main__", ("server", "mobile_detector", "firmware_sim", "fastapi", "psycopg", "nats")),
        ("mobile_detector.__main__", ("server", "edge", "firmware_sim", "fastapi", "psycopg", "nats")),
        ("firmware_sim.__main__", ("server", "edge", "mobile_detector", "fastapi", "psycopg")),
        ("server.__main__", ("edge", "mobile_detector", "firmware_sim", "bleak")),
    ],
)
def test_a_program_loads_nothing_of_another(program: str, foreign: tuple[str, ...]) -> None:
    code = f"import json, sys; import {program}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, timeout=60
    )
    loaded = {name.split(".")[0] for name in json.loads(done.stdout)}
    assert loaded.isdisjoint(foreign)


def test_no_module_and_no_function_outgrows_the_house_limits() -> None:
    large = []
    for path in SOURCES:
        text = path.read_text()
        if text.count("\n") > 600:
            large.append(_relative(path))
        large += [
            f"{_relative(path)}:{f.lineno} {f.name}"
            for f in _functions(ast.parse(text))
            if f.end_lineno and f.end_lineno - f.lineno > 80
        ]
    assert large == []


def test_no_drawer_for_everything_exists() -> None:
    drawers = {"utils", "util", "helpers", "common", "manager", "base", "types", "const", "misc"}
    assert [_relative(path) for path in SOURCES if path.stem in drawers] == []


def test_sql_and_psycopg_stay_in_the_store() -> None:
    allowed = ("server/store/", "server/embedded/")
    users = [
        _relative(path)
        for path in SOURCES
        if any(name.split(".")[0] == "psycopg" for name in _imports(ast.parse(path.read_text())))
    ]
    assert [path for path in users if not path.startswith(allowed)] == []


def test_the_environment_is_read_in_configuration_alone() -> None:
    readers = [_relative(path) for path in SOURCES if "os.environ" in path.read_text() or "getenv(" in path.read_text()]
    assert [path for path in readers if Path(path).name not in {"config.py", "__main__.py"}] == []


def test_topics_are_spelled_in_one_module() -> None:
    spellers = [_relative(path) for path in SOURCES if "mimamori/1/" in path.read_text()]
    assert set(spellers) <= {"wire/topics.py"}


def test_every_public_function_says_what_it_returns() -> None:
    silent = [
        f"{_relative(path)}:{f.lineno} {f.name}"
        for path in SOURCES
        for f in _functions(ast.parse(path.read_text()))
        if not f.name.startswith("_") and f.returns is None
    ]
    assert silent == []
