"""What everybody sees without a session: cameras, the town, the policies."""

import httpx
import psycopg
import pytest
from fastapi import FastAPI

from privacy.policy.source import PolicyTexts
from server.api.open import use_of
from server.config import ServerConfig
from tests.server.api.conftest import GEOJSON

pytestmark = pytest.mark.db
LIVE = """
WITH entry AS (INSERT INTO audit_entry (body) VALUES ('\\x7b7d') RETURNING id)
INSERT INTO camera_live (detector_id, purposes, live_at, entry_id)
SELECT 'gw-1', '{crime}', '2026-11-01 09:00+09', id FROM entry
"""


@pytest.fixture
def camera(town: ServerConfig) -> None:
    """Two cameras, of which one is live."""
    with psycopg.connect(town.dsn(), autocommit=True) as conn:
        for name in ("gw-1", "gw-2"):
            conn.execute(
                """INSERT INTO detector (id, city_id, kind, label_ja, label_en, lat_deg, lon_deg, public_key)
                   VALUES (%s, 'mimamori', 'fixed', '駅前', 'Station', 34.76, 134.84, '\\x01')""",
                (name,),
            )
        # As if four records and an approved mask were there: how a camera goes live is tested elsewhere.
        conn.execute("SET session_replication_role = replica")
        conn.execute(LIVE.encode())


async def _get(app: FastAPI, path: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=app.state.url, timeout=20) as client:
        answer = await client.get(f"/api/v1/open{path}")
    assert "set-cookie" not in answer.headers
    return answer


@pytest.mark.usefixtures("camera")
async def test_cameras_that_are_live_are_shown_and_others_are_not(app: FastAPI) -> None:
    answer = (await _get(app, "/cameras")).json()
    assert [(one["id"], one["purposes"], one["used"]) for one in answer["cameras"]] == [("gw-1", ["crime"], "under_3")]
    assert (answer["city"]["name_ja"], answer["tz"]) == ("みまもり市", "Asia/Tokyo")


async def test_the_town_is_the_same_for_everybody(app: FastAPI) -> None:
    answer = await _get(app, "/map")
    assert (answer.text, answer.headers["cache-control"]) == (GEOJSON, "public, max-age=60")


async def test_the_policies_are_those_that_decide(app: FastAPI) -> None:
    answer, texts = (await _get(app, "/policies")).json(), PolicyTexts.read()
    assert answer["digest"] == texts.digest
    assert [one["id"] for one in answer["policies"]] == [policy.reason.policy for policy in texts.policies]


@pytest.mark.parametrize(
    ("count", "step"),
    [(0, "under_3"), (2, "under_3"), (3, "3_to_9"), (9, "3_to_9"), (10, "10_to_29"), (29, "10_to_29"), (30, "from_30")],
)
def test_one_request_is_not_told_from_none(count: int, step: str) -> None:
    assert use_of(count) == step
