"""Tickets: what the city hands out with a gateway, and how it is written on paper."""

import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from server.config import ServerConfig
from server.enrolment.authority import fingerprint
from server.enrolment.errors import RefusedError
from server.enrolment.vault import certificate
from server.errors import ServerError
from server.store import enrolment as store
from server.store.connection import Connection
from wire.enrolment import CODE_OCTETS, Ticket, code_of, code_sha256

GOOD_FOR_MS: Final = 48 * 3_600_000


class UnknownGatewayError(ServerError):
    """There is no such gateway in the registry."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Makes tickets for a city.

    Attributes:
        server_url: where to enrol.
        ca_sha256: of the city's root.
    """

    city: str
    server_url: str
    ca_sha256: str

    @classmethod
    def of(cls, config: ServerConfig) -> "Desk":
        """Return the desk of a server.

        Raises:
            KeysError: it has no authority.
        """
        url = config.enrolment.server_url or config.http.public_url
        return cls(config.city.id, url, fingerprint(certificate(Path(config.keys_dir) / "ca.pem")))

    async def ticket(self, conn: Connection, detector: str, random: bytes, *, now_ms: int) -> Ticket:
        """Return a ticket with a new code; the gateway's code before it is of no use any more.

        Args:
            conn: of the owner.
            detector: id.
            random: 16 octets, from a source of secrets.
            now_ms: wall time.

        Raises:
            UnknownGatewayError: no such gateway.
            RefusedError: it is revoked.
        """
        if len(random) != CODE_OCTETS:
            raise ValueError("a code is made of 16 octets")
        known = {row.id: row for row in await store.gateways(conn, self.city, now_ms=now_ms)}
        if detector not in known:
            raise UnknownGatewayError(
                f"{detector}: この番号のゲートウェイはありません。There is no gateway with this id"
            )
        if known[detector].revoked_ms is not None:
            raise RefusedError(
                f"{detector}: 失効しています。先に `gateway restore` を。It is revoked: `gateway restore` it first"
            )
        code = code_of(random)
        until_ms = now_ms + GOOD_FOR_MS
        await store.save_code(conn, detector, code_sha256(code), now_ms=now_ms, until_ms=until_ms)
        return Ticket(self.server_url, detector, code, self.ca_sha256)


def on_paper(ticket: Ticket) -> str:
    """Return a ticket as lines for whoever types it in."""
    fingerprint_lines = textwrap.wrap(" ".join(textwrap.wrap(ticket.ca_sha256, 4)), 40)
    return "\n".join(
        (
            "ゲートウェイ登録票。Gateway ticket",
            f"  サーバ server       {ticket.server_url}",
            f"  機器 gateway        {ticket.detector}",
            f"  登録コード code     {ticket.code}",
            f"  市の認証局 CA SHA-256  {fingerprint_lines[0]}",
            *(f"                         {line}" for line in fingerprint_lines[1:]),
            "48 時間以内に一度だけ使えます。Good once, within 48 hours.",
        )
    )
