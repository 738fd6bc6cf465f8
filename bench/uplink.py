"""The load generator, a process of its own: many detectors over a few MQTT connections, as real uplinks behave.

Reads orders as lines of JSON from stdin and answers each with one line. It knows nothing of who answers: ingest or a
peer. A batch is done when a receipt names it; the signatures of all receipts are checked afterwards, on order, so
that checking them takes no time from what is measured.

    python -m bench.uplink --spool FOLDER --url mqtt://127.0.0.1:1883 --city-file keys/city.json
"""

import argparse
import dataclasses
import json
import selectors
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from bench.crowd import CITY, ROWS, name_of
from bench.firehose import EPOCH, Spool
from bench.flow import WINDOW, Flow, Throttle
from wire import cose, seal, topics
from wire.errors import SealError
from wire.keys import CityBundle
from wire.messages import Receipt

LINKS: Final = 4
AGAIN_S: Final = 10.0
"""A batch without a receipt for so long is sent again, as `edge` does."""
TWICE: Final = 20
"""Every so many-th batch is sent twice: in turn at once, and when its receipt is here, as if that had been lost."""
DRAIN_S: Final = 30.0
"""Wall time for the last receipts."""
_TICK_S: Final = 0.005
_KEEPALIVE_S: Final = 600


@dataclass(frozen=True, slots=True)
class Order:
    """What to send.

    Attributes:
        first: number of the first batch.
        stop: one above the last.
        rows_per_s: pace; 0: as fast as receipts come.
        limit: batches on their way in all, to begin with.
        most_s: send nothing new after so long.
    """

    first: int
    stop: int
    rows_per_s: float = 0.0
    limit: float = 50.0
    most_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of it.

    Attributes:
        batches: that have a receipt.
        unreceipted: that were sent and have none.
        refused: of `batches`, those that were refused.
        took_s: first publish to last receipt.
        p50_ms: from when a batch was due (saturating: sent) to its receipt.
        p99_ms: likewise.
        max_ms: likewise.
        again: sent again for want of a receipt.
        twice: sent twice on purpose.
        limit: batches on their way in all, in the end.
        cpu_s: processor time of this process.
        receipts: messages.
    """

    batches: int
    unreceipted: int
    refused: int
    took_s: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    again: int
    twice: int
    limit: float
    cpu_s: float
    receipts: int


class Link:
    """One MQTT connection, driven by whoever waits on its socket."""

    def __init__(self, url: str, name: str, selector: selectors.BaseSelector) -> None:
        parts = urlsplit(url)
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=mqtt.MQTTv311)
        self.client.max_inflight_messages_set(0)  # the window is ours to keep
        self.client.connect(parts.hostname or "127.0.0.1", parts.port or 1883, _KEEPALIVE_S)
        self._selector = selector
        self._events = selectors.EVENT_READ
        selector.register(self.client.socket(), self._events, self)  # type: ignore[arg-type] # connected, so there is one

    def serve(self, events: int) -> None:
        """Read and write what the socket is ready for.

        Raises:
            ConnectionError: the broker has gone.
        """
        if events & selectors.EVENT_READ and self.client.loop_read() != mqtt.MQTT_ERR_SUCCESS:
            raise ConnectionError("the broker closed the connection of the load generator")
        if events & selectors.EVENT_WRITE:
            self.client.loop_write()

    def watch(self) -> None:
        """Ask for room to write only when there is something to write."""
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self.client.want_write() else 0)
        if events != self._events:
            self._events = events
            self._selector.modify(self.client.socket(), events, self)  # type: ignore[arg-type]


class Courier:
    """Sends batches and takes receipts."""

    def __init__(self, spool: Spool, url: str) -> None:
        self._spool = spool
        self._payloads = memoryview(spool.payloads)
        self._names = {name_of(detector): detector for detector in np.unique(spool.detectors).tolist()}
        self._topics = {detector: topics.sightings(CITY, name) for name, detector in self._names.items()}
        keys = zip(spool.detectors.tolist(), spool.sequences.tolist(), strict=True)
        self._numbers = {key: number for number, key in enumerate(keys)}
        self._selector = selectors.DefaultSelector()
        self._links = [Link(url, f"bench-up-{number}", self._selector) for number in range(LINKS)]
        self._receipts = Link(url, "bench-receipts", self._selector)
        self._receipts.client.on_message = lambda _client, _data, message: self._take(message)
        self._is_heard = False
        self._receipts.client.on_subscribe = lambda *_: self._subscribed()
        self.kept: list[bytes] = []
        self.is_settled: NDArray[np.bool_] = np.zeros(len(spool.detectors), np.bool_)
        self._run: _Run | None = None
        self._connect()

    def _subscribed(self) -> None:
        self._is_heard = True

    def _connect(self) -> None:
        while not all(link.client.is_connected() for link in (*self._links, self._receipts)):
            self._poll(_TICK_S)
        self._receipts.client.subscribe(topics.city_filter(CITY, "receipts"), 0)
        while not self._is_heard:
            self._poll(_TICK_S)

    def run(self, order: Order) -> Sent:
        """Send what is ordered and wait for its receipts."""
        run = self._run = _Run(order, Flow(self._spool.detectors, order.first, order.stop), Throttle(order.limit))
        self.kept.clear()
        cpu_s, run.start_s = time.process_time(), time.monotonic()
        ends_s, looked_s = run.start_s + order.most_s, run.start_s
        while not run.flow.is_done:
            now_s = time.monotonic()
            if now_s > ends_s:
                run.flow.give_up()
                if now_s > ends_s + DRAIN_S:
                    break
            if now_s - looked_s > 1:
                looked_s = now_s
                self._look_after(run, now_s)
            self._send(run, now_s)
            self._poll(_TICK_S)
        self._run = None
        return run.result(cpu_s=time.process_time() - cpu_s, receipts=len(self.kept))

    def rest(self, seconds: float) -> None:
        """Stay connected without sending."""
        ends_s = time.monotonic() + seconds
        while time.monotonic() < ends_s:
            self._poll(_TICK_S)

    def _send(self, run: "_Run", now_s: float) -> None:
        while (batch := run.may_send(now_s)) is not None:
            run.flow.send()
            run.sent_s[batch] = time.monotonic()
            self._publish(batch)
            if batch % (2 * TWICE) == 0:
                run.twice += 1
                self._publish(batch)

    def _publish(self, batch: int) -> None:
        detector = int(self._spool.detectors[batch])
        payload = self._payloads[self._spool.starts[batch] : self._spool.starts[batch + 1]]
        self._links[detector % LINKS].client.publish(self._topics[detector], bytes(payload), qos=1)

    def _poll(self, timeout_s: float) -> None:
        for link in (*self._links, self._receipts):
            link.watch()
        for key, events in self._selector.select(timeout_s):
            key.data.serve(events)

    def _take(self, message: mqtt.MQTTMessage) -> None:
        now_s, run = time.monotonic(), self._run
        payload = bytes(message.payload)
        self.kept.append(payload)
        if run is None:
            return
        receipt = Receipt.decode(cose.parse(payload).payload)
        detector = self._names[topics.parse(str(message.topic)).detector]
        if receipt.epoch != EPOCH:
            return
        for sequence in (*receipt.accepted, *(number for number, _ in receipt.refused)):
            batch = self._numbers[detector, sequence]
            if run.settle(batch, now_s):
                self.is_settled[batch] = sequence in receipt.accepted
                if batch % (2 * TWICE) == TWICE:
                    run.twice += 1
                    self._publish(batch)
        run.refused += len(receipt.refused)

    def _look_after(self, run: "_Run", now_s: float) -> None:
        for link in (*self._links, self._receipts):
            link.client.loop_misc()
        for batch in [batch for batch in run.flow.outstanding if now_s - run.sent_s[batch] > AGAIN_S]:
            run.sent_s[batch] = now_s
            run.again += 1
            self._publish(batch)


class _Run:
    """One order being worked off, times by `time.monotonic`."""

    def __init__(self, order: Order, flow: Flow, throttle: Throttle) -> None:
        self.order, self.flow, self.throttle = order, flow, throttle
        self.sent_s: dict[int, float] = {}
        self.after_s: list[float] = []
        self.start_s = self.last_s = 0.0
        self.refused = self.again = self.twice = 0

    def due_s(self, batch: int) -> float:
        """Return when a batch is to be sent."""
        if not self.order.rows_per_s:
            return self.start_s
        return self.start_s + (batch - self.order.first) * ROWS / self.order.rows_per_s

    def may_send(self, now_s: float) -> int | None:
        """Return the batch to send now, None to wait."""
        batch = self.flow.next
        if batch is None or self.due_s(batch) > now_s:
            return None
        is_full = not self.order.rows_per_s and self.flow.span >= self.throttle.limit
        return None if is_full else batch

    def settle(self, batch: int, now_s: float) -> bool:
        """Take note of a receipt; return whether it is the first."""
        if not self.flow.settle(batch):
            return False
        self.last_s = now_s
        # From when it was due, not from when there was room: who waits for a window waits for the server.
        since_s = self.due_s(batch) if self.order.rows_per_s else self.sent_s[batch]
        self.after_s.append(now_s - since_s)
        self.throttle.answered(now_s - self.sent_s[batch])
        return True

    def result(self, *, cpu_s: float, receipts: int) -> Sent:
        """Return the figures."""
        after_ms = np.array(self.after_s or [np.nan]) * 1000
        return Sent(
            batches=len(self.after_s),
            unreceipted=len(self.flow.outstanding),
            refused=self.refused,
            took_s=self.last_s - self.start_s,
            p50_ms=float(np.percentile(after_ms, 50)),
            p99_ms=float(np.percentile(after_ms, 99)),
            max_ms=float(after_ms.max()),
            again=self.again,
            twice=self.twice,
            limit=self.throttle.limit,
            cpu_s=cpu_s,
            receipts=receipts,
        )


def forged(receipts: list[bytes], city: CityBundle) -> int:
    """Return how many receipts are not signed by the city."""
    bad = 0
    for receipt in receipts:
        try:
            seal.verify(receipt, verifier=city.receipt_key)
        except SealError:
            bad += 1
    return bad


def _orders() -> Iterator[dict[str, Any]]:
    for line in sys.stdin:
        yield json.loads(line)


def _answer(table: dict[str, Any]) -> None:
    print(json.dumps(table), flush=True)


def main() -> None:
    """Work off orders until stdin ends."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--spool", type=Path, required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--city-file", type=Path, required=True)
    options = parser.parse_args()
    courier, city = Courier(Spool.load(options.spool), options.url), CityBundle.load(options.city_file)
    _answer({"ready": True, "window": WINDOW})
    for order in _orders():
        _answer(dataclasses.asdict(courier.run(Order(**order))))
        bad = forged(courier.kept, city)
        courier.rest(0.1)
        np.save(options.spool / "settled.npy", courier.is_settled)
        _answer({"forged": bad})


if __name__ == "__main__":
    main()
