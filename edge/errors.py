"""What can go wrong at a gateway."""


class EdgeError(Exception):
    """Something at the gateway went wrong."""


class ScanError(EdgeError):
    """The radio does not scan; may be tried again."""


class CaptureError(EdgeError):
    """A capture file is of no kind we read, or is damaged beyond its next packet."""
