"""A published day as CSV and GeoJSON, with how it was made in the file itself.

Source: RFC 7946 (GeoJSON); JIS X 0410; デジタル庁「自治体標準オープンデータセット」 for the form of the sheet.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from privacy.anonymity import PARTS, Cell, corners
from server.store.statistic import ReleaseRow

LICENCE: Final = "CC BY 4.0"
LICENCE_URL: Final = "https://creativecommons.org/licenses/by/4.0/deed.ja"
_BOM: Final = b"\xef\xbb\xbf"


def metadata(row: ReleaseRow, city: tuple[str, str]) -> dict[str, object]:
    """Return what is to be known of a day's numbers, and why some are missing.

    Args:
        row: what was published.
        city: name in Japanese and English.
    """
    rule = row.rule
    parts_ja = "、".join(f"{begin}時から{end}時" for begin, end in PARTS)
    parts_en = ", ".join(f"{begin:02}:00-{end:02}:00" for begin, end in PARTS)
    return {
        "day": row.day.isoformat(),
        "hours": list(row.hours),
        "publisher_ja": city[0],
        "publisher_en": city[1],
        "licence": LICENCE,
        "licence_url": LICENCE_URL,
        "published_at": datetime.fromtimestamp(row.published_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "k": rule.k,
        "epsilon": rule.epsilon,
        "delta": rule.delta,
        "threshold": row.threshold,
        "cells_a_day": rule.cells_a_day,
        "released": row.released,
        "suppressed": row.suppressed,
        "method_ja": (
            f"見守りタグを持つ人の数を、基準地域メッシュ(JIS X 0410、約1km)と1時間ごとに数えました。"
            f"1人は1日のうち {parts_ja} にそれぞれ1回だけ、最初に検知された場所で数えます。夜間は数えません。"
            f"各数に離散ラプラス雑音(尺度 {rule.scale:g})を加え、実際の人数が{rule.k}人以上で、"
            f"雑音を加えた数が{row.threshold}以上のます目だけを公表しています。1日分は1回だけ公表し、直しません。"
        ),
        "method_en": (
            f"People with a tag, by third-level mesh (JIS X 0410, about 1 km) and hour. A person is counted once in "
            f"each of {parts_en}, where they are first heard; nights are not counted. Discrete Laplace noise of scale "
            f"{rule.scale:g} is added to each count; a cell is shown only if at least {rule.k} people were there and "
            f"the count with noise is at least {row.threshold}. A day is published once and never revised."
        ),
        "sources_ja": "見守りタグの検知記録(封をする前の2時間以内に集計)、固定検知器のあるメッシュのみ",
        "sources_en": "sightings of tags, counted within two hours, before they are sealed; only where detectors are",
        "reason_ja": "" if row.released else REASON_JA,
        "reason_en": "" if row.released else REASON_EN,
    }


REASON_JA: Final = "人数が少なく、個人を守れないため、この日の数は公表しません。"
REASON_EN: Final = "Too few people to protect each of them: nothing of this day is published."


def csv_of(row: ReleaseRow, cells: Mapping[Cell, int]) -> bytes:
    """Return the sheet of a day; the same day gives the same octets. Its headings say how the numbers were made."""
    rule = row.rule
    told = f"k={rule.k}以上・ε={rule.epsilon:g}・δ={rule.delta:g}・公表の下限{row.threshold}"
    heads = (
        "年月日",
        "時",
        "メッシュコード",
        "南端緯度",
        "西端経度",
        "北端緯度",
        "東端経度",
        f"人数(雑音付き、{told})",
        "利用条件",
    )
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(heads)
    for cell, people in sorted(cells.items(), key=_order):
        edges = (f"{degrees:.6f}" for degrees in corners(cell.mesh))
        writer.writerow((row.day.isoformat(), cell.hour, cell.mesh, *edges, people, LICENCE))
    return _BOM + text.getvalue().encode()


def geojson_of(row: ReleaseRow, cells: Mapping[Cell, int], city: tuple[str, str]) -> bytes:
    """Return the meshes of a day as a map; the same day gives the same octets."""
    features = [_feature(cell, people) for cell, people in sorted(cells.items(), key=_order)]
    body = {"type": "FeatureCollection", "metadata": metadata(row, city), "features": features}
    return (json.dumps(body, ensure_ascii=False, sort_keys=True) + "\n").encode()


def _order(item: tuple[Cell, int]) -> tuple[int, int]:
    return item[0].hour, item[0].mesh


def _feature(cell: Cell, people: int) -> dict[str, object]:
    south, west, north, east = (round(degrees, 6) for degrees in corners(cell.mesh))
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {
        "type": "Feature",
        "properties": {"mesh": str(cell.mesh), "hour": cell.hour, "people": people},
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }
