"""One run of the ledger over one connection: sequencer, publisher and witnesses together."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import httpx

from privacy.transparency.checkpoint import cosigners_of, opened
from privacy.transparency.note import Note, Signer
from privacy.transparency.policy import Policy
from privacy.transparency.tiles import HashReader
from server.config import ServerConfig
from server.ledger.errors import RestoredLogError, UnvouchedLogError
from server.ledger.metrics import LedgerMetrics
from server.ledger.panel import Answer, Panel, Said, contradicting
from server.ledger.publisher import Publisher
from server.ledger.sequencer import Sequencer
from server.publiclog.folder import CHECKPOINT, POLICY, VKEY, WITNESSED, Folder
from server.store import ledger as store
from server.store.connection import Connection
from server.store.ledger import Published, WitnessStanding

POLL_S: Final = 1.0
"""Without a word of new entries they are looked for so often."""


@dataclass(slots=True)
class Desk:
    """Where entries become the public log.

    Args:
        config: the server's.
        signer: the log's key.
        policy: the witnesses; None: nobody is asked, and every checkpoint counts.
        folder: of the public log.
        client: for the witnesses.
        metrics: counters.
        now_s: the wall clock, POSIX seconds.
    """

    config: ServerConfig
    signer: Signer
    policy: Policy | None
    folder: Folder
    client: httpx.AsyncClient
    metrics: LedgerMetrics
    now_s: Callable[[], float] = time.time
    _sequencer: Sequencer = field(init=False)
    _publisher: Publisher = field(init=False)
    _panel: Panel | None = field(init=False)
    _note: Note | None = field(default=None, init=False)
    _has_quorum: bool = field(default=False, init=False)
    _last_s: float = field(default=0.0, init=False)
    _said: dict[str, Said] = field(default_factory=dict, init=False)
    _published_size: int = field(default=-1, init=False)
    _days: set[str] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        self._sequencer = Sequencer(self.signer)
        self._publisher = Publisher(self.folder, self.signer.verifier())
        self._panel = None if self.policy is None else Panel(self.policy, self.client)

    @property
    def size(self) -> int:
        """Entries in the tree."""
        return self._sequencer.head.size

    async def begin(self, conn: Connection) -> None:
        """Read where the log ends, and let the witnesses say that they know no newer one.

        Raises:
            BentLogError: database, head and published folder do not fit together.
            RestoredLogError: a witness knows a longer or another log.
            UnvouchedLogError: too few witnesses answer to be sure.
        """
        await self._sequencer.load(conn)
        await self._publisher.load(conn, self.size)
        self._days = set(self.folder.days())
        self.folder.write(VKEY, f"{self.signer.verifier().vkey}\n".encode())
        if self.policy is not None:
            self.folder.write(POLICY, await asyncio.to_thread(_octets_of, self.config.ledger.policy_file))
        answers = await self._publish(conn)
        if self.policy is not None:
            heard = {answer.witness.name for answer in answers if answer.said is Said.COSIGNED}
            silent = [witness.key for witness in self.policy.witnesses if witness.name not in heard]
            if silent and self.policy.is_met_by(silent):
                raise UnvouchedLogError

    async def step(self, conn: Connection) -> int:
        """Give waiting entries their places; return how many."""
        return await self._sequencer.step(conn)

    async def publish(self, conn: Connection) -> None:
        """Publish and have cosigned what has changed, if it is time.

        Raises:
            BentLogError: the entries in the database are not those that were signed.
            RestoredLogError: a witness knows a longer or another log.
        """
        if self._has_work() and time.monotonic() - self._last_s >= self.config.ledger.checkpoint_s:
            await self._publish(conn)

    def next_look_s(self) -> float:
        """Return how long nothing has to be done if nothing new comes."""
        left_s = self.config.ledger.checkpoint_s - (time.monotonic() - self._last_s)
        return min(POLL_S, max(0.01, left_s)) if self._has_work() else POLL_S

    def _has_work(self) -> bool:
        is_behind = self._note is None or self._published_size != self.size
        may_ask = self._panel is None or self._panel.is_anybody_up()
        return is_behind or (may_ask and (not self._has_quorum or self._today() not in self._days))

    async def _publish(self, conn: Connection) -> Sequence[Answer]:
        head, note = self._sequencer.head, self._newest_note()
        await self._publisher.advance(conn, head)
        answers: Sequence[Answer] = ()
        if self._panel is not None:
            checkpoint = opened(note.whole(), [self.signer.verifier()])
            answers = await self._panel.ask(checkpoint, HashReader(self.folder.tile, head.size))
            await self._remember(conn, answers)
            note = note.plus(answer.signature for answer in answers if answer.signature is not None)
        cosigners = cosigners_of(note, () if self.policy is None else self.policy.witness_keys)
        has_quorum = self.policy is None or self.policy.is_met_by(cosigners)
        await asyncio.to_thread(self._write, note, has_quorum=has_quorum)
        self._note, self._has_quorum, self._published_size = note, has_quorum, head.size
        self._last_s = time.monotonic()
        is_witnessed = has_quorum and self.policy is not None
        one = Published(head.size, note.whole(), len(cosigners), is_witnessed, int(self.now_s() * 1000))
        await store.keep_published(conn, one)
        self.metrics.published.set(head.size)
        if is_witnessed:
            self.metrics.witnessed.set(head.size)
        return answers

    def _newest_note(self) -> Note:
        """Return the checkpoint of the head, with the cosignatures that the published one has if it is the same."""
        note = Note.parse(self._sequencer.note)
        shown = self.folder.text(CHECKPOINT)
        published = Note.parse(shown) if shown else note
        return published if published.text == note.text else note

    def _write(self, note: Note, *, has_quorum: bool) -> None:
        octets = note.whole().encode()
        self.folder.write(CHECKPOINT, octets)
        if has_quorum and self.policy is not None:
            self.folder.write(WITNESSED, octets)
        if has_quorum:
            self.folder.add_day(self._today(), note.whole())
            self._days = {*self._days, self._today()}

    async def _remember(self, conn: Connection, answers: Sequence[Answer]) -> None:
        """Keep what the witnesses said, then stop if one of them knows another log."""
        at_ms = int(self.now_s() * 1000)
        for answer in answers:
            self._said[answer.witness.name] = answer.said
            one = WitnessStanding(answer.witness.name, answer.said.value, answer.size, at_ms)
            await store.keep_witness(conn, one)
        for said in Said:
            self.metrics.witnesses.labels(said.value).set(sum(one is said for one in self._said.values()))
        if (found := contradicting(answers)) is not None:
            raise RestoredLogError(f"witness {found.witness.name} {found.said.value}: see docs/AUDIT.md")

    def _today(self) -> str:
        return dt.datetime.fromtimestamp(self.now_s(), ZoneInfo(self.config.city.tz)).date().isoformat()


def _octets_of(file: str) -> bytes:
    return Path(file).read_bytes()
