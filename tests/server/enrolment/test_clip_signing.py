import datetime as dt
import io
import json
from pathlib import Path
from typing import Any

import c2pa
import cv2
import numpy as np
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from server.enrolment import profile
from server.enrolment.authority import Authority
from wire import keys

CAPTURED = {
    "action": "c2pa.created",
    "digitalSourceType": "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture",
}
CLAIM = {
    "claim_generator_info": [{"name": "mimamori", "version": "1"}],
    "title": "picture",
    "assertions": [{"label": "c2pa.actions", "data": {"actions": [CAPTURED]}}],
}


def _signed(chain_pem: str, key: ec.EllipticCurvePrivateKey) -> bytes:
    def sign(data: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    picture = cv2.imencode(".jpg", np.zeros((16, 16, 3), np.uint8))[1].tobytes()
    out = io.BytesIO()
    signer = c2pa.Signer.from_callback(sign, c2pa.C2paSigningAlg.ES256, chain_pem, None)
    c2pa.Builder(CLAIM).sign(signer, "image/jpeg", io.BytesIO(picture), out)
    return out.getvalue()


def _read(signed: bytes, anchors: str) -> dict[str, Any]:
    settings = c2pa.Settings.from_dict({"trust": {"trust_anchors": anchors}, "verify": {"verify_trust": True}})
    reader = c2pa.Reader("image/jpeg", io.BytesIO(signed), context=c2pa.Context(settings))
    said: dict[str, Any] = json.loads(reader.json())
    return said


def test_a_gateways_certificate_signs_what_c2pa_trusts_under_the_citys_root(tmp_path: Path) -> None:
    now = dt.datetime.now(dt.UTC)
    authority, other = (Authority.create(tmp_path / name, "machi", now=now) for name in ("ca", "other"))
    key = keys.new_signing_key()
    chain = authority.chain_pem(authority.issue(profile.gateway("gw-1"), key.public_key(), now=now))
    signed = _signed(chain, key)
    assert _read(signed, authority.ca_pem)["validation_state"] == "Trusted"
    assert _read(signed, other.ca_pem)["validation_state"] == "Valid"


def test_c2pa_refuses_a_certificate_that_is_for_the_broker_alone(tmp_path: Path) -> None:
    now = dt.datetime.now(dt.UTC)
    authority, key = Authority.create(tmp_path / "ca", "machi", now=now), keys.new_signing_key()
    chain = authority.chain_pem(authority.issue(profile.service("api"), key.public_key(), now=now))
    with pytest.raises(c2pa.C2paError):
        _signed(chain, key)
