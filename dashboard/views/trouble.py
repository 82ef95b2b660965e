"""What a page shows when it cannot be shown. Details go to the log, never to the browser."""

import logging
import secrets
from collections.abc import Callable

import sqlalchemy as sa
import streamlit as st

from dashboard.views.parts.controls import SHOWN
from dashboard.words.plain import plain
from ingest.database.engines import DatabaseAway, SchemaMismatch, as_away
from ingest.settings.settings import SettingsError

from .visit import Visit

log = logging.getLogger("starttally.dashboard")


def guarded(name: str, render: Callable[[Visit], None], visit: Visit) -> Callable[[], None]:
    """``render(visit)`` as the page ``name``, with a clear page in place of whatever it raises."""

    def run() -> None:
        st.session_state[SHOWN] = name
        try:
            visit.check()
            render(visit)
        except SchemaMismatch as mismatch:
            log.warning("%s", mismatch)
            _not_ready(str(mismatch))
        except (DatabaseAway, sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError) as error:
            log.warning(
                "%s", as_away(error) if isinstance(error, sa.exc.DBAPIError) else f"the database is away: {error}"
            )
            _away()
        except Exception:  # the outer door of the pages
            number = secrets.token_hex(4)
            log.exception("a page failed (%s)", number)
            _failed(number)

    return run


def wrong_settings(error: SettingsError) -> None:
    """The settings cannot be used."""
    log.error("%s", error)
    st.title("The settings need a correction")
    st.text("The dashboard's log says which setting is wrong, and which values it may have.")


def _not_ready(reason: str) -> None:
    st.title("The database is not ready")
    st.error(plain(reason, 500), icon=":material/database:")
    st.text(
        "Nothing is lost: mail that was accepted waits in the spool. This brings an older or new database up to date:"
    )
    st.code("starttally db upgrade", language="bash")
    _again()


def _away() -> None:
    st.title("The database cannot be reached")
    st.text(
        "Reports go on being accepted and wait in the spool; they appear here once the database is back. "
        "If you have not started StartTally yet, this does it, and creates the database:"
    )
    st.code("starttally serve", language="bash")
    st.text("The reason is in the dashboard's log. STARTTALLY_DATABASE_URL says which database is used.")
    _again()


def _failed(number: str) -> None:
    st.title("This page could not be shown")
    st.text(f"A fault in StartTally. The dashboard's log has the details under {number}.")
    _again()


def _again() -> None:
    if st.button("Try again", icon=":material/refresh:"):
        st.rerun()
