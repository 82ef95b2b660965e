"""Who has reported about some domains: voices, and why each of them is known (docs/verdict.md, "Known voices")."""

import collections
import datetime as dt
import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from ingest.database.joins import of_report
from ingest.database.models import delivery, report
from ingest.spool.channels import OF_OPERATOR
from ingest.testimony import reporters, voices
from ingest.testimony.trust import EVIDENCE

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


def speakers_of(
    connection: sa.Connection, conditions: Sequence[sa.ColumnElement[bool]], on: dt.date
) -> Mapping[str, Speakers]:
    """The voices of each domain among the reports that ``conditions`` (on the table ``report``) let in."""
    row = report.c
    columns = (row.policy_domain, row.voice, row.organization, row.signer, row.contact_info, row.day)
    query = (
        sa.select(*columns, sa.func.min(row.received_at).label("first"), sa.func.max(row.received_at).label("newest"))
        .where(*conditions, row.day >= on - _HISTORY)
        .group_by(*columns)
        .order_by(*columns)
    )
    loaded: dict[str, set[str]] = collections.defaultdict(set)
    for by_operator in connection.execute(_loaded(conditions)):
        loaded[by_operator.policy_domain].add(by_operator.voice)
    rows_of: dict[str, list[Any]] = collections.defaultdict(list)
    for each in connection.execute(query):
        rows_of[each.policy_domain].append(each)
    speakers: dict[str, Speakers] = collections.defaultdict(Speakers)
    for domain, rows in rows_of.items():
        # Once to see who is known, and once more with the names that are known then.
        speakers[domain] = Speakers(rows, loaded[domain], _ties(rows, Speakers(rows, loaded[domain]), on))
    return speakers


def _loaded(conditions: Sequence[sa.ColumnElement[bool]]) -> sa.Select[tuple[str, str]]:
    """Domains and voices of which the operator has loaded reports, whatever else brought them."""
    way = delivery.c
    by_operator = sa.exists().where(of_report(delivery), way.door.in_(OF_OPERATOR), way.trust.in_(EVIDENCE))
    return sa.select(report.c.policy_domain, report.c.voice).where(*conditions, by_operator).distinct()
