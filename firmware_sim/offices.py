"""Who works for and around the synthetic town: agencies and desks, by their office and never by a person's name."""

from typing import Any, Final

AGENCIES: Final[tuple[dict[str, Any], ...]] = (
    {
        "id": "police-mimamori",
        "kind": "police",
        "name_ja": "みまもり警察署",
        "name_en": "Mimamori Police Station",
        "legal_basis": "刑事訴訟法197条2項、行方不明者発見活動に関する規則",
    },
    {
        "id": "provider-tags",
        "kind": "provider",
        "name_ja": "みまもりタグ事業者",
        "name_en": "Mimamori tag provider",
        "legal_basis": "市との見守りサービス協定",
    },
)
ACCOUNTS: Final[tuple[dict[str, Any], ...]] = (
    {
        "id": "officer-1",
        "role": "officer",
        "agency": "police-mimamori",
        "name_ja": "みまもり警察署 生活安全課 担当",
        "name_en": "Mimamori Police, community safety desk",
    },
    {
        "id": "handler-1",
        "role": "handler",
        "name_ja": "市民安全課 取扱者",
        "name_en": "City safety division, handler",
    },
    {
        "id": "supervisor-1",
        "role": "supervisor",
        "name_ja": "市民安全課 取扱責任者",
        "name_en": "City safety division, supervisor",
    },
    {
        "id": "manager-1",
        "role": "manager",
        "name_ja": "市民安全課 管理責任者",
        "name_en": "City safety division, manager",
    },
    {
        "id": "provider-1",
        "role": "provider",
        "agency": "provider-tags",
        "name_ja": "みまもりタグ事業者 窓口",
        "name_en": "Mimamori tag provider, help desk",
    },
    {
        "id": "board-1",
        "role": "board",
        "name_ja": "見守り審議会 委員",
        "name_en": "Oversight board, member",
    },
)
"""One of each kind. They sign in by passkey, which each makes with an enrolment card."""
