"""libpq connection strings, quoted by libpq's own rules."""

from psycopg import ProgrammingError
from psycopg.conninfo import make_conninfo

from server.errors import ConfigError


def conninfo(url: str, **over: str) -> str:
    """Return `url` (libpq URL or conninfo) with the parameters `over` it; empty ones are left out.

    Raises:
        ConfigError: libpq cannot read `url`.
    """
    try:
        return make_conninfo(url, **{key: value for key, value in over.items() if value})
    except ProgrammingError as error:
        raise ConfigError("database.url: not a libpq URL or conninfo") from error
