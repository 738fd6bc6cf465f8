import pytest

from wire.formats import FormatError, Formats
from wire.frames import EidFrame, EtlmFrame, Frame, IBeaconFrame, TlmFrame, UidFrame

NAMESPACE = bytes(range(10))
UUID = bytes(range(16))
EID = EidFrame(-10, bytes(8), bytes(6))
UID = UidFrame(-10, NAMESPACE, bytes(6))
TLM = TlmFrame(3000, 2000, 1, 2)
ETLM = EtlmFrame(bytes(12), bytes(2), bytes(2))
IBEACON = IBeaconFrame(UUID, 1, 2, -59)


@pytest.mark.parametrize(
    ("formats", "accepted"),
    [
        (["eid"], [EID, TLM, ETLM]),
        ([f"uid:{NAMESPACE.hex()}"], [UID, TLM, ETLM]),
        (["ibeacon:00010203-0405-0607-0809-0a0b0c0d0e0f"], [IBEACON]),
        (["uid:" + "ff" * 10, f"ibeacon:{bytes(16).hex()}"], [TLM, ETLM]),
        (["eid", f"uid:{NAMESPACE.hex()}", f"ibeacon:{UUID.hex()}"], [EID, UID, TLM, ETLM, IBEACON]),
    ],
)
def test_only_enrolled_frames_are_accepted(formats: list[str], accepted: list[Frame]) -> None:
    parsed = Formats.parse(formats)
    assert [frame for frame in (EID, UID, TLM, ETLM, IBEACON) if parsed.accepts(frame)] == accepted


@pytest.mark.parametrize("formats", [[], ["uid"], ["uid:zz"], ["uid:00"], ["ibeacon:1"], ["eid:1"], ["all"], [""]])
def test_a_misspelt_format_is_refused(formats: list[str]) -> None:
    with pytest.raises(FormatError):
        Formats.parse(formats)
