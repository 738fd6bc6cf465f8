"""The two texts that lie in every export: how to open it and how to check it, in Japanese and in English."""

from typing import Final

from wire.evidence import README_EN, README_JA, Manifest

_JA: Final = """\
見守りカメラ映像の提供
======================
提供番号 {export}  案件 {case}  カメラ {camera}
期間 {from_iso} から {to_iso} の直前まで
映像 {clips} 本、コマ数 {frames}、欠落 {gaps} か所 (manifest.json の gaps)

このファイルについて
  clip-001.mp4 …      映像。録画の前にプライバシーマスクが焼き込まれています。切り出しで画質は変わっていません。
  manifest.json       目録。各映像の SHA-256、一秒ごとの SHA-256、マスクの版、ハッシュ連鎖、欠落とその理由。
  manifest.cose       カメラの機器鍵による署名 (COSE_Sign1, ES256)。
  manifest.tsr        時刻認証局の証明 (RFC 3161)。{stamp_ja}
  certificates.pem    機器の証明書。市の認証局につながります。

開き方
  age -d -i 鍵ファイル {export}.age > {export}.zip

確かめ方
  すべて:   mimamori footage open {export}.age --identity 鍵ファイル --ca 市の認証局.pem
  手作業:   sha256sum clip-001.mp4 を manifest.json の sha256 と比べる。
            openssl ts -verify -data manifest.json -in manifest.tsr -CAfile 時刻認証局.pem

目的外の利用と第三者への提供はできません。期限までに返却または廃棄し、証明書を市に出してください。
"""
_EN: Final = """\
Footage of a watch-over camera
==============================
Export {export}  case {case}  camera {camera}
Window {from_iso} up to {to_iso}
{clips} clips, {frames} pictures, {gaps} gaps (manifest.json, "gaps")

What is here
  clip-001.mp4 …      The footage. The privacy mask was burnt in before it was recorded; cutting changed no picture.
  manifest.json       SHA-256 of each clip and of each second, mask versions, hash chain, gaps and why.
  manifest.cose       Signature by the camera's own key (COSE_Sign1, ES256).
  manifest.tsr        Answer of a time-stamping authority (RFC 3161). {stamp_en}
  certificates.pem    Certificate of the device, up to the city's authority.

How to open it
  age -d -i KEYFILE {export}.age > {export}.zip

How to check it
  All of it:  mimamori footage open {export}.age --identity KEYFILE --ca CITY.pem
  By hand:    compare sha256sum clip-001.mp4 with "sha256" in manifest.json;
              openssl ts -verify -data manifest.json -in manifest.tsr -CAfile AUTHORITY.pem

It may be used for the stated purpose only and handed to nobody else. Return or destroy it by the due date and send
the city the certificate.
"""


def texts(manifest: Manifest) -> dict[str, bytes]:
    """Return the texts by the names of their members."""
    window = manifest.window_iso
    facts = {
        "export": manifest.export,
        "case": manifest.case,
        "camera": manifest.camera,
        "from_iso": window[0],
        "to_iso": window[1],
        "clips": len(manifest.parts),
        "frames": sum(part.frames for part in manifest.parts),
        "gaps": len(manifest.gaps),
        "stamp_ja": manifest.authority or f"今回はありません ({manifest.no_timestamp})。",
        "stamp_en": manifest.authority or f"There is none: {manifest.no_timestamp}.",
    }
    return {README_JA: _JA.format(**facts).encode(), README_EN: _EN.format(**facts).encode()}
