"""What a notice says: that there is news, and where to read it. No name, no place, no kind of event, see `Text`.

The functions take nothing personal, so nothing personal can come out. The news itself is read after sign-in.
"""

import json
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

TITLE: Final = "お知らせがあります / There is news"
URGENT_TITLE: Final = "至急ご確認ください / Please look now"
PUSH_BODY: Final = "開いてご確認ください。 / Open to read it."
MAIL_BODY: Final = """\
見守りサービスから新しいお知らせがあります。
下のリンクを開き、サインインしてご確認ください。
{url}

このメールには、お名前や場所は書かれていません。


There is news from the watch-over service.
Open the link below and sign in to read it.
{url}

This mail carries no name and no place.
"""
"""`{url}` is the only thing filled in."""


@dataclass(frozen=True, slots=True)
class Text:
    """Subject and body of a mail."""

    title: str
    body: str


def event_url(public_url: str, event_id: int) -> str:
    """Return where the event is read after sign-in."""
    return f"{public_url.rstrip('/')}/?event={quote(str(event_id))}"


def push_payload(url: str, reference: str, *, is_urgent: bool) -> str:
    """Return the Declarative Web Push message, see https://www.w3.org/TR/push-api/#declarative-push-message.

    Args:
        url: opened by a tap.
        reference: a message with the same one replaces this one on the screen.
        is_urgent: stays on the screen until it is read.
    """
    notification = {
        "title": URGENT_TITLE if is_urgent else TITLE,
        "body": PUSH_BODY,
        "lang": "ja",
        "navigate": url,
        "tag": reference,
        "requireInteraction": is_urgent,
    }
    return json.dumps({"web_push": 8030, "notification": notification}, ensure_ascii=False)


def mail(url: str, *, is_urgent: bool) -> Text:
    """Return the mail, Japanese first."""
    return Text(URGENT_TITLE if is_urgent else TITLE, MAIL_BODY.format(url=url))
