import contextlib
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire import frames
from wire.errors import FrameError, WireError
from wire.frames import EidFrame, EtlmFrame, Frame, IBeaconFrame, TlmFrame, UidFrame

INT8 = st.integers(-128, 127)
UINT16 = st.integers(0, 0xFFFF)
UINT32 = st.integers(0, 0xFFFFFFFF)


def octets(n: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=n, max_size=n)


FRAMES: st.SearchStrategy[Frame] = st.one_of(
    st.builds(EidFrame, INT8, octets(8), st.none() | octets(6)),
    st.builds(UidFrame, INT8, octets(10), octets(6)),
    st.builds(TlmFrame, UINT16, st.none() | st.integers(-12_799, 12_799), UINT32, UINT32),
    st.builds(EtlmFrame, octets(12), octets(2), octets(2)),
    st.builds(IBeaconFrame, octets(16), UINT16, UINT16, INT8),
)


@given(FRAMES)
def test_a_frame_survives_the_air(frame: Frame) -> None:
    data = frames.encode(frame)
    assert len(data) <= 31
    assert frames.decode(data) == frame


@given(st.binary(max_size=255))
def test_any_advertisement_is_a_frame_or_none_or_a_frame_error(data: bytes) -> None:
    try:
        frames.decode(data)
    except WireError as error:
        assert type(error) is FrameError  # noqa: PT017 - the claim is about the exact class


@given(FRAMES, st.data())
def test_an_octet_changed_anywhere_gives_nothing_worse_than_a_frame_error(frame: Frame, data: st.DataObject) -> None:
    damaged = bytearray(frames.encode(frame))
    at = data.draw(st.integers(0, len(damaged) - 1))
    damaged[at] = data.draw(st.integers(0, 255))
    with contextlib.suppress(FrameError):
        frames.decode(bytes(damaged[: data.draw(st.integers(0, len(damaged)))]))


@given(
    st.dictionaries(
        st.sampled_from([frames.uuid_text(0xFEAA), frames.uuid_text(frames.STATUS_UUID16), "x"]), st.binary()
    ),
    st.dictionaries(st.sampled_from([0x4C, 1]), st.binary()),
)
def test_any_fields_of_a_bluetooth_stack_are_a_frame_or_none_or_a_frame_error(
    service_data: dict[str, bytes], manufacturer_data: dict[int, bytes]
) -> None:
    with contextlib.suppress(FrameError):
        frames.decode_fields(service_data, manufacturer_data)


def test_our_tag_fills_an_advertisement_to_the_last_octet() -> None:
    data = frames.encode(EidFrame(-18, bytes(range(8)), bytes(range(6))))
    assert data.hex(" ") == (
        "02 01 06 03 03 aa fe 0d 16 aa fe 30 ee 00 01 02 03 04 05 06 07 09 16 00 fc 00 01 02 03 04 05"
    )


def test_a_published_ibeacon_is_read() -> None:
    data = bytes.fromhex("0201061aff4c000215e2c56db5dffb48d2b060d0f5a71096e00001002ac5")
    frame = frames.decode(data)
    assert frame == IBeaconFrame(bytes.fromhex("e2c56db5dffb48d2b060d0f5a71096e0"), 1, 42, -59)


def test_a_uid_without_its_reserved_octets_is_read() -> None:
    service_data = {frames.uuid_text(0xFEAA): b"\x00\xee" + bytes(16)}
    assert frames.decode_fields(service_data, {}) == UidFrame(-18, bytes(10), bytes(6))


def test_padding_after_the_last_structure_is_ignored() -> None:
    frame = EidFrame(0, bytes(8))
    assert frames.decode(frames.encode(frame) + b"\x00\xff\xff") == frame


def test_service_data_under_a_long_form_of_the_uuid_is_the_same() -> None:
    inner = b"\x30\x00" + bytes(8)
    base = bytes.fromhex("fb349b5f80000080001000000000")[:12]
    long_form = base + bytes.fromhex("aafe0000")
    for kind, uuid in ((0x20, bytes.fromhex("aafe0000")), (0x21, long_form)):
        value = uuid + inner
        assert frames.decode(bytes((len(value) + 1, kind)) + value) == EidFrame(0, bytes(8))


@pytest.mark.parametrize(
    "data",
    [b"", b"\x00", bytes.fromhex("020106"), bytes.fromhex("0416aafe10"), bytes.fromhex("0416aafe40"),
     bytes.fromhex("0516aafe2007"), bytes.fromhex("05ff4c000c00"), bytes.fromhex("04ff5900aa"), b"\x01\x16"[:0]],
)  # fmt: skip
def test_what_is_not_ours_is_none(data: bytes) -> None:
    assert frames.decode(data) is None


@pytest.mark.parametrize(
    "text",
    ["05", "0516aafe", "0216aa", "0116", "01ff", "02ff4c", "0316aafe", "0416aafe30", "0416aafe00", "0416aafe20",
     "0516aafe2000", "0516aafe2001", "05ff4c000215", "0d16aafe30ee0001020304050607081600fc0001020304"],
)  # fmt: skip
def test_a_malformed_advertisement_is_a_frame_error(text: str) -> None:
    with pytest.raises(FrameError):
        frames.decode(bytes.fromhex(text))


@pytest.mark.parametrize(
    "frame",
    [EidFrame(128, bytes(8)), EidFrame(0, bytes(7)), EidFrame(0, bytes(8), b""), UidFrame(0, bytes(9), bytes(6)),
     UidFrame(0, bytes(10), bytes(7)), TlmFrame(-1, None, 0, 0), TlmFrame(0, 20_000, 0, 0), TlmFrame(0, 0, 2**32, 0),
     EtlmFrame(bytes(11), bytes(2), bytes(2)), EtlmFrame(bytes(12), b"", bytes(2)), EtlmFrame(bytes(12), bytes(2), b""),
     IBeaconFrame(bytes(15), 0, 0, 0), IBeaconFrame(bytes(16), 65_536, 0, 0), IBeaconFrame(bytes(16), 0, 0, -129)],
)  # fmt: skip
def test_a_field_that_does_not_fit_is_a_frame_error(frame: Frame) -> None:
    with pytest.raises(FrameError):
        frames.encode(frame)


def test_a_sighting_id_says_how_traceable_the_tag_is() -> None:
    eid, namespace, instance, uuid = bytes(range(8)), bytes(10), bytes(6), bytes(16)
    assert frames.sighting_id(EidFrame(0, eid, bytes(6))) == (frames.KIND_EID, eid)
    assert frames.sighting_id(EidFrame(0, eid)) == (frames.KIND_PLAIN_EID, eid)
    uid_hash = hashlib.sha256(b"uid" + namespace + instance).digest()[:8]
    assert frames.sighting_id(UidFrame(0, namespace, instance)) == (frames.KIND_UID, uid_hash)
    ibeacon_hash = hashlib.sha256(b"ibeacon" + uuid + b"\x00\x01\x00\x02").digest()[:8]
    assert frames.sighting_id(IBeaconFrame(uuid, 1, 2, 0)) == (frames.KIND_IBEACON, ibeacon_hash)
    assert frames.sighting_id(TlmFrame(0, None, 0, 0)) is None


def test_the_coldest_temperature_is_not_taken_for_none() -> None:
    frame = frames.decode(bytes.fromhex("0201060303aafe1116aafe20000bb880010000000000000000"))
    assert isinstance(frame, TlmFrame)
    assert frame.temp_cdeg == -12_800
    assert frames.decode(frames.encode(frame)) == frame
