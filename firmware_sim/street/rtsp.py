"""The camera as cities buy them: RTSP, H.264 over RTP, by TCP or UDP. It can be switched off, or hang.

Source: RFC 2326 (RTSP 1.0), RFC 6184 (RTP payload for H.264), RFC 8866 (SDP). One track, no password.
"""

import asyncio
import contextlib
import itertools
import logging
import re
import secrets
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Self

import av

from firmware_sim.street.feed import Camera, Film

log = logging.getLogger(__name__)

_PACKET_OCTETS: Final = 1400
_STALLED_S: Final = 5.0
_RTCP: Final = range(200, 205)
_SDP: Final = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=street\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\n"
    "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:track0\r\n"
)
_METHODS: Final = "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, TEARDOWN, GET_PARAMETER"

Send = Callable[[bytes], None]


@dataclass(eq=False)
class _Session:
    """One client: how it wants its packets, and the task that sends them."""

    writer: asyncio.StreamWriter
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    send: Send | None = None
    datagrams: socket.socket | None = None
    film: asyncio.Task[None] | None = None
    is_over: bool = False


class RtspCamera:
    """A network camera on loopback that films a scene; each client gets pictures of its own.

    Args:
        camera: what is filmed.
        port: to listen on; 0: a free one, which is kept when the camera is switched off and on.

    Attributes:
        is_hung: while true the connections stay but nothing is sent, as when a camera's software hangs.
        readers: how many have asked to play so far.
    """

    def __init__(self, camera: Camera, port: int = 0) -> None:
        self._camera = camera
        self._port = port
        self._server: asyncio.Server | None = None
        self._sessions: set[_Session] = set()
        self._start_s = time.monotonic()
        self.is_hung = False
        self.readers = 0

    @property
    def url(self) -> str:
        """What a gateway is configured with."""
        return f"rtsp://127.0.0.1:{self._port}/stream1"

    async def __aenter__(self) -> Self:
        await self.switch_on()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.switch_off()

    async def switch_on(self) -> None:
        """Listen, on the same port as before."""
        if not self._server:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port, reuse_address=True)
            self._port = self._server.sockets[0].getsockname()[1]

    async def switch_off(self) -> None:
        """Be gone at once, as if the power were cut."""
        if self._server:
            self._server.close()
            self._server = None
            for session in list(self._sessions):
                session.writer.transport.abort()
            while self._sessions:  # noqa: ASYNC110 - a few turns, until each has noticed
                await asyncio.sleep(0.01)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = _Session(writer)
        self._sessions.add(session)
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode("latin-1"):
                if not await self._answer(session, head.lstrip("$")):
                    break
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError, ValueError) as error:
            log.info("reader.left", extra={"error_kind": type(error).__name__})
        finally:
            session.is_over = True
            if session.film:
                # Not cancelled: a thread may be encoding, and the container must not be closed under it.
                await session.film
            if session.datagrams:
                session.datagrams.close()
            writer.close()
            self._sessions.discard(session)

    async def _answer(self, session: _Session, head: str) -> bool:
        """Answer one request; return whether the client stays."""
        first, *lines = head.split("\r\n")
        method, url, _ = first.split(" ", 2)
        given = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines) if value}
        status, extra, body = "200 OK", {"Session": session.id}, ""
        if method == "OPTIONS":
            extra = {"Public": _METHODS}
        elif method == "DESCRIBE":
            extra, body = {"Content-Type": "application/sdp", "Content-Base": f"{url}/"}, _SDP
        elif method == "SETUP":
            status, extra = _set_up(session, given)
        elif method == "PLAY" and session.send and not session.film:
            session.film = asyncio.create_task(self._play(session))
            self.readers += 1
        elif method == "PLAY":
            status = "455 Method Not Valid in This State"
        elif method not in ("PAUSE", "TEARDOWN", "GET_PARAMETER"):
            status = "501 Not Implemented"
        _reply(session.writer, (status, given.get("cseq", "0")), extra, body)
        await session.writer.drain()
        return method != "TEARDOWN"

    async def _play(self, session: _Session) -> None:
        fps = self._camera.fps
        packets = _Packets()
        first = int((time.monotonic() - self._start_s) * fps) + 1
        with av.open(packets, "w", format="rtp", buffer_size=_PACKET_OCTETS) as container:
            film = Film(self._camera, container, first)
            for number in itertools.count(first):
                await asyncio.sleep(max(0.0, self._start_s + number / fps - time.monotonic()))
                if session.is_over:
                    return
                await asyncio.to_thread(film.take, number)
                await self._send(session, packets.take())

    async def _send(self, session: _Session, packets: list[bytes]) -> None:
        for packet in packets:
            if session.send and not self.is_hung and not session.is_over:
                session.send(packet)
        try:
            async with asyncio.timeout(_STALLED_S):
                await session.writer.drain()
        except OSError:  # gone, or it does not read: the loop that reads its requests ends, and says so
            session.is_over = True
            session.writer.transport.abort()


class _Packets:
    """What PyAV writes to: each call is one packet, RTP or RTCP."""

    def __init__(self) -> None:
        self._packets: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._packets.append(bytes(data))
        return len(data)

    def take(self) -> list[bytes]:
        """Return the packets since the last call."""
        packets, self._packets = self._packets, []
        return packets


def _set_up(session: _Session, given: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Return status and headers of the answer to SETUP, after arranging how packets are sent."""
    wanted = given.get("transport", "")
    if "RTP/AVP/TCP" in wanted:
        session.send = lambda packet: session.writer.write(
            b"$" + bytes([_channel(packet)]) + len(packet).to_bytes(2, "big") + packet
        )
        return "200 OK", {"Session": session.id, "Transport": "RTP/AVP/TCP;unicast;interleaved=0-1"}
    ports = re.search(r"client_port=(\d+)-(\d+)", wanted)
    if not ports or "multicast" in wanted:
        return "461 Unsupported Transport", {}
    datagrams = session.datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("127.0.0.1", 0))
    datagrams.setblocking(False)
    to = [int(port) for port in ports.groups()]

    def send(packet: bytes) -> None:
        with contextlib.suppress(OSError):  # as lost on the way
            datagrams.sendto(packet, ("127.0.0.1", to[_channel(packet)]))

    session.send = send
    here = datagrams.getsockname()[1]
    transport = f"RTP/AVP;unicast;client_port={to[0]}-{to[1]};server_port={here}-{here + 1}"
    return "200 OK", {"Session": session.id, "Transport": transport}


def _channel(packet: bytes) -> int:
    return int(packet[1] in _RTCP)


def _reply(writer: asyncio.StreamWriter, start: tuple[str, str], extra: Mapping[str, str], body: str) -> None:
    status, sequence = start
    lines = [f"RTSP/1.0 {status}", f"CSeq: {sequence}", *(f"{name}: {value}" for name, value in extra.items())]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    writer.write("\r\n".join([*lines, "", body]).encode())
