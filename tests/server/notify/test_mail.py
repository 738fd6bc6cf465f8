import asyncio
from typing import Any

import pytest

from server.notify.mail import MailSender
from server.notify.outcome import SENT, Outcome, Result
from server.notify.texts import mail

TEXT = mail("https://c/?event=1", is_urgent=False)


def _url(family: Any) -> str:
    return f"mailto://127.0.0.1:{family.smtp_port}?from=mimamori@example.jp&to={{to}}&mode=insecure&format=text"


async def test_one_mail_goes_to_one_address_with_its_reference(family: Any) -> None:
    sender = MailSender(_url(family))
    for address in ("g1@example.jp", "g2@example.jp"):
        assert await asyncio.to_thread(sender.send, address, TEXT, "ref-1") == SENT
    assert [(n.guardian, n.reference) for n in family.kept] == [("g-001", "ref-1"), ("g-002", "ref-1")]
    assert TEXT.title in family.kept[0].content
    assert "https://c/?event=1" in family.kept[0].content


async def test_a_refusing_or_absent_server_is_tried_again(family: Any) -> None:
    family.mail.refuse = 1
    assert await asyncio.to_thread(MailSender(_url(family)).send, "g1@example.jp", TEXT, "r") == Outcome(
        Result.RETRY, "not-taken"
    )
    nobody = MailSender("mailto://127.0.0.1:1?from=a@example.jp&to={to}&mode=insecure")
    assert await asyncio.to_thread(nobody.send, "g1@example.jp", TEXT, "r") == Outcome(Result.RETRY, "not-taken")


def test_without_a_service_no_mail_is_promised() -> None:
    assert MailSender("").send("g1@example.jp", TEXT, "r") == Outcome(Result.REFUSED, "no-service")


@pytest.mark.parametrize(
    "address",
    ["a@example.jp,b@example.jp", "a@example.jp b@example.jp", "a@example.jp&to=b@example.jp", "a@x.jp?cc=b@x.jp", "a"],
)
def test_an_address_cannot_smuggle_in_another(address: str) -> None:
    sender = MailSender("mailto://127.0.0.1:1?from=a@example.jp&to={to}&mode=insecure")
    assert sender.send(address, TEXT, "r") == Outcome(Result.REFUSED, "address")


async def test_an_address_with_a_tag_arrives_as_it_is(family: Any) -> None:
    family.mail.guardians = {"g1+mimamori=x%y@example.jp": "g-001"}
    outcome = await asyncio.to_thread(MailSender(_url(family)).send, "g1+mimamori=x%y@example.jp", TEXT, "r")
    assert outcome == SENT
    assert [n.guardian for n in family.kept] == ["g-001"]


async def test_addresses_do_not_reach_the_log(family: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    family.mail.refuse = 1
    await asyncio.to_thread(MailSender(_url(family)).send, "g1@example.jp", TEXT, "r")
    assert "g1@example.jp" not in " ".join(str(vars(r)) for r in caplog.records if not r.name.startswith("mail.log"))
