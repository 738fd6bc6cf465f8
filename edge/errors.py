"""What can go wrong at a gateway."""


class EdgeError(Exception):
    """Something at the gateway went wrong."""


class ScanError(EdgeError):
    """The radio does not scan; may be tried again."""


class EnrolError(EdgeError):
    """The gateway has no certificate, and does not get one like this."""


class NotEnrolledError(EnrolError):
    """There is no identity yet: the city's ticket is needed."""

    def __init__(
        self, message: str = "登録されていません。Not enrolled: run `mimamori-edge enrol` with the city's ticket"
    ) -> None:
        super().__init__(message)


class AlreadyEnrolledError(EnrolError):
    """There is an identity, and it is not to be overwritten."""


class RefusedError(EnrolError):
    """The city refuses: trying again with the same does not help."""


class UnreachableError(EnrolError):
    """The city's server is away or busy; may be tried again."""


class ForgedError(EnrolError):
    """What answered is not the city on the ticket, or the answer was changed on its way."""


class WrongClockError(EnrolError):
    """The clock of this machine is wrong; may be tried again when it is right."""


class CaptureError(EdgeError):
    """A capture file is of no kind we read, or is damaged beyond its next packet."""


class ReferenceViewError(EdgeError):
    """The file of a camera's reference view is damaged or none of ours; trying again does not help."""


class SoundError(EdgeError):
    """The sound gate was not approved: no sound may be decoded."""


class CameraError(EdgeError):
    """The camera cannot be used as it is configured or ordered."""


class SourceError(CameraError):
    """There is no picture from the camera; may be tried again."""


class EncodeError(CameraError):
    """No encoder takes the pictures of this camera."""


class SegmentError(CameraError):
    """A segment is damaged, forged or of another strand; trying again does not help."""


class RingError(CameraError):
    """What is asked of the kept footage cannot be done."""


class ExportError(CameraError):
    """An export cannot be made as it is ordered; the message says why and names no footage."""


class CredentialError(CameraError):
    """What the gateway signs with cannot be used: for a C2PA mark, or at all."""


class BringError(CameraError):
    """The city cannot be reached, or takes nothing now; may be tried again."""


class BringRefusedError(CameraError):
    """The city does not take this export; trying again does not help."""


class JournalError(EdgeError):
    """The journal cannot be read or written; may be tried again when the disk is well."""


class JournalFullError(JournalError):
    """The journal or its disk is full: nothing was written, nothing that was in it is hurt."""


class JournalBrokenError(JournalError):
    """The journal's file is damaged: trying again does not help, a new one does."""


class OrderRefusedError(EdgeError):
    """An order is not carried out, and why is known: a handler raises it, the city is told.

    Attributes:
        reason: a short word, as "old-version"; it goes into the log.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)
