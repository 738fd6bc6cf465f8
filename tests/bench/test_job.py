import importlib
from dataclasses import replace

import numpy as np
import pytest

from bench.core import answer_of
from bench.job import Answer, DisagreementError, Job, Peer, check_same
from bench.world import Size, hear, make, weights

IN_PROCESS = {
    "bench.peers.dicts:Dicts": "numpy",
    "bench.peers.arrays:Arrays": "numpy",
    "bench.peers.polars_frames:Frames": "polars",
    "bench.peers.duckdb_sql:Sql": "duckdb",
}


@pytest.fixture(scope="module")
def job() -> Job:
    world = make(Size(n_tags=2_000, n_active=1_000, n_detectors=300))
    return Job(world, hear(world, 0), weights())


@pytest.fixture(scope="module")
def ours(job: Job) -> Answer:
    return answer_of(job)


def test_the_core_places_every_tag_that_is_heard(job: Job, ours: Answer) -> None:
    assert np.array_equal(ours.tags, np.unique(job.sightings.tags[job.sightings.tags >= 0]))


@pytest.mark.parametrize(("peer", "needs"), IN_PROCESS.items())
def test_a_peer_gives_the_same_answer(job: Job, ours: Answer, peer: str, needs: str) -> None:
    pytest.importorskip(needs, reason="make bench-peers")
    module, _, kind = peer.partition(":")
    with getattr(importlib.import_module(module), kind)(job) as rival:
        entrant: Peer = rival
        assert entrant.run() > 0
        assert check_same(entrant.title, ours, entrant.answer()) < 0.1


def test_a_place_elsewhere_is_a_disagreement(ours: Answer) -> None:
    with pytest.raises(DisagreementError, match="from where we do"):
        check_same("peer", ours, replace(ours, lat_deg=ours.lat_deg + 1e-5))


def test_a_lost_pair_is_a_disagreement(ours: Answer) -> None:
    with pytest.raises(DisagreementError, match="other pairs: 1 of"):
        check_same("peer", ours, replace(ours, pairs=ours.pairs[1:]))


def test_another_time_is_a_disagreement(ours: Answer) -> None:
    with pytest.raises(DisagreementError, match="another time"):
        check_same("peer", ours, replace(ours, heard_at_ms=ours.heard_at_ms + 1))
