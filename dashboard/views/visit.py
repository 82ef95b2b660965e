"""Who looks at what: the settings, the database and the pages, as every ``render`` gets them."""

import datetime as dt
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Concatenate, ParamSpec, TypeVar

import msgspec
import sqlalchemy as sa
import streamlit as st

from dashboard.queries.question import EVERYTHING, Question, Scope
from ingest.database import engines
from ingest.settings.settings import Settings

P = ParamSpec("P")
R = TypeVar("R")
Q = TypeVar("Q", Scope, Question)

# Long enough that ten people on one page cost one query, short enough that a new report is soon seen.
_FRESH_SECONDS = 10


class Visit(msgspec.Struct):
    """One run of a page for one user. ``today`` is the UTC day; ``pages`` are st.Page objects by their name in the URL.

    ``user`` is the logged-in user's name, empty where nobody has to log in.
    """

    settings: Settings
    engine: sa.Engine
    today: dt.date
    pages: Mapping[str, Any]
    scope: Scope = EVERYTHING
    user: str = ""

    def read(self, query: Callable[Concatenate[sa.Engine, Scope, P], R], *arguments: P.args, **options: P.kwargs) -> R:
        """What a function of ``queries`` says, at most _FRESH_SECONDS old.

        The cache is shared by all users, so its key holds the database and what this user may see.
        """
        return self._fresh(query, self.scope, *arguments, **options)

    def judge(
        self, query: Callable[Concatenate[sa.Engine, Question, P], R], *arguments: P.args, **options: P.kwargs
    ) -> R:
        """The same of a function of ``verdicts``, about today."""
        return self._fresh(query, self.question, *arguments, **options)

    @property
    def question(self) -> Question:
        """What a verdict for this user is asked about, today."""
        return Question.of(self.settings, self.today, self.scope)

    def _fresh(
        self, query: Callable[Concatenate[sa.Engine, Q, P], R], asked_about: Q, *arguments: P.args, **options: P.kwargs
    ) -> R:
        name = f"{query.__module__}.{query.__qualname__}"
        asked = repr((asked_about, arguments, sorted(options.items())))
        answer: R = _cached(
            name,
            self.settings.database_url,
            asked,
            _ask=lambda: query(self.engine, asked_about, *arguments, **options),
        )
        return answer

    def now(self, query: Callable[Concatenate[sa.Engine, Scope, P], R], *arguments: P.args, **options: P.kwargs) -> R:
        """The same, never from the cache: for raw reports and messages, which may be large."""
        return query(self.engine, self.scope, *arguments, **options)

    def media_type(self, name: str) -> str:
        """A media type for a download of this session, with a parameter that makes its address one that nobody can guess.

        Streamlit makes the address from content, name and type, and of a large file from parts of the content only: without
        this, who knows the content knows the address, and two files that differ in the middle have the same one.
        """
        token = st.session_state.setdefault("media token", secrets.token_hex(16))
        return f"{name}; of={token}"

    def go(self, page: str, **parameters: str) -> None:
        """Leave for another page."""
        st.switch_page(self.pages[page], query_params=parameters)

    def link(self, page: str, label: str, icon: str | None = None, **parameters: str) -> None:
        """A link to another page. ``label`` is read as Markdown: see ``plain``."""
        st.page_link(self.pages[page], label=label, icon=icon, query_params=parameters)

    def check(self) -> None:
        """Raise SchemaMismatch or DatabaseAway, asking at most every _FRESH_SECONDS."""
        _checked(self.settings.database_url, _engine=self.engine)


@st.cache_resource(show_spinner=False)
def open_engine(url: str) -> sa.Engine:
    """The process's one engine for ``url``, which never writes."""
    return engines.open_engine(url, read_only=True)


@st.cache_data(ttl=_FRESH_SECONDS, max_entries=500, show_spinner=False)
def _cached(name: str, url: str, asked: str, _ask: Callable[[], Any]) -> Any:  # noqa: ANN401, ARG001
    """``_ask()``, kept under the other arguments (a leading underscore keeps a name out of Streamlit's key)."""
    return _ask()


@st.cache_data(ttl=_FRESH_SECONDS, show_spinner=False)
def _checked(url: str, _engine: sa.Engine) -> None:  # noqa: ARG001
    engines.check(_engine)
