"""May this domain's policy go from testing to enforce? One verdict for a domain and a day, from evidence alone. Pure.

The rules are those of docs/verdict.md. Three things carry most of them: the headline rests on known voices only; only sessions
that succeeded under the policy in force prove anything; and whatever shows that mail would be refused, and is not over, blocks,
however little else is known.
"""

import datetime as dt
import itertools
from collections.abc import Iterator

import msgspec

from dashboard.decision.facts.causes import Cause, listed_hosts
from dashboard.decision.facts.failures import covers
from dashboard.decision.facts.newcomers import Newcomer, newcomers_of
from dashboard.decision.facts.policy_history import CachedPolicy, Current, Seen, fresh_probe
from ingest.rfc.mtasts.patterns import normalised
from ingest.rfc.policy_types import STS

from . import weighing
from .clock import Window
from .evidence import Evidence, Thresholds
from .naming import (
    ENFORCING,
    ENFORCING_REFUSING,
    INSUFFICIENT,
    NO_POLICY,
    NOT_READY,
    POLICY_BROKEN,
    READY,
    URGENCY,
    WITHDRAWN,
    absence_remarks,
    name,
)
from .reasons import Missing, Reason
from .reckoning import Weighed, weigh
from .remarks import about_newcomers, remarks
from .sorting import sort
from .weighing import DayCount, ReporterEvidence

__all__ = ["Missing", "Reason", "Silent", "Verdict", "Window", "decide", "reasons_text", "urgency"]
__all__ += ["ENFORCING", "ENFORCING_REFUSING", "INSUFFICIENT", "NOT_READY", "NO_POLICY", "POLICY_BROKEN", "READY"]
__all__ += ["URGENCY", "WITHDRAWN"]

# A reporter is missed after three times its usual pause, which can be told from so many days with reports.
_MISSED_AFTER, _RHYTHM_DAYS = 3, 3


class Silent(msgspec.Struct, frozen=True):
    """A voice that has stopped reporting: its last day, and how often it used to report (days between reports)."""

    voice: str
    organization: str
    last_day: dt.date
    every_days: float


class Verdict(msgspec.Struct, frozen=True):
    """The answer for one domain and day, and all that it rests on.

    ``sessions`` are the successes and the ``refused`` sessions of the window, and ``bound`` the upper bound of the refusal
    rate by these very sessions (1.0 without any), at the confidence that ``thresholds`` ask for; ``refused_lately`` are those of
    the days after the window. ``reporters`` are the independent voices among them. ``held``: whose caches may still enforce an
    older policy. ``mx_missing`` are hosts that operator or probe name and the policy does not cover. ``newcomers`` are not
    known and move nothing; ``with_newcomers`` is what the verdict would be if they were, "" without any.
    """

    domain: str
    on: dt.date
    name: str
    window: Window
    current: Current | None
    reporters: int
    sessions: int
    refused: int
    refused_lately: int
    bound: float
    reasons: tuple[Reason, ...]
    causes: tuple[Cause, ...]
    missing: tuple[Missing, ...]
    by_reporter: tuple[ReporterEvidence, ...]
    silent: tuple[Silent, ...]
    propagation: tuple[Seen, ...]
    mx_without_evidence: tuple[str, ...]
    last_report_day: dt.date | None
    thresholds: Thresholds = Thresholds()
    daily: tuple[DayCount, ...] = ()
    held: tuple[CachedPolicy, ...] = ()
    mx_missing: tuple[str, ...] = ()
    newcomers: tuple[Newcomer, ...] = ()
    with_newcomers: str = ""

    @property
    def mode(self) -> str:
        """The mode in force, "" when nobody has named one."""
        return self.current.policy.mode if self.current else ""

    @property
    def ready_on(self) -> dt.date | None:
        """The day on which nothing will be missing any more, if it stays so; None when time alone does not help."""
        days = [lack.by for lack in self.missing if lack.by is not None]
        return max(days) if days and len(days) == len(self.missing) else None


def decide(evidence: Evidence) -> Verdict:
    """The verdict on the day of the evidence, from known voices; beside it what newcomers say."""
    known = evidence.known
    headline = _of(known)
    since = min(headline.window.start, Window.on(evidence.on, evidence.thresholds).start)
    newcomers = newcomers_of(evidence, known.speaking, since)
    if not newcomers:
        return headline
    believed = {voice for voice in evidence.speaking if voice not in evidence.dismissed}
    with_them = _of(evidence.limited_to(believed))
    notes = about_newcomers(newcomers)
    reasons = tuple(headline.reasons)
    if any(newcomer.refused for newcomer in newcomers):
        # While somebody accuses, nothing says that nothing was refused: only that nobody known met it.
        reasons = tuple(_of_known_only(reason) for reason in reasons)
    return msgspec.structs.replace(
        headline, reasons=(*reasons, *notes), newcomers=newcomers, with_newcomers=with_them.name
    )


def _of_known_only(reason: Reason) -> Reason:
    code = reason.code.replace("nothing-refused", "nothing-refused-by-known")
    return msgspec.structs.replace(reason, code=code)


def _of(evidence: Evidence) -> Verdict:
    """The verdict of some evidence, all voices of which are believed."""
    weighed = weigh(sort(evidence))
    causes, missing_hosts, silent = weighed.causes, _missing_hosts(weighed), tuple(_silent(weighed))
    named = name(weighed, missing_hosts)
    notes = remarks(weighed, causes, [voice.voice for voice in silent])
    reported = [day for days in evidence.reported.values() for day in days]
    return Verdict(
        domain=evidence.domain,
        on=evidence.on,
        name=named.name,
        window=weighed.window,
        current=weighed.current,
        reporters=sum(reporter.proves for reporter in weighed.by_reporter),
        sessions=weighed.sums.sessions,
        refused=weighed.sums.refused,
        refused_lately=sum(tally.refused + tally.past for tally in weighed.late),
        bound=weighed.bound,
        reasons=(*named.reasons, *notes, *absence_remarks(weighed)),
        causes=tuple(causes),
        missing=named.missing,
        by_reporter=weighed.by_reporter,
        silent=silent,
        propagation=weighed.propagation,
        mx_without_evidence=_unseen_hosts(weighed),
        last_report_day=max((*reported, *(entry.day for entry in evidence.entries)), default=None),
        thresholds=evidence.thresholds,
        daily=weighing.by_day(tally for tally in weighed.counted if tally.entry.failed_on >= weighed.window.start),
        held=tuple(holder for holder in weighed.held if holder.until is None or holder.until >= evidence.on),
        mx_missing=missing_hosts,
    )


def _missing_hosts(weighed: Weighed) -> tuple[str, ...]:
    """Hosts that operator or probe name and the policy does not cover: enforce refuses them."""
    policy = weighed.current.policy if weighed.current else None
    if policy is None or policy.mode == "none":
        return ()
    return tuple(host for host in listed_hosts(weighed.evidence) if not covers(policy.mx, host))


def _unseen_hosts(weighed: Weighed) -> tuple[str, ...]:
    """MX hosts that no failure names and no probe reached: successes name no host, so nothing is known about these."""
    evidence, patterns = weighed.evidence, weighed.current.policy.mx if weighed.current else ()
    probe, start = fresh_probe(evidence), weighed.window.start
    probed = {normalised(host.host) for host in probe.hosts if host.reached} if probe else set()
    hosts = {normalised(pattern) for pattern in patterns if not pattern.startswith("*")} | set(listed_hosts(evidence))
    sts = [entry for entry in evidence.entries if entry.policy_type == STS and entry.failed_on >= start]
    named = {normalised(failure.mx_host) for entry in sts for failure in entry.failures}
    return tuple(sorted(hosts - named - probed))


def _silent(weighed: Weighed) -> Iterator[Silent]:
    """Who used to report and is overdue by its own rhythm. Silence is no success."""
    for voice, reported in sorted(weighed.evidence.reported.items()):
        days = sorted(set(reported))
        if len(days) < _RHYTHM_DAYS:
            continue
        pauses = sorted((later - earlier).days for earlier, later in itertools.pairwise(days))
        usual = pauses[len(pauses) // 2]
        if (weighed.shortest.end - days[-1]).days > _MISSED_AFTER * usual:
            yield Silent(voice, weighed.evidence.name_of(voice), days[-1], usual)


def urgency(verdict: Verdict) -> tuple[int, int, str]:
    """A sorting key: the most urgent verdict first, then most refused sessions, then by name."""
    return URGENCY.index(verdict.name), -(verdict.refused + verdict.refused_lately), verdict.domain


def reasons_text(verdict: Verdict) -> str:
    """The reasons in one line for a table: ``refused-sessions=12 policy-failures=3``, those that made the verdict first."""
    return " ".join(f"{reason.code}={_figure(reason)}" for reason in verdict.reasons)


def _figure(reason: Reason) -> str:
    return f"{reason.figure:.4g}" if reason.figure != int(reason.figure) else str(int(reason.figure))
