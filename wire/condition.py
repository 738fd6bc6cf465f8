"""How a gateway is, as its heartbeat tells: clock, disk, temperature, radio, camera; unknown is left out."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Self

from wire import fields as _f
from wire.errors import MessageError

CAMERA_STATES: Final = (
    "",
    "off",
    "starting",
    "recording",
    "no-mask",
    "moved",
    "blind",
    "no-signal",
    "unreadable",
    "disk-full",
    "stopped",
)
"""Of these only "recording" and "blind" (dark, fog, covered: nothing to compare with) write footage. "" = no camera."""
_SIGNED: Final = 2**31


@dataclass(frozen=True, slots=True)
class Condition:
    """Field 13 of a heartbeat: a map by small numbers, absent where None.

    Attributes:
        is_clock_synced: whether the kernel holds its clock for synchronised.
        clock_error_ms: how far off the kernel supposes it to be, at most.
        adverts_per_min: advertisements heard in the last minute.
        disk_free_mb: of the volume of the state directory.
        temp_cdeg: of the processor, hundredths of a degree Celsius.
        cpu_permille: of one core, of the whole program, since the last heartbeat.
        rss_mb: resident memory of the program.
        rows_thinned: rows given up since the outbox was made because the queue was full (the stated rule).
        order_sequence: of the newest order carried out or refused.
        camera: one of `CAMERA_STATES`.
        camera_fps_centi: hundredths of a frame a second, recorded.
        mask_version: in force; None without a mask.
        footage_from_ms: start of the oldest footage kept, Unix milliseconds.
        footage_mb: of all footage kept.
        footage_chain: 32 octets, the newest value of the hash chain over all segments.
        is_parked: whether a vehicle stands where it is parked; None for what does not move.
        certificate_until_ms: when the certificate ends, Unix milliseconds.
    """

    is_clock_synced: bool | None = None
    clock_error_ms: int | None = None
    adverts_per_min: int | None = None
    disk_free_mb: int | None = None
    temp_cdeg: int | None = None
    cpu_permille: int | None = None
    rss_mb: int | None = None
    rows_thinned: int | None = None
    order_sequence: int | None = None
    camera: str | None = None
    camera_fps_centi: int | None = None
    mask_version: int | None = None
    footage_from_ms: int | None = None
    footage_mb: int | None = None
    footage_chain: bytes | None = None
    is_parked: bool | None = None
    certificate_until_ms: int | None = None

    def to_map(self) -> dict[int, object]:
        """Return the map that is sent: a field's number is its place above, from 1 on."""
        values = ((number, getattr(self, item.name)) for number, item in enumerate(fields(self), 1))
        return {number: value for number, value in values if value is not None}

    @classmethod
    def from_map(cls, table: object) -> Self:
        """Return the condition in a decoded map; unknown numbers are ignored.

        Raises:
            MessageError: not a map, or a value of the wrong kind.
        """
        if not isinstance(table, dict):
            raise MessageError("a condition is a map")
        found = {
            item.name: _read(table, number, item.name)
            for number, item in enumerate(fields(cls), 1)
            if table.get(number) is not None
        }
        return cls(**found)


def _read(table: Mapping[Any, Any], number: int, name: str) -> Any:  # noqa: ANN401 - as the field says
    if name.startswith("is_"):
        return _f.flag(table, number)
    if name == "temp_cdeg":
        return _f.signed(table, number, _SIGNED)
    if name == "footage_chain":
        return _f.octets(table, number, 32)
    if name == "camera":
        state = _f.text(table, number)
        if state not in CAMERA_STATES:
            raise MessageError("a camera state that we do not know")
        return state
    return _f.uint(table, number)
