"""What the policies are told of the city's ordinance: the profile's numbers, and what the board has opened by now."""

from __future__ import annotations

from privacy import ordinance
from privacy.ordinance import OrdinanceError, Profile
from privacy.policy.entities import OrdinanceFacts
from server.config import ServerConfig
from server.errors import ConfigError
from server.store import board_gate
from server.store.connection import Connection


def profile_of(config: ServerConfig) -> Profile:
    """Return the profile that the configuration names.

    Raises:
        ConfigError: there is none, or it is wrong.
    """
    try:
        return ordinance.load(config.city.ordinance)
    except OrdinanceError as error:
        raise ConfigError(f"city.ordinance: {error}") from error


async def ordinance_facts(conn: Connection, profile: Profile) -> OrdinanceFacts:
    """Return what the policies are told; `conn` is of the role `warden`, `clerk` or `api`."""
    return profile.facts(gate.id for gate in await board_gate.opened(conn))
