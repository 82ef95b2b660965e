"""What a question is about: which domains may be seen, which days, which reports are believed."""

import datetime as dt
from typing import Any, Self

import msgspec
import sqlalchemy as sa

from dashboard.decision.evidence import Thresholds
from ingest.settings.settings import Settings
from ingest.testimony.trust import EVIDENCE, TRUST_ORDER, UNAUTHENTICATED
from ingest.text.stored import short_digest

# Reports that count as evidence, and those that are kept apart and never move a figure (docs/verdict.md).
TRUSTED = "trusted"
UNPROVEN = "unproven"
LANES: dict[str, tuple[str, ...]] = {TRUSTED: EVIDENCE, UNPROVEN: TRUST_ORDER[len(EVIDENCE) :]}


class Scope(msgspec.Struct, frozen=True):
    """The policy domains a user may see: ``example.com`` is itself, ``*.example.com`` all below it; None and ``*`` are all."""

    patterns: tuple[str, ...] | None = None

    @property
    def is_everything(self) -> bool:
        """Whether nothing is hidden. Only then may messages be shown that belong to no domain (quarantine)."""
        return self.patterns is None or "*" in self.patterns

    @property
    def is_nothing(self) -> bool:
        """Whether there is no domain that could be seen."""
        return self.patterns == ()

    def allows(self, domain: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
        """The condition on a column of policy domains."""
        if self.patterns is None or self.is_everything:
            return sa.true()
        each = [
            domain.endswith(pattern.lower().removeprefix("*"), autoescape=True)
            if pattern.startswith("*.")
            else domain == pattern.lower()
            for pattern in self.patterns
        ]
        return sa.or_(sa.false(), *each)

    def holds(self, domain: str) -> bool:
        """The same for one domain in its stored form: whether this user may see it, and speak about it."""
        if self.patterns is None or self.is_everything:
            return True
        each = [pattern.lower() for pattern in self.patterns]
        return any(domain.endswith(pattern[1:]) if pattern.startswith("*.") else domain == pattern for pattern in each)


EVERYTHING = Scope()


class Question(msgspec.Struct, frozen=True):
    """What a verdict is asked about, apart from the domains: the day, what the user may see, how much evidence is enough, and
    whose reports are believed (``trusts``). ``as_of_then`` leaves out what arrived after the day (UTC).
    """

    on: dt.date
    scope: Scope = EVERYTHING
    thresholds: Thresholds = Thresholds()
    trusts: tuple[str, ...] = EVIDENCE
    as_of_then: bool = False

    @classmethod
    def of(cls, settings: Settings, today: dt.date, scope: Scope = EVERYTHING) -> Self:
        """The question about today, with the thresholds that the settings ask for."""
        thresholds = Thresholds(
            window_days=settings.verdict_window_days,
            late_days=settings.verdict_late_days,
            lookback_days=max(settings.verdict_lookback_days, settings.verdict_window_days),
            reporters=settings.verdict_reporters,
            bound=settings.verdict_bound,
            signers=settings.verdict_signers,
        )
        return cls(today, scope, thresholds, (*EVIDENCE, UNAUTHENTICATED) if settings.trust_uploads else EVIDENCE)

    @property
    def asked(self) -> str:
        """What tells verdicts that were made for other thresholds, or from other trusts, than these."""
        return short_digest(msgspec.json.encode((self.thresholds, self.trusts)).decode())

    def about(self, day: dt.date) -> Self:
        """The same about another day; of an earlier one only what had arrived by the end of it counts."""
        return msgspec.structs.replace(self, on=day, as_of_then=self.as_of_then or day < self.on)


class DayRange(msgspec.Struct, frozen=True):
    """Days of reports, both ends included; None is open."""

    since: dt.date | None = None
    until: dt.date | None = None

    def holds(self, day: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
        """The condition on a column of days."""
        bounds = []
        if self.since:
            bounds.append(day >= self.since)
        if self.until:
            bounds.append(day <= self.until)
        return sa.and_(sa.true(), *bounds)


ALL_DAYS = DayRange()


def lane_of(trust: sa.ColumnElement[Any]) -> sa.Case[Any]:
    """A column of ``trust`` as a column of lanes."""
    return sa.case((trust.in_(EVIDENCE), TRUSTED), else_=UNPROVEN)
