import socket
import urllib.request

import pytest
from prometheus_client import CollectorRegistry, Counter

from server.embedded.broker import free_port
from server.errors import ServerError
from server.exposition import exposed


def test_counters_are_served_inside_the_block_alone() -> None:
    registry, port = CollectorRegistry(), free_port()
    Counter("apples", "Counted.", registry=registry).inc(3)
    with exposed(registry, port):
        assert b"apples_total 3.0" in urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read()
    with exposed(registry, port):
        pass  # the port was given back


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ServerError, match=str(port)), exposed(CollectorRegistry(), port):
            pass
