"""The broker's own desk (NATS system account): who is connected, and putting one out."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

from nats.aio.client import Client
from nats.errors import Error as NatsError

from server.gate.errors import BrokerSilentError

_PAGE: Final = 1024
_ANSWER_S: Final = 5.0
_GATHER_S: Final = 0.3
"""All servers of a cluster answer within this time after the first."""


@dataclass(frozen=True, slots=True)
class Connection:
    """One client at the broker.

    Attributes:
        server_id: of the broker that has it.
        cid: its number there.
        address: `host:port` as the broker's log has it; never logged by us.
        holder: who it was let in as, and with which certificate: kind, id and serial, "" for the gate's own.
    """

    server_id: str
    cid: int
    address: str
    kind: str
    holder: str
    serial: str


class Desk:
    """Asks and orders over a connection that is signed in to the system account."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def connections(self, account: str) -> AsyncIterator[Connection]:
        """Yield every client of `account` on every server.

        Raises:
            BrokerSilentError: no answer.
        """
        for server_id in await self._servers():
            offset = 0
            while True:
                asked = {"auth": True, "acc": account, "limit": _PAGE, "offset": offset}
                data = (await self._ask(f"$SYS.REQ.SERVER.{server_id}.CONNZ", asked)).get("data", {})
                page = data.get("connections") or []
                for row in page:
                    yield _connection(server_id, row)
                offset += len(page)
                if len(page) < _PAGE:
                    break

    async def connection(self, account: str, cid: int) -> list[Connection]:
        """Return the clients with this number, one a server at most.

        Raises:
            BrokerSilentError: no answer.
        """
        found = []
        for server_id in await self._servers():
            asked = {"auth": True, "acc": account, "cid": cid}
            data = (await self._ask(f"$SYS.REQ.SERVER.{server_id}.CONNZ", asked)).get("data", {})
            found += [_connection(server_id, row) for row in data.get("connections") or []]
        return found

    async def kick(self, connection: Connection) -> bool:
        """End a connection; return False when it was gone already.

        Raises:
            BrokerSilentError: no answer.
        """
        answer = await self._ask(f"$SYS.REQ.SERVER.{connection.server_id}.KICK", {"cid": connection.cid})
        return "error" not in answer

    async def _servers(self) -> list[str]:
        inbox = self._client.new_inbox()
        found: list[str] = []
        waiting = await self._client.subscribe(inbox)
        try:
            await self._client.publish("$SYS.REQ.SERVER.PING", b"", reply=inbox)
            patience_s = _ANSWER_S
            while True:
                message = await waiting.next_msg(timeout=patience_s)
                found.append(str(json.loads(message.data)["server"]["id"]))
                patience_s = _GATHER_S
        except (NatsError, OSError, TimeoutError) as error:
            if not found:
                raise BrokerSilentError("the broker names no server") from error
        finally:
            await _let_go(waiting)
        return found

    async def _ask(self, subject: str, question: dict[str, Any]) -> dict[str, Any]:
        try:
            message = await self._client.request(subject, json.dumps(question).encode(), timeout=_ANSWER_S)
            answer = json.loads(message.data)
        except (NatsError, OSError, TimeoutError, ValueError) as error:
            raise BrokerSilentError(f"no answer to {subject.rpartition('.')[2]}") from error
        return answer if isinstance(answer, dict) else {}


async def _let_go(waiting: Any) -> None:  # noqa: ANN401 - nats' subscription, of a library without types
    try:
        await waiting.unsubscribe()
    except (NatsError, OSError, asyncio.TimeoutError):  # noqa: UP041 - the connection is gone, and it with it
        return


def _connection(server_id: str, row: dict[str, Any]) -> Connection:
    # The name that the call-out gave: kind, id and serial; no id has a dot.
    kind, _, rest = str(row.get("authorized_user", "")).partition(".")
    holder, _, serial = rest.rpartition(".")
    address = f"{row.get('ip', '')}:{row.get('port', 0)}"
    return Connection(server_id, int(row["cid"]), address, kind, holder, serial)
