"""Whether a browser's page may talk to this server and can: who is refused is told why, on the page and once in the log.

A page of Streamlit's is empty until its WebSocket is open. Behind a web server that does not pass on Host or Upgrade, or under a
name that is not answered, it never is, and the page would show grey bars for ever: a script in it asks here for the reason.
"""

import logging
from collections.abc import Collection
from pathlib import Path
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ingest.text.plaintext import one_line

from .access import HEALTH

log = logging.getLogger("starttally.dashboard")

_SCRIPT, _REASON, _STREAM = "/starttally/connection.js", "/starttally/connection", "/_stcore/stream"
# Files with names of their own, which never change.
_KEPT = ("/static/", "/media/")
_HELD_UP = (
    "Its WebSocket (/_stcore/stream) does not get through: the web server in front must pass on the headers Upgrade and "
    'Connection; see "Behind a web server" in docs/deployment.md.'
)
# What strangers can write into the log.
_MOST_LINES = 20
_LONGEST_NAME = 100


def refusal(headers: Headers, hosts: Collection[str]) -> str | None:
    """Why a request is not answered, in words; None when it is.

    ``hosts`` are the names that are answered, none is any. Browsers say of which page they ask (Origin); programs do not, and
    hold no session to be abused.
    """
    host, origin = headers.get("host", ""), headers.get("origin")
    if hosts and _name(host) not in hosts:
        return (
            f"this dashboard does not answer to the name {_printable(host)}. If that is its name, set "
            "STARTTALLY_DASHBOARD_URL to the address that browsers use."
        )
    if origin is not None and urlsplit(origin).netloc != host:
        return (
            f"a page of {_printable(origin)} asks for {_printable(host)}. If both are this dashboard, the web server in front "
            'must pass on the header Host; see "Behind a web server" in docs/deployment.md. Else that page belongs to another '
            "site."
        )
    return None


def _name(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _printable(name: str) -> str:
    return one_line(name, _LONGEST_NAME) or "(none)"


class Connection:
    """Answers what may be answered. ``page`` is Streamlit's own first page, into which the script goes."""

    def __init__(self, app: ASGIApp, hosts: Collection[str], page: str) -> None:
        self._app = app
        self._hosts = hosts
        self._page = page.replace("<script", f'<script src="{_SCRIPT}"></script>\n    <script', 1).encode()
        self._script = (Path(__file__).parents[1] / "assets" / "connection.js").read_bytes()
        self._said: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse with 403 and the reason, or pass the request on and add the script to the page."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refused = refusal(Headers(scope=scope), () if scope["path"] == HEALTH else self._hosts)
        answer = self._own_answer(scope, refused)
        if answer is not None:
            await answer(scope, receive, send)
        elif scope["type"] == "http":
            await self._app(_asked_anew(scope), receive, _Paged(self._page, send))
        else:
            await self._app(scope, receive, send)

    def _own_answer(self, scope: Scope, refused: str | None) -> Response | None:
        plain_request = scope["type"] == "http"
        if plain_request and scope["path"] == _REASON:
            self._say(refused or _HELD_UP)
            return PlainTextResponse(f"{refused[0].upper()}{refused[1:]}" if refused else _HELD_UP)
        if refused is not None:
            self._say(refused)
            return PlainTextResponse(f"refused: {refused}\n", 403)
        if plain_request and scope["path"] == _SCRIPT:
            return Response(self._script, media_type="text/javascript", headers={"Cache-Control": "no-cache"})
        if plain_request and scope["path"] == _STREAM:
            self._say(_HELD_UP)
            return PlainTextResponse(f"refused: {_HELD_UP}\n", 426, {"Upgrade": "websocket"})
        return None

    def _say(self, reason: str) -> None:
        """In the log, once."""
        if reason not in self._said and len(self._said) < _MOST_LINES:
            self._said.add(reason)
            log.warning("a page cannot reach the dashboard: %s", reason)


def _asked_anew(scope: Scope) -> Scope:
    """The request without what the browser holds already: a page kept from before has no script, or an older one."""
    if scope["path"].startswith(_KEPT):
        return scope
    headers = [(key, value) for key, value in scope["headers"] if key not in (b"if-none-match", b"if-modified-since")]
    return {**scope, "headers": headers}


class _Paged:
    """Sends an answer on, but ``page`` in place of a page of Streamlit's."""

    def __init__(self, page: bytes, send: Send) -> None:
        self._page = page
        self._send = send
        self._replaced = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=list(message["headers"]))
            self._replaced = message["status"] == 200 and headers.get("content-type", "").startswith("text/html")
            if self._replaced:
                for name in ("etag", "last-modified", "content-encoding"):
                    del headers[name]
                headers["content-length"] = str(len(self._page))
                message = {**message, "headers": headers.raw}
            await self._send(message)
        elif not self._replaced:
            await self._send(message)
        elif not message.get("more_body", False):
            # The server leaves the body out of the answer to HEAD.
            await self._send({"type": "http.response.body", "body": self._page})
