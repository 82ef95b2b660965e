"""An older database is brought to this version: for SQLite after a copy beside it, which stays until somebody deletes it.

Only ``db upgrade`` and ``serve`` come here. The copy is taken while nobody else can write, so it is all that there was.
"""

import datetime as dt
import filecmp
import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa

from ingest.database import distribution, engines
from ingest.database.engines import DatabaseAway, NotBackedUp, SchemaMismatch
from ingest.settings.settings import PREFIX, Settings

from . import fleet_sums, rekeying

Say = Callable[[str], None]


def upgrade(settings: Settings, say: Say, *, copy: bool = True) -> None:
    """Create the tables or bring them to this version, as ``db upgrade``. ``say`` gets what the operator should know.

    An older SQLite database is copied first, unless ``copy`` is False; PostgreSQL has tools of its own for that. Raises
    NotBackedUp, SchemaMismatch, DatabaseAway; before a copy is there nothing is changed.
    """
    place = settings.database_file
    copies: list[Path] = []

    def before(older: str) -> None:
        if place is not None and copy:
            say(f"copying the database (schema {older}) before its upgrade")
            copies.append(_copied(settings, place, older))
            say(f"the database as it was is in {copies[0]}; it stays there until you delete it")

    done = False
    try:
        migrate(settings.database_url, before)
        done = True
    finally:
        if copies and not done:
            say(f"the upgrade failed, and is tried again by `starttally db upgrade`; {_way_back(copies[0], place)}")


def at_start(settings: Settings, say: Say) -> None:
    """The same, as ``serve`` does it: an older PostgreSQL database is refused, because only its operator can back it up."""
    if settings.database_file is not None:
        upgrade(settings, say)
        return

    def refuse(older: str) -> None:
        raise SchemaMismatch(
            f"the database has an older schema ({older}); back it up with pg_dump (docs/operations.md), then run "
            "`starttally db upgrade`"
        )

    migrate(settings.database_url, refuse)


def open_ready(url: str) -> sa.Engine:
    """An engine on an up-to-date schema. A SQLite database without tables gets them here; an older one is the operator's step.

    Raises SchemaMismatch, DatabaseAway.
    """
    engine = engines.open_engine(url)
    try:
        if engine.dialect.name == "sqlite" and engines.revision(engine) is None:
            migrate(url)
        engines.check(engine)
    except (DatabaseAway, SchemaMismatch):
        engine.dispose()
        raise
    return engine


def migrate(url: str, before: Callable[[str], None] = lambda _older: None) -> None:
    """Bring the schema to this program's version; ``upgrade`` does so for operators, with a copy of what there was.

    ``before`` is called with the revision of an older schema before anything is changed; what it raises ends the upgrade. On
    SQLite nobody else can write from then until the migration is done. Raises SchemaMismatch for a newer database,
    DatabaseAway without one.
    """
    import alembic.command

    engine = engines.open_engine(url)
    try:
        with engine.begin() as connection:
            current = engines.current_revision(connection)
            engines.refuse_newer(current)
            if current not in (None, engines.revisions()[-1]):
                before(str(current))
            distribution.prepare_migration(connection)
            config = engines.migrations_config()
            config.attributes["connection"] = connection
            alembic.command.upgrade(config, "head")
        distribution.follow(engine)
        _finish_upgrade(engine)
    except sa.exc.DBAPIError as error:
        raise engines.as_away(error) from error
    finally:
        engine.dispose()


def _finish_upgrade(engine: sa.Engine) -> None:
    """What a migration left to do on stored rows. It goes on where it was interrupted."""
    with engine.connect() as connection:
        tasks = engines.pending_upgrades(connection)
    if rekeying.TASK in tasks:
        rekeying.rekey(engine)
    if rekeying.VOICE_MONTHS in tasks:
        rekeying.fill_voice_months(engine)
    if fleet_sums.TASK in tasks:  # of what the keys of today say
        fleet_sums.add_up(engine)


def _copied(settings: Settings, place: Path, older: str) -> Path:
    """A copy of the database beside it. An upgrade that fails again and again leaves one, not one each time."""
    _refuse_without_space(settings, place)
    stem = f"{place.name}.schema-{older}.{dt.datetime.now(dt.UTC):%Y-%m-%d}"
    names = (stem if number == 1 else f"{stem}.{number}" for number in itertools.count(1))
    earlier: Path | None = None
    for name in names:
        target = place.with_name(name)
        if not target.exists():
            break
        earlier = target
    engines.back_up(settings.database_url, target)
    if earlier is not None and filecmp.cmp(earlier, target, shallow=False):
        target.unlink()
        return earlier
    return target


def _refuse_without_space(settings: Settings, place: Path) -> None:
    """The doors need MIN_FREE_BYTES, mostly on the same disk."""
    beside = place.with_name(place.name + "-wal")
    size = place.stat().st_size + (beside.stat().st_size if beside.exists() else 0)
    free = shutil.disk_usage(place.parent).free
    if free < size + settings.min_free_bytes:
        mib = 1024 * 1024
        raise NotBackedUp(
            f"no space for a copy of the database before its upgrade: it needs {size / mib:.0f} MiB in "
            f"{place.parent.absolute()}, {PREFIX}MIN_FREE_BYTES={settings.min_free_bytes} must stay free, and "
            f"{free / mib:.0f} MiB are; make room, or run `starttally db backup` to another disk and then "
            "`starttally db upgrade --no-copy`"
        )


def _way_back(copy: Path, place: Path | None) -> str:
    return (
        f"to go back to the version before: stop everything, delete {place}-wal and {place}-shm, "
        f"and put the copy in place: cp {copy} {place}"
    )
