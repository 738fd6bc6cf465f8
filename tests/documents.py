"""A document of docs/ that says what octets mean: its text, its tables, its blocks of CDDL, hexadecimal and JSON."""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cbor2
import pycddl  # type: ignore[import-untyped]

FOLDER = Path(__file__).parents[1] / "docs"
BLOCK = re.compile(r"^```(\w+) ([\w-]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Document:
    """One file.

    Attributes:
        name: of the file.
    """

    name: str

    @cached_property
    def text(self) -> str:
        return (FOLDER / self.name).read_text()

    @cached_property
    def blocks(self) -> dict[tuple[str, str], str]:
        """Blocks by kind and name."""
        return {(kind, name): body for kind, name, body in BLOCK.findall(self.text)}

    @cached_property
    def hex(self) -> dict[str, bytes]:
        return {name: bytes.fromhex(body) for (kind, name), body in self.blocks.items() if kind == "hex"}

    @cached_property
    def json(self) -> dict[str, Any]:
        return {name: json.loads(body) for (kind, name), body in self.blocks.items() if kind == "json"}

    @cached_property
    def cddl(self) -> str:
        rules = "".join(body for (kind, _), body in self.blocks.items() if kind == "cddl")
        # pycddl 0.6 mistakes `.cbor` within an array; the header inside is validated by its own rule.
        return rules.replace("bstr .cbor header", "bstr")

    def holds(self, rule: str, data: bytes) -> bool:
        """Return whether encoded data follows a rule of the document."""
        try:
            pycddl.Schema(f"root = {rule}\n{self.cddl}").validate_cbor(data)
        except pycddl.ValidationError:
            return False
        return True

    def section(self, heading: str) -> str:
        """Return what stands between a heading and the next one of any level."""
        found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", self.text, re.MULTILINE | re.DOTALL)
        assert found is not None, heading
        return found[1]

    def rows(self, heading: str) -> list[list[str]]:
        """Return the cells of the tables of a section, their heads left out."""
        lines = [line for line in self.section(heading).splitlines() if line.startswith("|")]
        cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
        heads = {number - 1 for number, row in enumerate(cells) if set(row[0]) == {"-"}}
        return [row for number, row in enumerate(cells) if number not in heads and set(row[0]) != {"-"}]


def damaged(fields: dict[Any, Any]) -> Iterable[bytes]:
    """Yield the map with each field spoilt, and with each left out."""
    for key in fields:
        yield cbor2.dumps({**fields, key: -1})
        yield cbor2.dumps({one: value for one, value in fields.items() if one != key})


def refused(read: Callable[[bytes], object], data: bytes, error: type[Exception]) -> bool:
    """Return whether a reader refuses data."""
    try:
        read(data)
    except error:
        return True
    return False
