"""Overrides in the database: given, taken back, read. What one may say is in ``testimony.overrides``.

One set of operations for the command line and for the page. Overrides are only ever added: taking one back is written beside
it.
"""

import datetime as dt
from collections.abc import Iterator

import msgspec
import sqlalchemy as sa

from ingest.database import engines, models
from ingest.database.sql import insert_into
from ingest.rfc import names
from ingest.testimony.override_rules import (
    CONTENTS,
    KINDS,
    LONGEST_NOTE,
    MOST_IN_FORCE,
    Content,
    Override,
    RefusedOverride,
    checked,
    decoded,
)
from ingest.text.stored import short_digest, storable

from . import due

_row = models.operator_word.c


class NoSuchOverride(ValueError):
    """No override, or several, answer to this number. Show the text; exit with 2."""


class Act(msgspec.Struct, frozen=True):
    """An override is given or taken back: by whom, when, and with which note."""

    who: str
    now: dt.datetime
    note: str

    @property
    def author(self) -> str:
        """Who it was, as it is stored."""
        return storable(self.who)[:LONGEST_NOTE]

    @property
    def reason(self) -> str:
        """The note as it is stored."""
        return storable(self.note.strip())[:LONGEST_NOTE]


def give(engine: sa.Engine, domain: str, content: Content, act: Act, until: dt.date | None = None) -> str:
    """Write an override down, in force from the day of the act. Returns its key. Raises RefusedOverride, DatabaseAway."""
    today = act.now.date()
    ready = checked(content, today)
    if not act.reason:
        raise RefusedOverride("a note is needed: whoever reads this later will ask why")
    if until is not None and until < today:
        raise RefusedOverride(f"{until} is over: the last day must not lie before today, {today} (UTC)")
    if not domain or len(domain) > names.MAX_DOMAIN:
        raise RefusedOverride("a policy domain is needed")
    kind, text = KINDS[type(ready)], msgspec.json.encode(ready).decode()
    key = short_digest(domain, kind, text, act.who, act.now.isoformat())
    row = {
        "policy_domain": domain,
        "word_key": key,
        "kind": kind,
        "content": text,
        "note": act.reason,
        "until_day": until,
    }
    row |= {"author": act.author, "given_at": act.now}
    with engines.connected(engine, write=True) as connection:
        if _count(connection, domain, today) >= MOST_IN_FORCE:
            raise RefusedOverride(f"{MOST_IN_FORCE} overrides are in force for this domain; take some back first")
        connection.execute(insert_into(connection, models.operator_word).values(row).on_conflict_do_nothing())
        due.mark(connection, {domain: act.now.date()})
    return key


def withdraw(engine: sa.Engine, domain: str, key: str, act: Act) -> int:
    """Take an override back from the day of the act on; earlier days keep it. Returns 1, or 0 when it was taken back before.

    Raises DatabaseAway.
    """
    change = {"withdrawn_at": act.now, "withdrawn_by": act.author, "withdrawal_note": act.reason}
    this = (_row.policy_domain == domain, _row.word_key == key, _row.withdrawn_at.is_(None))
    with engines.connected(engine, write=True) as connection:
        due.mark(connection, {domain: act.now.date()})
        return connection.execute(sa.update(models.operator_word).where(*this).values(change)).rowcount


def find(engine: sa.Engine, beginning: str) -> Override:
    """The one override whose number begins so. Raises NoSuchOverride, DatabaseAway."""
    like = _row.word_key.startswith(beginning.strip().lower(), autoescape=True)
    with engines.connected(engine) as connection:
        candidates = list(read(connection, like, limit=2))
    if len(candidates) == 1:
        return candidates[0]
    raise NoSuchOverride(f"{'several overrides begin' if candidates else 'no override begins'} with {beginning!r}")


def in_force(on: dt.date) -> list[sa.ColumnElement[bool]]:
    """The conditions for overrides that hold on the day ``on``: given and not taken back before its end (UTC), and not past."""
    midnight = dt.datetime.combine(on + dt.timedelta(days=1), dt.time(), dt.UTC)
    return [
        _row.given_at < midnight,
        sa.or_(_row.withdrawn_at.is_(None), _row.withdrawn_at >= midnight),
        sa.or_(_row.until_day.is_(None), _row.until_day >= on),
    ]


def read(
    connection: sa.Connection,
    *conditions: sa.ColumnElement[bool],
    limit: int | None = None,
    newest_first: bool = False,
) -> Iterator[Override]:
    """The overrides for which all ``conditions`` hold, by domain, oldest first. Kinds of a later version are passed over."""
    columns = (_row.kind, _row.policy_domain, _row.word_key, _row.content, _row.note, _row.author, _row.given_at)
    taken_back = (_row.until_day, _row.withdrawn_at, _row.withdrawn_by, _row.withdrawal_note)
    query = sa.select(*columns, *taken_back).where(_row.kind.in_(CONTENTS), *conditions).limit(limit)
    age = (_row.given_at.desc(), _row.word_key.desc()) if newest_first else (_row.given_at, _row.word_key)
    for row in connection.execute(query.order_by(_row.policy_domain, *age)):
        kind, domain, key, content, *particulars = row
        yield Override(domain, key, decoded(kind, content), *particulars)


def given(engine: sa.Engine, domain: str = "", on: dt.date | None = None) -> list[Override]:
    """All overrides of ``domain`` (empty: of all domains); those in force on the day ``on`` when it is given."""
    wanted = [_row.policy_domain == domain] if domain else []
    with engines.connected(engine) as connection:
        return list(read(connection, *wanted, *(in_force(on) if on else ())))


def _count(connection: sa.Connection, domain: str, on: dt.date) -> int:
    of_domain = sa.select(sa.func.count()).select_from(models.operator_word).where(_row.policy_domain == domain)
    return int(connection.execute(of_domain.where(*in_force(on))).scalar_one())
