"""Who the gateway is: the city's keys, its own, and its certificate. Of a key nothing is ever shown."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from edge import identity
from edge.config import EdgeConfig
from edge.doctor.finding import Finding, fail, warn
from wire import keys
from wire.errors import WireError

NAME: Final = "identity"
SOON_DAYS: Final = 7
_DAY_MS: Final = 86_400_000


def check(config: EdgeConfig, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> list[Finding]:
    """Return how the files are that the gateway proves itself with."""
    return [_city(config), _signing_key(config), *_modes(config), *_certificate(config, now_ms())]


def _city(config: EdgeConfig) -> Finding:
    try:
        bundle = keys.CityBundle.load(config.keys.city_file)
    except (WireError, OSError):
        return fail(NAME, "市の鍵ファイルが読めません", "the city file cannot be read").to_do(
            "keys.city_fileにcity.jsonを置いてください", "put city.json where keys.city_file says"
        )
    if bundle.city != config.city:
        return fail(NAME, "別の市の鍵ファイルです", "the city file is of another city").to_do(
            "cityとcity.jsonを合わせてください", "let city and city.json name the same city"
        )
    if bundle.order_key is None or bundle.footage_key is None:
        return warn(NAME, "市の鍵に指示・映像用がありません", "the city file has no key for orders or footage").to_do(
            "カメラを使うなら新しいcity.jsonを受け取ってください", "for a camera, get a newer city.json"
        )
    return Finding.ok(NAME, "市の鍵は正常です", "the city's keys are in place")


def _signing_key(config: EdgeConfig) -> Finding:
    try:
        keys.load_signing_key(config.keys.signing_key_file)
    except (WireError, OSError):
        return fail(NAME, "署名鍵が読めません", "the signing key cannot be read").to_do(
            "所有者を確認するか、登録し直してください", "check its owner, or enrol again"
        )
    return Finding.ok(NAME, "署名鍵は正常です", "the signing key is in place")


def _modes(config: EdgeConfig) -> list[Finding]:
    broker = config.broker
    files = (str(config.keys.signing_key_file), broker.certificate_key_file, broker.password_file)
    found = []
    for file in dict.fromkeys(name for name in files if name):
        try:
            is_private = identity.is_private(Path(file))
        except OSError:
            found.append(
                fail(NAME, f"{file} がありません", f"{file} is missing").to_do("登録し直してください", "enrol again")
            )
            continue
        if not is_private:
            found.append(
                fail(NAME, f"{file} を他人が読めます", f"others may read {file}").to_do(
                    f"chmod 600 {file} のあと、鍵を替えてください", f"chmod 600 {file}, then have the key replaced"
                )
            )
    return found


def _certificate(config: EdgeConfig, now_ms: int) -> list[Finding]:
    file = config.broker.certificate_file
    if not file:
        if not config.broker.is_tls:
            return []
        return [
            warn(NAME, "機器の証明書が設定されていません", "no certificate of this gateway is configured").to_do(
                "mimamori-edge enrol で登録してください", "enrol with mimamori-edge enrol"
            )
        ]
    certificate = identity.first_certificate(Path(file))
    if certificate is None:
        return [
            fail(NAME, "機器の証明書が読めません", "this gateway's certificate cannot be read").to_do(
                "登録し直してください", "enrol again"
            )
        ]
    if not _belongs(certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo), config):
        return [
            fail(NAME, "証明書と鍵が対になっていません", "certificate and key do not belong together").to_do(
                "登録し直してください", "enrol again"
            )
        ]
    return [judge_days((identity.until_ms(certificate) - now_ms) // _DAY_MS)]


def _belongs(public: bytes, config: EdgeConfig) -> bool:
    file = Path(config.broker.certificate_key_file or config.broker.certificate_file)
    try:
        key = load_pem_private_key(file.read_bytes(), None)
    except (OSError, ValueError, TypeError):
        return False
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) == public


def judge_days(days: int) -> Finding:
    """Return what so many days left of a certificate mean; below 0 it has ended."""
    if days < 0:
        return fail(NAME, "機器の証明書の期限が切れました", "this gateway's certificate has ended").to_do(
            "時計を確認し、登録し直してください", "check the clock, then enrol again"
        )
    if days < SOON_DAYS:
        return warn(NAME, f"機器の証明書は残り{days}日です", f"this gateway's certificate ends in {days} days").to_do(
            "自動更新されていません。brokerの項目を直してください",
            "it should have renewed itself: mend what the broker check says",
        )
    return Finding.ok(NAME, f"機器の証明書は残り{days}日", f"this gateway's certificate is good for {days} days")
