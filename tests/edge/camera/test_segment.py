import hashlib
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.camera import segment
from edge.camera.segment import Head, Tail, Writer
from edge.errors import SegmentError

KEY = bytes(range(32))
START_MS = 1_800_000_000_000
HEAD = Head("gate-1", b"i" * 16, START_MS, 3, b"s" * 16, b"wrapped", 320, 240, 15, "libx264")


def fragment(samples: bytes) -> bytes:
    boxes = ((b"moof", b"index"), (b"mdat", samples))
    return b"".join(struct.pack(">I4s", 8 + len(content), kind) + content for kind, content in boxes)


def written(path: Path, seconds: list[bytes], *, is_closed: bool = True) -> list[bytes]:
    writer = Writer(path, HEAD, KEY)
    writer.init(b"ftyp moov")
    writer.thumbnail(b"jpeg", at_ms=START_MS)
    for number, samples in enumerate(seconds):
        digest = hashlib.sha256(samples).digest()
        writer.second(fragment(samples), at_ms=START_MS + 1000 * number, frames=15, samples_sha256=digest)
    if is_closed:
        writer.close(START_MS + 1000 * len(seconds))
    else:
        writer.abandon()
    return [b"ftyp moov", b"jpeg", *map(fragment, seconds)]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seconds=st.lists(st.binary(max_size=70_000), max_size=10))
def test_a_segment_opens_to_what_was_written(tmp_path: Path, seconds: list[bytes]) -> None:
    path = tmp_path / "day" / HEAD.name
    path.unlink(missing_ok=True)
    contents = written(path, seconds)
    assert [content for _, content in segment.opened(path, KEY)] == contents
    read = segment.read(path)
    assert read.head == HEAD
    assert read.tail is not None
    assert read.tail.chain == read.chain
    assert read.frames == 15 * len(seconds)
    assert read.end_ms == START_MS + 1000 * len(seconds)


def test_every_flipped_bit_is_found(tmp_path: Path) -> None:
    path = tmp_path / "day" / "a.seg"
    written(path, [b"first second", b"second second"])
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes((whole[at] ^ 1 << at % 8,)) + whole[at + 1 :])
        with pytest.raises(SegmentError):
            list(segment.opened(path, KEY))


@given(data=st.data())
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_changed_octet_is_found(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "day" / "a.seg"
    path.unlink(missing_ok=True)
    written(path, [b"one", b"two", b"three"])
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda value: value != whole[at]))
    path.write_bytes(whole[:at] + bytes((other,)) + whole[at + 1 :])
    with pytest.raises(SegmentError):
        list(segment.opened(path, KEY))


def spans(path: Path) -> list[tuple[int, int]]:
    """Where each record lies, its clear fields included."""
    ends = [0, *(item.offset + item.octets for item in segment.read(path).records)]
    first = segment.read(path).records[0]
    head_end = first.offset - len(segment._bstr_head(first.octets)) - len(segment._bstr(first.encode()))
    return list(zip([head_end, *ends[1:]], ends[1:], strict=False))


def test_swapped_doubled_and_missing_records_are_found(tmp_path: Path) -> None:
    path = tmp_path / "day" / "a.seg"
    written(path, [b"one", b"two"])
    whole = path.read_bytes()
    (one, two), (_, three) = spans(path)[-2:]
    for forged in (
        whole[:one] + whole[two:three] + whole[one:two] + whole[three:],
        whole[:one] + whole[two:],
        whole[:two] + whole[one:two] + whole[two:],
        whole[:two] + whole[three:],
    ):
        path.write_bytes(forged)
        with pytest.raises(SegmentError):
            list(segment.opened(path, KEY))


def test_a_segment_shortened_and_mended_no_longer_fits_the_next(tmp_path: Path) -> None:
    path = tmp_path / "day" / "a.seg"
    written(path, [b"one", b"two"])
    chain = segment.read(path).chain
    path.write_bytes(path.read_bytes()[: spans(path)[-1][0]])
    assert segment.mend(path).chain != chain


def test_another_strand_opens_nothing(tmp_path: Path) -> None:
    path = tmp_path / "day" / "a.seg"
    written(path, [b"one"])
    with pytest.raises(SegmentError):
        next(segment.opened(path, bytes(32)))


def test_a_file_cut_anywhere_is_mended_to_its_whole_records(tmp_path: Path) -> None:
    path = tmp_path / "day" / "a.seg"
    contents = written(path, [b"first second", b"second second"], is_closed=False)
    whole, ends = path.read_bytes(), [end for _, end in spans(path)]
    head_end = spans(path)[0][0]
    for end in range(len(whole) + 1):
        path.write_bytes(whole[:end])
        if end < head_end:
            with pytest.raises(SegmentError):
                segment.mend(path)
            continue
        tail = segment.mend(path)
        kept = sum(item <= end for item in ends)
        assert tail.is_cut
        assert [content for _, content in segment.opened(path, KEY)] == contents[:kept]
        assert tail.end_ms == START_MS + 1000 * max(0, kept - 2)
        assert segment.mend(path) == tail


def test_a_closed_file_cut_within_its_tail_is_mended(tmp_path: Path) -> None:
    path = tmp_path / "day" / "a.seg"
    contents = written(path, [b"one"])
    whole, end = path.read_bytes(), spans(path)[-1][1]
    chain = segment.read(path).chain
    for length in range(end, len(whole)):
        path.write_bytes(whole[:length])
        assert segment.mend(path) == Tail(chain, START_MS + 1000, is_cut=True)
        assert [content for _, content in segment.opened(path, KEY)] == contents


def test_what_the_disk_filled_with_nothing_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "day" / "a.seg"
    contents = written(path, [b"one"], is_closed=False)
    with path.open("ab") as file:
        file.write(bytes(4096))
    segment.mend(path)
    assert [content for _, content in segment.opened(path, KEY)] == contents


def test_a_second_of_other_samples_than_it_says_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "day" / "a.seg"
    writer = Writer(path, HEAD, KEY)
    writer.second(fragment(b"real"), at_ms=START_MS, frames=1, samples_sha256=hashlib.sha256(b"told").digest())
    writer.close(START_MS + 1000)
    with pytest.raises(SegmentError, match="other samples"):
        list(segment.opened(path, KEY))


def test_nothing_of_the_content_lies_in_the_file_in_clear(tmp_path: Path) -> None:
    path = tmp_path / "day" / "a.seg"
    written(path, [b"a face at a window"])
    assert b"a face" not in path.read_bytes()
    assert KEY not in path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_open_segment_is_read_up_to_its_last_whole_record(tmp_path: Path) -> None:
    path = tmp_path / "day" / "a.seg"
    contents = written(path, [b"one", b"two"], is_closed=False)
    path.write_bytes(path.read_bytes()[:-1])
    assert [content for _, content in segment.opened(path, KEY, may_be_open=True)] == contents[:-1]
    with pytest.raises(SegmentError):
        list(segment.opened(path, KEY))


@pytest.mark.parametrize("junk", [b"", b"\x00", b"\x40", b"\x5b" + b"\xff" * 8, b"\x7f" * 100, b"\x43abc"])
def test_a_file_that_is_no_segment_is_refused(tmp_path: Path, junk: bytes) -> None:
    path = tmp_path / "a.seg"
    path.write_bytes(junk)
    with pytest.raises(SegmentError):
        segment.read(path)


def test_a_fragment_of_broken_boxes_is_refused() -> None:
    with pytest.raises(SegmentError):
        segment.samples_of(fragment(b"abc")[:-1])
    assert segment.samples_of(fragment(b"abc")) == b"abc"
