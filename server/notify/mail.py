"""Mail to one guardian, through whatever service the city names as an Apprise URL."""

import logging
import re
import warnings
from typing import Final
from urllib.parse import quote

import apprise

from server.notify.outcome import SENT, Outcome, Result
from server.notify.texts import Text

REFERENCE_HEADER: Final = "X-Mimamori-Notice"
"""The same in a mail that was sent again because a crash hid whether the first one went out."""
_ADDRESS: Final = re.compile(r"[A-Za-z0-9._%+/=~^!#$*'-]{1,64}@[A-Za-z0-9.-]{1,253}", re.ASCII)
"""One address; Apprise would take a comma or a blank for the start of another."""
logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)  # it logs addresses; what matters comes back as an Outcome


class MailSender:
    """Sends mails one by one; each has one recipient, who sees no other. Safe to use from several threads.

    Args:
        url: Apprise URL; `{to}` is replaced by the address. "" = the city has no mail service.

    Raises:
        ValueError: Apprise knows no such service.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        if url:
            _load(self._addressed("probe@example.jp", ""))

    def send(self, address: str, text: Text, reference: str) -> Outcome:
        """Return whether the mail service took the mail; blocks until it did or did not."""
        if not self._url:
            return Outcome(Result.REFUSED, "no-service")
        if not _ADDRESS.fullmatch(address):
            return Outcome(Result.REFUSED, "address")
        sender = apprise.Apprise()
        if not sender.add(self._addressed(address, reference)):
            return Outcome(Result.REFUSED, "url")
        is_taken = sender.notify(title=text.title, body=text.body, body_format=apprise.NotifyFormat.TEXT)
        return SENT if is_taken else Outcome(Result.RETRY, "not-taken")

    def _addressed(self, address: str, reference: str) -> str:
        url = self._url.replace("{to}", quote(address, safe=""))
        if not url.startswith(("mailto:", "mailtos:")):
            return url
        # Auto-Submitted keeps out-of-office robots from answering, RFC 3834 section 5.
        headers = f"+{REFERENCE_HEADER}={reference}&+Auto-Submitted=auto-generated"
        return f"{url}{'&' if '?' in url else '?'}{headers}"


def _load(url: str) -> None:
    """Load Apprise's services now, in one thread, and see whether they know `url`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Apprise's own imports
        if not apprise.Apprise().add(url):
            raise ValueError("Apprise knows no such service")
