import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.transparency import tree
from privacy.transparency.errors import TransparencyError
from privacy.transparency.tree import EMPTY_ROOT, Frontier, Head

VECTORS = Path(__file__).parents[2] / "vectors" / "merkle"
INCLUSION: dict[str, Any] = json.loads((VECTORS / "inclusion.json").read_text())
CONSISTENCY: dict[str, Any] = json.loads((VECTORS / "consistency.json").read_text())
# The eight leaves with which implementations of RFC 6962 have always been compared, and the roots over the first n.
LEAVES = ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
ROOTS = (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
SIZES = 70


class _Grown:
    """A tree grown leaf by leaf: every complete subtree, and the head at every size."""

    def __init__(self, leaves: list[bytes]) -> None:
        frontier = Frontier()
        self.nodes: dict[tuple[int, int], bytes] = {}
        self.heads = [frontier.head()]
        for leaf in leaves:
            self.nodes.update({(level, index): node for level, index, node in frontier.append(leaf)})
            self.heads.append(frontier.head())

    def read(self, level: int, index: int) -> bytes:
        return self.nodes[level, index]


@pytest.fixture(scope="module")
def grown() -> _Grown:
    return _Grown([tree.leaf_hash(b"%d" % number) for number in range(SIZES)])


def _octets(text: str | None) -> bytes:
    return base64.b64decode(text or "")


@pytest.mark.parametrize("name", INCLUSION)
def test_the_published_inclusion_proofs_are_judged_as_published(name: str) -> None:
    one = INCLUSION[name]
    proof = [_octets(line) for line in one["proof"] or []]
    head = Head(one["treeSize"], _octets(one["root"]))
    assert tree.proves_inclusion(proof, _octets(one["leafHash"]), one["leafIdx"], head) is not one["wantErr"]


@pytest.mark.parametrize("name", CONSISTENCY)
def test_the_published_consistency_proofs_are_judged_as_published(name: str) -> None:
    one = CONSISTENCY[name]
    proof = [_octets(line) for line in one["proof"] or []]
    old, new = Head(one["size1"], _octets(one["root1"])), Head(one["size2"], _octets(one["root2"]))
    assert tree.proves_consistency(proof, old, new) is not one["wantErr"]


def test_the_published_proofs_are_of_both_kinds() -> None:
    for vectors in (INCLUSION, CONSISTENCY):
        assert len(vectors) > 20
        assert {one["wantErr"] for one in vectors.values()} == {True, False}


def test_roots_are_those_of_rfc_6962() -> None:
    grown = _Grown([tree.leaf_hash(bytes.fromhex(leaf)) for leaf in LEAVES])
    assert [head.root.hex() for head in grown.heads] == list(ROOTS)
    assert [tree.root(grown.read, size).hex() for size in range(len(ROOTS))] == list(ROOTS)


def test_every_entry_of_every_small_tree_is_proved_and_no_changed_proof_is(grown: _Grown) -> None:
    for size in range(1, SIZES + 1):
        head = grown.heads[size]
        for index in range(size):
            proof, leaf = tree.inclusion_proof(grown.read, index, size), grown.nodes[0, index]
            assert tree.proves_inclusion(proof, leaf, index, head)
            assert not any(tree.proves_inclusion(proof, leaf, other, head) for other in {(index + 1) % size} - {index})
            assert not tree.proves_inclusion(proof, leaf[::-1], index, head)
            assert not tree.proves_inclusion([*proof, leaf], leaf, index, head)
            for place in range(len(proof)):
                wrong = [*proof[:place], bytes([proof[place][0] ^ 1]) + proof[place][1:], *proof[place + 1 :]]
                assert not tree.proves_inclusion(wrong, leaf, index, head)
                assert not tree.proves_inclusion(proof[:place] + proof[place + 1 :], leaf, index, head)


def test_every_small_tree_continues_every_smaller_one_and_no_changed_proof_shows_it(grown: _Grown) -> None:
    for new in range(1, SIZES + 1):
        for old in range(1, new + 1):
            proof = tree.consistency_proof(grown.read, old, new)
            before, after = grown.heads[old], grown.heads[new]
            assert tree.proves_consistency(proof, before, after)
            assert not tree.proves_consistency(proof, Head(old, before.root[::-1]), after)
            assert not tree.proves_consistency(proof, before, Head(new, after.root[::-1]))
            assert not tree.proves_consistency([*proof, after.root], before, after)
            for place in range(len(proof)):
                wrong = [*proof[:place], bytes([proof[place][0] ^ 1]) + proof[place][1:], *proof[place + 1 :]]
                assert not tree.proves_consistency(wrong, before, after)
                assert not tree.proves_consistency(proof[:place] + proof[place + 1 :], before, after)


def test_an_empty_tree_proves_nothing(grown: _Grown) -> None:
    assert grown.heads[0] == Head(0, EMPTY_ROOT)
    assert tree.consistency_proof(grown.read, 0, 5) == []
    assert not tree.proves_consistency([], grown.heads[0], grown.heads[5])
    assert not tree.proves_consistency([], grown.heads[0], grown.heads[0])
    assert not tree.proves_inclusion([], EMPTY_ROOT, 0, grown.heads[0])


@pytest.mark.parametrize(("index", "size"), [(-1, 4), (4, 4), (0, 0)])
def test_there_is_no_proof_of_an_entry_that_is_not_there(grown: _Grown, index: int, size: int) -> None:
    with pytest.raises(TransparencyError):
        tree.inclusion_proof(grown.read, index, size)


@pytest.mark.parametrize(("old", "new"), [(5, 4), (-1, 4)])
def test_there_is_no_proof_that_a_tree_shrank(grown: _Grown, old: int, new: int) -> None:
    with pytest.raises(TransparencyError):
        tree.consistency_proof(grown.read, old, new)


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=300), st.data())
def test_a_frontier_written_down_and_read_again_grows_the_same_tree(entries: list[bytes], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(entries)))
    whole, first = Frontier(), Frontier()
    for number, entry in enumerate(entries):
        list(whole.append(tree.leaf_hash(entry)))
        if number < cut:
            list(first.append(tree.leaf_hash(entry)))
    again = Frontier.of(first.size, first.octets())
    for entry in entries[cut:]:
        list(again.append(tree.leaf_hash(entry)))
    assert again.head() == whole.head()


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_an_entry_cannot_pass_for_two_subtrees(left: bytes, right: bytes) -> None:
    assert tree.leaf_hash(left + right) != tree.node_hash(left, right)


@pytest.mark.parametrize(("size", "octets"), [(1, b""), (3, bytes(32)), (2, bytes(33)), (-1, b"")])
def test_a_frontier_of_another_size_is_refused(size: int, octets: bytes) -> None:
    with pytest.raises(TransparencyError):
        Frontier.of(size, octets)


def test_hashes_cut_short_are_refused() -> None:
    with pytest.raises(TransparencyError):
        tree.split_hashes(bytes(40))
