"""A post office for signed mails, and one on each engine."""

from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa

from ingest.settings.settings import Settings
from tests.dashboard.decision.signed_post import Post
from tests.nameserver import NameServer

MakeSettings = Callable[..., Settings]


@pytest.fixture
def post(sqlite_engine: sa.Engine, settings_for: MakeSettings) -> Iterator[Post]:
    """Nothing has come in yet, on SQLite."""
    with NameServer({}) as nameserver:
        yield Post(sqlite_engine, settings_for(), nameserver)


@pytest.fixture
def post_on_both(engine: sa.Engine, settings_for: MakeSettings) -> Iterator[Post]:
    """Nothing has come in yet, once on each engine."""
    with NameServer({}) as nameserver:
        yield Post(engine, settings_for(database_url=engine.url.render_as_string(hide_password=False)), nameserver)
