import pytest

from server.push_services import is_push_service


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://fcm.googleapis.com/fcm/send/x",
        "https://updates.push.services.mozilla.com/wpush/v2/x",
        "https://web.push.apple.com/x",
        "https://wns2-par02p.notify.windows.com/w/?token=x",
        "https://web.push.apple.com:443/x",
    ],
)
def test_the_browsers_services_may_be_called(endpoint: str) -> None:
    assert is_push_service(endpoint, allow_loopback=False)


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://fcm.googleapis.com/x",
        "https://evilfcm.googleapis.com.example/x",
        "https://notpush.apple.com/x",
        "https://user@fcm.googleapis.com/x",
        "https://fcm.googleapis.com:8443/x",
        "https://10.0.0.1/x",
        "https://intranet.city.example/x",
        "http://127.0.0.1/x",
        "http://[::1/x",
        "https://fcm.googleapis.com:x/",
        "",
    ],
)
def test_nothing_else_may(endpoint: str) -> None:
    assert not is_push_service(endpoint, allow_loopback=False)


def test_a_city_on_loopback_may_call_loopback_and_nothing_else_in_clear() -> None:
    assert is_push_service("http://127.0.0.1:9/push/x", allow_loopback=True)
    assert not is_push_service("http://192.168.0.1/x", allow_loopback=True)
