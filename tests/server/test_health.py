from server.attention import Call, Reason
from server.health import Health

CALL = Call("gw-1", "正門", "Gate", Reason.HOT, "温度が81度です", "81 degrees Celsius")


def test_gateways_that_need_somebody_are_listed_in_both_languages_and_take_nothing_from_the_servers_health() -> None:
    report = Health({"api": True}, None, {"online": 2}, [CALL, CALL])
    text = report.as_text()
    assert "対応が必要なゲートウェイ 1台。Gateways that need somebody" in text
    assert "gw-1         正門: 温度が81度です。81 degrees Celsius" in text
    assert (
        report.as_json()["attention"]
        == [
            {
                "detector": "gw-1",
                "label_ja": "正門",
                "label_en": "Gate",
                "reason": "hot",
                "ja": "温度が81度です",
                "en": "81 degrees Celsius",
            }
        ]
        * 2
    )


def test_without_such_gateways_nothing_is_said_of_them() -> None:
    assert "somebody" not in Health({"api": True}, None, {}).as_text()
