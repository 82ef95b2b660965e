"""Who looks at a page: nobody yet, somebody who may see nothing, or a user. None of this asks the database."""

import datetime as dt

import streamlit as st

from dashboard.entrance import access
from dashboard.entrance.login_failures import COOKIE, FAILURES
from dashboard.words.plain import visible
from ingest.settings.settings import Settings


def user(settings: Settings) -> str | None:
    """The logged-in user's name, an empty text where nobody has to log in, or None when this one still has to."""
    if settings.login == "proxy":
        return access.user_of_header(st.user.get(access.USER_KEY))
    if settings.login == "oidc":
        return access.user_of_claims(st.user.to_dict(), _now(), settings.login_hours)
    return ""


def _now() -> float:
    return dt.datetime.now(dt.UTC).timestamp()


def ask(settings: Settings) -> None:
    """Show that a login is needed, and the way to it. Nothing else is on the page."""
    st.title("StartTally")
    if settings.login == "proxy":
        st.text("The server in front of this dashboard does not say who you are. Its operator has to repair that.")
        return
    failure = FAILURES.get(st.context.cookies.get(COOKIE, ""))
    if failure is not None:
        st.error(failure.what, icon=":material/error:")
        st.text(failure.then)
    elif access.expired(st.user.to_dict(), _now(), settings.login_hours):
        st.text("Your login has expired. Log in again to go on.")
    else:
        st.text("Log in to see TLS reports.")
    if st.button("Log in", type="primary", icon=":material/login:"):
        st.login()


def nothing(settings: Settings, name: str) -> None:
    """Tell a user of whom ACCESS knows nothing."""
    st.title("You may see no domain")
    st.text(f"You are logged in as {visible(name)}.")
    st.text("Ask the operator of this server to let you see your domains (STARTTALLY_ACCESS).")
    if settings.login == "oidc":
        _log_out()


def everything_only() -> None:
    """Stand in for a page about what belongs to no domain."""
    st.title("Quarantine")
    st.text("Messages that could not be read belong to no domain, so only who may see all domains sees them.")


def signed_in(settings: Settings, name: str) -> None:
    """Say below the pages' names who is logged in, and offer the way out (of a proxy's login only the proxy knows one)."""
    if not name:
        return
    with st.sidebar:
        st.text(visible(name))
        if settings.login == "oidc":
            _log_out()


def _log_out() -> None:
    if st.button("Log out", icon=":material/logout:"):
        st.logout()
