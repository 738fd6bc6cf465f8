"""What must hold of whatever the policies allow, for every question and all data: the promises of the ordinance.

Each is proved for every kind of question that it speaks of. Written beside the policies, not out of them: a policy that
is loosened by mistake breaks its property.

Source: docs/ORDINANCE.md.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

import z3

from privacy.proof import conditions
from privacy.proof.conditions import JUDGING, ROLE_OF
from privacy.proof.schema import Environment
from privacy.proof.translate import Translator
from privacy.terms import Action

_SEEING: Final = (Action.VIEW_WARD, Action.VIEW_PLACE, Action.VIEW_TRACK, Action.VIEW_EVENTS, Action.VIEW_LOOK_UPS)
_OF_WARD: Final = (*_SEEING, Action.LOOK_UP_WARD, Action.VIEW_TAG_HISTORY, Action.HOLD_LOOK_UP)
_OPENING: Final = (Action.VIEW_FOOTAGE, Action.DOWNLOAD_FOOTAGE)
_USING: Final = (Action.EXPORT_FOOTAGE, Action.SIGN_UNDERTAKING, *_OPENING)
_DECIDING: Final = (Action.SUBMIT_CASE, Action.RELEASE_EMERGENCY, *JUDGING)
_ALL_OF_CASE: Final = (*_DECIDING, *_USING)


@dataclass(frozen=True, slots=True)
class Property:
    """A promise.

    Attributes:
        name: short, such as "place".
        ja: as a sentence; `en` the same.
        actions: of which it speaks.
        holds: the formula that every allowed question meets.
        askers: types of those who ask of which it speaks; empty: everybody.
    """

    name: str
    ja: str
    en: str
    actions: Collection[Action]
    holds: Callable[[Translator], z3.BoolRef]
    askers: Collection[str] = ()

    def speaks_of(self, environment: Environment) -> bool:
        """Return whether it says something of a kind of question."""
        is_asker = not self.askers or environment.principal in self.askers
        return is_asker and Action(environment.action) in self.actions


_OUTSIDE: Final = ("Guardian", "Watched", "Volunteer", "Officer", "Provider", "BoardMember", "Visitor", "Clerk")
PROPERTIES: Final = (
    Property(
        "place",
        "位置・足あと・できごとは、保護者と本人のほか誰も見られない。",
        "Nobody but guardian and person ever gets a place, a track or an event.",
        _SEEING,
        conditions.place,
    ),
    Property(
        "family-purpose",
        "位置・足あと・できごとは、見守りと自分の記録のためにだけ見られる。",
        "Place, track and events are seen for watching over and one's own record only.",
        _SEEING,
        conditions.purpose_of_family,
    ),
    Property(
        "barred",
        "支援措置の相手方は、どの立場でも何も見られない。",
        "Whoever is barred sees nothing of the person, in whatever role.",
        _OF_WARD,
        conditions.not_barred,
    ),
    Property(
        "tag-history",
        "タグの検知履歴は、当人を名指しした引渡し中の依頼に、三人の承認と、保護者の同意（行方不明）または令状があるときだけ見られる。",
        "Tag history: only the named officer, under a released case naming this person, approved by three, on consent"
        " or warrant.",
        (Action.VIEW_TAG_HISTORY,),
        conditions.tag_history,
    ),
    Property(
        "officer-ward",
        "警察官は、タグの検知履歴のほか、見守られる人の情報を何も得ない。",
        "Of a person watched over, an officer gets nothing but tag history.",
        _OF_WARD,
        conditions.only_tag_history,
        ("Officer",),
    ),
    Property(
        "footage",
        "映像は、登録機関の名指しされた警察官だけが、誓約の後、期限内に、ハッシュが正しく、三人の承認（または期限内・追認済みの緊急決定）が"
        "あるときに開ける。令状もこれを変えない。",
        "Footage: only the named officer of a registered body, in time, after the undertaking, with right hashes,"
        " approved by three or by an emergency release in its hours or ratified; a warrant changes nothing in that.",
        _OPENING,
        conditions.footage,
    ),
    Property(
        "download",
        "閲覧だけの承認では取得できない。",
        "Approved for viewing is not approved for download.",
        (Action.DOWNLOAD_FOOTAGE,),
        lambda t: t.at("resource.mayDownload"),
    ),
    Property(
        "export",
        "映像の書き出しと誓約は、三人の承認または緊急決定の後に限る。",
        "Nothing is exported or signed for before three approved, or an emergency release.",
        (Action.EXPORT_FOOTAGE, Action.SIGN_UNDERTAKING),
        conditions.exported,
    ),
    Property(
        "purposes",
        "依頼の目的は五つに限り、市の条例・審議会の開いた目的・令状のどれかによる。",
        "A case has one of five purposes, by the city's ordinance, an opened gate or a warrant.",
        _ALL_OF_CASE,
        conditions.case_purpose,
    ),
    Property(
        "papers",
        "犯罪と交通事故には照会書と依頼書、行方不明には届出、開示には請求書がある（緊急時は追認まで）。",
        "Crime and traffic have inquiry and request, a missing person a report, a disclosure its request; in an"
        " emergency by ratification.",
        tuple(action for action in _ALL_OF_CASE if action is not Action.RELEASE_EMERGENCY),
        conditions.papers,
    ),
    Property(
        "crime",
        "犯罪には罪名と根拠があり、計画段階なら令状がある。",
        "A crime has its offence and basis; at the planning stage a warrant.",
        _ALL_OF_CASE,
        conditions.crime,
    ),
    Property(
        "basis",
        "目的と根拠の組合せは決まっており、令状には番号と写しがある。",
        "Every purpose has its bases, and a warrant its number and copy.",
        _ALL_OF_CASE,
        conditions.basis,
    ),
    Property(
        "missing",
        "行方不明者の時間帯は最後の確認より条例の時間前からで、類型があり、見つかれば終わる。",
        "A missing person's window starts within the lead time, has a kind, and ends when the person is found.",
        _ALL_OF_CASE,
        conditions.missing,
    ),
    Property(
        "disaster",
        "災害の映像は、宣言が続く間、そのカメラに限る。",
        "Footage of a disaster: in a declared one, of its cameras.",
        _DECIDING,
        conditions.disaster,
    ),
    Property(
        "roles",
        "確認・審査・承認・緊急決定・追認は、それぞれの役割だけが行う。",
        "Each step is taken by its own role.",
        tuple(ROLE_OF),
        conditions.right_role,
    ),
    Property(
        "outsiders",
        "警察・事業者・審議会・家族は、決して決定しない。",
        "Police, providers, the board and families never decide.",
        (*ROLE_OF, Action.REFUSE_CASE, Action.CHANGE_MASK, Action.GO_LIVE, Action.OPEN_GATE, Action.REGISTER_AGENCY),
        conditions.never,
        _OUTSIDE,
    ),
    Property(
        "third",
        "承認者は、確認した者とも審査した者とも別の人である。",
        "Who approves is neither who prepared nor who checked.",
        (Action.APPROVE_CASE,),
        conditions.approved_by_a_third,
    ),
    Property(
        "second",
        "審査した者は、確認した者とは別の人である。",
        "Who checks is not who prepared.",
        (Action.CHECK_CASE,),
        conditions.checked_by_another,
    ),
    Property(
        "ratified",
        "追認は、決めた者とは別の人が、条例の時間内に行う。",
        "Another person ratifies, within the hours of the ordinance.",
        (Action.RATIFY_CASE,),
        conditions.ratified_by_another,
    ),
    Property(
        "emergency",
        "緊急の決定は、生命・身体・財産の目的に限り、一度だけである。",
        "An emergency release is for life, body or property, and once.",
        (Action.RELEASE_EMERGENCY,),
        conditions.emergency_purpose,
    ),
    Property(
        "ceiling",
        "カメラと時間帯は明示され、上限を超えるなら理由がある。",
        "Cameras and window are named; above the ceiling there is a reason.",
        _DECIDING,
        conditions.ceiling,
    ),
    Property(
        "registered",
        "登録されていない機関は何も得ない。",
        "A body that is not registered gets nothing.",
        _ALL_OF_CASE,
        lambda t: t.at("resource.registered"),
    ),
    Property(
        "statistic",
        "公表統計は10人以上で、ノイズがある。",
        "A statistic counts 10 or more, and is noised.",
        (Action.VIEW_STATISTIC,),
        lambda t: z3.And(t.at("resource.k") >= 10, t.at("resource.noised")),
    ),
    Property(
        "audit",
        "監査記録は、審議会だけが読む。",
        "The board alone reads the audit log.",
        (Action.READ_AUDIT,),
        lambda t: z3.BoolVal(t.environment.principal == "BoardMember"),
    ),
    Property(
        "look-up",
        "照会には相談番号と理由があり、事業者は自社の担当だけを見る。",
        "A look-up has reference and reason; a provider sees its own people only.",
        (Action.LOOK_UP_WARD,),
        conditions.look_up,
    ),
    Property(
        "hold",
        "家族への開示を延ばすのは、照会した者とは別の人が、理由と日付を付して行う。",
        "A hold is by somebody else, with a reason and a date.",
        (Action.HOLD_LOOK_UP,),
        conditions.hold,
    ),
    Property(
        "mask", "マスクは三人で変える。", "A mask is changed by three people.", (Action.CHANGE_MASK,), conditions.mask
    ),
    Property(
        "live",
        "マスク・標示・協議・公告のないカメラ、開かれていないセンサは動かない。",
        "No camera goes live without mask and records, nor with a sensor whose gate is closed.",
        (Action.GO_LIVE,),
        conditions.live,
    ),
    Property(
        "gate",
        "新しい目的や機能は、審議会の手続きの後に開く。",
        "A gate opens after the board's opinion, checklist and notice.",
        (Action.OPEN_GATE,),
        conditions.gate,
    ),
    Property(
        "recipient",
        "提供先は法的根拠とともに登録され、新しい種類は審議会を経る。",
        "A recipient is registered with its basis; a new class passes the board.",
        (Action.REGISTER_AGENCY,),
        conditions.recipient,
    ),
    Property(
        "declared",
        "災害の宣言は、カメラを名指しし、条例の時間内に終わる。",
        "A disaster names its cameras and ends in time.",
        (Action.DECLARE_DISASTER,),
        conditions.declared,
    ),
    Property(
        "oneself",
        "自分のアカウントは自分で管理できず、管理責任者かサーバだけが管理する。",
        "Nobody manages their own account; the manager or the server itself manages others'.",
        (Action.MANAGE_ACCOUNT,),
        conditions.another_account,
    ),
    Property(
        "invite",
        "招待は、支援措置の相手方でない世帯の代表者が、パスキーを示して行う。",
        "An owner of the household who is not barred invites, with a passkey just shown.",
        (Action.INVITE_GUARDIAN,),
        conditions.invited,
    ),
    Property(
        "measure",
        "支援措置は、入力した者と別の人が確認し、解除を求めた者と別の人が解除する。市だけが行う。",
        "Another person than who entered a measure confirms it, and another than who asked for its end lifts it.",
        (Action.ENTER_MEASURE, Action.CONFIRM_MEASURE, Action.END_MEASURE),
        conditions.measured,
    ),
)
"""All of them. The table of docs/POLICY.md lists them by their sentences."""
