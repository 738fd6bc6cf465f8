import numpy as np
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from server.ingest.gather import gather
from server.ingest.open import Opened
from server.ingest.roster import Detector
from wire import seal
from wire.batch import Batch, Row
from wire.keys import new_signing_key

KEY: ec.EllipticCurvePublicKey = new_signing_key().public_key()
NOW_MS = 1_795_402_800_000

rows = st.builds(
    lambda number, ago_ms, place: Row(
        kind=0,
        id=number.to_bytes(8, "little"),
        sealed=bytes([number]) * 6,
        rssi_best_dbm=-50 - number,
        rssi_mean_dbm=-60 - number,
        count=1 + number,
        first_heard_ms=NOW_MS - ago_ms - 1_000,
        last_heard_ms=NOW_MS - ago_ms,
        lat_deg=place,
        lon_deg=place,
        position_accuracy_m=place,
    ),
    number=st.integers(0, 60),
    ago_ms=st.integers(-3_000, 3_000),
    place=st.none() | st.floats(0, 80),
)
batches = st.tuples(st.lists(rows, max_size=5), st.integers(0, 900), st.integers(-2_000, 2_000))


def _opened(listed: list[Row], index: int, received_ms: int) -> Opened:
    header = seal.Header("c", f"gw-{index}", 7, 1, NOW_MS, bytes(8), bytes(8), "sightings")
    detector = Detector(f"gw-{index}", index, KEY, bytes(8), is_revoked=False)
    return Opened(detector, header, Batch.from_rows(listed), received_ms)


@given(st.lists(batches, max_size=6))
def test_every_row_is_there_in_order_its_times_corrected_and_not_after_its_arrival(
    given_batches: list[tuple[list[Row], int, int]],
) -> None:
    fresh = [_opened(listed, index, NOW_MS + number) for number, (listed, index, _) in enumerate(given_batches)]
    corrections_ms = np.array([correction for *_, correction in given_batches], np.int64)
    found = gather(fresh, corrections_ms, np.abs(corrections_ms))
    at = 0
    for number, (listed, index, correction_ms) in enumerate(given_batches):
        for row in listed:
            assert (found.batches[at], found.detectors[at], found.counts[at]) == (number, index, row.count)
            assert int(found.ids[at]).to_bytes(8, "little") == row.id
            assert found.sealed[at].tobytes() == row.sealed
            assert (found.rssi_best_dbm[at], found.rssi_mean_dbm[at]) == (row.rssi_best_dbm, row.rssi_mean_dbm)
            assert found.last_ms[at] == min(row.last_heard_ms + correction_ms, NOW_MS + number)
            assert found.first_ms[at] == min(row.first_heard_ms + correction_ms, NOW_MS + number)
            assert found.clock_error_ms[at] == abs(correction_ms)
            for column in (found.lat_deg, found.lon_deg, found.accuracy_m):
                assert np.isnan(column[at]) if row.lat_deg is None else np.isclose(column[at], row.lat_deg)
            at += 1
    assert len(found) == at
