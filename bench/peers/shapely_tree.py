"""shapely: an STRtree of prepared polygons, asked for many points at once."""

from typing import Self

import numpy as np
from numpy.typing import NDArray

from bench.job import AbsentError
from bench.measure import cpu_ns_of

try:
    import shapely
except ImportError:  # pragma: no cover - reported by __init__
    shapely = None


class Tree:
    """Polygons in a tree, made beforehand, and so are the points that are asked for.

    Args:
        corners_e7: shape (fences, corners, 2), latitude and longitude in 1e-7 degrees: whole numbers, so that both
            sides calculate exactly.
        lat_e7: shape (points,).
        lon_e7: likewise.
    """

    name = "shapely"

    def __init__(self, corners_e7: NDArray[np.int32], lat_e7: NDArray[np.int32], lon_e7: NDArray[np.int32]) -> None:
        if shapely is None:
            raise AbsentError(self.name, "uv sync --group bench")
        self.title = f"shapely {shapely.__version__} (GEOS {shapely.geos_version_string}), STRtree"
        polygons = shapely.polygons(corners_e7[:, :, ::-1].astype(np.float64))
        shapely.prepare(polygons)
        self._tree = shapely.STRtree(polygons)
        self._points = shapely.points(lon_e7.astype(np.float64), lat_e7.astype(np.float64))
        self._found: NDArray[np.int64] = np.empty((2, 0), np.int64)
        self._tree.query(self._points[:1], predicate="intersects")  # the tree is built when first asked

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def run(self) -> float:
        """Return the processor time, ns, of asking for all points."""
        return cpu_ns_of(self._run)

    def _run(self) -> None:
        self._found = self._tree.query(self._points, predicate="intersects")

    def pairs(self) -> NDArray[np.int64]:
        """Return point << 32 | fence of what the newest run found, ascending."""
        return np.sort(self._found[0].astype(np.int64) << 32 | self._found[1])
