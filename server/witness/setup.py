"""The folder of a witness: its key, the keys of the logs that it knows, its memory."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from privacy.transparency.errors import NoteError
from privacy.transparency.note import KeyKind, Signer, Verifier
from server import notekey
from server.witness.errors import WitnessError
from server.witness.memory import Memory

KEY: Final = "witness.pem"
NAME: Final = "name"
VKEY: Final = "witness.vkey"
LOGS: Final = "logs"
MEMORY: Final = "memory.sqlite"


def create(folder: Path, name: str, logs: Iterable[str]) -> Verifier:
    """Make a witness; return its public key, which cities put into their policies.

    Args:
        folder: new, or without a witness in it.
        name: of its key, such as `bar.example/witness`.
        logs: vkeys of the logs that it is to watch.

    Raises:
        NoteError: a bad name or vkey.
        WitnessError: there is a witness in the folder.
    """
    keys = [Verifier.parse(vkey).vkey for vkey in logs]
    if (folder / KEY).exists():
        raise WitnessError(f"{folder} holds a witness already")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not (folder / MEMORY).exists():  # there already: an attempt before this one was cut off
        Memory.create(folder / MEMORY)
    (folder / NAME).write_text(f"{name}\n", "utf-8")
    (folder / LOGS).write_text("".join(f"{key}\n" for key in keys), "utf-8")
    notekey.make(folder / KEY)
    key = signer_of(folder).verifier(KeyKind.COSIGNATURE)
    (folder / VKEY).write_text(f"{key.vkey}\n", "utf-8")
    return key


def signer_of(folder: Path) -> Signer:
    """Return what signs for the witness in `folder`.

    Raises:
        WitnessError: there is none.
        KeysError: its key is broken.
    """
    return notekey.load(folder / KEY, _text(folder / NAME).strip())


def logs_of(folder: Path) -> dict[str, list[Verifier]]:
    """Return the keys of the logs that the witness in `folder` knows, by origin.

    Raises:
        WitnessError: the file is missing, or a line of it is no vkey.
    """
    found: dict[str, list[Verifier]] = {}
    for line in _text(folder / LOGS).split():
        try:
            key = Verifier.parse(line)
        except NoteError as error:
            raise WitnessError(f"{LOGS}: {error}") from error
        found.setdefault(key.name, []).append(key)
    return found


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WitnessError(f"cannot read {file.name}. Run `mimamori witness init` first") from error
