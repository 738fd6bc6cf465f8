"""The words of reports and ledgers in both languages."""

from __future__ import annotations

from typing import Final

from server.reports.tables import Text

NOTHING: Final = Text("", "")
REST: Final = Text("その他(少数のため合算)", "Others (merged, few)")
TOTAL: Final = Text("合計", "Total")
UNKNOWN: Final = Text("記録なし", "Not recorded")
COUNT: Final = Text("件数", "Count")
WITHHELD: Final = Text("非公表", "Withheld")

PURPOSES: Final = {
    "crime": Text("発生した犯罪の捜査", "A crime that has occurred"),
    "missing_person": Text("行方不明者の捜索", "Missing person"),
    "traffic_accident": Text("交通事故の原因の究明", "Cause of a traffic accident"),
    "disaster": Text("災害の被害確認と検証", "Disaster damage check and review"),
    "subject_disclosure": Text("本人への開示", "Disclosure to the person filmed"),
    "family_support": Text("家族の支援", "Support of a family"),
    "case_work": Text("市の審査事務", "Case work of city hall"),
    "device_maintenance": Text("機器の保守", "Device maintenance"),
}
BASES: Final = {
    "consent": Text("同意", "Consent"),
    "inquiry": Text("捜査関係事項照会書(刑訴法197条2項)", "Inquiry (Code of Criminal Procedure 197-2)"),
    "warrant": Text("令状", "Warrant"),
    "article_69": Text("個人情報保護法69条", "Personal Information Protection Act 69"),
    "article_76": Text("個人情報保護法76条", "Personal Information Protection Act 76"),
    "ordinance": Text("条例", "Ordinance"),
}
ROLES: Final = {
    "guardian": Text("保護者", "Guardian"),
    "watched": Text("見守られる人", "Watched person"),
    "volunteer": Text("協力者", "Volunteer"),
    "officer": Text("警察官など", "Officer"),
    "handler": Text("取扱者", "Handler"),
    "supervisor": Text("取扱責任者", "Supervisor"),
    "manager": Text("管理責任者", "Manager"),
    "provider": Text("タグ事業者", "Tag provider"),
    "board": Text("審査会", "Board"),
    "public": Text("市民", "Public"),
    "clerk": Text("システム", "System"),
}
OUTCOMES: Final = {
    "released": Text("提供した", "Provided"),
    "case.refused": Text("提供しないと決めた", "Refused by city hall"),
    "case.withdrawn": Text("取り下げ", "Withdrawn"),
    "case.found": Text("発見により終了", "Ended: person found"),
    "case.lapsed": Text("期限内に決まらず失効", "Lapsed undecided"),
    "revoked": Text("提供前に取り消し", "Revoked before release"),
    "open": Text("審査中・準備中", "Under way"),
}
FEEDBACK: Final = {
    "used": Text("役に立った", "Used"),
    "not_used": Text("使わなかった", "Not used"),
    "not_relevant": Text("関係がなかった", "Not relevant"),
    "": Text("回答なし", "No answer"),
}


RULES: Final = {
    "R01": Text("目的の限定", "Closed list of purposes"),
    "R02": Text("照会書と誓約書", "Inquiry and undertaking for a crime"),
    "R03": Text("計画段階の犯罪には令状", "A warrant for an offence at the planning stage"),
    "R04": Text("令状による提供", "Provision on a warrant"),
    "R05": Text("行方不明者の要件", "Conditions of a missing person"),
    "R06": Text("三者の分離", "Three roles, none held twice"),
    "R07": Text("承認のない閲覧の禁止", "No opening without approval"),
    "R08": Text("台数と時間の上限", "Ceiling of cameras and hours"),
    "R09": Text("緊急の提供", "Emergency"),
    "R10": Text("申請時の保全", "Freeze at submission"),
    "R11": Text("保存期限", "Retention"),
    "R12": Text("複製の期限", "Life of copies"),
    "R13": Text("提供の範囲", "Bounds of a release"),
    "R14": Text("提供物の同一性", "Hash of what is released"),
    "R15": Text("プライバシーマスク", "Privacy mask"),
    "R16": Text("誓約", "Undertaking"),
    "R17": Text("返却・廃棄", "Return and destruction"),
    "R18": Text("提供先の登録", "Registered recipient bodies"),
    "R19": Text("改ざんできない記録", "Log that cannot be bent"),
    "R20": Text("設置の要件", "Conditions of going live"),
    "R21": Text("運用状況の公表", "Yearly report"),
    "R22": Text("活用状況の回答", "Feedback"),
    "R23": Text("新しい利用の審査", "Board before anything new"),
    "R24": Text("タグの記録の分離", "Tag data apart from footage"),
    "R25": Text("照会の目的限定", "Look-ups bound to a purpose"),
    "other": Text("許す規則がない、または家族の閲覧の規則", "Nothing permits it, or a rule of families' own views"),
}
"""Short titles of the rules, by the first letters of their policies' ids."""


def named(words: dict[str, Text], key: str) -> Text:
    """Return the words for a value of the log; a value without words stands for itself, none for 記録なし."""
    return words.get(key) or (Text(key, key) if key else UNKNOWN)
