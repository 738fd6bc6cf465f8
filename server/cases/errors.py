"""What the services of cases raise."""

from dataclasses import dataclass

from server.errors import ServerError


class CaseError(ServerError):
    """Something about a case cannot be done."""


class UnknownCaseError(CaseError):
    """There is no such case, or it is not the asker's to see: both are answered alike."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with an input.

    Attributes:
        where: name of the field.
        what: a short word for programs.
        ja: for people.
        en: the same.
    """

    where: str
    what: str
    ja: str
    en: str


class CaseInputError(CaseError):
    """What was sent does not fit; nothing was written.

    Attributes:
        faults: all that is wrong.
    """

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("; ".join(f"{fault.where}: {fault.what}" for fault in faults))
        self.faults = faults


class PaperTypeError(CaseError):
    """It is neither a PDF nor a picture that we take."""


class PaperSizeError(CaseError):
    """It is too large."""


class CopyMissingError(CaseError):
    """The city's copy is not here, or is not what it was."""
