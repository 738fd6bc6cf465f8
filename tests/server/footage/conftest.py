"""A real export of a real camera's footage, made once; whoever spoils it spoils a copy."""

import io
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pyrage
import pytest

from edge.camera.credential import Device
from edge.camera.export import Exporter
from edge.camera.timestamp import Authority as Tsa
from tests import stamps
from tests.certified import Authority
from tests.footage import NOON_MS, Footage
from wire.orders import Export


@dataclass(frozen=True)
class Given:
    """What an officer has got.

    Attributes:
        folder: holds `export.age`, `key.txt`, `city.pem` and `tsa.pem`.
        officer: whose key it is.
        members: what was sealed.
    """

    folder: Path
    officer: pyrage.x25519.Identity
    authority: Authority
    members: dict[str, bytes] = field(default_factory=dict)

    @property
    def sealed(self) -> Path:
        return self.folder / "export.age"

    def open(self) -> None:
        target = io.BytesIO()
        with self.sealed.open("rb") as file:
            pyrage.decrypt_io(file, target, [self.officer])
        with zipfile.ZipFile(target) as archive:
            self.members.update({name: archive.read(name) for name in archive.namelist()})

    def sealed_again(self, target: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
        """Seal other members to the officer, as a forger with the officer's public key can."""
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", compression) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        target.write_bytes(pyrage.encrypt(file.getvalue(), [self.officer.to_public()]))
        return target


@pytest.fixture(scope="session")
def given(tmp_path_factory: pytest.TempPathFactory) -> Given:
    folder = tmp_path_factory.mktemp("given")
    given = Given(folder, pyrage.x25519.Identity.generate(), Authority.new())
    own = given.authority.device("gw-1")
    device = Device("mimamori", "gw-1", own.key, own.chain_pem, "mimamori-edge 0.1.0")
    footage = Footage(folder / "footage")
    segments = [*footage.record(NOON_MS, 20), *footage.record(NOON_MS + 24_000, 16)]
    window = NOON_MS + 5_000, NOON_MS + 38_000
    order = Export("e-1", "case-1", *window, str(given.officer.to_public()), strands=footage.strands)
    with stamps.serving(folder / "tsa") as tsa, httpx.Client() as client:
        exporter = Exporter(folder / "exports", device, Tsa.load(tsa.url, tsa.root), client, lambda: NOON_MS + 60_000)
        exporter.make(order, segments).path.replace(given.sealed)
        (folder / "tsa.pem").write_bytes(tsa.root.read_bytes())
    (folder / "key.txt").write_text(f"# the officer's\n{given.officer}\n")
    (folder / "city.pem").write_bytes(given.authority.root_pem)
    given.open()
    return given
