"""What the core found, as the store writes it: tags get their names, arrays their tables."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from server.core.engine import LATE_MS, Engine, Outcome
from server.core.flags import SUSPICIOUS, Flag
from server.core.kept import TagClocks
from server.core.kernels import fences, fix
from server.core.rows import Heard
from server.core.suppress import BUCKET_MS
from server.ingest.open import Opened
from server.ingest.roster import Roster
from server.store.batch import BatchRows
from server.store.fix import FixRows, LastRows
from server.store.held import HeldRows
from server.store.presence import PresenceRows
from server.store.sighting import Sightings
from server.store.tagstate import TagStates

_E7 = 1e7


def cursors(fresh: Sequence[Opened], every: Heard, is_kept: NDArray[np.bool_], outcome: Outcome) -> BatchRows:
    """Return a row for each new batch, with what became of its rows.

    Args:
        fresh: the batches, in the order of their numbers in `every.batches`.
        every: all their rows.
        is_kept: shape (n,), which of them are young enough to be kept; the outcome is of those.
        outcome: what the core found.
    """
    n, batches = len(fresh), every.batches[is_kept]
    is_ours = outcome.tags >= 0
    is_doubted = is_ours & (outcome.flags & SUSPICIOUS != 0)
    rows, kept = np.bincount(every.batches, minlength=n), np.bincount(batches, minlength=n)
    stored = np.bincount(batches[is_ours], minlength=n)
    return BatchRows(
        [opened.detector.id for opened in fresh],
        np.array([opened.header.epoch for opened in fresh], np.int64),
        np.array([opened.header.sequence for opened in fresh], np.int64),
        np.array([opened.received_ms for opened in fresh], np.int64),
        rows.astype(np.int32),
        stored.astype(np.int32),
        (kept - stored).astype(np.int32),
        np.bincount(batches[is_doubted], minlength=n).astype(np.int32),
        (rows - kept).astype(np.int32),
    )


def sightings(outcome: Outcome, roster: Roster) -> Sightings:
    """Return the rows to be stored, those of one tag together: read by tag, and compressed by it."""
    told = outcome.told.take(np.argsort(outcome.told.tags, kind="stable"))
    tags = roster.city.tags
    return Sightings(
        told.last_ms,
        told.first_ms,
        tags.index[told.tags],
        told.detectors,
        told.counts,
        told.rssi_best_dbm,
        told.rssi_mean_dbm,
        told.flags,
        tags.shards[told.tags],
        told.lat_deg,
        told.lon_deg,
        told.accuracy_m,
        told.battery_dv,
    )


def fixes(outcome: Outcome, roster: Roster, received_ms: int) -> tuple[FixRows, FixRows]:
    """Return the places for the track, and those that nobody could have reached."""
    found = outcome.fixes
    rows = FixRows(
        _names(roster.city.tags.wards, found.tags),
        found.at_ms // BUCKET_MS * BUCKET_MS,
        found.at_ms,
        found.lat_e7 / _E7,
        found.lon_e7 / _E7,
        found.accuracy_m,
        found.detectors.astype(np.int16),
        np.full(len(found.tags), received_ms),
        received_ms - found.at_ms > LATE_MS,
        np.arange(len(found.tags)) < outcome.whole,
    )
    is_doubtful = found.kinds == fix.Kind.DOUBTFUL
    return rows.take(~is_doubtful), rows.take(is_doubtful)


def last_places(outcome: Outcome, engine: Engine, roster: Roster, received_ms: int) -> LastRows:
    """Return the newest places of those who have another one, with what their tags said last."""
    tags, last = outcome.moved, engine.placing.last
    words, heard_ms = last.words.reshape(-1, 8)[tags], last.longs.reshape(-1, 4)[tags, 1]
    flags = engine.told_flags[tags]
    return LastRows(
        _names(roster.city.tags.wards, tags),
        words[:, 0] / _E7,
        words[:, 1] / _E7,
        last.floats.reshape(-1, 8)[tags, 4],
        heard_ms,
        np.full(len(tags), received_ms),
        received_ms - heard_ms > LATE_MS,
        engine.battery_dv[tags],
        flags & Flag.SOS != 0,
        flags & Flag.MOVING != 0,
        ~roster.city.tags.has_key[tags],
    )


def held(outcome: Outcome, engine: Engine, roster: Roster) -> tuple[HeldRows, list[str]]:
    """Return the places held apart that changed, and the wards that have none any more."""
    _, places = fix.held(engine.placing.last, outcome.held)
    wards = roster.city.tags.wards
    rows = HeldRows(
        _names(wards, outcome.held),
        places.lat_e7,
        places.lon_e7,
        places.at_ms,
        places.since_ms,
        places.accuracy_m,
        places.hits,
    )
    return rows, _names(wards, outcome.released)


def presences(outcome: Outcome, engine: Engine) -> PresenceRows:
    """Return how the watches stand that changed."""
    numbers, watched = outcome.watches, engine.watched
    how = fences.standing(engine.placing.watches, numbers)
    heard_ms = engine.placing.last.longs.reshape(-1, 4)[watched.tags[numbers], 1]
    return PresenceRows(
        [watched.wards[number] for number in numbers.tolist()],
        [watched.places[number] for number in numbers.tolist()],
        how.sides == fences.INSIDE,
        how.since_ms,
        how.waiting_ms,
        np.where(how.waiting_ms != 0, heard_ms, 0),
        how.hits,
    )


def tag_states(outcome: Outcome, engine: Engine, roster: Roster) -> TagStates:
    """Return the clocks that were learnt and the presses that are new."""
    pressed = np.array(sorted(outcome.presses), np.int32)
    tags = np.union1d(outcome.learnt, pressed).astype(np.int32)
    clocks = TagClocks.read(engine.resolver.clocks, tags)
    presses = [outcome.presses.get(tag) for tag in tags.tolist()]
    return TagStates(
        [roster.tag_ids[tag] for tag in tags.tolist()],
        clocks.offset_ms,
        clocks.rate_ppm,
        clocks.learned_ms,
        clocks.accepted_ms,
        clocks.anchor_ms,
        clocks.anchor_offset_ms,
        clocks.is_lost,
        np.array([0 if press is None else press.from_ms for press in presses], np.int64),
        np.array([0 if press is None else press.until_ms for press in presses], np.int64),
    )


def _names(names: NDArray[np.object_], rows: NDArray[np.int32]) -> list[str]:
    found: list[str] = names[rows].tolist()
    return found
