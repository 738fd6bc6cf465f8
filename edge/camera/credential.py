"""C2PA marks (Content Credentials): each clip says which camera took it and that its mask was burnt in before.

The mark is made with the key and certificate of the gateway; no server is asked for anything.
"""

import datetime as dt
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import c2pa
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from edge.camera.cut import Clip, memory_file
from edge.errors import CredentialError
from wire.orders import Export

FORMAT: Final = "video/mp4"
_CAPTURE: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"
# Which extended key usages may sign: e-mail protection, document signing (RFC 9336), C2PA's own.
_USAGES: Final = "1.3.6.1.5.5.7.3.4\n1.3.6.1.5.5.7.3.36\n1.3.6.1.4.1.62558.2.1\n"
SETTINGS: Final[Mapping[str, Any]] = {
    "trust": {"trust_config": _USAGES},
    "verify": {"ocsp_fetch": False, "remote_manifest_fetch": False},
}


@dataclass(frozen=True, slots=True)
class Device:
    """The gateway as it signs.

    Attributes:
        city: id.
        camera: id of the gateway.
        key: of its certificate.
        chain_pem: its certificate, then those up to the city's root, PEM.
        software: name and version.
    """

    city: str
    camera: str
    key: ec.EllipticCurvePrivateKey = field(repr=False)
    chain_pem: bytes
    software: str

    def check(self, at_ms: int) -> None:
        """Return if what is signed at a time can be verified: the certificate is of the key, and in force.

        Raises:
            CredentialError: it is not, as for a moment when keys are rotated, or when no renewal came through.
        """
        try:
            leaf = x509.load_pem_x509_certificates(self.chain_pem)[0]
        except ValueError as error:
            raise CredentialError("the certificate of the gateway cannot be read") from error
        if leaf.public_key() != self.key.public_key():
            raise CredentialError("the certificate is of another key")
        at = dt.datetime.fromtimestamp(at_ms / 1000, dt.UTC)
        if not leaf.not_valid_before_utc <= at <= leaf.not_valid_after_utc:
            raise CredentialError("the certificate is not in force")


def mark(clip: Clip, name: str, order: Export, device: Device) -> io.BufferedRandom:
    """Return the clip with its mark, in memory, at its start; `clip.file` is left open.

    Raises:
        CredentialError: the certificate may not sign, or the clip cannot carry a mark.
    """
    target = memory_file("marked")
    try:
        with c2pa.Context.from_dict(dict(SETTINGS)) as context, _signer(device) as signer:
            builder = c2pa.Builder(json.dumps(_claim(clip, name, order, device)), context=context)
            with builder:
                builder.sign(signer, FORMAT, clip.file, target)
    except (c2pa.C2paError, ValueError) as error:
        target.close()
        raise CredentialError(f"no C2PA mark: {str(error).splitlines()[0][:100]}") from error
    target.seek(0)
    return target


def _signer(device: Device) -> c2pa.Signer:
    def sign(data: bytes) -> bytes:
        return device.key.sign(data, ec.ECDSA(hashes.SHA256()))

    return c2pa.Signer.from_callback(sign, c2pa.C2paSigningAlg.ES256, device.chain_pem.decode("ascii"), None)


def _claim(clip: Clip, name: str, order: Export, device: Device) -> dict[str, Any]:
    program, _, version = device.software.partition(" ")
    masks = " ".join(f"v{number}" for number in clip.mask_versions)
    actions = [
        {"action": "c2pa.created", "digitalSourceType": _CAPTURE},
        {
            "action": "c2pa.edited",
            "parameters": {"description": f"privacy mask {masks} burnt in before recording"},
        },
    ]
    footage = {"export": order.export, "camera": device.camera, "from_ms": clip.from_ms, "to_ms": clip.to_ms}
    return {
        "claim_generator_info": [{"name": program, "version": version or "0"}],
        "title": f"{order.export} {name}",
        "format": FORMAT,
        "assertions": [
            {"label": "c2pa.actions", "data": {"actions": actions}},
            {"label": "jp.mimamori.footage", "data": footage},
        ],
    }
