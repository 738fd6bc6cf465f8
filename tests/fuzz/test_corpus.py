"""The kept corpus goes through every parser in every test run: nothing but a WireError comes out."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

HERE = Path(__file__).parent


def loaded(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"tests_fuzz_{name}", HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


fuzz_wire, seeds = loaded("fuzz_wire"), loaded("seeds")
TARGETS = sorted(fuzz_wire.TARGETS)


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@pytest.mark.parametrize("target", TARGETS)
def test_a_kept_input_raises_nothing_but_a_wire_error(target: str) -> None:
    files = sorted((HERE / "corpus" / target).iterdir())
    assert files
    for file in files:
        fuzz_wire.run_one(target, file.read_bytes())


@pytest.mark.parametrize("target", TARGETS)
def test_the_seeds_are_the_ones_that_their_generator_writes(target: str) -> None:
    for index, data in enumerate(seeds.seeds()[target]):
        assert (HERE / "corpus" / target / f"seed-{index:02d}").read_bytes() == data


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@pytest.mark.parametrize("target", [target for target in TARGETS if target != "outbox"])
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_seed_changed_anywhere_raises_nothing_but_a_wire_error(target: str, data: st.DataObject) -> None:
    octets = bytearray(data.draw(st.sampled_from(seeds.seeds()[target])) or b"\x00")
    for _ in range(data.draw(st.integers(1, 4))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    fuzz_wire.run_one(target, bytes(octets[: data.draw(st.integers(0, len(octets)))]))
