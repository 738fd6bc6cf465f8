"""みまもり市: a synthetic town, the same for the same seed. No third-party map data.

A jittered grid of 10 by 10 crossings 160 m apart, a river with four bridges, two schools, public buildings, parks,
houses along the streets and 60 fixed gateways: at school gates and entrances, in public buildings, on bridges, along
the ways to school that most houses share (as Kakogawa placed its watch-over cameras), and at other crossings spread as
evenly as they go (farthest-point sampling).
"""

import math
from dataclasses import dataclass

import numpy as np

from firmware_sim import streets as network
from firmware_sim.geometry import Floats, Plane, distance_to_line_m

CROSSINGS = 10
PITCH_M = 160.0
HALF_M = (CROSSINGS - 1) * PITCH_M / 2
JITTER_M = 22.0
RIVER_WIDTH_M = 24.0
BRIDGE_COLUMNS = (1, 3, 6, 8)
GATEWAYS = 60
SCHOOL_WAY_GATEWAYS = 26
SCHOOL_WAY_GAP_M = 90.0
GATEWAY_HEIGHT_M = 4.0
SCHOOL_RADIUS_M = 90.0
SCHOOL_GATE_M = 72.0
"""From a school's middle to its gates: who comes in by the gate has arrived."""

STREET_NAMES = (
    ("さくら通り", "Sakura-dori"), ("けやき通り", "Keyaki-dori"), ("学校通り", "Gakko-dori"),
    ("駅前通り", "Ekimae-dori"), ("中央通り", "Chuo-dori"), ("ひまわり通り", "Himawari-dori"),
    ("公園通り", "Koen-dori"), ("もみじ通り", "Momiji-dori"), ("市役所通り", "Shiyakusho-dori"),
    ("つばめ通り", "Tsubame-dori"), ("一番町通り", "Ichibancho-dori"), ("二番町通り", "Nibancho-dori"),
    ("川端通り", "Kawabata-dori"), ("三番町通り", "Sanbancho-dori"), ("四番町通り", "Yonbancho-dori"),
    ("五番町通り", "Gobancho-dori"), ("六番町通り", "Rokubancho-dori"), ("七番町通り", "Nanabancho-dori"),
    ("八番町通り", "Hachibancho-dori"), ("九番町通り", "Kyubancho-dori"),
)  # fmt: skip
_SITES = (
    ("school", "school", (4, 4), "みまもり小学校", "Mimamori Elementary School"),
    ("school-west", "school", (1, 6), "西中学校", "Nishi Junior High School"),
    ("hall", "hall", (7, 7), "市役所", "City Hall"),
    ("station", "station", (5, 1), "みまもり駅", "Mimamori Station"),
    ("care", "care", (7, 5), "高齢者センター", "Senior Centre"),
    ("library", "library", (3, 7), "図書館", "Library"),
    ("shops", "shops", (4, 1), "さくら商店街", "Sakura Shopping Arcade"),
)  # fmt: skip
_PARKS = (("park-sakura", (2, 5), "さくら公園", "Sakura Park"), ("park-keyaki", (6, 3), "けやき公園", "Keyaki Park"))


@dataclass(frozen=True, slots=True)
class Building:
    """A building: outline shape (5, 2) in metres, closed; `use` says what it is for."""

    outline: Floats
    use: str

    @property
    def middle(self) -> tuple[float, float]:
        """Its middle, metres."""
        x_m, y_m = self.outline[:-1].mean(0)
        return float(x_m), float(y_m)


@dataclass(frozen=True, slots=True)
class Site:
    """A place people go to. `building` is an index into `Town.buildings`, -1 for a park."""

    id: str
    kind: str
    name_ja: str
    name_en: str
    spot: network.Spot
    radius_m: float
    building: int


@dataclass(frozen=True, slots=True)
class Gateway:
    """A fixed detector; `building` is the one it hangs in, -1 on a pole outside."""

    id: str
    label_ja: str
    label_en: str
    x_m: float
    y_m: float
    building: int


@dataclass(frozen=True)
class Town:
    """All that stands still. `houses` are indices into `buildings`, nearest to a gateway first."""

    seed: int
    plane: Plane
    streets: network.Streets
    river: Floats
    parks: tuple[tuple[str, Floats], ...]
    buildings: tuple[Building, ...]
    sites: dict[str, Site]
    gateways: tuple[Gateway, ...]
    houses: tuple[int, ...]

    def door(self, building: int) -> network.Spot:
        """The spot of a building."""
        return self.streets.spot(*self.buildings[building].middle)


def build(seed: int) -> Town:
    """The town of that seed."""
    rng = np.random.default_rng([seed, 1])
    grid = _grid(rng)
    river = _river()
    streets = _streets(grid)
    buildings = _buildings(grid, river, rng)
    sites = _sites(grid, streets, buildings)
    parks = tuple((park[0], _box(grid, park[1], (0.08, 0.08, 0.92, 0.92))) for park in _PARKS)
    gateways = _gateways(streets, sites, _way_to_school(streets, sites, buildings))
    houses = _houses(buildings, gateways)
    return Town(seed, Plane(), streets, river, parks, tuple(buildings), sites, gateways, houses)


def _grid(rng: np.random.Generator) -> Floats:
    """Crossings, shape (10, 10, 2): column, row, metres."""
    at = np.arange(CROSSINGS) * PITCH_M - HALF_M
    grid = np.stack(np.meshgrid(at, at, indexing="ij"), axis=-1) + rng.uniform(
        -JITTER_M, JITTER_M, (CROSSINGS, CROSSINGS, 2)
    )
    return np.asarray(grid, dtype=np.float64)


def _river() -> Floats:
    """The middle of the river, shape (k, 2): it winds between the third and the fourth row of crossings."""
    x_m = np.linspace(-1.35 * HALF_M, 1.35 * HALF_M, 61)
    y_m = -2.0 * PITCH_M + 30 * np.sin(x_m / 130) + 8 * np.sin(x_m / 47)
    return np.stack((x_m, y_m), axis=-1)


def _streets(grid: Floats) -> network.Streets:
    edges, names, bridges = [], [], []
    for i in range(CROSSINGS):
        for j in range(CROSSINGS):
            if i + 1 < CROSSINGS:
                edges.append((i * CROSSINGS + j, (i + 1) * CROSSINGS + j))
                names.append(CROSSINGS + j)
                bridges.append(False)
            is_over_river = j == 2
            if j + 1 < CROSSINGS and (not is_over_river or i in BRIDGE_COLUMNS):
                edges.append((i * CROSSINGS + j, i * CROSSINGS + j + 1))
                names.append(i)
                bridges.append(is_over_river)
    nodes = grid.reshape(-1, 2)
    return network.Streets(nodes, np.array(edges), np.array(names), np.array(bridges))


def _inside(grid: Floats, block: tuple[int, int], u: float, v: float) -> Floats:
    """The point of a block at shares `u` eastward and `v` northward."""
    i, j = block
    a, b, c, d = grid[i, j], grid[i + 1, j], grid[i + 1, j + 1], grid[i, j + 1]
    point: Floats = (1 - u) * (1 - v) * a + u * (1 - v) * b + u * v * c + (1 - u) * v * d
    return point


def _box(grid: Floats, block: tuple[int, int], sides: tuple[float, float, float, float]) -> Floats:
    u0, v0, u1, v1 = sides
    return np.array([_inside(grid, block, u, v) for u, v in ((u0, v0), (u1, v0), (u1, v1), (u0, v1), (u0, v0))])


def _buildings(grid: Floats, river: Floats, rng: np.random.Generator) -> list[Building]:
    """The sites' buildings in the order of `_SITES`, then houses."""
    taken = {block for _, _, block, _, _ in _SITES} | {block for _, block, _, _ in _PARKS}
    houses = []
    for i in range(CROSSINGS - 1):
        for j in range(CROSSINGS - 1):
            if (i, j) not in taken:
                houses += _houses_of_block(grid, (i, j), rng)
    bank_m = RIVER_WIDTH_M / 2 + 8
    public = [Building(_box(grid, block, (0.28, 0.36, 0.72, 0.64)), use) for _, use, block, _, _ in _SITES]
    return public + [house for house in houses if distance_to_line_m(house.outline, river).min() > bank_m]


def _houses_of_block(grid: Floats, block: tuple[int, int], rng: np.random.Generator) -> list[Building]:
    """Up to 14 houses round the block, each near a street; one in eight lots is empty."""
    lots = [(0.08 + 0.17 * k, v) for k in range(5) for v in (0.08, 0.76)]
    lots += [(u, 0.30 + 0.22 * k) for k in range(2) for u in (0.08, 0.76)]
    houses = []
    for u, v in lots:
        wide, deep, is_empty = rng.uniform(0.10, 0.14), rng.uniform(0.11, 0.16), rng.random() < 0.125
        if not is_empty:
            houses.append(Building(_box(grid, block, (u, v, u + wide, v + deep)), "house"))
    return houses


def _sites(grid: Floats, streets: network.Streets, buildings: list[Building]) -> dict[str, Site]:
    sites = {}
    for number, (key, kind, _, name_ja, name_en) in enumerate(_SITES):
        radius_m = SCHOOL_RADIUS_M if kind == "school" else 60.0
        spot = streets.spot(*buildings[number].middle)
        sites[key] = Site(key, kind, name_ja, name_en, spot, radius_m, number)
    for key, block, name_ja, name_en in _PARKS:
        x_m, y_m = _inside(grid, block, 0.5, 0.5)
        sites[key] = Site(key, "park", name_ja, name_en, streets.spot(float(x_m), float(y_m)), 75.0, -1)
    return sites


def _way_to_school(streets: network.Streets, sites: dict[str, Site], buildings: list[Building]) -> list[int]:
    """Crossings by how many houses' ways to the schools lead over them, most first; weighted by distance to school.

    The weight gives the far ends of the ways their gateways too, not only the streets round the schools.
    """
    walkers = np.zeros(len(streets.nodes))
    schools = [site.spot for site in sites.values() if site.kind == "school"]
    for building in buildings:
        if building.use == "house":
            door = streets.spot(*building.middle)
            for school in schools:
                for crossing in streets.route(door, school)[2:-2]:
                    walkers[np.linalg.norm(streets.nodes - crossing, axis=1).argmin()] += 1
    middle = np.array((schools[0].x_m, schools[0].y_m))
    score = walkers * np.linalg.norm(streets.nodes - middle, axis=1)
    return [int(node) for node in np.argsort(-score, kind="stable")]


def _gateways(streets: network.Streets, sites: dict[str, Site], way_to_school: list[int]) -> tuple[Gateway, ...]:
    """60 gateways: buildings and gates, bridges, ways to school, then each the farthest from all before."""
    posts: list[tuple[str, str, float, float, int]] = []
    for site in sites.values():
        posts += _posts_of(site, streets)
    for edge in np.flatnonzero(streets.bridges):
        x_m, y_m = streets.nodes[streets.edges[edge]].mean(0)
        name = STREET_NAMES[int(streets.names[edge])]
        bridge_ja, bridge_en = name[0].replace("通り", "橋"), name[1].replace("-dori", " Bridge")
        posts.append((bridge_ja, bridge_en, float(x_m), float(y_m), -1))
    with_ways = len(posts) + SCHOOL_WAY_GATEWAYS
    for node in way_to_school:
        if len(posts) < with_ways and _gaps_m(streets, posts)[node] > SCHOOL_WAY_GAP_M:
            posts.append(_corner(streets, node))
    while len(posts) < GATEWAYS:
        posts.append(_corner(streets, int(_gaps_m(streets, posts).argmax())))
    return tuple(Gateway(f"gw-{n:03d}", *post) for n, post in enumerate(posts, start=1))


def _gaps_m(streets: network.Streets, posts: list[tuple[str, str, float, float, int]]) -> Floats:
    placed = np.array([(post[2], post[3]) for post in posts])
    gaps_m: Floats = np.linalg.norm(streets.nodes[:, None] - placed[None], axis=2).min(1)
    return gaps_m


def _corner(streets: network.Streets, node: int) -> tuple[str, str, float, float, int]:
    column, row = STREET_NAMES[node // CROSSINGS], STREET_NAMES[CROSSINGS + node % CROSSINGS]
    x_m, y_m = streets.nodes[node]
    return f"{column[0]}・{row[0]}角", f"{column[1]} / {row[1]}", float(x_m), float(y_m), -1


def _posts_of(site: Site, streets: network.Streets) -> list[tuple[str, str, float, float, int]]:
    """Inside the building for each; for a school a second one upstairs and poles at two gates, front and back."""
    x_m, y_m = site.spot.x_m, site.spot.y_m
    if site.kind == "park":
        return [(site.name_ja, site.name_en, x_m, y_m, -1)]
    posts = [(f"{site.name_ja} 玄関", f"{site.name_en}, entrance", x_m, y_m, site.building)]
    if site.kind == "school":
        posts = [(f"{site.name_ja} 玄関", f"{site.name_en}, entrance", x_m - 16, y_m, site.building)]
        posts.append((f"{site.name_ja} 二階廊下", f"{site.name_en}, upstairs", x_m + 16, y_m, site.building))
        foot = streets.foot(site.spot)
        angle = math.atan2(foot[1] - y_m, foot[0] - x_m)
        for turn, gate_ja, gate_en in ((0.0, "正門", "main gate"), (math.pi, "裏門", "back gate")):
            east_m, north_m = SCHOOL_GATE_M * math.cos(angle + turn), SCHOOL_GATE_M * math.sin(angle + turn)
            posts.append((f"{site.name_ja} {gate_ja}", f"{site.name_en}, {gate_en}", x_m + east_m, y_m + north_m, -1))
    return posts


def _houses(buildings: list[Building], gateways: tuple[Gateway, ...]) -> tuple[int, ...]:
    houses = [n for n, building in enumerate(buildings) if building.use == "house"]
    posts = np.array([(gateway.x_m, gateway.y_m) for gateway in gateways])
    middles = np.array([buildings[n].middle for n in houses])
    gaps = np.linalg.norm(middles[:, None] - posts[None], axis=2).min(1)
    return tuple(houses[k] for k in np.argsort(gaps, kind="stable"))
