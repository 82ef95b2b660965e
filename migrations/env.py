"""Runs migrations on the connection that ``ingest.database.engines`` hands over, or on the configured database."""

from typing import Literal

import alembic.context
import sqlalchemy as sa

from ingest.database import engines, models
from ingest.database.columns import Instant
from ingest.settings import settings


def _render(kind: str, item: object, _context: object) -> str | Literal[False]:
    """Migrations do not import the program: what a column was must not change with it."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, Instant) else False


def _run(connection: sa.Connection) -> None:
    alembic.context.configure(
        connection=connection,
        target_metadata=models.metadata,
        # SQLite cannot alter a column in place; Alembic then copies the table.
        render_as_batch=connection.dialect.name == "sqlite",
        render_item=_render,
        compare_type=True,
    )
    with alembic.context.begin_transaction():
        alembic.context.run_migrations()


given: sa.Connection | None = alembic.context.config.attributes.get("connection")
if given is not None:
    _run(given)
else:
    engine = engines.open_engine(settings.load().database_url)
    with engine.begin() as connection:
        _run(connection)
