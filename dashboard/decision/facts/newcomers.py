"""Who reports and is not known: what newcomers say, beside the headline that they do not move (docs/verdict.md). Pure."""

import collections
import datetime as dt
from collections.abc import Collection, Sequence

import msgspec

from dashboard.decision.evidence import Entry, Evidence
from ingest.rfc.policy_types import NO_POLICY_FOUND, STS
from ingest.rfc.result_types import REFUSED

from .failures import failures_of


class Newcomer(msgspec.Struct, frozen=True):
    """A voice that is not known, and what it says about these days: sessions under MTA-STS, of which ``refused`` would be
    refused; the ``modes`` of the policies it quotes; whether it ``finds_none``. The operator may believe or dismiss it.
    """

    voice: str
    organization: str
    signer: str
    sessions: int
    refused: int
    first_day: dt.date
    last_day: dt.date
    modes: tuple[str, ...] = ()
    finds_none: bool = False


def newcomers_of(evidence: Evidence, known: Collection[str], since: dt.date) -> tuple[Newcomer, ...]:
    """The newcomers heard since that day, those with most refused sessions first. Dismissed voices are none."""
    entries: dict[str, list[Entry]] = collections.defaultdict(list)
    for entry in evidence.entries:
        if entry.voice not in known and entry.voice not in evidence.dismissed and entry.failed_on >= since:
            entries[entry.voice].append(entry)
    new = [_newcomer(evidence, voice, members) for voice, members in entries.items()]
    return tuple(sorted(new, key=lambda newcomer: (-newcomer.refused, -newcomer.sessions, newcomer.voice)))


def _newcomer(evidence: Evidence, voice: str, entries: Sequence[Entry]) -> Newcomer:
    profile = evidence.voices.get(voice)
    sts = [entry for entry in entries if entry.policy_type == STS]
    refused = [_refused(entry) for entry in sts]
    return Newcomer(
        voice=voice,
        organization=evidence.name_of(voice),
        signer=profile.signer if profile else entries[-1].signer,
        sessions=sum(entry.successful for entry in sts) + sum(refused),
        refused=sum(refused),
        first_day=min(entry.day for entry in entries),
        last_day=max(entry.failed_on for entry in entries),
        modes=tuple(sorted({entry.policy.mode for entry in sts if entry.policy})),
        finds_none=any(entry.policy_type == NO_POLICY_FOUND for entry in entries),
    )


def _refused(entry: Entry) -> int:
    refused = sum(failure.sessions for failure in failures_of(entry) if failure.consequence == REFUSED)
    return refused if entry.failed is None else min(refused, entry.failed)
