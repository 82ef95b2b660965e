"""After a login by OpenID Connect, back to the address that was asked for: Streamlit itself leads to the start page only."""

import base64
import binascii
from http.cookies import SimpleCookie

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "starttally_wanted"
_PAGES = ("/domain", "/reports", "/quarantine", "/export")
# Where a login ends: on its way there, or on its way back.
_RETURNS = ("/auth/login", "/oauth2callback")
_SECONDS = 600
_LONGEST = 1_500


class WayBack:
    """Remembers the last page asked for in a cookie, and ends the login there. Only our own pages: no open redirect."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and set the cookie or change the redirection in its answer."""
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return

        async def answering(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=list(message["headers"]))
                _note(scope, headers)
                message["headers"] = headers.raw
            await send(message)

        await self._app(scope, receive, answering)


def _note(scope: Scope, answer: MutableHeaders) -> None:
    if scope["path"] in _PAGES or scope["path"] == "/":
        wanted = scope["path"] + ("?" + scope["query_string"].decode("latin-1") if scope["query_string"] else "")
        if len(wanted) <= _LONGEST:
            value = base64.urlsafe_b64encode(wanted.encode("latin-1")).decode("ascii")
            answer.append("Set-Cookie", f"{COOKIE}={value}; Path=/; Max-Age={_SECONDS}; HttpOnly; SameSite=Lax")
    elif scope["path"] in _RETURNS and answer.get("location") == "/":
        answer["location"] = _wanted(Headers(scope=scope)) or "/"
        answer.append("Set-Cookie", f"{COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax")


def _wanted(asked: Headers) -> str:
    """The page in the cookie, "" when there is none of ours."""
    cookie = SimpleCookie(asked.get("cookie", "")).get(COOKIE)
    try:
        wanted = base64.urlsafe_b64decode(cookie.value).decode("ascii") if cookie else ""
    except (binascii.Error, ValueError):
        return ""
    return wanted if wanted.partition("?")[0] in _PAGES and wanted.isprintable() else ""
