"""Whom to believe: which logs, which witnesses, and how many of them make a quorum.

Source: C2SP tlog-policy.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from privacy.transparency.errors import NoteError, PolicyError
from privacy.transparency.note import KeyKind, Verifier

NOBODY: Final = "none"
_MAX_OCTETS: Final = 64 * 1024
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_COUNT: Final = re.compile(r"[1-9][0-9]{0,3}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Peer:
    """A log or a witness.

    Attributes:
        name: within the policy; of a log its origin.
        key: by which it signs.
        url: where it answers, "" where the policy does not say.
    """

    name: str
    key: Verifier
    url: str


@dataclass(frozen=True, slots=True)
class Group:
    """Witnesses, or groups of them, of which `threshold` have to agree."""

    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy.

    Attributes:
        logs: any of which may have signed; empty: who signs is known otherwise.
        witnesses: in the order of the file.
        groups: by name.
        quorum: name of the witness or group that has to agree, or NOBODY.
    """

    logs: tuple[Peer, ...]
    witnesses: tuple[Peer, ...]
    groups: Mapping[str, Group]
    quorum: str

    @classmethod
    def parse(cls, text: str) -> Policy:
        """Return the policy that a file states.

        Raises:
            PolicyError: says which line is wrong.
        """
        if len(text) > _MAX_OCTETS or _CONTROL.search(text):
            raise PolicyError("a policy holds no control characters and at most 64 KiB")
        reading = _Reading()
        for number, line in enumerate(text.split("\n"), start=1):
            words = [word for word in re.split(r"[ \t]+", line) if word]
            if words and not words[0].startswith("#"):
                try:
                    reading.take(words)
                except (PolicyError, NoteError) as error:
                    raise PolicyError(f"line {number}: {error}") from error
        if reading.quorum is None:
            raise PolicyError("no quorum line")
        return cls(tuple(reading.logs), tuple(reading.witnesses.values()), reading.groups, reading.quorum)

    @property
    def witness_keys(self) -> tuple[Verifier, ...]:
        """The keys of all witnesses."""
        return tuple(witness.key for witness in self.witnesses)

    def is_met_by(self, cosigners: Collection[Verifier]) -> bool:
        """Return whether those who cosigned are a quorum."""
        agreed = {witness.name for witness in self.witnesses if witness.key in cosigners}
        return self.quorum == NOBODY or self._agrees(self.quorum, agreed)

    def _agrees(self, name: str, agreed: Collection[str]) -> bool:
        group = self.groups.get(name)
        if group is None:
            return name in agreed
        return sum(self._agrees(member, agreed) for member in group.members) >= group.threshold


class _Reading:
    """The lines of a policy so far."""

    def __init__(self) -> None:
        self.logs: list[Peer] = []
        self.witnesses: dict[str, Peer] = {}
        self.groups: dict[str, Group] = {}
        self.quorum: str | None = None
        self._members: set[str] = set()

    def take(self, words: list[str]) -> None:
        """Take one line, split into words."""
        match words:
            case ["log", vkey, *url] if len(url) <= 1:
                self._log(vkey, *url)
            case ["witness", name, vkey, *url] if len(url) <= 1:
                self._witness(name, vkey, *url)
            case ["group", name, threshold, *members] if members:
                self._group(name, threshold, members)
            case ["quorum", name]:
                self._quorum(name)
            case _:
                raise PolicyError("log, witness, group or quorum wanted, each with its words")

    def _log(self, vkey: str, url: str = "") -> None:
        key = _key(vkey, KeyKind.NOTE)
        if any(log.key.key == key.key for log in self.logs):
            raise PolicyError("this log is there twice")
        self.logs.append(Peer(key.name, key, url))

    def _witness(self, name: str, vkey: str, url: str = "") -> None:
        key = _key(vkey, KeyKind.COSIGNATURE)
        if any(witness.key.key == key.key for witness in self.witnesses.values()):
            raise PolicyError("this witness is there twice")
        self._check_new(name)
        self.witnesses[name] = Peer(name, key, url)

    def _group(self, name: str, threshold: str, members: list[str]) -> None:
        self._check_new(name)
        count = {"all": len(members), "any": 1}.get(threshold)
        if count is None:
            count = int(threshold) if _COUNT.fullmatch(threshold) else 0
        if not 1 <= count <= len(members):
            raise PolicyError("the threshold of a group is all, any, or 1 to the number of its members")
        for member in members:
            self._check_known(member)
            if member in self._members:
                raise PolicyError(f"{member} is a member twice")
            self._members.add(member)
        self.groups[name] = Group(count, tuple(members))

    def _quorum(self, name: str) -> None:
        if self.quorum is not None:
            raise PolicyError("a second quorum line")
        if name != NOBODY:
            self._check_known(name)
        self.quorum = name

    def _check_new(self, name: str) -> None:
        if name == NOBODY or name in self.witnesses or name in self.groups:
            raise PolicyError(f"the name {name} is taken")

    def _check_known(self, name: str) -> None:
        if name not in self.witnesses and name not in self.groups:
            raise PolicyError(f"no witness or group {name} on the lines above")


def _key(vkey: str, kind: KeyKind) -> Verifier:
    key = Verifier.parse(vkey)
    if key.kind is not kind:
        raise PolicyError("a log signs by a key of type 1, a witness by one of type 4")
    return key
