from collections.abc import Callable
from typing import Any

import psycopg

from server.api.townmap import TownMap
from server.config import ServerConfig


async def test_a_new_public_place_is_a_landmark_though_the_map_is_the_same(
    town: ServerConfig, sql: Callable[..., list[tuple[Any, ...]]]
) -> None:
    town_map = TownMap(town.city.id, fresh_s=0.0)
    async with await psycopg.AsyncConnection.connect(town.dsn("api"), autocommit=True) as conn:
        before = await town_map.now(conn)
        sql("INSERT INTO place VALUES ('hall', 'mimamori', '公民館', 'Hall', 'hall', 34.76, 134.84, 20, NULL)")
        after = await town_map.now(conn)
    assert {mark.name_en for mark in after.landmarks} - {mark.name_en for mark in before.landmarks} == {"Hall"}
    assert (after.etag, after.geojson) == (before.etag, before.geojson)
