"""Windows of footage that the city has frozen for a case: in a file of their own, so that no lost index thaws them."""

from dataclasses import dataclass, field
from pathlib import Path

from edge.camera import disk
from edge.errors import RingError
from wire import fields as _f
from wire.errors import MessageError
from wire.orders import Freeze


@dataclass(slots=True)
class Frozen:
    """All frozen windows of one camera.

    Attributes:
        path: of the file.
        windows: as they were ordered.
    """

    path: Path
    windows: list[Freeze] = field(default_factory=list)

    @classmethod
    def load(cls, path: Path) -> "Frozen":
        """Return the windows in a file; none where there is no file.

        Raises:
            RingError: the file cannot be read. Nothing may be deleted then.
        """
        try:
            fields = _f.loads(path.read_bytes())
            items = fields.get(1)
            if not isinstance(items, list):
                raise MessageError("frozen windows are a list")  # noqa: TRY301 -- as every other fault of the file
            return cls(path, [_window(item) for item in items])
        except FileNotFoundError:
            return cls(path)
        except (OSError, MessageError) as error:
            raise RingError("the list of frozen windows cannot be read") from error

    def add(self, window: Freeze) -> None:
        """Freeze one more window, on disk when it returns.

        Raises:
            OSError: the disk is full, read-only or gone; nothing is changed.
        """
        if window not in self.windows:
            self._save([*self.windows, window])

    def take(self, case: str) -> list[Freeze]:
        """Thaw the windows of a case and return them.

        Raises:
            OSError: as `add`.
        """
        taken = [window for window in self.windows if window.case == case]
        if taken:
            self._save([window for window in self.windows if window.case != case])
        return taken

    def expire(self, now_ms: int) -> list[Freeze]:
        """Thaw and return the windows whose freeze is over.

        Raises:
            OSError: as `add`.
        """
        over = [window for window in self.windows if window.until_ms <= now_ms]
        if over:
            self._save([window for window in self.windows if window.until_ms > now_ms])
        return over

    def holds(self, start_ms: int, end_ms: int) -> bool:
        """Return whether any of this time is frozen."""
        return any(window.from_ms < end_ms and start_ms < window.to_ms for window in self.windows)

    def _save(self, windows: list[Freeze]) -> None:
        items = [[window.case, window.from_ms, window.to_ms, window.until_ms] for window in windows]
        disk.replace(self.path, _f.dumps({1: items}))
        self.windows = windows


def _window(item: object) -> Freeze:
    if not isinstance(item, list) or len(item) != 4:
        raise MessageError("a frozen window is a case and three times")
    fields = dict(enumerate(item))
    return Freeze(_f.text(fields, 0), _f.uint(fields, 1), _f.uint(fields, 2), _f.uint(fields, 3))
