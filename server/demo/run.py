"""Run the demonstration: set up what is missing, start every part, look after them, stop in order, sum up."""

import contextlib
import fcntl
import json
import logging
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from server.config import ServerConfig
from server.demo import morning, staff, tally, town
from server.demo.meter import Meter
from server.demo.options import DemoOptions
from server.demo.parts import TitledPart
from server.demo.screen import Moment, Screen, SignIn
from server.demo.setup import Prepared, prepare
from server.embedded import place as places
from server.errors import ServerError
from server.store.totals import Totals
from server.store.totals import read as read_totals
from server.supervisor import State, Supervisor
from wire import logs

log = logging.getLogger(__name__)

_TICK_S: Final = 0.25
_LOOK_S: Final = 2.0
_DRAIN_S: Final = 60.0
_NOTICES_S: Final = 10.0
_STORE_S: Final = 10.0
_STEPS: Final = 17


class AlreadyRunningError(ServerError):
    """もう動いています。A demonstration or server has this state directory: stop it, or give STATE=elsewhere."""


class StoreDownError(ServerError):
    """The store could not be read at the end, so that nobody knows whether something was lost."""

    def __init__(self) -> None:
        super().__init__(
            "終わりにデータベースを読めず、集計できませんでした。"
            "The database could not be read at the end: no sum. See log/database.log and log/postgres.log"
        )


@dataclass(slots=True)
class Told:
    """Whether a signal asked us to stop. A second one changes nothing: stopping in order is what loses nothing."""

    signals: list[int] = field(default_factory=list)

    def listen(self) -> None:
        """Take SIGINT, SIGTERM and SIGHUP from now on."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda received, _: self.signals.append(received))

    def __bool__(self) -> bool:
        return bool(self.signals)


@dataclass(slots=True)
class Demo:
    """One run of the town."""

    options: DemoOptions
    supervisor: Supervisor
    screen: Screen
    told: Told
    meter: Meter = field(default_factory=Meter)
    _looked_s: float = 0.0
    _totals: Totals | None = None

    def live(self, prepared: Prepared) -> None:
        """Keep the town alive until told, or until its time is over."""
        self.meter.reset()
        started_s = time.monotonic()
        states = self.supervisor.states()
        while not self.told:
            if 0 < self.options.duration_s <= time.monotonic() - started_s:
                return
            self.supervisor.tick()
            states = self._tell_changes(prepared.parts, states)
            self._look(prepared)
            clock = prepared.settings.clock
            moment = Moment(states, self._totals, clock.now_ms(), self.meter.memory_mb, self.meter.cores)
            self.screen.show(moment)
            time.sleep(_TICK_S)

    def drain(self, prepared: Prepared) -> None:
        """Stop from the air inwards: the radio falls silent, detectors deliver what they hold, then the server ends."""
        self.screen.say("止めています。何も失いません。Stopping, and losing nothing.")
        self.supervisor.stop("radio", "street")
        self.supervisor.stop("edge", "phones")
        self._deliver_the_rest(prepared)
        self._await_notices(prepared.settings)
        self._totals = self._last_totals(prepared.settings)
        self.meter.sample()
        morning.note(prepared.town_time_file, prepared.settings.clock.now_ms())

    def summary(self) -> dict[str, float]:
        """Return the last line's facts; to be called after `drain`."""
        if self._totals is None:
            raise StoreDownError
        sent = tally.read_outboxes(town.detector_dirs(self.options.town_dir))
        cost = {"rss_mb_max": round(self.meter.memory_mb_max), "cpu_s": round(self.meter.cpu_s, 1)}
        seconds = round(time.monotonic() - self.meter.started_s, 1)
        restarts = sum(self.supervisor.restarts().values())
        return {**tally.Tally(sent, self._totals).as_json(), "seconds": seconds, **cost, "restarts": restarts}

    def _tell_changes(self, parts: Sequence[TitledPart], before: dict[str, State]) -> dict[str, State]:
        states = self.supervisor.states()
        for part in parts:
            name = part.part.name
            if states.get(name) is not before.get(name) and not self.screen.is_live:
                self.screen.part_line(part, states[name])
        return states

    def _look(self, prepared: Prepared) -> None:
        if time.monotonic() - self._looked_s < _LOOK_S:
            return
        self._looked_s = time.monotonic()
        self.meter.sample()
        morning.note(prepared.town_time_file, prepared.settings.clock.now_ms())
        if self.screen.is_live:
            self._totals = _totals_or_none(prepared.settings)

    def _deliver_the_rest(self, prepared: Prepared) -> None:
        """Start the detectors again, with no radio to hear, as long as one of them holds a batch without a receipt."""
        deadline_s = time.monotonic() + _DRAIN_S
        dirs = town.detector_dirs(self.options.town_dir)
        detectors = [part.part for part in prepared.parts if part.part.name in {"edge", "phones"}]
        while tally.read_outboxes(dirs).pending and time.monotonic() < deadline_s:
            for part in detectors:
                self.supervisor.start(part)
            ends_s = time.monotonic() + 5.0
            while time.monotonic() < ends_s:
                self.supervisor.tick()
                time.sleep(_TICK_S)
            self.supervisor.stop("edge", "phones")

    def _last_totals(self, settings: ServerConfig) -> Totals | None:
        """Return what the store holds at the end; a database that is down gets the time to start again."""
        deadline_s = time.monotonic() + _STORE_S
        while (totals := _totals_or_none(settings)) is None and time.monotonic() < deadline_s:
            self.supervisor.tick()
            time.sleep(_TICK_S)
        return totals

    def _await_notices(self, settings: ServerConfig) -> None:
        deadline_s = time.monotonic() + _NOTICES_S
        while time.monotonic() < deadline_s:
            totals = _totals_or_none(settings)
            if totals is None or totals.notices_waiting == 0:
                return
            self.supervisor.tick()
            time.sleep(_TICK_S)


def run(options: DemoOptions) -> int:
    """Run the demonstration; return the exit code. 1 means that something was lost or never started."""
    with _alone(options.state_dir):
        told = Told()
        told.listen()
        options.log_dir.mkdir(mode=0o700, exist_ok=True)
        with (options.log_dir / "demo.log").open("a") as own_log:
            logs.configure(stream=own_log)
            return _run(options, told)


def keep_running(settings: ServerConfig, parts: Sequence[TitledPart]) -> None:
    """Run a server's parts until a signal; one that crashes starts again. For `serve all`.

    Raises:
        AlreadyRunningError: another one, or a demonstration, has this state directory.
        PartError: one of the parts does not start.
    """
    with _alone(settings.state_dir):
        told = Told()
        told.listen()
        supervisor = Supervisor(settings.state_dir / "log", settings.run_dir / "children.json")
        supervisor.clear_leftovers()
        try:
            for part in parts:
                supervisor.start(part.part)
                if not supervisor.wait_ready(part.part.name, give_up=lambda: bool(told)):
                    return
            while not told:
                supervisor.tick()
                time.sleep(_TICK_S)
        finally:
            supervisor.stop_all()


def _run(options: DemoOptions, told: Told) -> int:
    supervisor = Supervisor(options.log_dir, options.state_dir / "children.json")
    screen = Screen()
    if options.headless:
        screen.is_live = False
    demo = Demo(options, supervisor, screen, told)
    try:
        with screen.set_up(_STEPS) as bar:
            prepared = prepare(options, supervisor, bar, lambda: bool(told))
        if prepared is None:
            return 130
        screen.parts, screen.tz = prepared.parts, prepared.settings.city.tz
        for part in prepared.parts:
            screen.part_line(part, supervisor.state(part.part.name))
        files = places.of(options.state_dir).data_dir
        if not files.is_relative_to(options.state_dir):
            screen.say(f"データベースの場所 Database files, where its account may enter: {files}")
        code = town.demo_code(options.town_dir)
        offices = staff.offices(prepared.settings)
        screen.ready(SignIn(prepared.settings.http.public_url, town.DEMO_LOGIN, code, offices))
        demo.live(prepared)
        screen.close()
        demo.drain(prepared)
        supervisor.stop("family", "notify", "clerk", "api", "ingest", "gate")
    finally:
        screen.close()
        supervisor.stop_all()
    summary = demo.summary()
    print(json.dumps(summary), flush=True)  # noqa: T201 - the line that scripts read
    return 0 if summary["lost"] == 0 else 1


def _totals_or_none(settings: ServerConfig) -> Totals | None:
    try:
        return read_totals(settings.keeper_dsn())
    except Exception:  # noqa: BLE001 - a screen without counts while the database restarts is better than no screen
        log.warning("totals.unavailable")
        return None


@contextlib.contextmanager
def _alone(state_dir: Path) -> Iterator[None]:
    state_dir.mkdir(parents=True, exist_ok=True)
    with (state_dir / "demo.lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyRunningError from error
        yield
