"""What is wrong with what somebody wants to record of the city's duties."""

from __future__ import annotations

from server.errors import ServerError


class DutyError(ServerError):
    """This cannot be recorded."""


class UnknownCameraError(DutyError):
    """このカメラはありません。There is no such camera, or it is revoked."""


class UnknownAccountError(DutyError):
    """このアカウントはありません。There is no such account, or it is disabled."""


class NotLiveError(DutyError):
    """A camera is not live, so nothing is ordered of it.

    Attributes:
        missing: what is not on record.
    """

    def __init__(self, detector: str, missing: tuple[str, ...]) -> None:
        lacking = ", ".join(missing) or "go-live"
        super().__init__(f"{detector}: 運用開始の前です。足りないもの: {lacking}。Not live yet; missing: {lacking}")
        self.missing = missing


class MaskChangeError(DutyError):
    """この変更はありません。There is no such change of a mask, or it is at another step."""


class ShutGateError(DutyError):
    """The board has not opened this.

    Attributes:
        gate: which.
    """

    def __init__(self, gate: str) -> None:
        super().__init__(f"{gate}: 審議会の手続きを経ていません。The board has not opened {gate}")
        self.gate = gate
