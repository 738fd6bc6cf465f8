"""What can go wrong at a gateway."""


class EdgeError(Exception):
    """Something at the gateway went wrong."""


class ScanError(EdgeError):
    """The radio does not scan; may be tried again."""


class CaptureError(EdgeError):
    """A capture file is of no kind we read, or is damaged beyond its next packet."""


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
