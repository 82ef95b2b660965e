"""What stands around the pages: who may enter, only same-origin requests, a strict browser, no side entrances.

``serving`` starts Streamlit's server with this application; the pages themselves begin in ``app.py``.
"""

import asyncio
import contextlib
import hashlib
import json
import logging
import os
import re
import secrets
import sys
import traceback
from base64 import b64encode
from collections.abc import AsyncIterator, Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, NoReturn

import streamlit as st
import streamlit.config
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.web.server.starlette.starlette_auth_routes import _create_oauth_client
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME
from streamlit.web.server.starlette.starlette_websocket import _get_signed_cookie_with_chunks

from dashboard.entrance import access, login_answers, login_failures
from dashboard.entrance.connection import Connection
from dashboard.entrance.logouts import Logouts
from dashboard.entrance.serving import BELIEVED, allowed_hosts
from dashboard.entrance.way_back import WayBack
from ingest.host import rights
from ingest.settings import settings as settings_module
from ingest.settings.settings import Settings, SettingsError
from ingest.text import plaintext
from ingest.text.confidential import without_secrets

# Streamlit's own first page; the policy below names what it runs.
_PAGE = (Path(st.__file__).parent / "static" / "index.html").read_text(encoding="utf-8")


def _inline_scripts() -> str:
    """The hashes of what that page runs in place, as the policy names them."""
    scripts = re.findall(r"<script>(.*?)</script>", _PAGE, re.DOTALL)
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
log = logging.getLogger("starttally.dashboard")
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
        except access.RefusedVisitor as refusal:
            await PlainTextResponse(f"{refusal}\n", 403)(scope, receive, send)
        else:
            await self._app({**scope, "headers": access.with_user(scope["headers"], user)}, receive, send)


class Strict:
    """Refuses what nobody needs to ask, and has browsers treat every answer strictly."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._shut = _SHUT if settings.login == "oidc" else _SHUT + _LOGIN
        self._cookies = "; Secure" if settings.dashboard_url.startswith("https:") else ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 404, or pass the request on and add the headers to its answer."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        if scope["path"].startswith(self._shut):
            await PlainTextResponse("not found\n", 404)(scope, receive, send)
        else:
            await self._app(scope, receive, _adding(_HEADERS.items(), self._cookies, send))


def _adding(extra: Iterable[tuple[str, str]], cookies: str, send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            raw_headers = message["headers"]
            headers = MutableHeaders(raw=[(key, _secure(key, value, cookies)) for key, value in raw_headers])
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
    """A record whose text does nothing in a terminal and tells no secret, whoever logs it: Streamlit's own loggers quote what
    strangers send, and tracebacks.
    """
    record = logging.LogRecord(*details, **named)
    record.msg, record.args = _printable(record.getMessage()), ()
    if record.exc_info:
        record.exc_text = _printable("".join(traceback.format_exception(*record.exc_info)))
    return record


def _printable(text: str) -> str:
    return plaintext.one_line(without_secrets(text), _LONGEST_EVENT)


def _claims_of(cookies: Mapping[str, str]) -> Mapping[str, Any] | None:
    """What the cookies of a login say, None when there is none or somebody else wrote them."""
    signed = _get_signed_cookie_with_chunks(dict(cookies), USER_COOKIE_NAME)
    claims = json.loads(signed) if signed else None
    return claims if isinstance(claims, dict) else None


@contextlib.asynccontextmanager
async def _asking_the_issuer(_app: st.App) -> AsyncIterator[None]:
    """While the dashboard runs; at its start, beside everything else, the issuer is asked whether it knows the secret."""
    asking = asyncio.create_task(_ask_the_issuer())
    yield
    asking.cancel()


async def _ask_the_issuer() -> None:
    """Warn when the issuer cannot be reached or refuses the client's secret, which else the first user would notice.

    A code that nobody was given is invalid_grant for who has the right secret (RFC 6749 section 5.2), and nothing comes of it.
    """
    client, back = _create_oauth_client("default")
    code, verifier = "starttally-asks-whether-its-secret-is-right", secrets.token_urlsafe(48)
    asked = client.fetch_access_token(redirect_uri=back, code=code, code_verifier=verifier)
    answers: list[object] = await asyncio.gather(asked, return_exceptions=True)
    for error in answers:
        word, detail = login_failures.of_error(error) if isinstance(error, Exception) else ("", "")
        if word in ("secret", "away", "issuer"):
            failure = login_failures.FAILURES[word]
            log.warning("nobody can log in: %s %s (%s)", failure.what, failure.then, detail)


def _prepare_process() -> None:
    """What this process logs, and how."""
    plaintext.log_to_standard_error(logging.WARNING)
    # What libraries tell their developers (that httpx has a successor) helps no operator.
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").setLevel(logging.ERROR)
    logging.setLogRecordFactory(_one_line_record)
    login_answers.listen()


# Streamlit's server imports this module and takes ``app`` from it; there is no function of ours that it would call. So this
# is where the process starts.
_prepare_process()
_settings = _ready()
rights.say(rights.said_of_secrets(_settings))
_logins = [
    Middleware(WayBack),
    Middleware(login_answers.LoginAnswers),
    Middleware(Logouts, _claims_of, _settings.login_hours),
]
app = st.App(
    Path(__file__).parents[1] / "app.py",
    secrets=_secrets(_settings),
    lifespan=_asking_the_issuer if _settings.login == "oidc" else None,
    middleware=[
        Middleware(Entrance, _settings),
        Middleware(Strict, _settings),
        # Streamlit itself accepts any origin on this machine, and asks an outside service for its own address before it
        # refuses a foreign one; here the request ends before.
        Middleware(Connection, allowed_hosts(_settings), _PAGE),
        *(_logins if _settings.login == "oidc" else []),
    ],
)
