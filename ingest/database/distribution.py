"""Citus: the tables of a PostgreSQL database spread over several servers (docs/scale.md).

Whose key begins with ``policy_domain`` is distributed by it, all of them alike, so that everything about a domain lies together:
its questions touch one server, and its joins stay there. What belongs to no domain is small and bounded (quarantine, mails that
wait for DNS, the schema's revision) and becomes a reference table, of which each server has a copy.
"""

import logging
from collections.abc import Callable
from typing import NamedTuple

import sqlalchemy as sa

from . import engines, models

log = logging.getLogger(__name__)

# The column that says on which server a row lies, and the table beside whose rows all others lie.
COLUMN, FIRST = "policy_domain", models.report
_REVISION_TABLE = "alembic_version"
_COORDINATOR = 0
_IS_HERE = sa.text("SELECT true FROM pg_extension WHERE extname = 'citus'")
_IS_INSTALLED = sa.text("SELECT true FROM pg_available_extensions WHERE name = 'citus'")
_NODE = sa.text("SELECT groupid FROM pg_dist_local_group")
# Without any node the coordinator takes all rows of its own accord.
_NOBODY_TAKES_ROWS = sa.text(
    "SELECT count(*) > 0 AND NOT bool_or(shouldhaveshards AND isactive AND noderole = 'primary') FROM pg_dist_node"
)
# A table that Citus knows but has not spread has the method 'n' without the model 't'; it may be spread like any other.
_SPREAD = sa.text(
    "SELECT relname, partmethod = 'n', column_to_column_name(logicalrelid, partkey), colocationid"
    " FROM pg_dist_partition JOIN pg_class ON pg_class.oid = logicalrelid"
    " WHERE relnamespace = current_schema()::regnamespace AND (partmethod <> 'n' OR repmodel = 't')"
)
_DISTRIBUTE = sa.text("SELECT create_distributed_table(:table, :column, colocate_with => :beside)")
_REFER = sa.text("SELECT create_reference_table(:table)")
_FREE = sa.text("SELECT truncate_local_data_after_distributing_table(:table)")
_SEQUENTIAL = sa.text("SET LOCAL citus.multi_shard_modify_mode TO 'sequential'")


class CannotDistribute(Exception):
    """The tables cannot be distributed here. The text says why and what to do; exit with 2."""


class Distributed(NamedTuple):
    """How many tables lie distributed, how many are reference tables, and how many of both became so just now."""

    by_domain: int
    reference: int
    new: int


class _Placement(NamedTuple):
    """How a table is spread now: as a reference table, or by a column, together with all tables of a group."""

    is_reference: bool
    column: str | None
    group: int


def distribute(url: str, progress: Callable[[str], None] = lambda _table: None) -> Distributed:
    """Spread every table that is not spread yet, with its rows; ``progress`` gets each name before. What an interrupted run has
    done stays, and the next one goes on. Writers wait for the table that is being copied.

    Raises CannotDistribute, SchemaMismatch, DatabaseAway.
    """
    if sa.make_url(url).get_backend_name() == "sqlite":
        raise CannotDistribute(
            "the database is a SQLite file; only PostgreSQL with the extension Citus can be distributed (docs/scale.md)"
        )
    engine = engines.open_engine(url)
    try:
        _refuse_without_citus(engine)
        engines.check(engine)
        new = _spread_missing(engine, progress)
    finally:
        engine.dispose()
    return Distributed(len(_domain_tables()), len(_reference_tables()), new)


def follow(engine: sa.Engine) -> None:
    """Spread the tables that a migration has added to a database whose tables are spread. Raises what ``distribute`` raises."""
    if _has_citus(engine) and FIRST.name in _placements(engine):
        _spread_missing(engine, lambda _table: None)


def prepare_migration(connection: sa.Connection) -> None:
    """Let a migration within the connection's transaction change distributed tables and then read them."""
    if connection.dialect.name == "postgresql" and connection.scalar(_IS_HERE):
        connection.execute(_SEQUENTIAL)


def _domain_tables() -> list[str]:
    """The tables that are distributed by domain, the first of them first."""
    names = [table.name for table in models.metadata.sorted_tables if _begins_with_domain(table)]
    return sorted(names, key=lambda name: name != FIRST.name)


def _reference_tables() -> list[str]:
    return [_REVISION_TABLE, *(table.name for table in models.metadata.sorted_tables if not _begins_with_domain(table))]


def _begins_with_domain(table: sa.Table) -> bool:
    return next(iter(table.primary_key.columns)).name == COLUMN


def _spread_missing(engine: sa.Engine, progress: Callable[[str], None]) -> int:
    new = 0
    for name in (*_domain_tables(), *_reference_tables()):
        placements = _placements(engine)
        if name in placements:
            _refuse_other_placement(name, placements)
        else:
            progress(name)
            with engines.connected(engine, write=True) as connection:
                _spread(connection, name)
            log.info("the table %s is spread over the servers", name)
            new += 1
        # The rows have been copied to where they belong; those that were copied still take the disk of this server.
        with engines.connected(engine, write=True) as connection:
            connection.execute(_FREE, {"table": name})
    return new


def _spread(connection: sa.Connection, name: str) -> None:
    connection.execute(_SEQUENTIAL)
    if name in _reference_tables():
        connection.execute(_REFER, {"table": name})
    else:
        beside = "none" if name == FIRST.name else FIRST.name
        connection.execute(_DISTRIBUTE, {"table": name, "column": COLUMN, "beside": beside})


def _placements(engine: sa.Engine) -> dict[str, _Placement]:
    with engines.connected(engine) as connection:
        return {name: _Placement(*placement) for name, *placement in connection.execute(_SPREAD)}


def _refuse_other_placement(name: str, placements: dict[str, _Placement]) -> None:
    """Somebody may have distributed a table by hand; moving it silently could take days."""
    placement = placements[name]
    if name in _reference_tables():
        right = placement.is_reference
    else:
        right = placement.column == COLUMN and placement.group == placements[FIRST.name].group
    if not right:
        raise CannotDistribute(
            f"the table {name} is distributed already, but in another way; undo it with "
            f"SELECT undistribute_table('{name}'), then run `starttally db distribute` again"
        )


def _has_citus(engine: sa.Engine) -> bool:
    if engine.dialect.name != "postgresql":
        return False
    with engines.connected(engine) as connection:
        return bool(connection.scalar(_IS_HERE))


def _refuse_without_citus(engine: sa.Engine) -> None:
    with engines.connected(engine) as connection:
        if not connection.scalar(_IS_HERE):
            if connection.scalar(_IS_INSTALLED):
                how = "it is installed on this server: run CREATE EXTENSION citus in this database, as superuser"
            else:
                how = (
                    "install Citus on every server, name it in shared_preload_libraries, restart them, and run "
                    "CREATE EXTENSION citus in this database, as superuser (docs/scale.md)"
                )
            raise CannotDistribute(f"the database has no extension Citus; {how}")
        if connection.scalar(_NODE) != _COORDINATOR:
            raise CannotDistribute("this server is a worker of Citus; let STARTTALLY_DATABASE_URL name its coordinator")
        if connection.scalar(_NOBODY_TAKES_ROWS):
            raise CannotDistribute(
                "no server takes rows: add some with SELECT citus_add_node(HOST, PORT), or let the coordinator do so with "
                "SELECT citus_set_node_property(HOST, PORT, 'shouldhaveshards', true)"
            )
