"""A filled database, once for each module and engine, and what was put into it."""

import dataclasses
import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from ingest.database import engines
from ingest.settings import settings as settings_module
from ingest.settings.settings import Settings
from ingest.store.upkeep import upgrades
from tests.databases import ENGINES, create_database, create_distributed_database

from . import world


@dataclasses.dataclass(frozen=True)
class Filled:
    """A database with the world in it. ``today`` is the day that the world was made for."""

    url: str
    engine: sa.Engine
    settings: Settings
    sent: list[world.Sent]
    today: dt.date


def fill(url: str, today: dt.date, folder: Path) -> Iterator[Filled]:
    """Migrate and fill the database; yield it opened read-only."""
    settings = settings_module.load(
        database_url=url,
        spool=folder / "spool",
        hostname="mx.receiver.example",
        recipients="tlsrpt@receiver.example",
        smtp_listen="127.0.0.1:0",
        http_listen="127.0.0.1:0",
        dashboard_listen="127.0.0.1:0",
    )
    upgrades.migrate(url)
    writing = engines.open_engine(url)
    sent = world.fill(writing, settings, today)
    reading = engines.open_engine(url, read_only=True)
    yield Filled(url, reading, settings, sent, today)
    reading.dispose()
    writing.dispose()


@pytest.fixture(scope="module", params=ENGINES)
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    """The world of a fixed day, on each engine."""
    folder = tmp_path_factory.mktemp("filled")
    if request.param == "sqlite":
        url = f"sqlite:///{folder}/starttally.db"
    elif request.param == "citus":
        url = create_distributed_database()
    else:
        url = create_database(request.getfixturevalue("postgresql_server"))
    yield from fill(url, dt.date(2026, 11, 20), folder)


@pytest.fixture(scope="module")
def filled_today(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    """The world as of today, on SQLite: for pages, which know the time."""
    folder = tmp_path_factory.mktemp("today")
    yield from fill(f"sqlite:///{folder}/starttally.db", dt.datetime.now(dt.UTC).date(), folder)
