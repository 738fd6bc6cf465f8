import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.transparency import tree
from privacy.transparency.edge import Edge
from privacy.transparency.tiles import WIDTH, Tile, tiles_of
from privacy.transparency.tree import Frontier


def _leaf(number: int) -> bytes:
    return tree.leaf_hash(b"%d" % number)


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 513, 1000, 65_536, 65_800])
def test_an_edge_grows_the_tree_and_names_every_tile_of_it(size: int) -> None:
    edge, frontier, made = Edge(), Frontier(), dict[Tile, bytes]()
    for number in range(size):
        made.update(edge.grow(_leaf(number)))
        list(frontier.append(_leaf(number)))
    made.update(edge.partial())
    assert edge.head() == frontier.head()
    assert set(made) == {tile for tile in tiles_of(size) if tile.level >= 0}
    assert all(len(octets) == 32 * tile.width for tile, octets in made.items())


@settings(max_examples=20)
@given(st.integers(0, 3 * WIDTH), st.integers(0, 3 * WIDTH))
def test_an_edge_read_from_its_rows_goes_on_as_the_one_it_was(first: int, more: int) -> None:
    edge = Edge()
    for number in range(first):
        edge.grow(_leaf(number))
    again = Edge.of(edge.rows)
    assert again.head() == edge.head()
    assert again.frontier == edge.frontier
    for number in range(first, first + more):
        assert again.grow(_leaf(number)) == edge.grow(_leaf(number))
    assert again.head() == edge.head()


def test_a_copy_grows_by_itself() -> None:
    edge = Edge()
    edge.grow(_leaf(0))
    before = edge.head()
    edge.copy().grow(_leaf(1))
    assert edge.head() == before
