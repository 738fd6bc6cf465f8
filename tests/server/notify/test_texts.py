import json
import string

import pytest

from server.notify import texts


def test_the_only_thing_filled_in_is_the_address_of_the_page() -> None:
    filled = {field for _, field, _, _ in string.Formatter().parse(texts.MAIL_BODY) if field}
    assert filled == {"url"}
    for fixed in (texts.TITLE, texts.URGENT_TITLE, texts.PUSH_BODY):
        assert "{" not in fixed


def test_the_address_says_nothing_but_the_number_of_the_event() -> None:
    assert texts.event_url("https://city.example.jp/", 17) == "https://city.example.jp/?event=17"


@pytest.mark.parametrize("is_urgent", [True, False])
def test_a_push_is_declarative_and_replaces_the_one_before(is_urgent: bool) -> None:  # noqa: FBT001
    message = json.loads(texts.push_payload("https://c/?event=1", "ref", is_urgent=is_urgent))
    assert message["web_push"] == 8030
    assert message["notification"]["navigate"] == "https://c/?event=1"
    assert message["notification"]["tag"] == "ref"
    assert message["notification"]["requireInteraction"] is is_urgent
    assert len(texts.push_payload("https://c/?event=1", "r" * 32, is_urgent=is_urgent).encode()) < 1000


def test_a_mail_speaks_japanese_first() -> None:
    mail = texts.mail("https://c/?event=1", is_urgent=False)
    assert mail.body.index("お知らせ") < mail.body.index("There is news")
    assert mail.body.count("https://c/?event=1") == 2
    assert mail.title.startswith("お知らせ")
