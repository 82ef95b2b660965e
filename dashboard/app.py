"""The pages and their addresses, nothing else. ``asgi.py`` serves them."""

import datetime as dt
from pathlib import Path

import streamlit as st

from dashboard.views import domain, domains, export, quarantine, reports, trouble
from dashboard.views.visit import Visit, open_engine
from ingest import settings as settings_module
from ingest.settings import Settings, SettingsError

_ASSETS = Path(__file__).with_name("assets")
# A Material icon as page_icon would be fetched from fonts.gstatic.com by every visitor's browser.
st.set_page_config(page_title="StartTally", page_icon=_ASSETS / "icon.svg", layout="wide")
st.logo(_ASSETS / "wordmark.svg", icon_image=_ASSETS / "icon.svg")


def main(settings: Settings) -> None:
    """Show the page that the address names."""
    pages: dict[str, st.Page] = {}
    today = dt.datetime.now(dt.UTC).date()
    visit = Visit(settings, open_engine(settings.database_url), today, pages)
    for name, title, icon, render in (
        ("domains", "Domains", "dns", domains.render),
        ("domain", "Domain", "monitoring", domain.render),
        ("reports", "Reports", "description", reports.render),
        ("quarantine", "Quarantine", "inbox", quarantine.render),
        ("export", "Export", "download", export.render),
    ):
        pages[name] = st.Page(
            trouble.guarded(name, render, visit),
            title=title,
            icon=f":material/{icon}:",
            url_path=name,
            default=name == "domains",
            visibility="hidden" if name == "domain" else "visible",
        )
    st.navigation(list(pages.values())).run()


try:
    chosen = settings_module.load()
except SettingsError as error:
    trouble.wrong_settings(error)
else:
    main(chosen)
