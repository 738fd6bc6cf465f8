"""A recording of the simulated air at one detector, with what is truly in it."""

from collections.abc import Callable

import numpy as np

from firmware_sim import capture
from firmware_sim.air import STEP_MS, Air
from firmware_sim.errors import RecordingError
from firmware_sim.truth import Truth

ALL = "all"


def record(air: Air, writer: capture.Writer, *, seconds: int, detector: str, on_step: Callable[[], None]) -> Truth:
    """Write what `detector` hears in that many seconds.

    Args:
        air: stands at the first second.
        writer: see `capture.open_writer`.
        seconds: town seconds.
        detector: its id, or "all" for one file of all detectors together.
        on_step: called after each second.

    Returns:
        The packets written, by detector and tag.

    Raises:
        RecordingError: there is no such detector.
    """
    ids = [receiver.id for receiver in air.receivers]
    if detector != ALL and detector not in ids:
        raise RecordingError(f"no detector {detector!r} in town; there are {ids[0]} to {ids[-1]}")
    listening = np.array([detector in (ALL, known) for known in ids])
    truth = Truth(air.fleet.tags)
    for _ in range(0, seconds * 1000, STEP_MS):
        heard = air.step(listening)
        columns = (heard.receivers, heard.emitters, heard.at_us, heard.rssi_dbm, heard.channels, heard.is_telemetry)
        for receiver, emitter, at_us, rssi_dbm, channel, is_telemetry in zip(
            *(c.tolist() for c in columns), strict=True
        ):
            advert = air.advert(emitter, at_us, is_telemetry=is_telemetry)
            writer.write(capture.Packet(at_us, advert, rssi_dbm, channel))
            truth.note(ids[receiver], emitter, at_us, is_telemetry=is_telemetry)
        on_step()
    return truth
