"""Verifies a published log with nothing but the public key: every entry, every tile, every head that anybody kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from privacy.transparency import tree
from privacy.transparency.bundles import Looked, differences, leaves, look, tile_hashes
from privacy.transparency.checkpoint import Opened, opened
from privacy.transparency.errors import TransparencyError
from privacy.transparency.finding import Fault, Finding
from privacy.transparency.note import Verifier
from privacy.transparency.policy import Policy
from privacy.transparency.tiles import WIDTH, Fetch, HashReader, Tile, root_of, width_at

PART: Final = 32
"""Bundles looked at in one go."""
MapParts = Callable[[Callable[[range], list[Looked]], Iterable[range]], Iterable[list[Looked]]]
"""Applies a function to parts, in order, perhaps in several processes: `map`, or the `map` of an executor."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom a verifier believes, and what it has kept.

    Attributes:
        logs: public keys of the log.
        policy: of the witnesses; None: the log's own word is taken.
        heads: checkpoints that were kept elsewhere, by name: of a witness, of a proof, of a newspaper.
    """

    logs: Sequence[Verifier]
    policy: Policy | None = None
    heads: Sequence[tuple[str, str]] = ()

    @property
    def witness_keys(self) -> tuple[Verifier, ...]:
        """Keys of the witnesses."""
        return () if self.policy is None else self.policy.witness_keys

    def opened(self, note: str) -> Opened:
        """Return a checkpoint, its signatures verified.

        Raises:
            TransparencyError: it is not of this log.
        """
        return opened(note, self.logs, self.witness_keys)

    def has_quorum(self, checkpoint: Opened) -> bool:
        """Return whether enough witnesses cosigned a checkpoint."""
        return self.policy is not None and self.policy.is_met_by(checkpoint.witnesses)


@dataclass(slots=True)
class Report:
    """What a verification has found.

    Attributes:
        checkpoint: the newest; None: there is none.
        witnessed: the largest that a quorum cosigned and that agrees with the entries; None: none, or nobody asked.
        entries: how many were read.
        heads: how many checkpoints were compared.
        findings: what is wrong; empty: nothing.
    """

    checkpoint: Opened | None = None
    witnessed: Opened | None = None
    entries: int = 0
    heads: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings


def verify(
    fetch: Fetch, trust: Trust, *, map_parts: MapParts = map, on_entries: Callable[[int, int], None] | None = None
) -> Report:
    """Return what is wrong with a published log, and which entries are concerned.

    Args:
        fetch: gives its files.
        trust: whom to believe.
        map_parts: see MapParts; `fetch` travels to other processes with it.
        on_entries: told how many entries of how many have been read.
    """
    report = Report()
    note = fetch("checkpoint")
    if note is None:
        report.findings.append(Finding(Fault.NO_CHECKPOINT))
        return report
    try:
        report.checkpoint = trust.opened(note.decode("utf-8", "replace"))
    except TransparencyError as error:
        report.findings.append(Finding(Fault.UNSIGNED, detail=str(error)))
        return report
    size = report.checkpoint.head.size
    rebuilt = _Rebuilt(fetch, size)
    for looked in map_parts(partial(look, fetch, size), _parts(size)):
        rebuilt.take(looked)
        report.entries = min(size, rebuilt.bundles * WIDTH)
        if on_entries is not None:
            on_entries(report.entries, size)
    report.findings += rebuilt.findings(report.checkpoint)
    if all(finding.fault is not Fault.WRONG_ROOT for finding in report.findings):
        _note_witnessed(report, trust, report.checkpoint)
    _compare_heads(report, trust, heads_in(fetch), rebuilt)
    report.findings += _unwitnessed(report, trust, size)
    return report


def heads_in(fetch: Fetch) -> Iterator[tuple[str, str]]:
    """Yield name and note of the checkpoints that lie in a published log."""
    days = (fetch("daily/list") or b"").decode("utf-8", "replace").split()
    for name in ("witnessed", *(f"daily/{day}" for day in days)):
        note = fetch(name)
        if note is not None:
            yield name, note.decode("utf-8", "replace")
        elif name != "witnessed":
            yield name, ""


def _parts(size: int) -> Iterator[range]:
    bundles = -(-size // WIDTH)
    return (range(begin, min(bundles, begin + PART)) for begin in range(0, bundles, PART))


class _Rebuilt:
    """The tree as the entries have it, and as the tiles of level 0 have it.

    Attributes:
        tree: the one of the two that was signed, else the entries', once `findings` has been called.
        bundles: how many have been taken.
    """

    def __init__(self, fetch: Fetch, size: int) -> None:
        self._fetch, self._size = fetch, size
        self._bad: list[Looked] = []
        self._entry_roots: list[bytes] = []
        self._tile_roots: list[bytes] = []
        self.tree = _Tree((), 0, lambda _index, _width: None)
        self.bundles = 0

    def take(self, looked: Sequence[Looked]) -> None:
        """Take what a look at the next bundles has found."""
        self.bundles += len(looked)
        for one in looked:
            self._entry_roots.append(one.entry_root)
            self._tile_roots.append(one.tile_root)
            if not one.is_same:
                self._bad.append(one)

    def findings(self, checkpoint: Opened) -> Iterator[Finding]:
        """Yield what is wrong with entries, tiles and the root. Call it once, when all bundles are taken."""
        root, size = checkpoint.head.root, self._size
        by_entries = _Tree(self._entry_roots, size, lambda index, width: leaves(self._fetch, index, width))
        by_tiles = _Tree(self._tile_roots, size, lambda index, width: self._hashes(0, index, width))
        if by_entries.root(size) == root:  # the entries are those that were signed, so it is the tiles that are not
            self.tree = by_entries
            for one in self._bad:
                yield Finding(Fault.WRONG_TILE, detail=Tile(0, one.index, width_at(0, one.index, size)).path)
        else:
            is_tiles = by_tiles.root(size) == root
            self.tree = by_tiles if is_tiles or by_entries.root(size) is None else by_entries
            yield from differences(self._bad, size)
            if not is_tiles:
                yield Finding(Fault.WRONG_ROOT)
        yield from self._wrong_tiles()

    def _hashes(self, level: int, index: int, width: int) -> list[bytes] | None:
        return tile_hashes(self._fetch, Tile(level, index, width))

    def _wrong_tiles(self) -> Iterator[Finding]:
        for level, row in self.tree.rows.items():
            for index in range(-(-len(row) // WIDTH)):
                tile = Tile(level, index, width_at(level, index, self._size))
                hashes = self._hashes(level, index, tile.width)
                if hashes is None:
                    yield Finding(Fault.MISSING_TILE, detail=tile.path)
                elif hashes != row[index * WIDTH : index * WIDTH + tile.width]:
                    yield Finding(Fault.WRONG_TILE, detail=tile.path)


class _Tree:
    """Roots of any size, out of the roots of the tiles of level 0.

    Args:
        roots: of those tiles; empty where one could not be read.
        size: of the whole.
        lowest: gives the hashes of entries by index and width of their tile.
    """

    def __init__(self, roots: Sequence[bytes], size: int, lowest: Callable[[int, int], list[bytes] | None]) -> None:
        self._lowest, self._size = lowest, size
        self.rows, level, row = dict[int, list[bytes]](), 1, list(roots[: size // WIDTH])
        while row:
            self.rows[level] = row
            row = [_root_or_nothing(row[at : at + WIDTH]) for at in range(0, len(row) - WIDTH + 1, WIDTH)]
            level += 1

    def root(self, size: int) -> bytes | None:
        """Return the root of the first entries; None: files are missing, or hold more or fewer than they should."""
        try:
            return tree.root(HashReader(self._read, size), size)
        except TransparencyError:  # a tile of another width than it should have
            return None

    def _read(self, tile: Tile) -> bytes:
        if tile.level > 0:
            return b"".join(self.rows[tile.level][tile.index * WIDTH : tile.index * WIDTH + tile.width])
        width = width_at(0, tile.index, self._size)  # as it lies there now; it was narrower in a smaller tree
        hashes = self._lowest(tile.index, width) or []
        return b"".join(hashes if tile.width == width else hashes[: tile.width])


def _root_or_nothing(hashes: Sequence[bytes]) -> bytes:
    return root_of(hashes) if all(hashes) else b""


def _compare_heads(report: Report, trust: Trust, kept: Iterable[tuple[str, str]], rebuilt: _Rebuilt) -> None:
    """Compare every checkpoint that somebody kept with the entries as they are now."""
    assert report.checkpoint is not None  # noqa: S101 - the caller has opened it
    agreed, wrong = list[int](), list[tuple[str, Opened]]()
    for name, note in [*kept, *trust.heads]:
        try:
            one = trust.opened(note)
        except TransparencyError:
            report.findings.append(Finding(Fault.FORGED_HEAD, detail=name))
            continue
        report.heads += 1
        if one.head.size > report.checkpoint.head.size:
            report.findings.append(Finding(Fault.SHORTER, detail=name, size=one.head.size))
        elif (root := rebuilt.tree.root(one.head.size)) is None:
            continue  # what is missing has been said
        elif root != one.head.root:
            wrong.append((name, one))
        else:
            agreed.append(one.head.size)
            _note_witnessed(report, trust, one)
    report.findings += _contradictions(agreed, wrong)


def _note_witnessed(report: Report, trust: Trust, one: Opened) -> None:
    is_largest = report.witnessed is None or report.witnessed.head.size <= one.head.size
    if is_largest and trust.has_quorum(one):
        report.witnessed = one


def _unwitnessed(report: Report, trust: Trust, size: int) -> Iterator[Finding]:
    """Yield that nobody outside has seen the newest entries: whoever has the log's key can write them anew."""
    seen = 0 if report.witnessed is None else report.witnessed.head.size
    if trust.policy is None or trust.policy.is_met_by(()):
        return
    if report.witnessed is None or (seen == 0 and size > 0):
        yield Finding(Fault.NO_QUORUM)
    elif seen < size:
        yield Finding(Fault.UNWITNESSED, seen, size - 1)


def _contradictions(agreed: Sequence[int], wrong: Sequence[tuple[str, Opened]]) -> Iterator[Finding]:
    """Yield the smallest head that says otherwise: what was changed lies between the last that agrees and this one."""
    if wrong:
        name, one = min(wrong, key=lambda found: found[1].head.size)
        begin = max((size for size in agreed if size < one.head.size), default=0)
        yield Finding(Fault.OLD_HEAD, begin, one.head.size - 1, detail=name, size=one.head.size)
