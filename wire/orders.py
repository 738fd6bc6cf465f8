"""What the city may order of a gateway: one frozen dataclass a kind, read strictly; see docs/WIRE.md."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from wire import fields as _f
from wire.errors import MessageError, TopicError
from wire.messages import Order
from wire.topics import check_id

MAX_AGE_MS: Final = 900_000
"""An order that was signed longer ago is stale, one from further ahead is of a wrong clock: both are refused."""
MAX_WINDOW_MS: Final = 6 * 3_600_000
"""The ordinance's ceiling for one camera; more is asked for with more orders, each with its reason."""
MAX_STRANDS: Final = 4_096
STRANDS: Final = "strands"
"""Of an export's body: the only field that is secret, kept by nobody."""


@dataclass(frozen=True, slots=True)
class Freeze:
    """Keep a window of footage beyond its time, until `until_ms` at most; nobody can see it by this.

    Attributes:
        case: id of the case; a second freeze of a case adds its window.
        from_ms: start of the window, Unix milliseconds.
        to_ms: its end, not part of it.
        until_ms: when the freeze ends by itself.
    """

    case: str
    from_ms: int
    to_ms: int
    until_ms: int


@dataclass(frozen=True, slots=True)
class Thaw:
    """Let the frozen windows of a case go: they are deleted when their time is over, at once if it is."""

    case: str


@dataclass(frozen=True, slots=True)
class Export:
    """Cut a window out and seal it to a recipient.

    Attributes:
        export: id of the export; the same one again gives the same window.
        case: id of the case.
        from_ms: whole seconds.
        to_ms: whole seconds, not part of the window.
        recipient: age recipient, "age1…".
        upload_url: where to bring the parts; "" = they stay in the state directory.
        strands: by the 16 octets of a strand's id, its 32-octet key, opened by the city for this window.
    """

    export: str
    case: str
    from_ms: int
    to_ms: int
    recipient: str
    upload_url: str = ""
    strands: Mapping[bytes, bytes] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class SetMask:
    """Use this mask from now on: a document signed by the city, see privacy/masks.py."""

    mask: bytes


@dataclass(frozen=True, slots=True)
class Configure:
    """Use these settings from now on: a document signed by the city, see wire/camera_settings.py."""

    settings: bytes


@dataclass(frozen=True, slots=True)
class RotateKeys:
    """Make new keys on the device and have them certified."""


@dataclass(frozen=True, slots=True)
class Restart:
    """End the program; the service manager starts it again."""


Command = Freeze | Thaw | Export | SetMask | Configure | RotateKeys | Restart


def read(order: Order) -> Command:
    """Return what an order wants.

    Raises:
        MessageError: of a kind that we do not know, or its body is not of that kind.
    """
    reader = _READERS.get(order.kind)
    if reader is None:
        raise MessageError("an order of a kind that we do not know")
    return reader(order.body)


def digest(kind: str, body: Mapping[str, Any]) -> bytes:
    """Return 32 octets by which a gateway's log and the city mean the same order, keys of strands left out."""
    said = {key: body[key] for key in sorted(body) if key != STRANDS}
    return hashlib.sha256(_f.dumps({1: kind, 2: said})).digest()


def kind_of(command: Command) -> str:
    """Return the kind by which an order carries `command`."""
    return _KINDS[type(command)]


def body_of(command: Command) -> dict[str, Any]:
    """Return the body by which an order carries `command`."""
    match command:
        case Export():
            return {name: getattr(command, name) for name in Export.__slots__ if name != "strands"} | {
                "strands": dict(command.strands)
            }
        case _:
            return {name: getattr(command, name) for name in type(command).__slots__}


def _window(body: Mapping[str, Any]) -> tuple[int, int]:
    from_ms, to_ms = _f.uint(body, "from_ms"), _f.uint(body, "to_ms")
    if not 0 < to_ms - from_ms <= MAX_WINDOW_MS:
        raise MessageError("a window ends after its start and spans at most six hours")
    return from_ms, to_ms


def _id(body: Mapping[str, Any], key: str) -> str:
    try:
        return check_id(_f.text(body, key))
    except TopicError as error:
        raise MessageError(f"field {key} is not an id") from error


def _freeze(body: Mapping[str, Any]) -> Freeze:
    return Freeze(_id(body, "case"), *_window(body), _f.uint(body, "until_ms"))


def _export(body: Mapping[str, Any]) -> Export:
    from_ms, to_ms = _window(body)
    if from_ms % 1000 or to_ms % 1000:
        raise MessageError("an export begins and ends at a whole second")
    strands = body.get("strands", {})
    if not isinstance(strands, dict) or len(strands) > MAX_STRANDS:
        raise MessageError("strands are a map")
    if not all(_is_octets(name, 16) and _is_octets(key, 32) for name, key in strands.items()):
        raise MessageError("a strand is 16 octets of id and 32 of key")
    recipient = _f.text(body, "recipient", 4_096)
    if not recipient.startswith("age1"):
        raise MessageError("a recipient is an age recipient")
    url = _f.text(body, "upload_url", 2_000) if "upload_url" in body else ""
    return Export(_id(body, "export"), _id(body, "case"), from_ms, to_ms, recipient, url, strands)


def _is_octets(value: object, length: int) -> bool:
    return isinstance(value, bytes) and len(value) == length


_READERS: Final[dict[str, Callable[[Mapping[str, Any]], Command]]] = {
    "freeze": _freeze,
    "thaw": lambda body: Thaw(_id(body, "case")),
    "export": _export,
    "mask": lambda body: SetMask(_f.octets(body, "mask")),
    "configure": lambda body: Configure(_f.octets(body, "settings")),
    "rotate-keys": lambda _: RotateKeys(),
    "restart": lambda _: Restart(),
}
KINDS: Final = frozenset(_READERS)
"""Every kind that we know."""
_KINDS: Final[dict[type[Command], str]] = {
    Freeze: "freeze",
    Thaw: "thaw",
    Export: "export",
    SetMask: "mask",
    Configure: "configure",
    RotateKeys: "rotate-keys",
    Restart: "restart",
}
