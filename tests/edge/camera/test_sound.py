"""The sound gate: right levels of what is loud, and nothing at all of what is not."""

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.camera import filming, sound
from edge.camera.sound import Level, SoundGate
from edge.config import BrokerConfig, EdgeConfig
from edge.errors import SoundError
from firmware_sim.street.noise import Noise
from wire.camera_settings import CameraSettings
from wire.errors import MessageError
from wire.sections import KeyFiles

SETTINGS = CameraSettings(1, is_sound_approved=True, sound_opinion="審議会 2026-3", sound_limit_db=90)
AT_MS = 1_795_560_000_000


def _tone(dbfs: float, hz: float = 1000.0, seconds: float = 1.0, rate_hz: int = 48_000) -> NDArray[np.float64]:
    at_s = np.arange(round(seconds * rate_hz)) / rate_hz
    return 10 ** (dbfs / 20) * np.sin(2 * np.pi * hz * at_s)


def _piece(
    samples: NDArray[np.float64], kind: str = "fltp", layout: str = "mono", rate_hz: int = 48_000
) -> av.AudioFrame:
    """Return samples, shape (n,), as a piece of that format, the same in each channel."""
    channels = {"mono": 1, "stereo": 2, "5.1": 6}[layout]
    whole = np.tile(samples, (channels, 1))
    scale, dtype = {"s16": (32767, "int16"), "s32": (2**31 - 1, "int32"), "u8": (127, "uint8"), "flt": (1, "float32")}[
        kind.removesuffix("p")
    ]
    values = (whole * scale + (128 if dtype == "uint8" else 0)).astype(dtype)
    if not kind.endswith("p"):
        values = np.ascontiguousarray(values.T).reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(values, kind, layout)
    frame.sample_rate = rate_hz
    return frame


def _loudest_db(gate: SoundGate, samples: NDArray[np.float64], rate_hz: int = 48_000) -> float:
    found = gate.levels(_piece(samples, rate_hz=rate_hz), AT_MS)
    return max((one.level_db for one in found), default=0.0)


def test_without_the_boards_approval_there_is_no_gate() -> None:
    with pytest.raises(SoundError):
        SoundGate(CameraSettings(1))


@pytest.mark.parametrize("rate_hz", [8000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("dbfs", [0.0, -10.0, -25.0])
def test_a_steady_tone_at_1_khz_has_its_level_at_any_rate(dbfs: float, rate_hz: int) -> None:
    gate = SoundGate(replace(SETTINGS, sound_limit_db=80))
    assert abs(_loudest_db(gate, _tone(dbfs, rate_hz=rate_hz), rate_hz) - (120 + dbfs)) < 0.2


@pytest.mark.parametrize(
    ("hz", "weight_db"), [(63, -26.2), (125, -16.1), (250, -8.6), (500, -3.2), (2000, 1.2), (4000, 1.0)]
)
def test_other_tones_are_weighted_as_the_standard_says(hz: float, weight_db: float) -> None:
    gate = SoundGate(replace(SETTINGS, sound_limit_db=60))
    assert abs(_loudest_db(gate, _tone(-6, hz)) - (114 + weight_db)) < (0.4 if hz > 100 else 1.0)


@pytest.mark.parametrize(("burst_s", "less_db"), [(0.5, -0.1), (0.2, -1.0), (0.05, -4.8)])
def test_a_short_burst_shows_as_much_as_a_fast_meter_does(burst_s: float, less_db: float) -> None:
    silence = np.zeros(24_000)
    burst = np.concatenate([silence, _tone(-6, seconds=burst_s), silence])
    assert abs(_loudest_db(SoundGate(SETTINGS), burst) - (114 + less_db)) < 0.7


@pytest.mark.parametrize("samples", [np.zeros(48_000), _tone(-30.5), _tone(-5, 31.5)])
def test_what_is_not_above_the_limit_gives_nothing(samples: NDArray[np.float64]) -> None:
    gate = SoundGate(SETTINGS)
    assert gate.levels(_piece(samples), AT_MS) == []
    assert gate.hear(_piece(samples), AT_MS) is None


def test_only_the_loud_part_is_noted_and_when(recwarn: pytest.WarningsRecorder) -> None:
    gate, noise = SoundGate(SETTINGS), Noise(loud_at_s=(1.0,), loud_s=0.5, loud_dbfs=-10)
    found: list[Level] = []
    for number in range(150):
        piece = _piece(noise.samples(number * 960, 960).astype(float))
        found += gate.levels(piece, AT_MS + number * 20)
    assert all(AT_MS + 1000 <= one.at_ms <= AT_MS + 2200 for one in found)
    assert abs(max(one.level_db for one in found) - 110) < 0.5
    assert min(one.level_db for one in found) > 90
    assert 5 <= len({one.at_ms // 125 for one in found}) <= 10
    assert not recwarn


@pytest.mark.parametrize("layout", ["mono", "stereo", "5.1"])
@pytest.mark.parametrize("kind", ["u8", "s16", "s16p", "s32", "s32p", "flt", "fltp"])
def test_every_format_and_layout_gives_the_same_level(kind: str, layout: str) -> None:
    found = SoundGate(SETTINGS).levels(_piece(_tone(-6), kind, layout), AT_MS)
    assert abs(max(one.level_db for one in found) - 114) < 0.3


def test_channels_against_each_other_do_not_cancel() -> None:
    values = np.stack([_tone(-6), -_tone(-6)]).astype(np.float32)
    frame = av.AudioFrame.from_ndarray(values, "fltp", "stereo")
    frame.sample_rate = 48_000
    assert abs(max(one.level_db for one in SoundGate(SETTINGS).levels(frame, AT_MS)) - 114) < 0.3


def test_a_microphone_that_clips_opens_the_gate() -> None:
    clipped = np.clip(_tone(30), -1, 1)
    assert 119 < _loudest_db(SoundGate(SETTINGS), clipped) < 125


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_piece_without_numbers_is_dropped_and_counted_and_leaves_nothing(bad: float) -> None:
    gate = SoundGate(SETTINGS)
    gate.levels(_piece(_tone(0)), AT_MS)
    spoilt = _tone(0)
    spoilt[100] = bad
    assert gate.levels(_piece(spoilt), AT_MS) == []
    assert gate.damaged == 1
    assert gate.levels(_piece(_tone(-40)), AT_MS) == []
    assert abs(_loudest_db(gate, _tone(-6)) - 114) < 0.3


def test_numbers_beyond_full_scale_count_as_full_scale() -> None:
    assert _loudest_db(SoundGate(SETTINGS), _tone(200)) < 125


def test_a_change_of_format_begins_anew() -> None:
    gate = SoundGate(SETTINGS)
    gate.levels(_piece(_tone(0)), AT_MS)
    assert gate.levels(_piece(_tone(-60, rate_hz=16_000), "s16", "stereo", 16_000), AT_MS) == []
    assert abs(_loudest_db(gate, _tone(-6, rate_hz=8000), 8000) - 114) < 0.3


@pytest.mark.parametrize("rate_hz", [100, 10_000_000])
def test_an_impossible_rate_is_dropped_and_counted(rate_hz: int) -> None:
    gate = SoundGate(SETTINGS)
    assert gate.levels(_piece(_tone(0), rate_hz=rate_hz), AT_MS) == []
    assert gate.damaged == 1


def test_no_more_than_a_block_of_samples_stays_in_the_gate() -> None:
    gate = SoundGate(SETTINGS)
    gate.levels(_piece(_tone(0, seconds=3.0)), AT_MS)
    assert gate._meter
    assert gate._meter._held.size <= 0.045 * 48_000
    assert gate._meter._held.base is None


@given(st.lists(st.integers(1, 3000), min_size=40, max_size=80))
def test_the_same_sound_in_any_pieces_gives_the_same_loudest_level(lengths: list[int]) -> None:
    samples = _tone(-6, seconds=sum(lengths) / 48_000)
    whole, parts, start = SoundGate(SETTINGS), SoundGate(SETTINGS), 0
    found = []
    for length in lengths:
        found += parts.levels(_piece(samples[start : start + length]), AT_MS + start // 48)
        start += length
    once = whole.levels(_piece(samples), AT_MS)
    assert bool(found) == bool(once)
    if once:
        assert abs(max(one.level_db for one in found) - max(one.level_db for one in once)) < 1e-6


@given(st.lists(st.tuples(st.integers(0, 2**52), st.integers(300, 2000)), max_size=20))
def test_levels_are_read_as_they_were_written(pairs: list[tuple[int, int]]) -> None:
    levels = [Level(at_ms, tenths / 10) for at_ms, tenths in pairs]
    assert sound.decode(sound.encode(levels)) == levels


@given(st.binary(max_size=60))
def test_no_octets_but_levels_are_read_as_levels(data: bytes) -> None:
    with pytest.raises(MessageError):
        sound.decode(data + b"\xff")


def test_what_a_gateway_writes_of_sound_can_be_read_again(tmp_path: Path) -> None:
    """The gate as the agent plugs it into the camera."""
    keys = KeyFiles(tmp_path / "city.json", tmp_path / "signing.pem")
    config = EdgeConfig("tsukuba", "gate-1", tmp_path, keys, BrokerConfig("mqtt://127.0.0.1"))
    make = filming._senses(config).ear
    assert make is not None
    written = make(SETTINGS).hear(_piece(_tone(-6)), AT_MS)
    assert written is not None
    assert abs(max(one.level_db for one in sound.decode(written)) - 114) < 0.3
