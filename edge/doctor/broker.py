"""The way to the city, step by step: name, connection, TLS and certificate, sign-in, own topics."""

import asyncio
import socket
import ssl
import time
from collections.abc import Callable
from typing import Final

import aiomqtt

from edge.config import BrokerConfig, EdgeConfig
from edge.doctor.finding import Finding, fail, warn
from edge.uplink import password, tls_context
from wire import topics

NAME: Final = "broker"
ANSWER_S: Final = 8.0
SOON_DAYS: Final = 14
REFUSED: Final = 128
_DAY_S: Final = 86_400


async def check(config: EdgeConfig) -> list[Finding]:
    """Return how far the way to the city goes; what comes after the first gap is not tried."""
    broker = config.broker
    host, port = broker.parts.hostname or "", broker.port
    found: list[Finding] = []
    for step in (_resolve, _connect, _secure):
        finding = await step(broker, host, port)
        found.append(finding)
        if finding.verdict == "fail":
            return found
    return [*found, *await _sign_in(config)]


async def _resolve(_: BrokerConfig, host: str, port: int) -> Finding:
    try:
        async with asyncio.timeout(ANSWER_S):
            await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError):
        return fail(NAME, f"{host}の名前解決ができません", f"the name {host} cannot be resolved").to_do(
            "DNSと回線を確認してください(resolvectl status)", "check DNS and the line (resolvectl status)"
        )
    return Finding.ok(NAME, "名前解決できました", "the name resolves")


async def _connect(_: BrokerConfig, host: str, port: int) -> Finding:
    try:
        async with asyncio.timeout(ANSWER_S):
            _reader, writer = await asyncio.open_connection(host, port)
        writer.close()
    except (OSError, TimeoutError):
        return fail(NAME, f"{host}:{port}に接続できません", f"no connection to {host}:{port}").to_do(
            "回線、ファイアウォール、ポートを確認してください", "check line, firewall and port"
        )
    return Finding.ok(NAME, f"ポート{port}に接続できました", f"port {port} answers")


async def _secure(broker: BrokerConfig, host: str, port: int) -> Finding:
    if not broker.is_tls:
        if host in ("localhost", "127.0.0.1", "::1"):
            return Finding.ok(NAME, "同じ機械のため暗号化なし", "not encrypted, on this very machine")
        return warn(NAME, "接続が暗号化されていません", "the connection is not encrypted").to_do(
            "broker.urlをmqtts://にしてください", "use mqtts:// in broker.url"
        )
    try:
        context = tls_context(broker)
    except (OSError, ssl.SSLError):
        return fail(NAME, "証明書か鍵のファイルが読めません", "a certificate or key file cannot be read").to_do(
            "broker.ca_file、certificate_file、certificate_key_fileを確認してください",
            "check broker.ca_file, certificate_file and certificate_key_file",
        )
    try:
        async with asyncio.timeout(ANSWER_S):
            _reader, writer = await asyncio.open_connection(host, port, ssl=context)
        shown = writer.get_extra_info("peercert") or {}
        writer.close()
    except ssl.SSLCertVerificationError as error:
        return _untrusted(error.verify_message)
    except (OSError, TimeoutError):
        return fail(NAME, "TLSが確立できません", "TLS cannot be established").to_do(
            "ポートがTLSのものか、機器の証明書が有効か確認してください",
            "check that the port is the one for TLS and that this gateway's certificate is in force",
        )
    return judge_server(str(shown.get("notAfter", "")), time.time)


def _untrusted(why: str) -> Finding:
    return fail(
        NAME, f"サーバの証明書を信頼できません({why})", f"the server's certificate is not trusted ({why})"
    ).to_do(
        "時計を合わせ、broker.ca_fileを市の認証局にしてください",
        "set the clock; broker.ca_file must be the city's authority",
    )


def judge_server(not_after: str, now_s: Callable[[], float]) -> Finding:
    """Return how long the server's certificate goes on; `not_after` as Python's ssl gives it."""
    days = int((ssl.cert_time_to_seconds(not_after) - now_s()) // _DAY_S) if not_after else 0
    if days < SOON_DAYS:
        return warn(
            NAME, f"サーバの証明書の期限まで{days}日です", f"the server's certificate ends in {days} days"
        ).to_do("市の担当者に更新を頼んでください", "ask the city to renew it")
    return Finding.ok(
        NAME, f"TLSは有効、サーバ証明書は残り{days}日", f"TLS works, server certificate good for {days} days"
    )


async def _sign_in(config: EdgeConfig) -> list[Finding]:
    """Connect under the gateway's own id: a running gateway is put off for a second and comes back by itself."""
    broker = config.broker
    own = (topics.receipts(config.city, config.detector), topics.orders(config.city, config.detector))
    try:
        async with aiomqtt.Client(
            hostname=broker.parts.hostname or "",
            port=broker.port,
            identifier=config.detector,
            username=broker.username or None,
            password=password(broker.password_file),
            clean_session=True,
            timeout=ANSWER_S,
            tls_context=tls_context(broker) if broker.is_tls else None,
        ) as client:
            codes = [(await client.subscribe(topic, qos=0))[0] for topic in own]
    except (aiomqtt.MqttError, OSError):
        return [
            fail(NAME, "MQTTの接続が拒まれました", "the broker refuses the sign-in").to_do(
                "機器が登録済みで失効していないか、証明書とIDが合うか確認してください",
                "check that this gateway is enrolled and not revoked, and that certificate and id belong together",
            )
        ]
    signed_in = Finding.ok(NAME, "MQTTで接続できました", "the broker lets this gateway in")
    if any((code if isinstance(code, int) else code.value) >= REFUSED for code in codes):
        return [
            signed_in,
            fail(NAME, "自分のトピックを購読できません", "own topics may not be subscribed").to_do(
                "cityとdetectorが登録と同じか確認してください", "check that city and detector are those of the registry"
            ),
        ]
    return [signed_in, Finding.ok(NAME, "自分のトピックを使えます", "own topics are granted")]
