import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.transparency import tiles, tree
from privacy.transparency.errors import TileError
from privacy.transparency.tiles import ENTRIES, HashReader, Tile
from privacy.transparency.tree import Frontier


def test_paths_are_those_of_the_specification() -> None:
    assert Tile(0, 1_234_067).path == "tile/0/x001/x234/067"
    assert Tile(ENTRIES, 5, 17).path == "tile/entries/005.p/17"
    assert Tile(63, 0).path == "tile/63/000"


def test_a_tree_of_70_000_entries_has_the_tiles_that_the_specification_counts() -> None:
    found = list(tiles.tiles_of(70_000))
    hashes = [tile for tile in found if tile.level != ENTRIES]
    assert sum(tile.level == 0 and tile.is_full for tile in hashes) == 273
    assert sum(tile.level == 1 and tile.is_full for tile in hashes) == 1
    partial = [(tile.level, tile.index, tile.width) for tile in hashes if not tile.is_full]
    assert partial == [(0, 273, 112), (1, 1, 17), (2, 0, 1)]
    assert sum(tile.level == ENTRIES for tile in found) == 274


def test_a_tree_of_256_entries_has_a_partial_tile_above() -> None:
    assert [tile.path for tile in tiles.tiles_of(256)] == ["tile/entries/000", "tile/0/000", "tile/1/000.p/1"]


def test_what_is_new_is_what_another_size_does_not_have() -> None:
    for since in (0, 1, 255, 256, 257, 600):
        for size in (since, since + 1, since + 300):
            new = set(tiles.tiles_of(size, since=since))
            assert new == set(tiles.tiles_of(size)) - set(tiles.tiles_of(since))


@given(st.integers(-1, 63), st.integers(0, 2**50), st.integers(1, 256))
def test_a_path_names_its_tile(level: int, index: int, width: int) -> None:
    tile = Tile(level, index, width)
    assert Tile.parse(tile.path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "",
        "checkpoint",
        "tile/0/../../keys/log.pem",
        "tile/0/1",
        "tile/00/001",
        "tile/64/001",
        "tile/0/001.p/0",
        "tile/0/001.p/256",
        "tile/0/001.p/01",
        "tile/0/x000/001",
        "tile/0/x001/x234/067/",
        "tile/0/０01",
        "tile/entries/001\n",
        "tile/0/" + "x001/" * 20 + "001",
    ],
)
def test_the_path_of_nothing_is_refused(path: str) -> None:
    with pytest.raises(TileError):
        Tile.parse(path)


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_entries_come_back_out_of_their_bundle(entries: list[bytes]) -> None:
    assert tiles.entries_of(tiles.bundle(entries)) == entries


@pytest.mark.parametrize("octets", [b"\x00", b"\x00\x02a", b"\x00\x01ab"])
def test_a_bundle_cut_short_is_refused(octets: bytes) -> None:
    with pytest.raises(TileError):
        tiles.entries_of(octets)


def test_an_entry_too_long_for_a_bundle_is_refused() -> None:
    with pytest.raises(TileError):
        tiles.bundle([bytes(65_536)])


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 511, 512, 1000, 66_000])
def test_hashes_read_out_of_tiles_give_the_tree_and_its_proofs(size: int) -> None:
    frontier, rows = Frontier(), dict[tuple[int, int], list[bytes]]()
    for number in range(size):
        for level, index, node in frontier.append(tree.leaf_hash(b"%d" % number)):
            if level % tiles.HEIGHT == 0:
                rows.setdefault((level // tiles.HEIGHT, index // tiles.WIDTH), []).append(node)
    read = HashReader(lambda tile: b"".join(rows[tile.level, tile.index]), size)
    head = frontier.head()
    assert tree.root(read, size) == head.root
    for index in {0, size // 2, size - 1}:
        proof = tree.inclusion_proof(read, index, size)
        assert tree.proves_inclusion(proof, tree.leaf_hash(b"%d" % index), index, head)


def test_a_tile_of_another_width_than_the_tree_has_is_refused() -> None:
    read = HashReader(lambda _: bytes(32 * 3), 2)
    with pytest.raises(TileError):
        read(0, 0)
    with pytest.raises(TileError):
        HashReader(lambda _: bytes(64), 2)(2, 0)
