"""What can be told of the files that a gateway proves itself with, without ever showing a key."""

import json
import stat
from pathlib import Path

from cryptography import x509


def certificate_until_ms(file: Path) -> int | None:
    """Return when the first certificate of a PEM file ends, Unix milliseconds; None if there is none to be read."""
    certificate = first_certificate(file)
    return None if certificate is None else until_ms(certificate)


def until_ms(certificate: x509.Certificate) -> int:
    """Return when a certificate ends, Unix milliseconds."""
    return round(certificate.not_valid_after_utc.timestamp() * 1000)


def first_certificate(file: Path) -> x509.Certificate | None:
    """Return the first certificate of a PEM file; None if there is none to be read."""
    try:
        return x509.load_pem_x509_certificates(file.read_bytes())[0]
    except (OSError, ValueError, x509.InvalidVersion):
        return None


def addresses(state_dir: Path) -> tuple[str, str]:
    """Return the URLs of the city's server and broker that enrolment wrote down, "" where it did not."""
    try:
        table = json.loads((state_dir / "identity" / "addresses.json").read_text(encoding="utf-8"))
        return str(table["server_url"]), str(table["broker_url"])
    except (OSError, ValueError, KeyError, TypeError):
        return "", ""


def is_private(file: Path) -> bool:
    """Return whether nobody but its owner may read or write a file.

    Raises:
        OSError: there is no such file.
    """
    return not stat.S_IMODE(file.stat().st_mode) & 0o077
