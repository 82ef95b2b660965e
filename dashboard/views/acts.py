"""What an operator does on a page, as far as it is written down: the only place where the dashboard writes to the database."""

import datetime as dt
from collections.abc import Callable
from typing import TypeVar

import sqlalchemy as sa
import streamlit as st

from ingest.database import engines
from ingest.database.engines import DatabaseAway

from .visit import Visit

T = TypeVar("T")

# Nobody has to log in here.
_NOBODY = "the dashboard"


def allowed(visit: Visit, domain: str | None = None) -> bool:
    """Whether this user may act: only who may see everything, and on what is about one ``domain``, who may see that."""
    return visit.scope.is_everything if domain is None else visit.scope.holds(domain)


def act(visit: Visit, change: Callable[[sa.Engine, str, dt.datetime], T], domain: str | None = None) -> T | None:
    """Do ``change(engine, who, now)`` and return what it returns; None, and a word on the page, when it cannot be done.

    ``domain`` is the one that the change is about, if it is about one.
    """
    if not allowed(visit, domain):
        st.error("Only who may see all domains may do this." if domain is None else "This domain is not yours.")
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
    return engines.open_engine(url)
