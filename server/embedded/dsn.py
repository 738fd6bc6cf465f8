"""libpq connection strings, quoted by libpq's own rules."""

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict, make_conninfo

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


def database_of(url: str) -> str:
    """Return the name of the database that `url` leads to, by libpq's rules: the user's when it says none.

    Raises:
        ConfigError: libpq cannot read `url`, or it says neither.
    """
    said = conninfo_to_dict(conninfo(url))
    name = said.get("dbname") or said.get("user")
    if not name:
        raise ConfigError("database.url: says neither a database nor a user")
    return str(name)
