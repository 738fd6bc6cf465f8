"""The notify process: a desk for push, a desk for mail, and an ear for what ingest commits.

A notice goes pending → sending → sent. A process that dies between the two leaves `sending`, and the notice comes up
again when its lease is over, with the same reference, so that phones replace what they show instead of showing another.
"""

import asyncio
import logging
import random
from collections.abc import Sequence

from server.config import ServerConfig
from server.errors import ConfigError
from server.exposition import exposed
from server.notify import texts
from server.notify.desk import Desk, Pace, Send
from server.notify.mail import MailSender
from server.notify.metrics import NotifyMetrics
from server.notify.outcome import Backoff, Outcome, Result
from server.notify.push import PushMessage, PushSender, Subscription
from server.push_services import is_loopback
from server.store.notices import ERRORS, DueNotice, NoticeStore

log = logging.getLogger(__name__)

PUSH_PACE = Pace(at_once=6, backoff=Backoff(first_s=1.0, most_s=120.0, tries=10))
MAIL_PACE = Pace(at_once=3, backoff=Backoff(first_s=2.0, most_s=600.0, tries=14))


async def run(config: ServerConfig, *, push_pace: Pace = PUSH_PACE, mail_pace: Pace = MAIL_PACE) -> None:
    """Send notices until cancelled.

    Args:
        config: the server's.
        push_pace: how eagerly, for Web Push.
        mail_pace: for mail.

    Raises:
        ConfigError: no VAPID key, or a mail URL that Apprise does not understand.
    """
    metrics = NotifyMetrics()
    push = _push_sender(config)
    mail = _mail_sender(config)
    if not config.notify.mail_url:
        log.warning("mail.unconfigured")
    sends: tuple[tuple[str, Send, Pace], ...] = (
        ("push", push_send(push, config.http.public_url), push_pace),
        ("mail", mail_send(mail, push, config.http.public_url), mail_pace),
    )
    dsn = config.dsn("notify")
    desks = [Desk(channel, send, dsn, config.clock, metrics, pace=pace) for channel, send, pace in sends]
    with exposed(metrics.registry, config.notify.metrics_port):
        log.info("notify.started")
        async with asyncio.TaskGroup() as group:
            for desk in desks:
                group.create_task(desk.run())
            group.create_task(_hear(dsn, desks))


def push_send(sender: PushSender, public_url: str) -> Send:
    """Return what the push desk does with one notice."""

    def send(notice: DueNotice) -> Outcome:
        if not (notice.endpoint and notice.p256dh and notice.auth):
            return Outcome(Result.REFUSED, "unsubscribed")
        reference = sender.reference(notice.event_id, notice.target)
        url = texts.event_url(public_url, notice.event_id)
        payload = texts.push_payload(url, reference, is_urgent=notice.is_urgent)
        subscription = Subscription(notice.endpoint, notice.p256dh, notice.auth)
        return sender.send(subscription, PushMessage(payload, reference, notice.is_urgent))

    return send


def mail_send(sender: MailSender, references: PushSender, public_url: str) -> Send:
    """Return what the mail desk does with one notice; references are made with the city's key, as for push."""

    def send(notice: DueNotice) -> Outcome:
        if not notice.email:
            return Outcome(Result.REFUSED, "no-address")
        text = texts.mail(texts.event_url(public_url, notice.event_id), is_urgent=notice.is_urgent)
        return sender.send(notice.email, text, references.reference(notice.event_id, f"mail/{notice.email}"))

    return send


def _push_sender(config: ServerConfig) -> PushSender:
    key_file = config.keys_dir / "vapid.pem"
    try:
        return PushSender(key_file, config.notify.vapid_subject, allow_loopback=is_loopback(config.http.public_url))
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"{key_file}: no VAPID key. Run `mimamori init`.") from error


def _mail_sender(config: ServerConfig) -> MailSender:
    try:
        return MailSender(config.notify.mail_url)
    except ValueError as error:
        raise ConfigError(f"notify.mail_url: {error}") from error


async def _hear(dsn: str, desks: Sequence[Desk]) -> None:
    """Wake the desks for every event; deaf while the database is away, when they look by themselves."""
    while True:
        try:
            store = await NoticeStore.connect(dsn)
            try:
                async for _ in store.events():
                    for desk in desks:
                        desk.wake.set()
            finally:
                await store.close()
        except ERRORS as error:
            log.warning("listen.broke", extra={"reason": type(error).__name__})
        await asyncio.sleep(random.uniform(0.5, 2.0))  # noqa: S311 - spreads reconnections, protects nothing
