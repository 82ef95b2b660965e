"""Who has reported about some domains: voices, and why each of them is known (docs/verdict.md, "Known voices")."""

import collections
import datetime as dt
import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from ingest.database.models import report
from ingest.database.sql import chunks
from ingest.store.voice_months import since
from ingest.testimony import reporters, voices

from .months import Months, Names

# A voice is heard when it has reported on so many days, over so long a time; after so long a silence it is new again.
HEARD_DAYS, HEARD_FOR, SILENT_FOR = 10, dt.timedelta(days=30), dt.timedelta(days=90)
# Nothing older makes a voice heard: who was heard before and lapsed is heard anew.
_HISTORY = dt.timedelta(days=400)

LISTED, OPERATOR, LOADED, HEARD = "listed", "operator", "loaded", "heard"


class Speaker(msgspec.Struct):
    """A voice about one domain: the organisation and signer of its newest report, and when its reports arrived.

    ``days`` are the days it reported about, each with the first arrival of a report about it.
    """

    voice: str
    organization: str = ""
    signer: str = ""
    loaded: bool = False
    newest: dt.datetime = dt.datetime.min.replace(tzinfo=dt.UTC)
    days: dict[dt.date, dt.datetime] = {}

    def basis(self, on: dt.date, signers: Sequence[str]) -> str:
        """Why the voice is known on the day ``on``, "" for a newcomer. ``signers`` is the operator's list: when there is one,
        nobody else is known.
        """
        if signers:
            return OPERATOR if any(self._is_of(name) for name in signers) else ""
        return self._own_basis(on)

    def _is_of(self, domain: str) -> bool:
        """Whether the voice is that of ``domain``, or below it."""
        return self.voice in (domain, voices.registrable(domain)) or self.voice.endswith(f".{domain}")

    def is_acquainted(self, on: dt.date) -> bool:
        """Whether the voice is known without the operator's list: then a name may be known to be its."""
        return bool(self._own_basis(on))

    def _own_basis(self, on: dt.date) -> str:
        if reporters.is_listed(self.voice):
            return LISTED
        if self.loaded:
            return LOADED
        return HEARD if _is_heard(sorted(self.days.items()), on) else ""


def _is_heard(days: Sequence[tuple[dt.date, dt.datetime]], on: dt.date) -> bool:
    arrivals = sorted(arrived.date() for _, arrived in days)
    if not arrivals or on - arrivals[-1] > SILENT_FOR:
        return False
    pauses = [later for earlier, later in itertools.pairwise(arrivals) if later - earlier > SILENT_FOR]
    since = pauses[-1] if pauses else arrivals[0]
    # Thirty days between the first and the last: a stranger's two weeks do not ripen while it is silent.
    return sum(arrived >= since for arrived in arrivals) >= HEARD_DAYS and arrivals[-1] - since >= HEARD_FOR


class Speakers:
    """The voices of one domain by the word of its reports (rows of ``speakers_of``); ``aliases`` are names of theirs."""

    def __init__(
        self, rows: Sequence[Any] = (), loaded: Collection[str] = (), ties: Mapping[str, str] | None = None
    ) -> None:
        self.aliases = ties or {}
        self.by_voice: dict[str, Speaker] = {}
        for row in rows:
            voice = self.resolve(row.voice)
            speaker = self.by_voice.setdefault(voice, Speaker(voice, days={}))
            if row.newest > speaker.newest:
                speaker.organization, speaker.signer, speaker.newest = row.organization, row.signer, row.newest
            speaker.loaded |= row.voice in loaded
            if row.day is not None:
                speaker.days[row.day] = min(row.first, speaker.days.get(row.day, row.first))

    def known(self, on: dt.date, signers: Sequence[str]) -> frozenset[str]:
        """The voices that are known on that day; ``signers`` is the operator's list."""
        return frozenset(voice for voice, speaker in self.by_voice.items() if speaker.basis(on, signers))

    def resolve(self, voice: str) -> str:
        """The voice of a stored report: the signer to whom its name, or its contact's domain, is known to belong."""
        return self.aliases.get(voice, voice)


def _ties(rows: Iterable[Any], speakers: Speakers, on: dt.date) -> Mapping[str, str]:
    """What belongs to known signers: a name, by a verified report whose contact is under the signer's domain, or that gives no
    contact (Stalwart); and a contact's domain that signs nothing itself, when a service signs for it. Files saved from such
    mails name no signer, and independence has to be shown.
    """
    ties: dict[str, str] = {}
    signed = [row for row in rows if row.signer]
    signers = {row.voice for row in signed}
    acquainted = {voice for voice in signers if speakers.by_voice[voice].is_acquainted(on)}
    for row in signed:
        if row.voice not in acquainted:
            continue
        contact = voices.registrable(voices.domain_of_address(row.contact_info))
        if contact in ("", row.voice):
            name = voices.folded(row.organization)
            if name and not voices.is_domain(name):
                ties.setdefault(name, row.voice)
        elif contact not in signers and not reporters.is_listed(contact):
            ties.setdefault(contact, row.voice)
    return ties


def speakers_of(months: Months, first: dt.date) -> Mapping[str, Speakers]:
    """The voices of each domain among the reports that ``months`` selects.

    Days before ``first``, where the look-back begins, are read of those voices only that are not known without them: a voice
    that is heard by its newest days alone stays so whatever came before. So the cost does not grow with a history.
    """
    connection, on, conditions = months.connection, months.selection.question.on, months.selection.since()
    oldest = on - _HISTORY
    rows_of: dict[str, list[Any]] = collections.defaultdict(list)
    for row in connection.execute(_by_day(conditions, since(max(first, oldest)))):
        rows_of[row.policy_domain].append(row)
    names = months.names(oldest, first)
    loaded = months.loaded()
    unknown = _not_yet_known(rows_of, names, loaded, on)
    for name in names:
        if (name.policy_domain, name.voice) not in unknown:
            rows_of[name.policy_domain].append(name)
    earlier = (since(oldest), report.c.day < first)
    for chunk in chunks(sorted(unknown)):
        whose = sa.tuple_(report.c.policy_domain, report.c.voice).in_(chunk)
        for row in connection.execute(_by_day(conditions, *earlier, whose)):
            rows_of[row.policy_domain].append(row)
    speakers: dict[str, Speakers] = collections.defaultdict(Speakers)
    for domain, rows in rows_of.items():
        rows.sort(key=_in_order)
        # Once to see who is known, and once more with the names that are known then.
        of_operator = loaded.get(domain, set())
        speakers[domain] = Speakers(rows, of_operator, _ties(rows, Speakers(rows, of_operator), on))
    return speakers


def _in_order(row: Any) -> tuple[str, ...]:  # noqa: ANN401
    """Of several rows that tie a name the first counts, so the order must not depend on how they were read."""
    return row.voice, row.organization, row.signer, row.contact_info


_COLUMNS = tuple(report.c[name] for name in ("policy_domain", "voice", "organization", "signer", "contact_info"))
_ARRIVALS = (sa.func.min(report.c.received_at).label("first"), sa.func.max(report.c.received_at).label("newest"))


def _by_day(conditions: Sequence[sa.ColumnElement[bool]], *more: sa.ColumnElement[bool]) -> sa.Select[Any]:
    query = sa.select(*_COLUMNS, report.c.day, *_ARRIVALS).where(*conditions, *more)
    # By day first: SQLite would rather go through a whole history in the order of its voices than sort some days.
    return query.group_by(report.c.policy_domain, report.c.day, *_COLUMNS[1:])


def _not_yet_known(
    rows_of: Mapping[str, Sequence[Any]],
    names: Iterable[Names],
    loaded: Mapping[str, Collection[str]],
    on: dt.date,
) -> set[tuple[str, str]]:
    """Voices, by domain, of which earlier days may say whether they are heard. After so long a silence none is."""
    speakers = {domain: Speakers(rows, loaded.get(domain, ())).by_voice for domain, rows in rows_of.items()}
    unknown: set[tuple[str, str]] = set()
    for name in names:
        speaker = speakers.get(name.policy_domain, {}).get(name.voice)
        newest = max(name.newest, speaker.newest) if speaker else name.newest
        known = reporters.is_listed(name.voice) or name.voice in loaded.get(name.policy_domain, ())
        if not known and on - newest.date() <= SILENT_FOR and not (speaker and speaker.is_acquainted(on)):
            unknown.add((name.policy_domain, name.voice))
    return unknown
