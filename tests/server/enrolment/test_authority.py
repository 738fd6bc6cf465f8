import contextlib
import datetime as dt
import socket
import ssl
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

from server.enrolment import profile
from server.enrolment.authority import Authority, is_due, read_request, renew_issuing
from server.enrolment.errors import AuthorityError, CertificateError, RequestError
from server.enrolment.profile import Subject
from server.errors import KeysError
from wire import keys

NOW = dt.datetime(2026, 11, 26, 3, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path / "ca", "machi", now=NOW)


def _gateway(authority: Authority, detector: str = "gw-1", now: dt.datetime = NOW) -> x509.Certificate:
    return authority.issue(profile.gateway(detector), keys.new_signing_key().public_key(), now=now)


def _request(name: str, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | Ed25519PrivateKey) -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    digest = None if isinstance(key, Ed25519PrivateKey) else hashes.SHA256()
    request = x509.CertificateSigningRequestBuilder(subject).sign(key, digest)
    return request.public_bytes(serialization.Encoding.PEM)


def test_a_chain_names_its_gateway(authority: Authority) -> None:
    chain = x509.load_pem_x509_certificates(authority.chain_pem(_gateway(authority)).encode())
    assert authority.verify(chain, now=NOW) == Subject("machi", "gateway", "gw-1")


def test_the_common_name_is_the_detector_alone(authority: Authority) -> None:
    names = _gateway(authority).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert [name.value for name in names] == ["gw-1"]


@pytest.mark.parametrize("later", [-DAY, 31 * DAY])
def test_a_chain_is_good_while_it_is_in_force(authority: Authority, later: dt.timedelta) -> None:
    chain = [_gateway(authority), authority.issuing]
    with pytest.raises(CertificateError):
        authority.verify(chain, now=NOW + later)


def test_another_citys_chain_is_refused(authority: Authority, tmp_path: Path) -> None:
    other = Authority.create(tmp_path / "other", "machi", now=NOW)
    with pytest.raises(CertificateError):
        authority.verify([_gateway(other), other.issuing], now=NOW)


def test_a_chain_of_another_city_under_the_same_root_is_refused(authority: Authority, tmp_path: Path) -> None:
    other = Authority.load(tmp_path / "ca", "mura")
    with pytest.raises(CertificateError):
        authority.verify([_gateway(other), other.issuing], now=NOW)


def test_a_gateway_cannot_issue(authority: Authority) -> None:
    key = keys.new_signing_key()
    own = authority.issue(profile.gateway("gw-1"), key.public_key(), now=NOW)
    forged = Authority("machi", authority.root, own, _KeyOf(key)).issue(
        profile.gateway("gw-2"), keys.new_signing_key().public_key(), now=NOW
    )
    with pytest.raises(CertificateError):
        authority.verify([forged, own, authority.issuing], now=NOW)


class _KeyOf:
    """A signer that is no file's, as a token would be."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key
        self.public_key = key.public_key()

    def sign(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        return builder.sign(self._key, hashes.SHA256())


def test_the_brokers_certificate_is_no_clients(authority: Authority) -> None:
    own = authority.issue(profile.broker(["localhost"]), keys.new_signing_key().public_key(), now=NOW)
    with pytest.raises(CertificateError):
        authority.verify([own, authority.issuing], now=NOW)


def test_no_certificate_outlives_the_issuing_one(authority: Authority) -> None:
    late = authority.issuing.not_valid_after_utc - DAY
    assert _gateway(authority, now=late).not_valid_after_utc == authority.issuing.not_valid_after_utc
    with pytest.raises(AuthorityError):
        _gateway(authority, now=late + 2 * DAY)


def test_a_renewed_issuing_authority_keeps_old_chains_good(authority: Authority, tmp_path: Path) -> None:
    old = [_gateway(authority), authority.issuing]
    offline = (tmp_path / "ca" / "root.key").rename(tmp_path / "root.key")
    with pytest.raises(KeysError):
        renew_issuing(tmp_path / "ca", "machi", now=NOW + DAY)
    renew_issuing(tmp_path / "ca", "machi", now=NOW + DAY, root_key=offline)
    renewed = Authority.load(tmp_path / "ca", "machi")
    assert renewed.fingerprint == authority.fingerprint
    assert renewed.signer.public_key != authority.signer.public_key
    assert renewed.verify(old, now=NOW + DAY).id == "gw-1"
    assert renewed.verify([_gateway(renewed, now=NOW + DAY), renewed.issuing], now=NOW + DAY).id == "gw-1"


def test_a_certificate_is_due_at_two_thirds(authority: Authority) -> None:
    certificate = _gateway(authority)
    assert not is_due(certificate, now=NOW + 19 * DAY)
    assert is_due(certificate, now=NOW + 20 * DAY)


def test_a_cut_between_root_key_and_root_leaves_a_root_that_fits(tmp_path: Path) -> None:
    (tmp_path / "ca").mkdir()
    keys.save_private(tmp_path / "ca" / "root.key", keys.new_signing_key())
    made = Authority.create(tmp_path / "ca", "machi", now=NOW)
    assert made.verify([_gateway(made), made.issuing], now=NOW).id == "gw-1"


def test_files_of_two_authorities_are_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        Authority.create(tmp_path / name, "machi", now=NOW)
    (tmp_path / "a" / "issuing.pem").write_bytes((tmp_path / "b" / "issuing.pem").read_bytes())
    with pytest.raises(KeysError):
        Authority.load(tmp_path / "a", "machi")


def test_a_request_shows_that_its_sender_has_the_key() -> None:
    key = keys.new_signing_key()
    assert read_request(_request("gw-1", key), "gw-1") == key.public_key()


@pytest.mark.parametrize(
    "key",
    [
        rsa.generate_private_key(65537, 2048),
        Ed25519PrivateKey.generate(),
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP256K1()),
    ],
    ids=["rsa", "ed25519", "p384", "secp256k1"],
)
def test_a_request_of_another_kind_of_key_is_refused(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | Ed25519PrivateKey,
) -> None:
    with pytest.raises(RequestError, match="P-256"):
        read_request(_request("gw-1", key), "gw-1")


def test_a_request_for_another_detector_is_refused() -> None:
    with pytest.raises(RequestError, match="another detector"):
        read_request(_request("gw-2", keys.new_signing_key()), "gw-1")


def test_a_request_that_another_key_signed_is_refused() -> None:
    mine, victim = keys.new_signing_key(), keys.new_signing_key()
    request = x509.load_pem_x509_csr(_request("gw-1", mine))
    old, new = (_spki(key) for key in (mine, victim))
    forged = x509.load_der_x509_csr(request.public_bytes(serialization.Encoding.DER).replace(old, new))
    with pytest.raises(RequestError, match="not signed"):
        read_request(forged.public_bytes(serialization.Encoding.DER), "gw-1")


@pytest.mark.parametrize("text", ["", "-----BEGIN CERTIFICATE REQUEST-----\n", "日本語", "\0" * 100])
def test_what_is_no_request_is_refused(text: str) -> None:
    with pytest.raises(RequestError):
        read_request(text.encode(), "gw-1")


def _spki(key: ec.EllipticCurvePrivateKey) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.DER, form)


def test_openssl_takes_both_sides_of_the_broker(tmp_path: Path) -> None:
    """Python's own TLS stands for brokers and gateways in C: it must accept what our authority issues, by name."""
    authority = Authority.create(tmp_path / "ca", "machi", now=dt.datetime.now(dt.UTC))
    (tmp_path / "ca.pem").write_text(authority.ca_pem)
    now = dt.datetime.now(dt.UTC)
    for name, what in (("broker", profile.broker(["localhost"])), ("gw", profile.gateway("gw-1"))):
        key = keys.new_signing_key()
        keys.save_private(tmp_path / f"{name}.key", key)
        (tmp_path / f"{name}.pem").write_text(authority.chain_pem(authority.issue(what, key.public_key(), now=now)))
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(tmp_path / "ca.pem"))
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_cert_chain(tmp_path / "broker.pem", tmp_path / "broker.key")
    client = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    client.load_cert_chain(tmp_path / "gw.pem", tmp_path / "gw.key")
    ours, theirs = socket.socketpair()
    seen: list[object] = []

    def serve() -> None:
        with server.wrap_socket(theirs, server_side=True) as stream:
            seen.append(stream.getpeercert())
            stream.sendall(b"hello")

    thread = threading.Thread(target=serve)
    thread.start()
    with client.wrap_socket(ours, server_hostname="localhost") as stream:
        assert stream.recv(5) == b"hello"
    thread.join()
    assert "('commonName', 'gw-1')" in str(seen[0])


def test_no_flipped_bit_makes_a_request_one_for_another_key_or_an_accident() -> None:
    key = keys.new_signing_key()
    der = x509.load_pem_x509_csr(_request("gw-1", key)).public_bytes(serialization.Encoding.DER)
    for bit in range(8 * len(der)):
        octets = bytearray(der)
        octets[bit // 8] ^= 1 << bit % 8
        with contextlib.suppress(RequestError):
            assert read_request(bytes(octets), "gw-1") == key.public_key()  # of padding that says nothing
