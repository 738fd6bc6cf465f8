"""Has the camera moved since its mask was drawn? A mask for another view hides the wrong thing: recording must stop.

The rules:

- The reference is learnt from the first quiet looks after a mask was set, and is bound to that mask's version.
- Three looks in a row that show the camera elsewhere, or another scene, mean that it has moved. That holds for good:
  through restarts, and though it be turned back by hand; only another mask ends it. A bump that swings back does not.
- Where there is too little to see (dark, fog, covered) nobody can tell: that is said, and recording goes on.
- So it is where rain or snow hides the place for now: of what we knew, a little still lies where it lay. A strange
  place must be seen again by far more than that.
- Light and weather change what things look like. Views are therefore added, each only while it is recognised by one
  that was accepted before, and lies where the *original* lay: many small steps do not lead away.
- A file that is there but cannot be read was once written, so a view had been learnt. To learn anew might accept a
  turned camera: it counts as moved. So does a reference of a later mask than the one in force. Without a file, or with
  one of an earlier mask, the view is learnt.

Where it ends:

- At night in pouring rain a move may be found late, or only when the rain lets up; until then the looks say BLIND.
- Where writing or dirt amid the picture turns with the camera, a move that leaves nothing of the old view takes
  about eight looks; if it lies in five cells of the picture or more, it passes for the place itself.
- What stands before nearly all of the picture for three looks, as a lorry parked there, is another scene: MOVED.
- A street so built that its corners lie where ours lay is not told from ours.
"""

import enum
import logging
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.camera.features import Features, Finder, Shift
from edge.camera.reference import Reference
from edge.errors import ReferenceViewError
from privacy.masks import Mask

log = logging.getLogger(__name__)

_NEAR_SHARE: Final = 0.035
"""First a feature is looked for where it was; only if that fails, everywhere."""
_STEADY_SHARE: Final = 0.003
_CLEAR_SHARE: Final = 0.5
"""So many features that agree leave no doubt: no other view is tried."""
_LIKELY_SHARE: Final = 0.3
"""If fewer agree near their place, they are looked for everywhere: a row of equal windows may agree by chance."""
_TRIED_EVERYWHERE: Final = 3
_NOVEL_SHARE: Final = 0.6
"""A view is new when of its lasting features fewer than this are known. What rain and passers-by add never lasts."""
_REMEMBERED_LOOKS: Final = 3
_ACCEPT_EVERY_LOOKS: Final = 12
_RASTER: Final = 1024
_OWN_TIMES: Final = 20
"""What lies where *we* knew it must be so many times fewer than what lies where the look before had it, before a place
is called strange. Over three looks it was more than 1/6 of that in pouring rain at night (600 times), and less than
1/40 after a turn in dry weather (200 times)."""
_STUCK_LOOKS: Final = 8
"""If all that is ours lies in one corner for so long, it is dirt or writing that turned with the camera."""


@dataclass(frozen=True, slots=True)
class _Odd:
    """What one odd look showed: how many features another look shares with it, and which of ours lie in place."""

    again: int = 0
    own: int = 0
    own_cells: frozenset[int] = frozenset()


class Verdict(enum.StrEnum):
    """What a look says."""

    SAME = "same"
    MOVED = "moved"
    BLIND = "blind"
    LEARNING = "learning"


@dataclass(frozen=True, slots=True)
class Limits:
    """When a camera counts as moved.

    Attributes:
        moved_share: of the picture's width that its middle may move.
        turned_deg: that it may turn.
        zoomed_share: that it may grow or shrink.
        looks: in a row that must show it.
        accepted_share: of the three limits above, up to which a view may become part of the reference.
        learnt_looks: that the reference is learnt from.
        least_features: that a look needs, to tell anything.
        least_agreeing: features that must agree on a movement.
        least_cells: of the picture's 48, that they must come from.
        least_in_place: features that lie just where they lay and show that nothing moved, where `least_agreeing` are
            not to be had: over 480 turned views no more than 6 did so by chance.
    """

    moved_share: float = 0.02
    turned_deg: float = 2.0
    zoomed_share: float = 0.03
    looks: int = 3
    accepted_share: float = 0.25
    learnt_looks: int = 4
    least_features: int = 40
    least_agreeing: int = 12
    least_cells: int = 5
    least_in_place: int = 9

    def measure(self, shift: Shift) -> float:
        """Return how large a movement is: above 1 the camera has moved."""
        return max(
            shift.moved / self.moved_share,
            abs(shift.turned_deg) / self.turned_deg,
            abs(shift.zoomed) / self.zoomed_share,
        )


@dataclass(slots=True)
class Watch:
    """Watches one camera under one mask.

    Attributes:
        path: the reference's file.
        shift: what the last look measured against the original; None where it could not.
    """

    path: Path
    limits: Limits
    shift: Shift | None = None
    _finder: Finder = field(default_factory=lambda: Finder(None))
    _reference: Reference = field(default_factory=lambda: Reference(0, []))
    _learning: list[Features] = field(default_factory=list)
    _recent: deque[Features] = field(default_factory=lambda: deque(maxlen=_REMEMBERED_LOOKS))
    _strange: Features | None = None
    _odd: deque[_Odd] = field(default_factory=lambda: deque(maxlen=_STUCK_LOOKS))
    _since_accepted: int = _ACCEPT_EVERY_LOOKS
    _useful: list[int] = field(default_factory=list)
    _is_unsaved: bool = False

    @classmethod
    def open(
        cls, path: Path, mask_version: int, exclude: NDArray[np.bool_] | None, *, limits: Limits | None = None
    ) -> Self:
        """Return the watch for a mask.

        Args:
            path: of the reference's file; one file for all masks of a camera.
            mask_version: of the mask in force.
            exclude: shape (height, width), true where the mask is painted; any resolution of the same aspect.
            limits: None: as the ordinance's rules were tested with.

        Raises:
            OSError: the disk cannot be read.
        """
        watch = cls(path, limits or Limits(), _finder=Finder(exclude), _reference=Reference(mask_version, []))
        try:
            known = Reference.load(path)
        except ReferenceViewError as error:
            watch._latch(str(error))
            return watch
        if known and known.mask_version > mask_version:
            # Not written: the later mask's reference stays what it is.
            watch._reference.is_moved = True
            log.warning("mask.older", extra={"version": mask_version})
        elif known and known.mask_version == mask_version:
            watch._reference, watch._useful = known, list(range(len(known.views)))
        return watch

    def see(self, grey: NDArray[np.uint8]) -> Verdict:
        """Return what a look shows. To be called about every 5 seconds.

        Args:
            grey: shape (height, width), masks painted black. Nothing of it is kept but features.
        """
        self.shift = None
        if self._is_unsaved:
            self._save()
        if self._reference.is_moved:
            return Verdict.MOVED
        now = self._finder.find(grey)
        if not self._reference.views:
            return self._learn(now)
        if now.aspect and abs(now.aspect / self._reference.views[0].aspect - 1) > 0.01:
            return self._count(_Odd())  # another shape of picture: the mask lies elsewhere
        number, shift = self._recognise(now)
        if shift is None:
            return self._unknown(now)
        self.shift, self._useful[number] = shift, max(self._useful) + 1
        size = self.limits.measure(shift)
        if size > 1:
            self._strange = now
            return self._count(_Odd(shift.agreeing))
        self._strange = None
        self._odd.clear()
        if size <= self.limits.accepted_share:
            self._accept(now, shift)
        self._recent.append(now)
        return Verdict.SAME

    def _learn(self, now: Features) -> Verdict:
        limits = self.limits
        if not self._has_plenty(now):
            return Verdict.BLIND
        if self._learning:
            shift = self._learning[0].shift(now, _NEAR_SHARE)
            if shift is None or not self._is_sure(shift) or limits.measure(shift) > limits.accepted_share:
                return self._count(_Odd(), Verdict.LEARNING)
        self._odd.clear()
        self._learning.append(now)
        if len(self._learning) < limits.learnt_looks:
            return Verdict.LEARNING
        first = self._learning[0].recurring(self._learning[1:], _STEADY_SHARE)
        if not self._has_plenty(first):
            self._learning.pop(0)  # too much went past: one more look
            return Verdict.LEARNING
        self._reference.views, self._useful, self._learning = [first], [0], []
        log.info("reference.learnt", extra={"version": self._reference.mask_version, "count": len(first)})
        self._save()
        return Verdict.SAME

    def _recognise(self, now: Features) -> tuple[int, Shift | None]:
        """Return which view recognises this one best, and how the camera is turned; None where none does."""
        views = self._reference.views
        order = sorted(range(len(views)), key=lambda number: -self._useful[number])
        best: tuple[int, Shift | None] = (0, None)
        for within in (_NEAR_SHARE, None):
            for number in order[: None if within else _TRIED_EVERYWHERE]:
                shift = views[number].shift(now, within)
                if shift and self._is_sure(shift) and (best[1] is None or shift.agreeing > best[1].agreeing):
                    best = (number, shift)
                if best[1] and best[1].share >= _CLEAR_SHARE:
                    return best
            if best[1] and best[1].share >= _LIKELY_SHARE:
                return best
        return best if best[1] else self._find_in_place(now)

    def _find_in_place(self, now: Features) -> tuple[int, Shift | None]:
        found = [view.in_place(now) for view in self._reference.views]
        counts = [shift.agreeing if shift and shift.cells >= self.limits.least_cells else 0 for shift in found]
        number = max(range(len(counts)), key=counts.__getitem__)
        return (number, found[number]) if counts[number] >= self.limits.least_in_place else (0, None)

    def _unknown(self, now: Features) -> Verdict:
        """Return the verdict on a look that no view recognises."""
        if not self._has_plenty(now):
            return Verdict.BLIND
        before, self._strange = self._strange, now
        again = self._again(before, now) if before else 0
        if not again:
            self._odd.clear()  # nothing of it seen twice: drops, snow or noise rather than a place
        own = max((view.lying(now) for view in self._reference.views), key=len)
        return self._count(_Odd(again, len(own), own.cell_numbers), Verdict.BLIND)

    def _again(self, before: Features, now: Features) -> int:
        """Return how many features show that two views are of the same place, from wherever; 0: too few."""
        there, moved = before.in_place(now), before.shift(now)
        counts = [moved.agreeing if moved and self._is_sure(moved) else 0]
        if there and there.agreeing >= self.limits.least_in_place and there.cells >= self.limits.least_cells:
            counts.append(there.agreeing)
        return max(counts)

    def _count(self, odd: _Odd, meanwhile: Verdict = Verdict.SAME) -> Verdict:
        self._odd.append(odd)
        return self._latch("moved") if self._is_elsewhere() else meanwhile

    def _is_elsewhere(self) -> bool:
        """Return whether the odd looks in a row are enough, and show another place rather than ours in bad sight.

        Where nothing holds still but rain before a dark street, the few things that shine through are "seen again",
        look by look, as those of a strange place are. But ours lie where we knew some of them.
        """
        last = list(self._odd)[-self.limits.looks :]
        if len(last) < self.limits.looks:
            return False
        if sum(odd.own for odd in last) * _OWN_TIMES <= sum(odd.again for odd in last):
            return True
        is_corner = len(frozenset[int]().union(*(odd.own_cells for odd in self._odd))) < self.limits.least_cells
        return is_corner and len(self._odd) == self._odd.maxlen

    def _latch(self, reason: str) -> Verdict:
        log.warning("camera.moved", extra={"version": self._reference.mask_version, "reason": reason})
        self._reference.is_moved = True
        self._save()
        return Verdict.MOVED

    def _accept(self, now: Features, shift: Shift) -> None:
        """Add the view if it is new, without what passes by: only features that were there at the looks before."""
        self._since_accepted += 1
        if shift.share >= _CLEAR_SHARE or self._since_accepted < _ACCEPT_EVERY_LOOKS or not self._recent:
            return
        lasting = now.recurring(tuple(self._recent), _STEADY_SHARE)
        if not self._has_plenty(lasting):
            return
        view = lasting.moved_back(shift)
        known = [one.in_place(view) for one in self._reference.views]
        if max(shift.agreeing if shift else 0 for shift in known) < _NOVEL_SHARE * len(view):
            self._since_accepted = 0
            self._reference.add(view, self._useful)
            log.info("view.accepted", extra={"count": len(self._reference.views)})
            self._save()

    def _save(self) -> None:
        """Write the reference; a disk that takes nothing now is tried again at the next look."""
        try:
            self._reference.save(self.path)
            self._is_unsaved = False
        except OSError as error:
            if not self._is_unsaved:
                log.warning("reference.unsaved", extra={"error_kind": type(error).__name__})
            self._is_unsaved = True

    def _has_plenty(self, view: Features) -> bool:
        return len(view) >= self.limits.least_features and view.cells >= self.limits.least_cells

    def _is_sure(self, shift: Shift) -> bool:
        return shift.agreeing >= self.limits.least_agreeing and shift.cells >= self.limits.least_cells


def excluded(mask: Mask) -> NDArray[np.bool_]:
    """Return where a mask lies, for `Watch.open`: shape (1024, 1024), whatever the picture's size."""
    filled = np.zeros((_RASTER, _RASTER), np.uint8)
    for polygon in mask.polygons:
        cv2.fillPoly(filled, [np.round(np.array(polygon) * _RASTER).astype(np.int32)], 1)
    return filled.astype(bool)
