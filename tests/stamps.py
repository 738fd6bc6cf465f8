"""A time-stamping authority: a real `openssl ts` behind a small local HTTP server."""

import contextlib
import http.server
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

_CONFIG = """
[req]
distinguished_name=dn
prompt=no
[dn]
CN=stamps
[ca]
basicConstraints=critical,CA:true
keyUsage=critical,keyCertSign
[tsa]
basicConstraints=critical,CA:false
extendedKeyUsage=critical,timeStamping
keyUsage=critical,digitalSignature
[responder]
serial=serial
default_policy=1.2.3.4.1
digests=sha256, sha512
signer_digest=sha256
accuracy=secs:1
ess_cert_id_alg=sha256
"""
_EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


@dataclass
class Stamps:
    """A running authority.

    Attributes:
        folder: its keys; `root` is whom it must be trusted by.
        url: where it is.
        asked: the queries that came.
        spoil: what becomes of an answer on its way.
        status: of HTTP.
    """

    folder: Path
    url: str = ""
    asked: list[bytes] = field(default_factory=list)
    spoil: Callable[[bytes], bytes] = bytes
    status: int = 200

    @property
    def root(self) -> Path:
        return self.folder / "root.pem"

    def make(self) -> None:
        self.folder.mkdir(parents=True)
        (self.folder / "config").write_text(_CONFIG)
        (self.folder / "serial").write_text("01\n")
        root = ("-keyout", "root.key", "-out", "root.pem", "-days", "30", "-extensions", "ca", "-subj", "/CN=root")
        self.run("req", "-x509", *_EC, "-config", "config", *root)
        self.run("req", *_EC, "-config", "config", "-keyout", "tsa.key", "-out", "tsa.csr")
        signed = ("-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial", "-days", "30")
        self.run(
            "x509", "-req", "-in", "tsa.csr", "-out", "tsa.pem", *signed, "-extfile", "config", "-extensions", "tsa"
        )

    def run(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True, timeout=30)

    def answer(self, query: bytes) -> bytes:
        (self.folder / "query").write_bytes(query)
        keys = ("-signer", "tsa.pem", "-inkey", "tsa.key", "-config", "config", "-section", "responder")
        self.run("ts", "-reply", "-queryfile", "query", *keys, "-out", "answer")
        return (self.folder / "answer").read_bytes()


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Stamps]:
    """Run an authority."""
    stamps = Stamps(folder)
    stamps.make()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = self.rfile.read(int(self.headers["content-length"]))
            stamps.asked.append(query)
            answer = stamps.spoil(stamps.answer(query))
            self.send_response(stamps.status)
            self.send_header("content-type", "application/timestamp-reply")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        stamps.url = f"http://127.0.0.1:{server.server_port}/tsa"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield stamps
        finally:
            server.shutdown()
            thread.join()
