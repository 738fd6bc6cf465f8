"""A passkey for a page of a test: Chromium's own virtual authenticator, which says yes to everything."""

from typing import Any, Final

OPTIONS: Final = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


def add(page: Any) -> tuple[Any, str]:
    """Give a page an authenticator of its own; return the session of the DevTools protocol and its id there.

    Source: https://chromedevtools.github.io/devtools-protocol/tot/WebAuthn/.
    """
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    added = devtools.send("WebAuthn.addVirtualAuthenticator", {"options": OPTIONS})
    return devtools, added["authenticatorId"]
