"""Counters of a process for Prometheus: plain HTTP on a loopback port of its own."""

import contextlib
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, start_http_server

from server.errors import ServerError


@contextlib.contextmanager
def exposed(registry: CollectorRegistry, port: int) -> Iterator[None]:
    """Serve `registry` on `port` of loopback inside the block; port 0 serves nothing.

    Raises:
        ServerError: the port cannot be had.
    """
    if not port:
        yield
        return
    try:
        server, thread = start_http_server(port, addr="127.0.0.1", registry=registry)
    except OSError as error:
        raise ServerError(f"metrics_port {port}: {error.strerror}") from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
