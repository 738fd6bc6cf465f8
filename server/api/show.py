"""Rows of the store as what a family is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from server.api.near import Landmark, nearest
from server.api.schemas import Event, Fix, Names, Place
from server.store.family import EventRow, FixRow, PlaceRow

# Open-circuit voltage of a CR2032 in decivolts against what is left of it: the piecewise curve that Nordic's SDK uses
# (app_util.h, battery_level_in_percent). Flat above 2.7 V, so the upper half is a guess and the lower half a warning.
_VOLTS_DV: Final = (21.0, 24.4, 27.4, 29.0, 30.0)
_LEFT_PCT: Final = (0.0, 6.0, 18.0, 42.0, 100.0)


def battery_pct(battery_dv: int | None) -> int | None:
    """Return what is left of a CR2032 at `battery_dv` decivolts, None when the tag does not say."""
    return None if battery_dv is None else round(float(np.interp(battery_dv, _VOLTS_DV, _LEFT_PCT)))


def show_place(row: PlaceRow, landmarks: Sequence[Landmark]) -> Place:
    """Return a last place with the nearest of `landmarks`."""
    near = nearest(landmarks, row.lat_deg, row.lon_deg)
    return Place(
        lat_deg=round(row.lat_deg, 6),
        lon_deg=round(row.lon_deg, 6),
        accuracy_m=round(row.accuracy_m, 1),
        heard_at_ms=row.heard_at_ms,
        received_at_ms=row.received_at_ms,
        late=row.late,
        near=Names(name_ja=near.name_ja, name_en=near.name_en) if near else None,
        battery_pct=battery_pct(row.battery_dv),
        sos=row.sos,
        traceable=row.traceable,
    )


def show_fix(row: FixRow) -> Fix:
    """Return a point of a track; a sixth decimal is a decimetre, more would be pretence."""
    return Fix(
        lat_deg=round(row.lat_deg, 6),
        lon_deg=round(row.lon_deg, 6),
        accuracy_m=round(row.accuracy_m, 1),
        heard_at_ms=row.heard_at_ms,
        received_at_ms=row.received_at_ms,
        late=row.late,
    )


def show_event(row: EventRow) -> Event:
    """Return an event with the name of its place."""
    place = Names(name_ja=row.place_ja, name_en=row.place_en or row.place_ja) if row.place_ja else None
    return Event(id=str(row.id), kind=row.kind, place=place, at_ms=row.at_ms, received_at_ms=row.received_at_ms)
