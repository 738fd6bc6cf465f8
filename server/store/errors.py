"""What the store raises."""


class StoreError(Exception):
    """The store cannot do what was asked."""


class StaleRosterError(StoreError):
    """The registry has changed since it was read. May be tried again, with the new one."""


class MigrationError(StoreError):
    """The migrations on disk and those in the database do not fit together. Trying again does not help."""


class UnknownDetectorError(StoreError):
    """There is no such detector, or it is revoked. Trying again does not help."""


class ExportExistsError(StoreError):
    """Another export has this id. Trying again does not help: take a new id."""
