"""What stands around the pages: who may enter, only same-origin requests, a strict browser, no side entrances.

``serving`` starts Streamlit's server with this application; the pages themselves begin in ``app.py``.
"""

import hashlib
import logging
import os
import re
import sys
from base64 import b64encode
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import streamlit as st
import streamlit.config
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboard import access
from dashboard.serving import BELIEVED
from dashboard.way_back import WayBack
from ingest import plaintext
from ingest import settings as settings_module
from ingest.settings import Settings, SettingsError


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
_SHUT = (
    "/_stcore/metrics",
    "/_stcore/upload_file",
    "/_stcore/agent",
    "/_stcore/script-health-check",
    "/_stcore/bidi-components",
    "/component",
)
# The ways of a login by OpenID Connect; without one they are shut too.
_LOGIN = ("/auth/", "/oauth2callback")


_LONGEST_EVENT = 4_000  # characters of one log message, without its traceback


class Entrance:
    """Lets in whom the settings let in, and tells the pages who it is."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 403, or pass the request on with one header that names the user and that no browser can have sent."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        peer = scope["client"][0] if scope.get("client") else None
        try:
            user = access.admit(self._settings, peer, scope["path"], scope["headers"])
        except access.Refused as refusal:
            await PlainTextResponse(f"{refusal}\n", 403)(scope, receive, send)
        else:
            await self._app({**scope, "headers": access.with_user(scope["headers"], user)}, receive, send)


class Strict:
    """Refuses what another site's page asks for, and what nobody needs to ask.

    Streamlit itself accepts any origin on this machine, and asks an outside service for its own address before it refuses
    a foreign one; here the request ends before.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._shut = _SHUT if settings.login == "oidc" else _SHUT + _LOGIN
        self._cookies = "; Secure" if settings.dashboard_url.startswith("https:") else ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 403 or 404, or pass the request on and add the headers to its answer."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        if not _same_origin(Headers(scope=scope)):
            await PlainTextResponse("refused: this page belongs to another site\n", 403)(scope, receive, send)
        elif scope["path"].startswith(self._shut):
            await PlainTextResponse("not found\n", 404)(scope, receive, send)
        else:
            await self._app(scope, receive, _adding(_HEADERS.items(), self._cookies, send))


def _same_origin(headers: Headers) -> bool:
    """Whether a browser says that our own page asks. Programs send no Origin; they hold no session to be abused."""
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host")


def _adding(extra: Iterable[tuple[str, str]], cookies: str, send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            said = message["headers"]
            headers = MutableHeaders(raw=[(key, _secure(key, value, cookies)) for key, value in said])
            for name, value in extra:
                headers[name] = value
            message["headers"] = headers.raw
        await send(message)

    return send_with_headers


def _secure(key: bytes, value: bytes, cookies: str) -> bytes:
    """A header; a cookie with the attribute that Streamlit leaves out, when the page is reached by HTTPS only."""
    return (
        value + cookies.encode()
        if cookies and key.lower() == b"set-cookie" and b"secure" not in value.lower()
        else value
    )


def _ready() -> Settings:
    """The settings; a mistake in them or in how this process was started ends it with exit code 2, before it listens."""
    if os.environ.get(BELIEVED) != "":
        _stop("start the dashboard with `starttally dashboard`; its server must believe no X-Forwarded-For")
    try:
        return settings_module.load()
    except SettingsError as error:
        _stop(str(error))


def _stop(reason: str) -> NoReturn:
    sys.stderr.write(f"starttally: {reason}\n")
    sys.exit(2)


def _secrets(settings: Settings) -> Mapping[str, Any] | None:
    """What st.login needs to know, as Streamlit's secrets: in memory only, never in a file or on a command line.

    The key of the login's cookies is made of the client secret, so it is the same in every process and after a restart, and
    another one when the issuer, the client or its secret changes.
    """
    if settings.login != "oidc":
        return None
    salt = "\n".join(("starttally cookies", settings.oidc_issuer, settings.oidc_client_id, settings.dashboard_url))
    secret = settings.oidc_client_secret.get_secret_value()
    key = hashlib.scrypt(secret.encode(), salt=salt.encode(), n=2**14, r=8, p=1).hex()
    # The middleware that keeps the state of a login under way is built before Streamlit reads what is returned here.
    streamlit.config.set_option("server.cookieSecret", key)
    auth = {
        "client_id": settings.oidc_client_id,
        "client_secret": secret,
        "server_metadata_url": settings.oidc_issuer.rstrip("/") + "/.well-known/openid-configuration",
        "redirect_uri": settings.dashboard_url.rstrip("/") + "/oauth2callback",
        "cookie_secret": key,
        "client_kwargs": {"scope": "openid email"},
    }
    return {"auth": auth}


def _one_line_record(*details: Any, **named: Any) -> logging.LogRecord:  # noqa: ANN401
    """A record whose text does nothing in a terminal, whoever logs it: Streamlit's own loggers quote what strangers send."""
    record = logging.LogRecord(*details, **named)
    record.msg, record.args = plaintext.one_line(record.getMessage(), _LONGEST_EVENT), ()
    return record


plaintext.log_to_standard_error(logging.WARNING)
logging.setLogRecordFactory(_one_line_record)
_settings = _ready()
app = st.App(
    Path(__file__).with_name("app.py"),
    secrets=_secrets(_settings),
    middleware=[
        Middleware(Entrance, _settings),
        Middleware(Strict, _settings),
        *([Middleware(WayBack)] if _settings.login == "oidc" else []),
    ],
)
