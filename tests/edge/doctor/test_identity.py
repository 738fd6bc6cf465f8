import dataclasses
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from edge.doctor import identity
from wire import keys


def told(config: Any, now_ms: int = 0) -> list[tuple[str, str]]:
    return [(finding.verdict, finding.en) for finding in identity.check(config, lambda: now_ms)]


def test_keys_in_place_are_fine_and_a_city_without_camera_keys_is_said(gateway: Any, city: Any) -> None:
    config = gateway()
    assert told(config) == [
        ("warn", "the city file has no key for orders or footage"),
        ("ok", "the signing key is in place"),
    ]
    signer, footage = keys.new_signing_key().public_key(), X25519PrivateKey.generate().public_key()
    dataclasses.replace(city.bundle, order_key=signer, footage_key=footage).save(config.keys.city_file)
    assert [verdict for verdict, _ in told(config)] == ["ok", "ok"]


def test_a_key_that_others_may_read_or_that_is_none_fails(gateway: Any) -> None:
    config = gateway()
    file = Path(config.keys.signing_key_file)
    file.chmod(0o640)
    assert told(config)[-1] == ("fail", f"others may read {file}")
    file.write_text("no key")
    assert ("fail", "the signing key cannot be read") in told(config)
    file.unlink()
    assert told(config)[-1] == ("fail", f"{file} is missing")


def test_a_city_file_of_another_city_fails(gateway: Any) -> None:
    assert told(dataclasses.replace(gateway(), city="elsewhere"))[0] == ("fail", "the city file is of another city")


@pytest.mark.parametrize(("days", "verdict"), [(-1, "fail"), (0, "warn"), (6, "warn"), (7, "ok"), (30, "ok")])
def test_the_days_left_of_a_certificate_are_judged(days: int, verdict: str) -> None:
    assert identity.judge_days(days).verdict == verdict


def test_a_certificate_is_read_with_its_key(gateway: Any, authority: Any) -> None:
    certificate, key = authority.issue("gw-1", days=20)
    _, other = authority.issue("gw-2")
    config = gateway()

    def of(key_file: Path, certificate_file: Path = certificate) -> Any:
        files = {"certificate_file": str(certificate_file), "certificate_key_file": str(key_file)}
        broker = dataclasses.replace(config.broker, url="mqtts://127.0.0.1:1", **files)
        return dataclasses.replace(config, broker=broker)

    ends_at = x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc
    now_ms = round(ends_at.timestamp() * 1000) - 20 * 86_400_000 - 1
    assert told(of(key), now_ms)[-1] == ("ok", "this gateway's certificate is good for 20 days")
    assert told(of(key), now_ms + 21 * 86_400_000)[-1] == ("fail", "this gateway's certificate has ended")
    assert told(of(other), now_ms)[-1] == ("fail", "certificate and key do not belong together")
    assert told(of(key, key), now_ms)[-1] == ("fail", "this gateway's certificate cannot be read")
    assert told(of(key, Path("/nowhere")), now_ms)[-1] == ("fail", "this gateway's certificate cannot be read")
