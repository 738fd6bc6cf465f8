"""What the store raises."""


class StoreError(Exception):
    """The store cannot do what was asked."""


class MigrationError(StoreError):
    """The migrations on disk and those in the database do not fit together. Trying again does not help."""
