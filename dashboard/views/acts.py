"""What an operator does on a page, as far as it is written down: the only place where the dashboard writes to the database."""

import datetime as dt
from collections.abc import Callable

import sqlalchemy as sa
import streamlit as st

from ingest import database
from ingest.database import DatabaseAway

from .visit import Visit

# Nobody has to log in here.
_NOBODY = "the dashboard"


def allowed(visit: Visit) -> bool:
    """Whether this user may act: only who may see everything."""
    return visit.scope.is_everything


def act(visit: Visit, change: Callable[[sa.Engine, str, dt.datetime], int]) -> int | None:
    """Do ``change(engine, who, now)`` and return how many it changed; None, and a word on the page, when it cannot be done."""
    if not allowed(visit):
        st.error("Only who may see all domains may do this.")
        return None
    try:
        changed = change(_writing_engine(visit.settings.database_url), visit.user or _NOBODY, dt.datetime.now(dt.UTC))
    except DatabaseAway:
        st.error("The database does not take this now. Nothing was changed; try again later.")
        return None
    # What pages remember of the database was true until now.
    st.cache_data.clear()
    return changed


@st.cache_resource(show_spinner=False)
def _writing_engine(url: str) -> sa.Engine:
    return database.open_engine(url)
