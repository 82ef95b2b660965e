"""May this domain's policy go from testing to enforce? One verdict for a domain and a day, from evidence alone. Pure.

The rules are those of docs/verdict.md. Two things carry most of them: only sessions under the policy in force, in reports we
trust, prove anything; and whatever shows that mail would be refused blocks, however little else is known.
"""

import datetime as dt
import itertools
import math
from collections.abc import Iterator

import msgspec

from ingest.mtasts.enforcement import DANE_ONLY, POLICY_UNUSABLE, REFUSED
from ingest.mtasts.policy import MODES
from ingest.tlsrpt.vocabulary import NO_POLICY_FOUND, STS

from . import weighing
from .evidence import Entry, Evidence, Thresholds
from .policy_history import Current, Seen, current_policy, held_enforcing, propagation
from .weighing import Cause, DayCount, ReporterEvidence

NO_POLICY, POLICY_BROKEN, INSUFFICIENT = "no-policy", "policy-broken", "insufficient-evidence"
NOT_READY, READY = "not-ready", "ready"
ENFORCING, ENFORCING_REFUSING, WITHDRAWN = "enforcing", "enforcing-refusing", "withdrawn"
# Most urgent first: mail is being turned away; nobody is protected; something to repair; something to do; to wait; all is well.
URGENCY = (ENFORCING_REFUSING, POLICY_BROKEN, NOT_READY, READY, NO_POLICY, INSUFFICIENT, WITHDRAWN, ENFORCING)

# A reporter is missed after three times its usual pause, which can be told from so many days with reports.
_MISSED_AFTER, _RHYTHM_DAYS = 3, 3
# Sessions of one sender are not independent of each other; beyond this share the page says so.
_LARGE_SHARE = 0.9


class Window(msgspec.Struct, frozen=True):
    """The days that prove: ``start`` to ``end``. The days after ``end`` are still arriving; they can only accuse."""

    start: dt.date
    end: dt.date

    @classmethod
    def on(cls, day: dt.date, thresholds: Thresholds) -> "Window":
        """The window of a verdict on ``day``: the last complete UTC days without the newest, which are still arriving."""
        end = day - dt.timedelta(days=1 + thresholds.late_days)
        return cls(end - dt.timedelta(days=thresholds.window_days - 1), end)

    def holds(self, day: dt.date) -> bool:
        """Whether a report about ``day`` can prove something."""
        return self.start <= day <= self.end


class Reason(msgspec.Struct, frozen=True):
    """Why the verdict is what it is: a code, the figure behind it, the threshold it is held against (None: there is none).

    ``blocking`` reasons made the verdict; the others are worth knowing. ``names`` are hosts, organisations or faults;
    ``until`` is the last day on which it can still be so, None when nobody can tell.
    """

    code: str
    figure: float = 0
    threshold: float | None = None
    blocking: bool = True
    names: tuple[str, ...] = ()
    until: dt.date | None = None


class Missing(msgspec.Struct, frozen=True):
    """What the evidence lacks: ``have`` of ``need``; ``by`` is the day on which it would suffice at the present rate, None when
    no rate leads there.
    """

    code: str
    have: float
    need: float
    by: dt.date | None = None


class Silent(msgspec.Struct, frozen=True):
    """An organisation that has stopped reporting: its last day, and how often it used to report (days between reports)."""

    organization: str
    last_day: dt.date
    every_days: float


class Verdict(msgspec.Struct, frozen=True):
    """The answer for one domain and day, and all that it rests on.

    ``sessions`` and ``refused`` are those of the window that count, ``refused_lately`` those of the days after it; ``bound``
    is the upper bound of the refusal rate (1.0 without any session), at the confidence that ``thresholds`` ask for.
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

    @property
    def mode(self) -> str:
        """The mode in force, "" when nobody has named one."""
        return self.current.policy.mode if self.current else ""


def decide(evidence: Evidence) -> Verdict:
    """The verdict on the day of the evidence."""
    return _Case(evidence).verdict()


class _Case:
    """The evidence, sorted by what it can prove."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._limits = evidence.thresholds
        self._window = Window.on(evidence.on, evidence.thresholds)
        self._current = current_policy(evidence)
        self._recent = [entry for entry in evidence.entries if self._window.start <= entry.day <= evidence.on]
        self._sts = [entry for entry in self._recent if entry.policy_type == STS]
        self._held = {(one.reporter, one.mx_digest): one.until for one in held_enforcing(evidence, self._current)}
        accusing = [
            weighing.count(entry, evidence.on, evidence.acceptances)
            for entry in self._sts
            if self._can_accuse(entry) or self._is_turned_away(entry)
        ]
        self._accusing = [one for one in accusing if self._window.holds(one.entry.day)]
        self._late = [one for one in accusing if one.entry.day > self._window.end]
        self._proof = [one for one in self._accusing if self._can_prove(one.entry)]
        self._sessions = sum(one.sessions for one in self._proof)
        self._refused = sum(one.refused for one in self._accusing)
        # What accuses without being able to prove is not among the sessions that prove: it counts on both sides.
        unproven = sum(one.refused for one in self._accusing if not self._can_prove(one.entry))
        self._bound = weighing.upper_bound(self._refused, self._sessions + unproven, self._limits.confidence)
        self._causes = self._find_causes()
        self._by_reporter = weighing.by_reporter(self._proof, self._limits.confidence)
        self._silent = tuple(self._find_silent())
        self._propagation = propagation(evidence, self._current)

    def verdict(self) -> Verdict:
        name, reasons, missing = self._name()
        reported = [day for days in self._evidence.reported.values() for day in days]
        return Verdict(
            domain=self._evidence.domain,
            on=self._evidence.on,
            name=name,
            window=self._window,
            current=self._current,
            reporters=len(self._by_reporter),
            sessions=self._sessions,
            refused=self._refused,
            refused_lately=sum(one.refused for one in self._late),
            bound=self._bound,
            reasons=(*reasons, *self._remarks()),
            causes=tuple(self._causes),
            missing=missing,
            by_reporter=tuple(self._by_reporter),
            silent=self._silent,
            propagation=self._propagation,
            mx_without_evidence=self._unseen_hosts(),
            last_report_day=max((*reported, *(entry.day for entry in self._recent)), default=None),
            thresholds=self._limits,
            daily=weighing.by_day((*self._accusing, *self._late)),
        )

    def _name(self) -> tuple[str, tuple[Reason, ...], tuple[Missing, ...]]:
        """Exactly one verdict, its reasons, and what is missing; what accuses comes before what is missing."""
        mode = self._current.policy.mode if self._current else ""
        refusing, broken = tuple(self._refusals()), tuple(self._policy_faults())
        if held := tuple(self._refused_by_caches()):
            return ENFORCING_REFUSING, (*held, *refusing, *broken), ()
        if mode == "none":
            return WITHDRAWN, (Reason("mode-none"),), ()
        if mode == "enforce" and refusing:
            return ENFORCING_REFUSING, (*refusing, *broken), ()
        if broken:
            return POLICY_BROKEN, (*broken, *refusing), ()
        if self._only_without_policy():
            return NO_POLICY, (Reason("no-policy-found", self._without_policy()),), ()
        if mode == "enforce":
            return ENFORCING, (Reason("nothing-refused", self._sessions),), ()
        if refusing:
            return NOT_READY, refusing, ()
        if missing := tuple(self._find_missing()):
            return INSUFFICIENT, tuple(Reason(lack.code, lack.have, lack.need) for lack in missing), missing
        sure = f"{self._limits.confidence * 100:.6g} %"
        return READY, (Reason("enough-evidence", self._bound, self._limits.bound, names=(sure,)),), ()

    def _refusals(self) -> Iterator[Reason]:
        if self._refused:
            yield Reason("refused-sessions", self._refused, 0)
        lately = sum(one.refused for one in self._late)
        if lately:
            yield Reason("refused-lately", lately, 0)

    def _refused_by_caches(self) -> Iterator[Reason]:
        """What senders really refuse, whatever the present policy says: their caches hold an older one that enforces."""
        refused = [one for one in self._late if one.refused and self._is_turned_away(one.entry)]
        if refused:
            names = tuple(sorted({one.entry.organization for one in refused}))
            ends = {self._held[_quoted(one.entry)] for one in refused}
            until = None if None in ends else max(end for end in ends if end)
            sessions = sum(one.refused for one in refused)
            yield Reason("refused-by-older-policy", sessions, 0, names=names, until=until)

    def _policy_faults(self) -> Iterator[Reason]:
        stated = self._evidence.stated
        if stated:
            if stated.faults:
                yield Reason("policy-faulty", len(stated.faults), 0, names=stated.faults)
        elif self._current and self._current.policy.mode not in ("", *MODES):
            yield Reason("policy-faulty", 1, 0, names=(f"mode: {self._current.policy.mode}",))
        unusable = [cause for cause in self._causes if cause.consequence == POLICY_UNUSABLE and cause.sessions]
        if unusable:
            kinds = tuple(sorted({cause.result_type for cause in unusable}))
            yield Reason("policy-failures", sum(cause.sessions for cause in unusable), 0, names=kinds)

    def _only_without_policy(self) -> bool:
        """Whether senders look for a policy and find none. Those that know DANE only say so beside others who found one."""
        looked = any(entry.policy_type == NO_POLICY_FOUND for entry in self._recent)
        return looked and not self._sts and self._evidence.stated is None

    def _without_policy(self) -> int:
        found = [entry for entry in self._recent if entry.policy_type == NO_POLICY_FOUND]
        return sum(entry.successful + (entry.failed or 0) for entry in found)

    def _can_accuse(self, entry: Entry) -> bool:
        """Entries under the policy in force (mode and age aside), since it came. One that quotes none may be about it."""
        if self._current is None:
            return entry.policy is None
        same = entry.policy is None or entry.policy.mx_digest == self._current.policy.mx_digest
        return same and entry.day >= self._current.since

    def _can_prove(self, entry: Entry) -> bool:
        """Of those that can accuse: what says under which policy, signed by somebody whose word is believed."""
        return entry.policy is not None and self._limits.believes(entry.signer)

    def _is_turned_away(self, entry: Entry) -> bool:
        """Entries of the newest days under an older enforcing policy, by a reporter that knew it while it was in force."""
        enforced = entry.policy is not None and entry.policy.mode == "enforce"
        return enforced and entry.day > self._window.end and _quoted(entry) in self._held

    def _find_causes(self) -> list[Cause]:
        """Of the window and the days after it. A refusal under an older set of mx patterns says nothing about this one."""
        members = [
            (one.entry, failure)
            for one in (*self._accusing, *self._late)
            for failure in weighing.failures_of(one.entry)
            if failure.consequence == REFUSED
        ]
        members += [
            (entry, failure)
            for entry in self._recent
            for failure in weighing.failures_of(entry)
            if failure.consequence != REFUSED
        ]
        return weighing.causes_of(members, self._sts, self._evidence.on, self._evidence.acceptances)

    def _find_missing(self) -> Iterator[Missing]:
        """What keeps clean evidence from sufficing, and until when at the rate of the window so far."""
        limits, current = self._limits, self._current
        if current is None or not current.policy.mode:
            yield Missing("policy-unknown", 0, 1)
            return
        days = max(0, (self._window.end - current.since).days + 1)
        if days < limits.window_days:
            complete = current.since + dt.timedelta(days=limits.window_days + limits.late_days)
            yield Missing("too-few-days", days, limits.window_days, complete)
        if len(self._by_reporter) < limits.reporters:
            yield Missing("too-few-reporters", len(self._by_reporter), limits.reporters)
        if self._bound > limits.bound:
            needed = weighing.sessions_needed(limits)
            yield Missing("too-few-sessions", self._sessions, needed, self._day_of(needed, days))

    def _day_of(self, needed: int, days: int) -> dt.date | None:
        """When the window would hold so many sessions. It slides on, so what a full window lacks never comes by waiting."""
        days = min(days, self._limits.window_days)
        if not days or self._sessions / days * self._limits.window_days < needed:
            return None
        return self._evidence.on + dt.timedelta(days=math.ceil((needed - self._sessions) * days / self._sessions))

    def _find_silent(self) -> Iterator[Silent]:
        """Who used to report and is overdue by its own rhythm. Silence is no success."""
        for organization, reported in sorted(self._evidence.reported.items()):
            days = sorted(set(reported))
            if len(days) < _RHYTHM_DAYS:
                continue
            pauses = sorted((later - earlier).days for earlier, later in itertools.pairwise(days))
            usual = pauses[len(pauses) // 2]
            if (self._window.end - days[-1]).days > _MISSED_AFTER * usual:
                yield Silent(organization, days[-1], usual)

    def _unseen_hosts(self) -> tuple[str, ...]:
        """MX hosts that no failure names: successes name no host, so nothing is known about these."""
        patterns = self._current.policy.mx if self._current else ()
        hosts = {_host(name) for name in (*self._evidence.mx_hosts, *patterns) if not name.startswith("*")}
        named = {_host(failure.mx_host) for entry in self._sts for failure in entry.failures}
        return tuple(sorted(hosts - named))

    def _remarks(self) -> Iterator[Reason]:
        """What did not make the verdict and is worth knowing."""
        dane = [cause for cause in self._causes if cause.consequence == DANE_ONLY and cause.sessions]
        if dane:
            names = tuple(sorted({cause.result_type for cause in dane}))
            yield _remark("dane-failures", sum(cause.sessions for cause in dane), *names)
        if accepted := sum(one.accepted for one in (*self._accusing, *self._late)):
            yield _remark("accepted-sessions", accepted)
        yield from self._words()
        if not self._proof and self._current is not None:
            yield _remark("no-recent-evidence", 0)
        if unknown := sum(one.sessions for one in self._accusing if one.entry.policy is None):
            yield _remark("policy-not-quoted", unknown)
        unlisted = [one for one in self._accusing if one.entry.policy and not self._can_prove(one.entry)]
        if sessions := sum(one.sessions for one in unlisted):
            yield _remark("signers-not-listed", sessions, *sorted({one.entry.signer for one in unlisted}))
        if len(self._by_reporter) > 1 and self._by_reporter[0].share > _LARGE_SHARE:
            yield _remark("one-reporter-dominates", self._by_reporter[0].share, self._by_reporter[0].organization)
        if self._silent:
            yield _remark("silent-reporters", len(self._silent), *(one.organization for one in self._silent))
        behind = [seen.organization for seen in self._propagation if not seen.current]
        if behind:
            yield _remark("old-policy-seen", len(behind), *behind)
        if long_ranges := sum(one.entry.long_range for one in self._proof):
            yield _remark("long-ranges", long_ranges)

    def _words(self) -> Iterator[Reason]:
        """What the operator has said, beside accepted causes, and how old it is in days."""
        evidence = self._evidence
        if evidence.stated:
            yield _remark("stated-policy", (evidence.on - evidence.stated.day).days)
        if evidence.overtaken:
            yield _remark("stated-policy-overtaken", (evidence.on - evidence.overtaken.day).days)
        if evidence.own_thresholds:
            yield _remark("own-thresholds", len(evidence.own_thresholds), *evidence.own_thresholds)


def urgency(verdict: Verdict) -> tuple[int, int, str]:
    """A sorting key: the most urgent verdict first, then most refused sessions, then by name."""
    return URGENCY.index(verdict.name), -(verdict.refused + verdict.refused_lately), verdict.domain


def reasons_text(verdict: Verdict) -> str:
    """The reasons in one line for a table: ``refused-sessions=12 policy-failures=3``, those that made the verdict first."""
    return " ".join(f"{reason.code}={_figure(reason)}" for reason in verdict.reasons)


def _figure(reason: Reason) -> str:
    return f"{reason.figure:.4g}" if reason.figure != int(reason.figure) else str(int(reason.figure))


def _remark(code: str, figure: float, *names: str) -> Reason:
    return Reason(code, figure, blocking=False, names=names)


def _quoted(entry: Entry) -> tuple[str, str]:
    """Who quotes which mx patterns."""
    return entry.reporter, entry.policy.mx_digest if entry.policy else ""


def _host(name: str) -> str:
    return name.lower().rstrip(".")
