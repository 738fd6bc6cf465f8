from server.ingest.open import Refused
from server.ingest.receipts import Signer
from server.ingest.source import Received
from wire import seal, topics
from wire.keys import new_signing_key
from wire.messages import MAX_SETTLED, Receipt

KEY = new_signing_key()
NOW_MS = 1_795_402_800_000


def _refused(sequence: int, *, is_proven: bool = True) -> Refused:
    header = seal.Header("c", "gw", 7, sequence, NOW_MS, b"", bytes(8), "sightings")
    return Refused("revoked", "gw", Received("t", b"", NOW_MS), header if is_proven else None)


def _read(signed: list[tuple[str, bytes]]) -> list[tuple[str, Receipt]]:
    return [(topic, Receipt.decode(seal.verify(data, verifier=KEY.public_key())[1])) for topic, data in signed]


def test_each_detector_and_epoch_gets_one_receipt() -> None:
    keys = [("gw-1", 7, 2), ("gw-1", 7, 1), ("gw-1", 8, 1), ("gw-2", 7, 5)]
    assert _read(Signer("c", KEY).sign(keys, [], NOW_MS)) == [
        (topics.receipts("c", "gw-1"), Receipt(7, (1, 2))),
        (topics.receipts("c", "gw-1"), Receipt(8, (1,))),
        (topics.receipts("c", "gw-2"), Receipt(7, (5,))),
    ]


def test_a_refusal_is_receipted_only_with_proof_of_its_sender() -> None:
    signed = Signer("c", KEY).sign([], [_refused(1), _refused(2, is_proven=False)], NOW_MS)
    assert _read(signed) == [(topics.receipts("c", "gw"), Receipt(7, (), ((1, "revoked"),)))]


def test_what_was_committed_is_never_also_refused() -> None:
    signed = Signer("c", KEY).sign([("gw", 7, 1)], [_refused(1), _refused(2)], NOW_MS)
    assert _read(signed) == [
        (topics.receipts("c", "gw"), Receipt(7, (1,))),
        (topics.receipts("c", "gw"), Receipt(7, (), ((2, "revoked"),))),
    ]


def test_more_than_one_receipt_may_hold_is_split() -> None:
    keys = [("gw", 7, n) for n in range(MAX_SETTLED + 3)]
    assert [len(receipt.accepted) for _, receipt in _read(Signer("c", KEY).sign(keys, [], NOW_MS))] == [MAX_SETTLED, 3]
