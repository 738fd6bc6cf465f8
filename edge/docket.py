"""Which orders have come, and how far each got: kept in the journal's file, in the transactions of its entries."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edge.journal import Journal
from wire import orders
from wire.messages import Order


@dataclass(frozen=True, slots=True)
class Standing:
    """An order that has come.

    Attributes:
        sequence: of the order.
        kind: of the order.
        digest: see wire.orders.digest.
        encoded: the order, while it is open and holds no key; None otherwise.
        entry: sequence of the newest journal entry about it.
        is_open: whether it has no outcome yet.
    """

    sequence: int
    kind: str
    digest: bytes
    encoded: bytes | None
    entry: int
    is_open: bool


@dataclass(frozen=True, slots=True)
class Docket:
    """The orders of one gateway."""

    journal: Journal

    def find(self, sequence: int) -> Standing | None:
        """Return the order with this sequence, None if it is not known (any more)."""
        found = self._standings("WHERE sequence = ?", sequence)
        return found[0] if found else None

    def open_orders(self) -> list[Standing]:
        """Return what was received and has no outcome, oldest first."""
        return self._standings("WHERE is_open = ? ORDER BY sequence", 1)

    def receive(self, order: Order) -> None:
        """Write "order.received" and remember the order, before anything is done about it.

        One that carries keys is not kept: a stolen disk would open footage. The city sends it again.
        """
        kept = None if order.body.get(orders.STRANDS) else order.encode()
        self._write("order.received", order, {}, kept=kept)

    def conclude(self, order: Order, outcome: str, body: Mapping[str, Any]) -> None:
        """Write the outcome of an order: "order.done", "order.failed" or "order.refused"."""
        self._write(outcome, order, body)

    def _write(self, outcome: str, order: Order, body: Mapping[str, Any], *, kept: bytes | None = None) -> None:
        digest = orders.digest(order.kind, order.body)
        said = {**body, "sequence": order.sequence, "kind": order.kind, "order": digest}
        with self.journal.adding(outcome, said) as (database, entry):
            is_open = outcome == "order.received"
            row = (order.sequence, order.kind, digest, kept, entry.sequence, is_open)
            database.execute("INSERT OR REPLACE INTO command VALUES (?, ?, ?, ?, ?, ?)", row)
            database.execute("UPDATE state SET order_sequence = max(order_sequence, ?)", (order.sequence,))

    def _standings(self, condition: str, value: int) -> list[Standing]:
        with self.journal.reading() as database:
            rows = database.execute(
                f"SELECT sequence, kind, digest, encoded, entry, is_open FROM command {condition}",  # noqa: S608 -- ours
                (value,),
            ).fetchall()
        return [
            Standing(sequence, kind, bytes(digest), None if encoded is None else bytes(encoded), entry, bool(is_open))
            for sequence, kind, digest, encoded, entry, is_open in rows
        ]
