"""The closed lists of the ordinance: who asks, for what purpose, on what basis, to do what. Nothing else exists.

Values are stable: they stand in the database, in the policies and in the log.

Source: docs/ORDINANCE.md, rules 1 to 6; 個人情報保護法 69条, 刑事訴訟法 197条2項.
"""

from enum import StrEnum


class Role(StrEnum):
    """What an account is, and who asks without one."""

    GUARDIAN = "guardian"
    WATCHED = "watched"
    VOLUNTEER = "volunteer"
    OFFICER = "officer"  # police, or another body that may receive footage
    HANDLER = "handler"  # 取扱者
    SUPERVISOR = "supervisor"  # 取扱責任者
    MANAGER = "manager"  # 管理責任者
    PROVIDER = "provider"
    BOARD = "board"
    PUBLIC = "public"
    CLERK = "clerk"  # the system itself, when a time is up


CITY_ROLES = (Role.HANDLER, Role.SUPERVISOR, Role.MANAGER)
"""取扱者, 取扱責任者, 管理責任者: none of them twice in one case."""


class Purpose(StrEnum):
    """What for. General monitoring does not exist."""

    FAMILY_WATCH = "family_watch"
    OWN_RECORD = "own_record"  # who looked at me, and what is kept of me
    ACCOUNT_CARE = "account_care"  # accounts, households, protective measures
    FAMILY_SUPPORT = "family_support"  # a family asks city hall or its provider for help with tag or account
    CRIME = "crime"  # P1: a crime that has occurred
    MISSING_PERSON = "missing_person"  # P2
    TRAFFIC_ACCIDENT = "traffic_accident"  # P3: its cause
    DISASTER = "disaster"  # P4: damage check and review
    SUBJECT_DISCLOSURE = "subject_disclosure"  # P5: to the person filmed
    CASE_WORK = "case_work"  # city hall prepares, checks and approves
    DEVICE_MAINTENANCE = "device_maintenance"
    BOARD_REVIEW = "board_review"
    OPEN_STATISTICS = "open_statistics"


CASE_PURPOSES = (
    Purpose.CRIME,
    Purpose.MISSING_PERSON,
    Purpose.TRAFFIC_ACCIDENT,
    Purpose.DISASTER,
    Purpose.SUBJECT_DISCLOSURE,
)
"""P1 to P5: for what footage may be asked."""


class Basis(StrEnum):
    """By what law."""

    GUARDIANSHIP = "guardianship"
    CONSENT = "consent"  # of the guardian or the person
    INQUIRY = "inquiry"  # 捜査関係事項照会書, 刑訴法197条2項
    WARRANT = "warrant"  # 令状, basis W
    ARTICLE_69 = "article_69"  # 個人情報保護法69条
    ARTICLE_76 = "article_76"  # 個人情報保護法76条: disclosure to the person
    ORDINANCE = "ordinance"


class Action(StrEnum):
    """What is asked to be done."""

    # of a ward
    VIEW_WARD = "viewWard"
    VIEW_PLACE = "viewPlace"
    VIEW_TRACK = "viewTrack"
    VIEW_EVENTS = "viewEvents"
    VIEW_LOOK_UPS = "viewLookUps"
    LOOK_UP_WARD = "lookUpWard"
    VIEW_TAG_HISTORY = "viewTagHistory"
    HOLD_LOOK_UP = "holdLookUp"
    # of a case of footage
    SUBMIT_CASE = "submitCase"
    VIEW_CASE = "viewCase"
    PREPARE_CASE = "prepareCase"
    CHECK_CASE = "checkCase"
    APPROVE_CASE = "approveCase"
    REFUSE_CASE = "refuseCase"
    WITHDRAW_CASE = "withdrawCase"
    RELEASE_EMERGENCY = "releaseEmergency"
    RATIFY_CASE = "ratifyCase"
    END_CASE = "endCase"  # found; undecided for too long; all returned
    EXPORT_FOOTAGE = "exportFootage"
    SIGN_UNDERTAKING = "signUndertaking"
    VIEW_FOOTAGE = "viewFootage"
    DOWNLOAD_FOOTAGE = "downloadFootage"
    CERTIFY_RETURN = "certifyReturn"
    EXTEND_RETURN = "extendReturn"
    ANSWER_FEEDBACK = "answerFeedback"
    # of the city's cameras and rules
    CHANGE_MASK = "changeMask"
    GO_LIVE = "goLive"
    OPEN_GATE = "openGate"  # of a new purpose, sensor, AI function, recipient class
    REGISTER_AGENCY = "registerAgency"
    DECLARE_DISASTER = "declareDisaster"
    VIEW_DEVICES = "viewDevices"
    # of accounts
    MANAGE_ACCOUNT = "manageAccount"  # add, disable, hand out a card, link an identity
    INVITE_GUARDIAN = "inviteGuardian"
    ENTER_MEASURE = "enterMeasure"  # DV等支援措置: bar an account from a ward
    CONFIRM_MEASURE = "confirmMeasure"
    END_MEASURE = "endMeasure"
    # of the record
    READ_AUDIT = "readAudit"
    VIEW_REPORT = "viewReport"
    VIEW_STATISTIC = "viewStatistic"
    VIEW_RECEIPTS = "viewReceipts"
