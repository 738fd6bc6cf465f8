"""What the commands share: the configuration's option, and a database for the length of one."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from server import config as configuration
from server.config import ServerConfig
from server.errors import ServerError

ConfigFile = Annotated[
    Path, typer.Option("--config", "-c", help="TOML file; MIMAMORI_SECTION_KEY variables win over it.")
]
DEFAULT = configuration.DEFAULT_FILE


@contextlib.contextmanager
def embedded_database(settings: ServerConfig) -> Iterator[None]:
    """Run the embedded PostgreSQL for the length of a command, unless it runs already or another one is configured.

    Raises:
        ServerError: the database refuses what the block asks.
    """
    from server.embedded.postgres import AlreadyRunningError, Postgres  # noqa: PLC0415 - a command loads what it needs
    from server.store.connection import DatabaseError, said_by  # noqa: PLC0415 - as above

    with contextlib.ExitStack() as stack:
        if not settings.database.url:
            with contextlib.suppress(AlreadyRunningError):
                stack.enter_context(Postgres(settings.state_dir))
        try:
            yield
        except DatabaseError as error:
            raise ServerError(f"the database refuses: {said_by(error)}") from error
