"""What can go wrong in the simulator and is told to its user."""


class SimulationError(Exception):
    """The simulator cannot do what it was asked to. Trying again will not help."""


class RecordingError(SimulationError):
    """The recording cannot be written as asked."""


class TownFileError(SimulationError):
    """The directory does not hold a town that `mimamori-sim town` wrote."""


class FeedError(SimulationError):
    """The street cannot be written or served as asked."""
