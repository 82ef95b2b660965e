"""An older database is brought to this version: for SQLite after a copy beside it, which stays until somebody deletes it.

Only ``db upgrade`` and ``serve`` come here. The copy is taken while nobody else can write, so it is all that there was.
"""

import datetime as dt
import filecmp
import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

from ingest.database import engines
from ingest.database.engines import NotBackedUp, SchemaMismatch
from ingest.settings.settings import PREFIX, Settings

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
        engines.upgrade(settings.database_url, before)
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

    engines.upgrade(settings.database_url, refuse)


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
