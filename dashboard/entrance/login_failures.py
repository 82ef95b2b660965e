"""Why a login by OpenID Connect failed: what the page says, what the log says, and who can repair it. Pure rules."""

from collections.abc import Mapping

import msgspec

from ingest.text.confidential import without_secrets
from ingest.text.plaintext import one_line

# How a failure reaches the page that is shown next: one word of the table below, nothing that anybody else wrote.
COOKIE = "starttally_login"
_LONGEST_DETAIL = 300


class LoginFailure(msgspec.Struct, frozen=True):
    """``what`` happened and what to do ``then``, for the user; both are plain sentences."""

    what: str
    then: str


_AGAIN = "Log in again."
_OPERATOR = "The operator of this server has to correct"
FAILURES: Mapping[str, LoginFailure] = {
    "refused": LoginFailure(
        "The login was refused: by you, or by the login server.",
        f"{_AGAIN} If it is refused again, ask whoever runs the login server to let you use StartTally.",
    ),
    "secret": LoginFailure(
        "The login server does not accept this dashboard: its client id or secret is wrong.",
        f"{_OPERATOR} STARTTALLY_OIDC_CLIENT_ID or STARTTALLY_OIDC_CLIENT_SECRET.",
    ),
    "address": LoginFailure(
        "The login server does not know the address that logins lead back to.",
        f"{_OPERATOR} STARTTALLY_DASHBOARD_URL, or register that address with /oauth2callback behind it at the login server.",
    ),
    "code": LoginFailure(
        "The login server takes its own answer back: it was used before, came too late, or belongs to another address.",
        f"{_AGAIN} If it happens again, the operator compares STARTTALLY_DASHBOARD_URL with the address registered there.",
    ),
    "state": LoginFailure(
        "This login was not begun in this browser, took longer than an hour, or came twice (the back button).",
        f"{_AGAIN} If it happens again, see that the browser accepts cookies of this site.",
    ),
    "clock": LoginFailure(
        "By this server's clock the login is over already, or has not begun yet.",
        f"{_AGAIN} If it happens again, the clocks of this server and of the login server differ; the operator has to set them.",
    ),
    "token": LoginFailure(
        "The login server's answer cannot be trusted: its signature, its issuer or its recipient is wrong.",
        f"{_OPERATOR} STARTTALLY_OIDC_ISSUER; the log says what does not fit.",
    ),
    "away": LoginFailure(
        "The login server cannot be reached, or has trouble of its own.",
        "Try again in a minute. If it lasts, the operator finds the reason in the dashboard's log.",
    ),
    "issuer": LoginFailure(
        "There is no OpenID Connect login server at the address that this dashboard was given.",
        f"{_OPERATOR} STARTTALLY_OIDC_ISSUER: below it must be /.well-known/openid-configuration.",
    ),
    "other": LoginFailure(
        "The login server refused the login for another reason.",
        "The operator finds what it said in the dashboard's log.",
    ),
}

# RFC 6749 sections 4.1.2.1 and 5.2, OpenID Connect Core section 3.1.2.6, and what the libraries call theirs. Google and
# GitHub say redirect_uri_mismatch; others show a page of their own and lead nobody back.
_CODES = {
    "access_denied": "refused",
    "login_required": "refused",
    "consent_required": "refused",
    "interaction_required": "refused",
    "account_selection_required": "refused",
    "invalid_client": "secret",
    "unauthorized_client": "secret",
    "redirect_uri_mismatch": "address",
    "invalid_grant": "code",
    "mismatching_state": "state",
    "server_error": "away",
    "temporarily_unavailable": "away",
    "expired_token": "clock",
    "bad_signature": "token",
    "decode_error": "token",
    "invalid_key_id": "token",
    "missing_claim": "token",
    "unsupported_algorithm": "token",
}


def of_answer(code: str, description: str = "") -> tuple[str, str]:
    """The word of FAILURES, and the detail for the log, of what a login server answered."""
    known = _CODES.get(code, "other")
    if code == "invalid_claim":
        known = "clock" if any(f"'{name}'" in description for name in ("exp", "iat", "nbf")) else "token"
    return known, _detail(f"{code}: {description}" if description else code)


def of_error(error: BaseException) -> tuple[str, str]:
    """The same of what was raised on the way: by the libraries for logins, which name their error as a login server does, or
    by the one that asks it.
    """
    code = getattr(error, "error", "")
    if isinstance(code, str) and code:
        return of_answer(code, str(getattr(error, "description", "") or ""))
    origins = {kind.__name__ for kind in type(error).__mro__}
    detail = _detail(f"{type(error).__name__}: {error}")
    if "HTTPStatusError" in origins:
        answered = getattr(getattr(error, "response", None), "status_code", 0)
        return ("away" if answered >= 500 else "issuer"), detail
    if "TransportError" in origins or isinstance(error, OSError):
        return "away", detail
    # No URL, no JSON, or JSON that lacks what every issuer must say (OpenID Connect Discovery section 3).
    return ("issuer" if "InvalidURL" in origins or isinstance(error, ValueError | RuntimeError) else "other"), detail


def _detail(text: str) -> str:
    return one_line(without_secrets(text.strip().partition("\n")[0]), _LONGEST_DETAIL)
