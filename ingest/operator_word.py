"""The operator's word about a domain: what no report can know. It is given with a note, holds until a day or until it is
taken back, and changes the verdicts of the days on which it holds.

One set of operations for the command line and for the page. Words are only ever added: taking one back is written beside it.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import msgspec
import pydantic
import sqlalchemy as sa

from . import database, models
from .mtasts.lint import lint
from .mtasts.patterns import is_host
from .mtasts.policy import MAX_BYTES
from .rows import short_digest, storable
from .settings import Settings
from .sql import insert_into
from .tlsrpt import names

ACCEPT, THRESHOLDS, POLICY, MX_HOSTS = "accept", "thresholds", "policy", "mx-hosts"
LONGEST_NOTE = 1_000
# As long as the columns, and the parts of columns, that these are compared with.
_LONGEST_WORD, _LONGEST_HOST = 255, 253
_MOST_HOSTS = 200
# Each failure of a domain is held against each of its words.
MOST_IN_FORCE = 200

_row = models.operator_word.c


class Refused(ValueError):
    """This cannot be a word. Show the text; exit with 2."""


class NotFound(ValueError):
    """No word, or several, answer to this number. Show the text; exit with 2."""


class AcceptedCause(msgspec.Struct, frozen=True, omit_defaults=True):
    """Failures that need no repair before the switch. An empty field stands for any; not all three may be empty."""

    result_type: str = ""
    mx_host: str = ""
    organization: str = ""


class OwnThresholds(msgspec.Struct, frozen=True, omit_defaults=True):
    """Thresholds of this domain instead of the settings VERDICT_*; None leaves one as it is."""

    bound: float | None = None
    reporters: int | None = None
    window_days: int | None = None
    late_days: int | None = None
    confidence: float | None = None


class EnteredPolicy(msgspec.Struct, frozen=True, omit_defaults=True):
    """The policy file as it is served, and the hosts of the domain's MX records, as far as they were named."""

    text: str
    mx_hosts: tuple[str, ...] = ()


class MxHosts(msgspec.Struct, frozen=True):
    """The hosts of the domain's MX records."""

    hosts: tuple[str, ...]


Content = AcceptedCause | OwnThresholds | EnteredPolicy | MxHosts
_CONTENTS: Mapping[str, type[Content]] = {
    ACCEPT: AcceptedCause,
    THRESHOLDS: OwnThresholds,
    POLICY: EnteredPolicy,
    MX_HOSTS: MxHosts,
}
_KINDS = {content: kind for kind, content in _CONTENTS.items()}


class Word(msgspec.Struct, frozen=True):
    """A word as it was given. ``until`` is the last day on which it holds, None: until it is taken back."""

    domain: str
    key: str
    content: Content
    note: str
    author: str
    given_at: dt.datetime
    until: dt.date | None = None
    withdrawn_at: dt.datetime | None = None
    withdrawn_by: str = ""
    withdrawal_note: str = ""

    @property
    def kind(self) -> str:
        """One of ACCEPT, THRESHOLDS, POLICY, MX_HOSTS."""
        return _KINDS[type(self.content)]

    @property
    def since(self) -> dt.date:
        """The first day on which it holds (UTC)."""
        return self.given_at.date()


def _range(name: str) -> pydantic.TypeAdapter[Any]:
    """The range of the setting VERDICT_<name>."""
    field = Settings.model_fields[f"verdict_{name}"]
    allowed: Any = Annotated[field.annotation, *field.metadata]
    return pydantic.TypeAdapter(allowed)


RANGES: Mapping[str, pydantic.TypeAdapter[Any]] = {
    **{name: _range(name) for name in ("bound", "reporters", "window_days", "late_days")},
    "confidence": pydantic.TypeAdapter(Annotated[float, pydantic.Field(ge=0.5, lt=1)]),
}


def give(
    engine: sa.Engine,
    domain: str,
    content: Content,
    note: str,
    who: str,
    now: dt.datetime,
    until: dt.date | None = None,
) -> str:
    """Write a word down, in force from the day of ``now``. Returns its key. Raises Refused, DatabaseAway."""
    ready = _checked(content)
    said = storable(note.strip())[:LONGEST_NOTE]
    if not said:
        raise Refused("a note is needed: whoever reads this later will ask why")
    if until is not None and until < now.date():
        raise Refused(f"{until} is over: the last day must not lie before today, {now.date()} (UTC)")
    if not domain or len(domain) > names.MAX_DOMAIN:
        raise Refused("a policy domain is needed")
    kind, text = _KINDS[type(ready)], msgspec.json.encode(ready).decode()
    key = short_digest(domain, kind, text, who, now.isoformat())
    row = {"policy_domain": domain, "word_key": key, "kind": kind, "content": text, "note": said, "until_day": until}
    row |= {"author": storable(who)[:LONGEST_NOTE], "given_at": now}
    with database.connected(engine, write=True) as connection:
        if _count(connection, domain, now.date()) >= MOST_IN_FORCE:
            raise Refused(f"{MOST_IN_FORCE} words are in force for this domain; take some back first")
        connection.execute(insert_into(connection, models.operator_word).values(row).on_conflict_do_nothing())
    return key


def withdraw(engine: sa.Engine, domain: str, key: str, note: str, who: str, now: dt.datetime) -> int:
    """Take a word back from the day of ``now`` on; earlier days keep it. Returns 1, or 0 when it was taken back before.

    Raises DatabaseAway.
    """
    change = {"withdrawn_at": now, "withdrawn_by": storable(who)[:LONGEST_NOTE]}
    change |= {"withdrawal_note": storable(note.strip())[:LONGEST_NOTE]}
    this = (_row.policy_domain == domain, _row.word_key == key, _row.withdrawn_at.is_(None))
    with database.connected(engine, write=True) as connection:
        return connection.execute(sa.update(models.operator_word).where(*this).values(change)).rowcount


def find(engine: sa.Engine, beginning: str) -> Word:
    """The one word whose number begins so. Raises NotFound, DatabaseAway."""
    like = _row.word_key.startswith(beginning.strip().lower(), autoescape=True)
    with database.connected(engine) as connection:
        found = list(read(connection, like, limit=2))
    if len(found) == 1:
        return found[0]
    raise NotFound(f"{'several words begin' if found else 'no word begins'} with {beginning!r}")


def in_force(on: dt.date) -> list[sa.ColumnElement[bool]]:
    """The conditions for words that hold on the day ``on``: given and not taken back before its end (UTC), and not past."""
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
) -> Iterator[Word]:
    """The words for which all ``conditions`` hold, by domain, oldest first. Kinds of a later version are passed over."""
    columns = (_row.kind, _row.policy_domain, _row.word_key, _row.content, _row.note, _row.author, _row.given_at)
    taken_back = (_row.until_day, _row.withdrawn_at, _row.withdrawn_by, _row.withdrawal_note)
    query = sa.select(*columns, *taken_back).where(_row.kind.in_(_CONTENTS), *conditions).limit(limit)
    age = (_row.given_at.desc(), _row.word_key.desc()) if newest_first else (_row.given_at, _row.word_key)
    for row in connection.execute(query.order_by(_row.policy_domain, *age)):
        kind, domain, key, content, *rest = row
        yield Word(domain, key, msgspec.json.decode(content, type=_CONTENTS[kind]), *rest)


def words(engine: sa.Engine, domain: str = "", on: dt.date | None = None) -> list[Word]:
    """All words about ``domain`` (empty: about all domains); those in force on the day ``on`` when it is given."""
    wanted = [_row.policy_domain == domain] if domain else []
    with database.connected(engine) as connection:
        return list(read(connection, *wanted, *(in_force(on) if on else ())))


def _count(connection: sa.Connection, domain: str, on: dt.date) -> int:
    of_domain = sa.select(sa.func.count()).select_from(models.operator_word).where(_row.policy_domain == domain)
    return int(connection.execute(of_domain.where(*in_force(on))).scalar_one())


def _checked(content: Content) -> Content:
    """The word as it is stored. Raises Refused."""
    if isinstance(content, AcceptedCause):
        return _cause(content)
    if isinstance(content, OwnThresholds):
        return _thresholds(content)
    if isinstance(content, EnteredPolicy):
        return _policy(content)
    return MxHosts(_hosts(content.hosts, at_least=1))


def _cause(said: AcceptedCause) -> AcceptedCause:
    ready = AcceptedCause(storable(said.result_type), storable(said.mx_host), storable(said.organization))
    if ready == AcceptedCause():
        raise Refused("name a result type, an MX host or a reporter: otherwise every failure would be accepted")
    if max(len(ready.result_type), len(ready.organization)) > _LONGEST_WORD or len(ready.mx_host) > _LONGEST_HOST:
        raise Refused("longer than any result type, host or reporter is")
    return ready


def _thresholds(said: OwnThresholds) -> OwnThresholds:
    given = {name: value for name in RANGES if (value := getattr(said, name)) is not None}
    if not given:
        raise Refused("no threshold is given")
    for name, value in given.items():
        try:
            RANGES[name].validate_python(value)
        except pydantic.ValidationError as error:
            raise Refused(f"{name.replace('_', ' ')} {value}: {error.errors()[0]['msg'].lower()}") from error
    return OwnThresholds(**given)


def _policy(said: EnteredPolicy) -> EnteredPolicy:
    file = storable(said.text).encode()
    if len(file) > MAX_BYTES:
        raise Refused(f"larger than {MAX_BYTES} bytes, which no sender reads")
    policy = lint(file)
    if not (policy.mode or policy.mx):
        raise Refused("this is no policy file: it has neither a mode line nor an mx line")
    return EnteredPolicy(file.decode(), _hosts(said.mx_hosts))


def _hosts(typed: Sequence[str], at_least: int = 0) -> tuple[str, ...]:
    """MX hosts in their stored form, none twice."""
    found: dict[str, None] = {}
    for text in typed:
        try:
            name = names.domain_name(text)
        except ValueError as error:
            raise Refused(f"MX host {text[:_LONGEST_HOST]!r}: {error}") from error
        if not is_host(name):
            raise Refused(f"{text[:_LONGEST_HOST]!r} is no MX host: give its name, without its preference")
        found[name] = None
    if not at_least <= len(found) <= _MOST_HOSTS:
        raise Refused(f"name at least {at_least} and at most {_MOST_HOSTS} MX hosts")
    return tuple(found)
