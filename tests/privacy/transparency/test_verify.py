import dataclasses
from collections.abc import Callable, Sequence

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from privacy.transparency import tree
from privacy.transparency.checkpoint import issue
from privacy.transparency.edge import Edge
from privacy.transparency.finding import Fault, Finding
from privacy.transparency.note import KeyKind, Signer
from privacy.transparency.policy import Policy
from privacy.transparency.tiles import ENTRIES, WIDTH, Tile, bundle, entries_of, width_at
from privacy.transparency.verify import Report, Trust, verify

LOG = Signer("city.example/log", Ed25519PrivateKey.from_private_bytes(b"\1" * 32))
WITNESSES = [Signer(f"w{n}.example", Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32)) for n in (2, 3, 4)]
POLICY = Policy.parse(
    "".join(f"witness W{n} {one.verifier(KeyKind.COSIGNATURE).vkey}\n" for n, one in enumerate(WITNESSES))
    + "group panel 2 W0 W1 W2\nquorum panel\n"
)
TRUST = Trust([LOG.verifier()])
SIZE = 1_000
Files = dict[str, bytes]


def _entry(number: int) -> bytes:
    return b'{"kind":"case.approved","n":%d}' % number


def _note(edge: Edge, cosigners: Sequence[Signer] = ()) -> str:
    note = issue(LOG, edge.head())
    return note.plus([one.cosign(note.text, 1_800_000_000) for one in cosigners]).whole()


def _published(entries: Sequence[bytes], cosigners: Sequence[Signer] = (), days: Sequence[int] = ()) -> Files:
    """A whole published log, as its ledger would have made it; `days` are sizes at which a daily head was kept."""
    edge, files = Edge(), Files()
    for number, entry in enumerate(entries, start=1):
        files |= {tile.path: octets for tile, octets in edge.grow(tree.leaf_hash(entry))}
        if number in days:
            files[f"daily/2026-11-{days.index(number) + 1:02d}"] = _note(edge, WITNESSES[:2]).encode()
    files |= {tile.path: octets for tile, octets in edge.partial()}
    for index in range(-(-len(entries) // WIDTH)):
        tile = Tile(ENTRIES, index, width_at(ENTRIES, index, len(entries)))
        files[tile.path] = bundle(entries[index * WIDTH : (index + 1) * WIDTH])
    files["daily/list"] = "".join(f"2026-11-{n + 1:02d}\n" for n in range(len(days))).encode()
    return files | {"checkpoint": _note(edge, cosigners).encode()}


@pytest.fixture(scope="module")
def whole() -> Files:
    return _published([_entry(number) for number in range(SIZE)], WITNESSES[:2], days=[100, 600])


def _faults(report: Report) -> list[tuple[Fault, int | None, int | None]]:
    return [(one.fault, one.first, one.last) for one in report.findings]


def _edited(files: Files, edit: Callable[[list[bytes]], list[bytes]]) -> Files:
    """The same files with other entries in the bundles; nothing else is touched."""
    entries = [entry for number in range(4) for entry in entries_of(files[_bundle(number)])]
    edited = edit(entries)
    cut = [edited[: WIDTH * 1], edited[WIDTH : WIDTH * 2], edited[WIDTH * 2 : WIDTH * 3], edited[WIDTH * 3 :]]
    return files | {_bundle(number): bundle(part) for number, part in enumerate(cut)}


def _bundle(number: int) -> str:
    return Tile(ENTRIES, number, width_at(ENTRIES, number, SIZE)).path


def test_an_untouched_log_is_whole_and_its_quorum_is_seen(whole: Files) -> None:
    told = list[tuple[int, int]]()
    report = verify(whole.get, dataclasses.replace(TRUST, policy=POLICY), on_entries=lambda *done: told.append(done))
    assert report.is_whole
    assert (report.entries, report.heads) == (SIZE, 2)
    assert report.witnessed is not None
    assert report.witnessed.head.size == SIZE
    assert told[-1] == (SIZE, SIZE)


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 512])
def test_logs_of_any_size_are_whole(size: int) -> None:
    assert verify(_published([_entry(number) for number in range(size)]).get, TRUST).is_whole


@pytest.mark.parametrize("at", [0, 255, 256, 700, SIZE - 1])
def test_one_changed_entry_is_named(whole: Files, at: int) -> None:
    files = _edited(whole, lambda entries: [*entries[:at], entries[at] + b" ", *entries[at + 1 :]])
    assert _faults(verify(files.get, TRUST)) == [(Fault.CHANGED, at, at)]


@pytest.mark.parametrize("at", [0, 255, 256, 700, SIZE - 1])
def test_one_removed_entry_is_named(whole: Files, at: int) -> None:
    files = _edited(whole, lambda entries: [*entries[:at], *entries[at + 1 :]])
    assert _faults(verify(files.get, TRUST)) == [(Fault.REMOVED, at, at)]


@pytest.mark.parametrize("at", [0, 255, 256, 700, SIZE])
def test_one_added_entry_is_named(whole: Files, at: int) -> None:
    files = _edited(whole, lambda entries: [*entries[:at], b"{}", *entries[at:]])
    assert _faults(verify(files.get, TRUST)) == [(Fault.ADDED, at, at)]


@pytest.mark.parametrize("at", [0, 255, 511, SIZE - 2])
def test_two_swapped_entries_are_named(whole: Files, at: int) -> None:
    files = _edited(whole, lambda entries: [*entries[:at], entries[at + 1], entries[at], *entries[at + 2 :]])
    assert _faults(verify(files.get, TRUST)) == [(Fault.REORDERED, at, at + 1)]


def test_every_bit_of_every_file_and_of_what_is_signed_matters(whole: Files) -> None:
    for name, octets in whole.items():
        last = len(octets) - 1 if name.startswith("tile/") else (octets + b"\n\n").index(b"\n\n")
        for place in {0, last // 3, last // 2, last} if name != "daily/list" else ():
            for bit in (0, 7):
                changed = octets[:place] + bytes([octets[place] ^ 1 << bit]) + octets[place + 1 :]
                assert not verify((whole | {name: changed}).get, TRUST).is_whole, (name, place, bit)


def test_every_missing_file_is_missed(whole: Files) -> None:
    for name in whole.keys() - {"daily/list"}:
        report = verify({other: octets for other, octets in whole.items() if other != name}.get, TRUST)
        assert not report.is_whole, name


def test_a_wrong_tile_over_right_entries_is_named_and_no_entry_is(whole: Files) -> None:
    path = Tile(0, 1).path
    report = verify((whole | {path: bytes(32) + whole[path][32:]}).get, TRUST)
    assert [(one.fault, one.detail) for one in report.findings] == [(Fault.WRONG_TILE, path)]


def test_a_partial_file_that_has_grown_since_is_cut_back(whole: Files) -> None:
    longer = _published([_entry(number) for number in range(1_100)])
    files = {name: octets for name, octets in (whole | longer).items() if name != _bundle(3)}
    del files[Tile(0, 3, width_at(0, 3, SIZE)).path]
    assert verify((files | {"checkpoint": whole["checkpoint"]}).get, TRUST).is_whole


def _rewritten(at: int) -> Files:
    """What an insider with database and log key makes: everything computed anew over a changed entry, and signed."""
    entries = [_entry(number) for number in range(SIZE)]
    entries[at] = b'{"kind":"case.refused"}'
    return _published(entries)


def test_an_insiders_rewritten_log_passes_by_its_own_key_alone() -> None:
    assert verify(_rewritten(5).get, TRUST).is_whole


def test_an_insiders_rewritten_log_has_no_quorum() -> None:
    report = verify(_rewritten(5).get, dataclasses.replace(TRUST, policy=POLICY))
    assert _faults(report) == [(Fault.NO_QUORUM, None, None)]


def test_what_no_quorum_has_seen_yet_is_named() -> None:
    entries = [_entry(number) for number in range(SIZE + 7)]
    longer = _published(entries, WITNESSES[:1], days=[600, SIZE])
    trust = dataclasses.replace(TRUST, policy=POLICY)
    assert _faults(verify(longer.get, trust)) == [(Fault.UNWITNESSED, SIZE, SIZE + 6)]
    assert verify(longer.get, TRUST).is_whole


def test_heads_that_witnesses_cosigned_expose_an_insider_and_say_between_which_heads(whole: Files) -> None:
    kept = {name: octets for name, octets in whole.items() if name.startswith("daily/")}
    report = verify((_rewritten(300) | kept).get, dataclasses.replace(TRUST, policy=POLICY))
    assert _faults(report) == [(Fault.OLD_HEAD, 100, 599), (Fault.UNWITNESSED, 100, SIZE - 1)]
    assert report.witnessed is not None
    assert report.witnessed.head.size == 100


def test_a_head_that_somebody_kept_at_home_exposes_an_insider(whole: Files) -> None:
    trust = dataclasses.replace(TRUST, heads=[("home", whole["checkpoint"].decode())])
    assert _faults(verify(_rewritten(5).get, trust)) == [(Fault.OLD_HEAD, 0, SIZE - 1)]


def test_an_end_cut_off_and_signed_anew_is_exposed_by_any_head_that_was_kept(whole: Files) -> None:
    shorter = _published([_entry(number) for number in range(SIZE - 1)])
    trust = dataclasses.replace(TRUST, heads=[("home", whole["checkpoint"].decode())])
    assert [one.fault for one in verify(shorter.get, trust).findings] == [Fault.SHORTER]


def test_a_head_of_another_log_proves_nothing(whole: Files) -> None:
    stranger = Signer(LOG.name, Ed25519PrivateKey.generate())
    trust = dataclasses.replace(TRUST, heads=[("forged", issue(stranger, Edge().head()).whole())])
    assert [one.fault for one in verify(whole.get, trust).findings] == [Fault.FORGED_HEAD]


@pytest.mark.parametrize("files", [{}, {"checkpoint": b"\xff\xfe"}, {"checkpoint": b""}])
def test_a_log_without_a_proper_checkpoint_is_not_whole(files: Files) -> None:
    assert [one.fault for one in verify(files.get, TRUST).findings] in ([Fault.NO_CHECKPOINT], [Fault.UNSIGNED])


def test_every_finding_has_a_sentence_in_both_languages(whole: Files) -> None:
    for fault in Fault:
        found = Finding(fault, 1, 2, detail="x", size=3)
        assert found.ja.isascii() is False
        assert found.en.isascii()
        assert "{" not in found.ja + found.en
    files = _edited(whole, lambda entries: [*entries[:5], *entries[6:]])
    found = verify(files.get, TRUST).findings[0]
    assert (found.ja, found.en) == ("記録 5 が消されています", "Entry 5 was removed")
