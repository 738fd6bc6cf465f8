"""`mimamori`: all programs of the server behind one command."""

import sys

from server.cli import app
from server.errors import ServerError
from server.store.errors import StoreError
from wire.errors import WireError


def main() -> None:
    """Run the command line; what is wrong with the surroundings is one line on stderr and exit code 2, no traceback.

    An OSError is the surroundings too: no space, no permission, a file where a directory should be.
    """
    try:
        app()
    except (ServerError, StoreError, WireError, OSError) as error:
        print(f"mimamori: {error}", file=sys.stderr)  # noqa: T201 - the command's own last word
        sys.exit(2)


if __name__ == "__main__":
    main()
