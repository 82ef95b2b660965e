"""A log-out ends the login everywhere: in every open tab, for a cookie that was copied, and for files made ready before.

Streamlit asks who is there when a page opens its WebSocket, and never again. Which logins are over is kept in this process's
memory until they would have expired; a restart forgets it, and a second dashboard process does not know it.
"""

import asyncio
import hashlib
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import access
from .login_answers import LOGOUT

Claims = Mapping[str, Any]

_MEDIA = "/media/"
# The program's own pictures, which the page that asks for the login shows too.
_OPEN_MEDIA = ".svg"
_COOKIES = "_streamlit_user"
_POLICY_VIOLATION = 1008  # RFC 6455 section 7.4.1


class Logouts:
    """Knows which logins are over, and ends what is open of them. ``claims_of`` reads them from cookies, None of no login."""

    def __init__(self, app: ASGIApp, claims_of: Callable[[Mapping[str, str]], Claims | None], hours: int) -> None:
        self._app = app
        self._claims_of = claims_of
        self._hours = hours
        self._over: dict[str, float] = {}
        self._open: dict[str, set[_Cut]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on as that of somebody who is logged in, or of nobody; files are for the former only."""
        if scope["type"] == "websocket":
            await self._session(scope, receive, send)
        elif scope["type"] == "http" and self._refused(scope):
            await PlainTextResponse("refused: log in first\n", 403)(scope, receive, send)
        elif scope["type"] == "http" and scope["path"] == LOGOUT and (claims := self._claims(scope)):
            login = _name(claims)
            self._end(login)
            await self._app(scope, receive, send)
            # Not before: a page that loads anew would break off the log-out that it is under way to.
            for cut in list(self._open.get(login, ())):
                cut.now()
        else:
            await self._app(scope, receive, send)

    def _refused(self, scope: Scope) -> bool:
        """Whether a file is asked for by who is not logged in (any more)."""
        if not scope["path"].startswith(_MEDIA) or scope["path"].endswith(_OPEN_MEDIA):
            return False
        claims = self._claims(scope)
        return _name(claims) in self._over or access.user_of_claims(claims, time.time(), self._hours) is None

    def _claims(self, scope: Scope) -> Claims:
        return self._claims_of(HTTPConnection(scope).cookies) or {}

    async def _session(self, scope: Scope, receive: Receive, send: Send) -> None:
        login = _name(self._claims(scope))
        if login in self._over:
            await self._app({**scope, "headers": _without_login(scope)}, receive, send)
            return
        cut = _Cut(receive, send)
        self._open.setdefault(login, set()).add(cut)
        try:
            await self._app(scope, cut.receive, cut.send)
        finally:
            cut.forget()
            self._open[login].discard(cut)
            if not self._open[login]:
                del self._open[login]

    def _end(self, login: str) -> None:
        now = time.time()
        self._over = {name: since for name, since in self._over.items() if now - since < self._hours * 3600}
        self._over[login] = now


class _Cut:
    """A WebSocket that can be ended from outside."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._asked = asyncio.Event()
        self._ending = asyncio.ensure_future(self._asked.wait())
        self._closed = False

    def now(self) -> None:
        """End it."""
        self._asked.set()

    def forget(self) -> None:
        """It has ended by itself."""
        self._ending.cancel()

    async def receive(self) -> Message:
        """The next message of the browser; once the login is over, that it has gone."""
        coming = asyncio.ensure_future(self._receive())
        try:
            await asyncio.wait({coming, self._ending}, return_when=asyncio.FIRST_COMPLETED)
            if not self._asked.is_set():
                return coming.result()
        finally:
            coming.cancel()
        if not self._closed:
            self._closed = True
            await self._send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": "logged out"})
        return {"type": "websocket.disconnect", "code": _POLICY_VIOLATION}

    async def send(self, message: Message) -> None:
        """What the page sends, as long as the login lasts."""
        if not self._asked.is_set():
            await self._send(message)


def _name(claims: Claims) -> str:
    """One login among all: its claims hold a nonce (OpenID Connect Core section 2) and when it was."""
    return hashlib.sha256(json.dumps(claims, sort_keys=True).encode()).hexdigest()


def _without_login(scope: Scope) -> list[tuple[bytes, bytes]]:
    """The request's headers without the cookies of a login that is over."""
    headers = MutableHeaders(raw=list(scope["headers"]))
    others = [
        f"{name}={value}" for name, value in HTTPConnection(scope).cookies.items() if not name.startswith(_COOKIES)
    ]
    if "cookie" in headers:
        del headers["cookie"]
        headers["cookie"] = "; ".join(others)
    return headers.raw
