"""What stands around the pages: only same-origin requests, headers that keep the browser strict, no side entrances.

``streamlit run`` serves this application; the pages themselves begin in ``app.py``.
"""

import logging
import re
import sys
from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import streamlit as st
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


def _inline_scripts() -> str:
    """The hashes of what Streamlit's own first page runs in place, as the policy names them."""
    page = (Path(st.__file__).parent / "static" / "index.html").read_text(encoding="utf-8")
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    return " ".join(f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for script in scripts)


# Vega compiles chart expressions with Function(), emotion writes style elements; everything else comes from this server.
_POLICY = "; ".join(
    (
        "default-src 'self'",
        f"script-src 'self' 'unsafe-eval' {_inline_scripts()}",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
# Streamlit answers these to anyone, and no page needs them.
_SHUT = ("/_stcore/metrics", "/_stcore/upload_file", "/_stcore/agent", "/_stcore/script-health-check")


class Strict:
    """Refuses what another site's page asks for, and what nobody needs to ask.

    Streamlit itself accepts any origin on this machine, and asks an outside service for its own address before it refuses
    a foreign one; here the request ends before.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 403 or 404, or pass the request on and add the headers to its answer."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        if not _same_origin(Headers(scope=scope)):
            await PlainTextResponse("refused: this page belongs to another site\n", 403)(scope, receive, send)
        elif scope["path"].startswith(_SHUT):
            await PlainTextResponse("not found\n", 404)(scope, receive, send)
        else:
            await self._app(scope, receive, _adding(_HEADERS.items(), send))


def _same_origin(headers: Headers) -> bool:
    """Whether a browser says that our own page asks. Programs send no Origin; they hold no session to be abused."""
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host")


def _adding(extra: Iterable[tuple[str, str]], send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=message["headers"])
            for name, value in extra:
                headers[name] = value
            message["headers"] = headers.raw
        await send(message)

    return send_with_headers


logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s", stream=sys.stderr)
app = st.App(Path(__file__).with_name("app.py"), middleware=[Middleware(Strict)])
