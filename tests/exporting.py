"""A process that exports, to be killed: `python -m tests.exporting JSON`."""

import json
import resource
import sys
from pathlib import Path

import httpx
import pyrage

from edge.camera import cut, segment
from edge.camera.credential import Device
from edge.camera.export import Exporter
from edge.camera.timestamp import Authority as Tsa
from tests.certified import Authority
from tests.footage import NOON_MS
from wire.orders import Export


def main() -> None:
    told = json.loads(sys.argv[1])
    folder = Path(told["folder"])
    authority = Authority.new()
    own = authority.device("gw-1")
    if told["limit"]:
        # The limit is for memory files too: the clips stay below it, the sealed file does not.
        cut.MAX_CLIP_OCTETS = told["limit"] // 3  # type: ignore[misc]
        resource.setrlimit(resource.RLIMIT_FSIZE, (told["limit"], told["limit"]))
    strands = {bytes.fromhex(name): bytes.fromhex(key) for name, key in told["strands"].items()}
    recipient = str(pyrage.x25519.Identity.generate().to_public())
    order = Export("e-1", "case-1", NOON_MS + 5_000, NOON_MS + 55_000, recipient, strands=strands)
    device = Device("mimamori", "gw-1", own.key, own.chain_pem, "mimamori-edge 0.1.0")
    segments = [segment.read(path) for path in sorted((folder / "footage").rglob("*.seg"))]
    with httpx.Client(timeout=60) as client:
        tsa = Tsa(told["url"], (authority.root,))
        Exporter(folder / "exports", device, tsa, client, lambda: NOON_MS).make(order, segments)


if __name__ == "__main__":
    main()
