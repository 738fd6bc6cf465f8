"""City hall, a police station and three cameras, in a real database."""

from collections.abc import AsyncIterator

import pytest

from server.config import ServerConfig
from tests import casework
from tests.casework import Hall


@pytest.fixture
async def hall(db: ServerConfig) -> AsyncIterator[Hall]:
    async with casework.hall(db) as made:
        yield made
