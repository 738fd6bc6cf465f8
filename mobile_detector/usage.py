"""What a volunteer may read about their own detector: time, energy, and in how many cases it helped, coarsely."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from mobile_detector.duty import Usage

BANDS: Final = (
    (0, "まだありません / not yet"),
    (1, "1〜9回 / 1 to 9 times"),
    (10, "10〜99回 / 10 to 99 times"),
    (100, "100〜999回 / 100 to 999 times"),
    (1000, "1000回以上 / 1000 times or more"),
)
"""Bands wide enough that one more tells nobody that a tag just went by."""


def helped_band(accepted_rows: int) -> int:
    """Return which of `BANDS` a number of sightings taken by the city falls in."""
    return max(band for band, (least, _) in enumerate(BANDS) if accepted_rows >= least)


@dataclass(frozen=True, slots=True)
class Diary:
    """What is kept of a detector's use.

    Attributes:
        usage: time and wake-ups, all runs together.
        helped: index into `BANDS`; the exact number stays in the outbox.
        waiting_batches: sealed batches that the city has not taken yet.
    """

    usage: Usage = field(default_factory=Usage)
    helped: int = 0
    waiting_batches: int = 0

    @classmethod
    def load(cls, path: Path) -> "Diary":
        """Return the diary in `path`; an empty one when there is none or it is broken: it is only for information."""
        try:
            table = json.loads(path.read_text(encoding="utf-8"))
            return cls(
                Usage(**table["usage"]), min(int(table["helped"]), len(BANDS) - 1), int(table["waiting_batches"])
            )
        except (OSError, ValueError, TypeError, KeyError):
            return cls()

    def save(self, path: Path) -> None:
        """Write the diary to `path`, whole or not at all."""
        new = path.with_suffix(".new")
        new.write_text(json.dumps(asdict(self)), encoding="utf-8")
        new.replace(path)

    def lines(self) -> list[str]:
        """Return what `mimamori-detector status` prints, Japanese first."""
        usage = self.usage
        return [
            f"動作時間 / on: {usage.on_s / 3600:.1f} h",
            f"受信していた割合 / time scanning: {usage.scanning_share:.1%}",
            f"電力の目安(常時受信との比) / energy, compared with always scanning: {usage.energy_share:.1%}",
            f"起動回数 / wake-ups: {usage.wakes_per_hour:.0f} /h",
            f"休止(区域内・位置不明) / paused (zones, no position): {usage.in_zone_s / 3600:.1f} h",
            f"見守りに役立った回数 / sightings that helped: {BANDS[self.helped][1]}",
            f"送信待ち / waiting to be sent: {self.waiting_batches}",
        ]
