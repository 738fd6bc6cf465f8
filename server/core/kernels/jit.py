"""How kernels are compiled: no GIL, no Python objects, kept on disk until any kernel's source changes."""

import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

import numba
from numba.core import config

_P = ParamSpec("_P")
_R = TypeVar("_R")
_HERE: Final = Path(__file__).parent
_SETTINGS: Any = config


def _cache_dir() -> str:
    """Return where machine code is kept for exactly these sources.

    numba looks at the time stamp of a function's own file only and would go on using an old copy of what it calls in
    another one. A folder named after all sources cannot be stale, and it works where the package is read-only.
    """
    sources = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(_HERE.parent.glob("**/*.py")))).hexdigest()[
        :16
    ]
    root = Path(_SETTINGS.CACHE_DIR) if _SETTINGS.CACHE_DIR else _HERE / "__pycache__"
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root):
            return str(root / f"kernels-{sources}")
    except OSError:
        return ""  # numba then finds the user's own cache folder


_SETTINGS.CACHE_DIR = _cache_dir()


def kernel(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Compile `function` when first called."""
    compiled: Callable[_P, _R] = numba.njit(nogil=True, cache=True, boundscheck=False, error_model="numpy")(function)
    return compiled


def inlined(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Compile `function` into each kernel that calls it."""
    compiled: Callable[_P, _R] = numba.njit(
        nogil=True, cache=True, boundscheck=False, error_model="numpy", forceinline=True
    )(function)
    return compiled
