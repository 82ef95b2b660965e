"""A page with nothing but the overrides of ``?domain=``, for a user of choice: run by AppTest and by a browser."""

import datetime as dt
import os

import streamlit as st

from dashboard import verdicts
from dashboard.queries.question import Scope
from dashboard.views.domain import overrides
from dashboard.views.visit import Visit, open_engine
from ingest.settings import settings as settings_module

st.set_page_config(layout="wide")
settings = settings_module.load()
patterns = os.environ.get("TEST_SCOPE", "*").split()
visit = Visit(
    settings,
    open_engine(settings.database_url),
    dt.datetime.now(dt.UTC).date(),
    {},
    Scope(tuple(patterns)),
    os.environ.get("TEST_USER", ""),
)
domain = st.query_params["domain"]
_, verdict = visit.judge(verdicts.case_of, domain)
st.title(verdict.name)
overrides.render(visit, domain, verdict)
