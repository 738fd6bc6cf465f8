"""What the demonstration shows: a bar while it sets up, a table while it runs; plain lines where nobody watches."""

import datetime as dt
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table
from rich.text import Text

from server.demo.parts import TitledPart
from server.demo.staff import Office
from server.store.totals import Totals
from server.supervisor import State

_STATES = {
    State.WAITING: ("待機", "dim"),
    State.STARTING: ("起動中", "yellow"),
    State.RUNNING: ("動作中", "green"),
    State.CRASHED: ("再起動待ち", "red"),
    State.STOPPED: ("停止", "dim"),
}
_REFRESH_S = 1.0


@dataclass(frozen=True, slots=True)
class SignIn:
    """What a visitor needs: where, and as whom; `offices` sign in by passkey, made with the card's code."""

    url: str
    login: str
    code: str
    offices: tuple[Office, ...] = ()


@dataclass(frozen=True, slots=True)
class Moment:
    """One look at the running town.

    Attributes:
        town_ms: town time, Unix milliseconds.
        memory_mb: of all parts together.
        cores: processors kept busy on average.
    """

    states: Mapping[str, State]
    totals: Totals | None
    town_ms: int
    memory_mb: float
    cores: float


@dataclass(slots=True)
class Screen:
    """The terminal, or what stands in for one.

    Attributes:
        is_live: may move the cursor; False prints lines only.
    """

    parts: Sequence[TitledPart] = ()
    tz: str = "Asia/Tokyo"
    is_live: bool = field(default_factory=sys.stdout.isatty)
    console: Console = field(default_factory=lambda: Console(highlight=False, soft_wrap=True))
    _live: Live | None = None
    _shown_s: float = 0.0

    @contextmanager
    def set_up(self, steps: int) -> Iterator["StepBar"]:
        """Show how far the set-up is, of `steps`."""
        if not self.is_live:
            yield StepBar(self.console, steps)
            return
        columns = (SpinnerColumn(), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
        with Progress(*columns, console=self.console, transient=True) as progress:
            yield StepBar(self.console, steps, progress)

    def say(self, line: str) -> None:
        """Print one line above whatever moves."""
        self.console.print(line, markup=False)

    def part_line(self, part: TitledPart, state: State) -> None:
        """Print one line about one part."""
        self.say(f"  {_mark(state)} {part.name_ja} {part.name_en}: {_STATES[state][0]} {state.value}")

    def ready(self, sign_in: SignIn) -> None:
        """Print where to look and as whom, then `ready` alone on its line."""
        self.say(f"アプリ App: {sign_in.url}")
        self.say(f"お試しログイン Demo sign-in: {sign_in.login} / {sign_in.code}")
        self.say(f"警察と市役所 Police and city hall: {sign_in.url}/staff.html")
        self.say(f"だれでも Everybody: {sign_in.url}/open.html")
        for office in sign_in.offices:
            how = f"登録カード card {office.code}" if office.code else "パスキー登録済み has its passkey"
            self.say(f"{office.name_ja} {office.name_en}: {how}")
        self.say("止めるには Ctrl-C。Ctrl-C stops everything and loses nothing.")
        self.say("ready")
        sys.stdout.flush()

    def show(self, moment: Moment) -> None:
        """Bring the table up to date, in a terminal."""
        if not self.is_live:
            return
        if self._live is None:
            self._live = Live(console=self.console, auto_refresh=False, transient=True)
            self._live.start()
        if time.monotonic() - self._shown_s >= _REFRESH_S:
            self._shown_s = time.monotonic()
            self._live.update(self._table(moment), refresh=True)

    def close(self) -> None:
        """Give the terminal back."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _table(self, moment: Moment) -> Panel:
        table = Table.grid(padding=(0, 2))
        for part in self.parts:
            state = moment.states.get(part.part.name, State.WAITING)
            label, colour = _STATES[state]
            table.add_row(f"{part.name_ja} {part.name_en}", Text(f"{_mark(state)} {label} {state.value}", style=colour))
        town = dt.datetime.fromtimestamp(moment.town_ms / 1000, ZoneInfo(self.tz))
        cost = f"{moment.memory_mb:,.0f} MB, {moment.cores:.2f} cores"
        return Panel(
            Group(table, _counts(moment.totals), Text(cost, style="dim")),
            title=f"街の時刻 Town time {town:%Y-%m-%d %H:%M:%S}",
            expand=False,
        )


@dataclass(slots=True)
class StepBar:
    """The set-up's steps, as a bar or as lines."""

    console: Console
    steps: int
    progress: Progress | None = None
    _done: int = 0
    _task: int | None = None

    def step(self, name_ja: str, name_en: str) -> None:
        """Say which step begins."""
        self._done += 1
        if self.progress is None:
            self.console.print(f"[{self._done}/{self.steps}] {name_ja} {name_en}", markup=False)
            sys.stdout.flush()
            return
        if self._task is None:
            self._task = self.progress.add_task("", total=self.steps)
        task = self.progress.task_ids[0]
        self.progress.update(task, completed=self._done - 1, description=f"{name_ja} {name_en}")


def _mark(state: State) -> str:
    return {State.RUNNING: "●", State.CRASHED: "✕", State.STARTING: "◌"}.get(state, "○")


def _counts(totals: Totals | None) -> Table:
    grid = Table.grid(padding=(0, 2))
    if totals is not None:
        grid.add_row("受信 sightings", f"{totals.stored:,}", "居場所 places", f"{totals.places:,}")
        grid.add_row("できごと events", f"{totals.events:,}", "お知らせ notices", f"{totals.notices_sent:,}")
        grid.add_row("録画中 cameras", f"{totals.cameras:,}", "映像 footage", f"{totals.footage_mb:,} MB")
    return grid
