import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire import topics
from wire.errors import TopicError

IDS = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
MAKERS = {
    "sightings": topics.sightings,
    "heartbeat": topics.heartbeat,
    "receipts": topics.receipts,
    "orders": topics.orders,
}


@given(IDS, IDS, st.sampled_from(sorted(MAKERS)))
def test_a_topic_taken_apart_is_what_it_was_made_of(city: str, detector: str, leaf: str) -> None:
    assert topics.parse(MAKERS[leaf](city, detector)) == topics.Topic(city, detector, leaf)


@given(st.text())
def test_any_text_is_a_topic_or_a_topic_error(text: str) -> None:
    try:
        parsed = topics.parse(text)
    except TopicError:
        return
    assert MAKERS[parsed.leaf](parsed.city, parsed.detector) == text


@pytest.mark.parametrize("name", ["", "a/b", "+", "#", "ä", "a" * 65, "a b", "a\n", "$SYS", "٣"])
def test_an_id_that_would_break_a_topic_is_refused(name: str) -> None:
    with pytest.raises(TopicError):
        topics.sightings("mimamori", name)
    with pytest.raises(TopicError):
        topics.heartbeat(name, "gw-001")


@pytest.mark.parametrize(
    "topic",
    ["mimamori/2/c/d/orders", "x/mimamori/1/c/d/orders", "mimamori/1/c/d", "mimamori/1/c/d/e/orders",
     "mimamori/1/c/d/x", "mimamori/1/c//orders", "/mimamori/1/c/d/orders"],
)  # fmt: skip
def test_a_foreign_topic_is_refused(topic: str) -> None:
    with pytest.raises(TopicError):
        topics.parse(topic)


def test_a_filter_covers_one_city_or_all() -> None:
    assert topics.city_filter("mimamori", "receipts") == "mimamori/1/mimamori/+/receipts"
    assert topics.sightings("C", "D").replace("C", "+").replace("D", "+") == topics.ALL_SIGHTINGS
    with pytest.raises(TopicError):
        topics.city_filter("mimamori", "batches")


@pytest.mark.parametrize("leaf", list(MAKERS))
def test_a_leaf_names_the_same_topic_as_its_function(leaf: str) -> None:
    assert topics.of("mimamori", "gw-001", leaf) == MAKERS[leaf]("mimamori", "gw-001")
    with pytest.raises(TopicError):
        topics.of("mimamori", "gw-001", "batches")


def test_a_topic_and_a_filter_have_a_spelling_in_nats() -> None:
    assert topics.subject(topics.orders("mimamori", "gw-001")) == "mimamori.1.mimamori.gw-001.orders"
    assert topics.subject(topics.city_filter("mimamori", "reports")) == "mimamori.1.mimamori.*.reports"
