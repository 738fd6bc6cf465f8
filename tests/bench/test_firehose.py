from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from bench.crowd import BUCKET_MS, CITY, CROWD, FOREIGN, ROWS, START_MS, Plan, Timetable, Town
from bench.firehose import EPOCH, Firehose, Press, Spool
from wire import batch, eid, keys, seal, status
from wire.keys import CityBundle

TOWN = Town(n_tags=96, n_detectors=6)
SEAL_KEY = X25519PrivateKey.generate()
CITY_BUNDLE = CityBundle(CITY, SEAL_KEY.public_key(), keys.new_signing_key().public_key())


@pytest.fixture
def press() -> Press:
    return Press(TOWN, CITY_BUNDLE)


@pytest.fixture
def plan() -> Plan:
    return Timetable(TOWN).draw(60, rows_per_s=50_000, speed=20)


def test_every_frame_is_what_its_tag_sends_at_that_moment(press: Press) -> None:
    heard = press.frames(crowd=1, bucket=START_MS // BUCKET_MS + 200)
    assert len(heard.ids) == ROWS - FOREIGN
    for row in range(0, len(heard.ids), 7):
        tag = CROWD + row % CROWD
        beacon_s = int(heard.at_ms[row] - TOWN.offsets_ms[tag]) // 1000
        key, name = TOWN.identity_keys[tag].tobytes(), int(heard.ids[row]).to_bytes(8, "little")
        assert name == eid.derive(key, 10, beacon_s)
        told = status.open_(status.StatusKeys.of(key), name, heard.sealed[row].tobytes())
        assert told.step == status.step_of(beacon_s)


def test_a_batch_opens_and_holds_one_bucket(press: Press, plan: Plan) -> None:
    columns = (column[:3].tolist() for column in (plan.detectors, plan.sequences, plan.due_ms))
    sealed = list(press.batches(int(plan.visits[0]), *columns))
    assert len(sealed) == 3
    public = TOWN.detector_key(int(plan.detectors[1])).public_key()
    header, payload = seal.unseal(sealed[1], verifier=public, recipient=SEAL_KEY)
    heard = batch.decode(payload)
    assert (header.epoch, header.sequence, header.sealed_at_ms) == (EPOCH, plan.sequences[1], plan.due_ms[1])
    assert len(heard) == ROWS
    assert np.unique(heard.last_heard_ms // BUCKET_MS).tolist() == [int(plan.due_ms[0]) // BUCKET_MS - 1]
    assert np.all(np.diff(heard.last_heard_ms) >= 0)


def test_all_hear_the_same_frames_and_foreign_ones_of_their_own(press: Press, plan: Plan) -> None:
    columns = (column[:3].tolist() for column in (plan.detectors, plan.sequences, plan.due_ms))
    ids = []
    for detector, sealed in zip(plan.detectors[:3].tolist(), press.batches(0, *columns), strict=True):
        public = TOWN.detector_key(detector).public_key()
        ids.append(set(batch.decode(seal.unseal(sealed, verifier=public, recipient=SEAL_KEY)[1]).ids.tolist()))
    assert len(ids[0] & ids[1] & ids[2]) >= CROWD
    assert len(ids[0] - ids[1] - ids[2]) == FOREIGN


def test_a_spool_gives_back_every_batch_in_order(plan: Plan, tmp_path: Path) -> None:
    CITY_BUNDLE.save(tmp_path / "city.json")
    with Firehose(TOWN, tmp_path / "city.json") as hose:
        hose.spool(plan, tmp_path / "spool")
    spool = Spool.load(tmp_path / "spool")
    assert len(spool.starts) == len(plan) + 1
    assert spool.starts[-1] == len(spool.payloads)
    for number, (start, stop) in enumerate(zip(spool.starts, spool.starts[1:], strict=False)):
        header = seal.peek(spool.payloads[start:stop])
        assert (header.detector, header.sequence) == (f"gw-{plan.detectors[number]:06d}", plan.sequences[number])
