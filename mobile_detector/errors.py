"""What can go wrong in a volunteer's detector."""


class DetectorError(Exception):
    """Something in the volunteer's detector went wrong."""


class ZoneError(DetectorError):
    """The no-report zones cannot be read or are impossible; nothing is scanned until they can."""


class UploadError(DetectorError):
    """The city did not take a batch; it is kept and tried again."""
