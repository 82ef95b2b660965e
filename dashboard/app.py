"""The pages and their addresses, nothing else. ``asgi.py`` serves them."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import streamlit as st

from dashboard.entrance import access
from dashboard.queries.question import Scope
from dashboard.views import domains, export, login, quarantine, reports, trouble
from dashboard.views.domain import page
from dashboard.views.visit import Visit, open_engine
from ingest.settings import settings as settings_module
from ingest.settings.settings import Settings, SettingsError

# Streamlit runs this file from top to bottom for each visit, so what a page needs first is said outside of any function.
_ASSETS = Path(__file__).with_name("assets")
# A Material icon as page_icon would be fetched from fonts.gstatic.com by every visitor's browser.
st.set_page_config(page_title="StartTally", page_icon=_ASSETS / "icon.svg", layout="wide")
st.logo(_ASSETS / "wordmark.svg", icon_image=_ASSETS / "icon.svg")


_PAGES = (
    ("domains", "Domains", "dns", domains.render),
    ("domain", "Domain", "monitoring", page.render),
    ("reports", "Reports", "description", reports.render),
    ("quarantine", "Quarantine", "inbox", quarantine.render),
    ("export", "Export", "download", export.render),
)


def main(settings: Settings) -> None:
    """Show the page that the address names to who may see it; nothing is asked of the database before that is known."""
    user = login.user(settings)
    if user is None:
        _instead(lambda: login.ask(settings))
        return
    scope = Scope(access.patterns_of(settings, user))
    if scope.is_nothing:
        _instead(lambda: login.nothing(settings, user))
        return
    pages: dict[str, st.Page] = {}
    today = dt.datetime.now(dt.UTC).date()
    visit = Visit(settings, open_engine(settings.database_url), today, pages, scope, user)
    for name, title, icon, render in _PAGES:
        shut = name == "quarantine" and not scope.is_everything
        pages[name] = st.Page(
            login.everything_only if shut else trouble.guarded(name, render, visit),
            title=title,
            icon=f":material/{icon}:",
            url_path=name,
            default=name == "domains",
            visibility="hidden" if name == "domain" or shut else "visible",
        )
    chosen = st.navigation(list(pages.values()))
    login.signed_in(settings, user)
    chosen.run()


def _instead(render: Callable[[], None]) -> None:
    """One page under every address, so that none of them answers otherwise than the rest."""
    pages = [st.Page(render, title="StartTally", url_path=name, default=name == "domains") for name, *_ in _PAGES]
    st.navigation(pages, position="hidden").run()


try:
    chosen = settings_module.load()
except SettingsError as error:
    trouble.wrong_settings(error)
else:
    main(chosen)
