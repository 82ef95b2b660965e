"""The answers of a login by OpenID Connect: one that fails is told on the page and in one line of the log.

Streamlit logs a traceback and leads to the start page, which says nothing.
"""

import contextvars
import logging
from collections.abc import Mapping

from starlette.datastructures import MutableHeaders, QueryParams
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .login_failures import COOKIE, FAILURES, of_answer, of_error

log = logging.getLogger("starttally.login")

LOGIN, CALLBACK, LOGOUT = "/auth/login", "/oauth2callback", "/auth/logout"
_SESSION = "_streamlit_user="
_SECONDS = 120
_STREAMLIT = "streamlit.web.server.starlette.starlette_auth_routes"

# What went wrong in the request that this task answers, as its handler logged it.
_records: contextvars.ContextVar[list[logging.LogRecord] | None] = contextvars.ContextVar("heard", default=None)


class _Listening(logging.Filter):
    """Keeps what is logged about a login under way, for the one line that is written of it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record goes on to the log: not while somebody listens."""
        records = _records.get()
        if records is not None:
            records.append(record)
        return records is None


def listen() -> None:
    """Hear what Streamlit logs about logins, in this process; before the first ``LoginAnswers``."""
    logging.getLogger(_STREAMLIT).addFilter(_Listening())


class LoginAnswers:
    """Turns the answer to a login that failed into the start page with the reason in a cookie."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; of a login's answers change the beginning."""
        if scope["type"] != "http" or scope["path"] not in (LOGIN, CALLBACK, LOGOUT):
            await self._app(scope, receive, send)
            return
        records: list[logging.LogRecord] = []
        token = _records.set(records)

        async def answering(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = _told(scope, message, records)
            await send(message)

        try:
            await self._app(scope, receive, answering)
        finally:
            _records.reset(token)


def _told(scope: Scope, start: Message, records: list[logging.LogRecord]) -> Message:
    """The answer's beginning: unchanged, or that of a way to the start page."""
    headers = MutableHeaders(raw=list(start["headers"]))
    if any(_begins_session(value) for value in headers.getlist("set-cookie")):
        headers.append("Set-Cookie", f"{COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax")
        return {**start, "headers": headers.raw}
    if scope["path"] == LOGOUT:
        for record in records:
            log.warning("logged out here, but not at the login server: %s", record.getMessage())
        return start
    failed = _failure(scope["path"], QueryParams(scope["query_string"]), records)
    if failed is None:
        return start
    word, detail = failed
    log.warning("a login failed: %s (%s)", FAILURES[word].what.rstrip("."), detail)
    headers["location"] = "/"
    headers.append("Set-Cookie", f"{COOKIE}={word}; Path=/; Max-Age={_SECONDS}; HttpOnly; SameSite=Lax")
    return {**start, "status": 302, "headers": headers.raw}


def _begins_session(cookie: str) -> bool:
    return cookie.startswith(_SESSION) and "max-age=0" not in cookie.lower()


def _failure(path: str, query: Mapping[str, str], records: list[logging.LogRecord]) -> tuple[str, str] | None:
    """Why there is no login, or None where none was asked for (the way back from a log-out)."""
    for record in records:
        if record.exc_info and record.exc_info[1] is not None:
            return of_error(record.exc_info[1])
    if path == LOGIN:
        return None
    if query.get("error"):
        return of_answer(query["error"], query.get("error_description", ""))
    if not query.get("code"):
        return None
    if any(record.levelno >= logging.ERROR for record in records):
        return "other", "; ".join(record.getMessage() for record in records)
    return "state", "no login of this browser has this state"
