"""May this domain's policy go from testing to enforce? One verdict for a domain and a day, from evidence alone. Pure.

The rules are those of docs/verdict.md. Three things carry most of them: the headline rests on known voices only; only sessions
that succeeded under the policy in force prove anything; and whatever shows that mail would be refused, and is not over, blocks,
however little else is known.
"""

import datetime as dt
import itertools
from collections.abc import Iterator, Sequence

import msgspec

from ingest.mtasts.patterns import normalised
from ingest.mtasts.policy import MODES
from ingest.tlsrpt.vocabulary import NO_POLICY_FOUND, STS

from . import weighing
from .causes import Cause, listed_hosts
from .clock import Window as Window
from .evidence import Evidence, Thresholds
from .failures import covers
from .newcomers import Newcomer, newcomers_of
from .policy_history import Current, Held, Seen, expiry, fresh_probe, is_probe_clean
from .policy_trouble import is_gone
from .reasons import Missing as Missing
from .reasons import Reason as Reason
from .reasons import organisations
from .reckoning import Reckoning
from .remarks import about_newcomers, remarks
from .weighing import Counted, DayCount, ReporterEvidence

NO_POLICY, POLICY_BROKEN, INSUFFICIENT = "no-policy", "policy-broken", "insufficient-evidence"
NOT_READY, READY = "not-ready", "ready"
ENFORCING, ENFORCING_REFUSING, WITHDRAWN = "enforcing", "enforcing-refusing", "withdrawn"
# Most urgent first: mail is being turned away; nobody is protected; something to repair; something to do; to wait; all is well.
URGENCY = (ENFORCING_REFUSING, POLICY_BROKEN, NOT_READY, READY, NO_POLICY, INSUFFICIENT, WITHDRAWN, ENFORCING)

# A reporter is missed after three times its usual pause, which can be told from so many days with reports.
_MISSED_AFTER, _RHYTHM_DAYS = 3, 3
_DAY = dt.timedelta(days=1)


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
    held: tuple[Held, ...] = ()
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
    headline = _Case(known).verdict()
    since = min(headline.window.start, Window.on(evidence.on, evidence.thresholds).start)
    newcomers = newcomers_of(evidence, known.speaking, since)
    if not newcomers:
        return headline
    believed = {voice for voice in evidence.speaking if voice not in evidence.dismissed}
    with_them = _Case(evidence.limited_to(believed)).verdict()
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


class _Case:
    """The verdict of some evidence, all voices of which are believed."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._limits = evidence.thresholds
        self._weighed = Reckoning(evidence)
        self._current = self._weighed.current
        self._silent = tuple(self._find_silent())
        self._mx_missing = self._find_missing_hosts()

    def verdict(self) -> Verdict:
        weighed, evidence = self._weighed, self._evidence
        name, reasons, missing = self._name()
        causes = weighed.causes()
        notes = remarks(weighed, causes, [silent.voice for silent in self._silent])
        reported = [day for days in evidence.reported.values() for day in days]
        return Verdict(
            domain=evidence.domain,
            on=evidence.on,
            name=name,
            window=weighed.window,
            current=self._current,
            reporters=sum(reporter.proves for reporter in weighed.by_reporter),
            sessions=weighed.sums.sessions,
            refused=weighed.sums.refused,
            refused_lately=sum(tally.refused + tally.past for tally in weighed.late),
            bound=weighed.bound,
            reasons=(*reasons, *notes, *self._absence_remarks()),
            causes=tuple(causes),
            missing=missing,
            by_reporter=tuple(weighed.by_reporter),
            silent=self._silent,
            propagation=weighed.propagation,
            mx_without_evidence=self._unseen_hosts(),
            last_report_day=max((*reported, *(entry.day for entry in evidence.entries)), default=None),
            thresholds=self._limits,
            daily=weighing.by_day(tally for tally in weighed.counted if tally.entry.failed_on >= weighed.window.start),
            held=tuple(holder for holder in weighed.held if holder.until is None or holder.until >= evidence.on),
            mx_missing=self._mx_missing,
        )

    def _name(self) -> tuple[str, tuple[Reason, ...], tuple[Missing, ...]]:
        """Exactly one verdict, its reasons, and what is missing; what accuses comes before what is missing."""
        mode = self._current.policy.mode if self._current else ""
        held, refusing, broken = self._refused_by_caches(), tuple(self._refusals()), tuple(self._policy_faults())
        if held or (mode == "enforce" and refusing):
            return ENFORCING_REFUSING, (*held, *refusing, *broken), ()
        if self._current and mode == "none":
            return WITHDRAWN, (self._withdrawn(self._current),), ()
        if broken:
            return POLICY_BROKEN, (*broken, *refusing), ()
        if not self._evidence.speaking:
            return INSUFFICIENT, (Reason("no-known-voice", 0, 1),), (Missing("no-known-voice", 0, 1),)
        if none := self._no_policy():
            return NO_POLICY, none, ()
        if mode == "enforce":
            return ENFORCING, (self._clean_since(),), ()
        if not_ready := (*refusing, *self._missing_hosts()):
            return NOT_READY, not_ready, ()
        if missing := tuple(self._find_missing()):
            return INSUFFICIENT, tuple(map(_lack, missing)), missing
        sure = f"{self._limits.confidence * 100:.6g} %"
        weighed = self._weighed
        return (
            READY,
            (Reason("enough-evidence", weighed.bound, self._limits.bound, names=(sure,), of=weighed.sums.sessions),),
            (),
        )

    def _refusals(self) -> Iterator[Reason]:
        """What was refused, or would be, and is not over."""
        weighed = self._weighed
        turned_away = {id(tally.entry) for tally in weighed.turned_away}
        refused = [tally for tally in weighed.counted if tally.refused and id(tally.entry) not in turned_away]
        in_window = [tally for tally in refused if weighed.window.holds(tally.entry.failed_on)]
        if in_window:
            yield self._about("refused-sessions", in_window, of=weighed.sums.sessions)
        if lately := [tally for tally in refused if tally.entry.failed_on > weighed.window.end]:
            yield self._about("refused-lately", lately)
        if weighed.ahead:
            yield msgspec.structs.replace(self._about("will-be-refused", weighed.ahead), until=self._applies_from())

    def _about(self, code: str, members: Sequence[Counted], of: int | None = None) -> Reason:
        voices = tuple(sorted({tally.entry.voice for tally in members}))
        days = [tally.entry.failed_on for tally in members]
        sessions = sum(tally.refused for tally in members)
        names = organisations(self._evidence, voices)
        return Reason(code, sessions, 0, names=names, since=min(days), until=max(days), voices=voices, of=of)

    def _applies_from(self) -> dt.date | None:
        """The day from which those refuse that still quote testing: their caches end by then."""
        ages = [tally.entry.policy.max_age for tally in self._weighed.ahead if tally.entry.policy]
        known = [age for age in ages if age is not None]
        if self._current is None or not known:
            return None
        return max(self._current.mode_since + dt.timedelta(seconds=max(known)), self._evidence.on + _DAY)

    def _refused_by_caches(self) -> tuple[Reason, ...]:
        """What senders really refuse, whatever the present policy says: their caches hold an older one that enforces."""
        refused = self._weighed.turned_away
        if not refused:
            return ()
        ends = {(holder.voice, holder.mx_digest): holder.until for holder in self._weighed.held}
        quoted = [(tally.entry.voice, tally.entry.policy.mx_digest) for tally in refused if tally.entry.policy]
        untils = {ends[key] for key in quoted}
        until = None if None in untils else max(end for end in untils if end)
        return (msgspec.structs.replace(self._about("refused-by-older-policy", refused), until=until),)

    def _withdrawn(self, current: Current) -> Reason:
        """Until when the file must be served; after that day it may be deleted."""
        until = expiry(self._evidence.served, current.policy, current.mode_since)
        return Reason("mode-none", since=current.mode_since, until=until)

    def _policy_faults(self) -> Iterator[Reason]:
        stated, probe, weighed = self._evidence.stated, fresh_probe(self._evidence), self._weighed
        faults = stated.faults if stated else ()
        if probe and not is_probe_clean(self._evidence):
            faults = (*faults, *(probe.faults or ("the probe could not read the record or the file",)))
        if not faults and self._current and self._current.policy.mode not in ("", *MODES):
            faults = (f"mode: {self._current.policy.mode}",)
        if faults:
            yield Reason("policy-faulty", len(faults), 0, names=faults)
        if self._current and self._current.policy.mode == "enforce":
            yield from self._missing_hosts()
        if weighed.unusable:
            yield self._unusable()
        if is_gone(weighed.absent) and not is_probe_clean(self._evidence):
            yield self._gone("policy-gone")

    def _unusable(self) -> Reason:
        facts = self._weighed.unusable
        voices = tuple(sorted({fact.entry.voice for fact in facts}))
        days = {fact.day for fact in facts}
        kinds = tuple(sorted({fact.result_type for fact in facts}))
        sessions = sum(fact.failure.sessions for fact in facts)
        of = self._weighed.record.sessions(voices, days)
        return Reason("policy-failures", sessions, 0, True, kinds, min(days), max(days), voices, of)

    def _gone(self, code: str) -> Reason:
        """For whom the policy is gone, and since when."""
        absent = self._weighed.absent
        voices = tuple(sorted({absence.voice for absence in absent}))
        names = organisations(self._evidence, voices)
        days = [day for absence in absent for day in absence.days]
        return Reason(code, len(voices), 0, names=names, since=min(days), until=max(days), voices=voices)

    def _absence_remarks(self) -> Iterator[Reason]:
        """One voice that does not find the policy once, or all while a probe finds it."""
        if self._weighed.absent and (not is_gone(self._weighed.absent) or is_probe_clean(self._evidence)):
            yield msgspec.structs.replace(self._gone("policy-not-found"), blocking=False, threshold=None)

    def _no_policy(self) -> tuple[Reason, ...]:
        """Senders look for a policy and find none. Those that know DANE only say so beside others who found one."""
        evidence, start = self._evidence, self._weighed.shortest.start
        recent = [entry for entry in evidence.entries if entry.failed_on >= start]
        looked = [entry for entry in recent if entry.policy_type == NO_POLICY_FOUND]
        found_one = evidence.stated is not None or (self._current is not None and self._current.stated)
        if not looked or found_one or any(entry.policy_type == STS for entry in recent):
            return ()
        voices = tuple(sorted({entry.voice for entry in looked}))
        names, days = organisations(evidence, voices), [entry.day for entry in looked]
        sessions = sum(entry.successful + (entry.failed or 0) for entry in looked)
        code = "no-policy-found" if len(voices) > 1 else "one-sender-found-none"
        reason = Reason(code, sessions, names=names, since=min(days), until=max(days), voices=voices, of=sessions)
        if failed := sum(entry.failed or 0 for entry in looked):
            types = sorted({failure.result_type for entry in looked for failure in entry.failures})
            return Reason("failures-without-policy", failed, 0, names=tuple(types), voices=voices, of=sessions), reason
        return (reason,)

    def _clean_since(self) -> Reason:
        """Since when nothing was refused, and by how many sessions: the figures since the switch, or since the last refusal."""
        weighed = self._weighed
        last = max((tally.entry.failed_on for tally in weighed.counted if tally.past), default=None)
        since = weighed.window.start if last is None else max(weighed.window.start, last + _DAY)
        sessions = weighing.sums(weighed.counted, Window(since, weighed.window.end)).sessions
        so_far = weighed.window.days < self._limits.window_days
        code = "nothing-refused-so-far" if so_far else "nothing-refused"
        return Reason(code, sessions, self._limits.window_days, since=since, of=weighed.window.days)

    def _missing_hosts(self) -> tuple[Reason, ...]:
        hosts = self._mx_missing
        return (Reason("mx-missing", len(hosts), 0, names=hosts),) if hosts else ()

    def _find_missing_hosts(self) -> tuple[str, ...]:
        """Hosts that operator or probe name and the policy does not cover: enforce refuses them."""
        policy = self._current.policy if self._current else None
        if policy is None or policy.mode == "none":
            return ()
        return tuple(host for host in listed_hosts(self._evidence) if not covers(policy.mx, host))

    def _find_missing(self) -> Iterator[Missing]:
        """What keeps clean evidence from sufficing."""
        outlook = self._weighed.outlook
        if outlook is None or self._current is None or not self._current.policy.mode:
            yield Missing("policy-unknown", 0, 1)
            return
        yield from outlook.missing(self._weighed.window)

    def _find_silent(self) -> Iterator[Silent]:
        """Who used to report and is overdue by its own rhythm. Silence is no success."""
        for voice, reported in sorted(self._evidence.reported.items()):
            days = sorted(set(reported))
            if len(days) < _RHYTHM_DAYS:
                continue
            pauses = sorted((later - earlier).days for earlier, later in itertools.pairwise(days))
            usual = pauses[len(pauses) // 2]
            if (self._weighed.shortest.end - days[-1]).days > _MISSED_AFTER * usual:
                yield Silent(voice, self._evidence.name_of(voice), days[-1], usual)

    def _unseen_hosts(self) -> tuple[str, ...]:
        """MX hosts that no failure names and no probe reached: successes name no host, so nothing is known about these."""
        patterns = self._current.policy.mx if self._current else ()
        probe, start = fresh_probe(self._evidence), self._weighed.window.start
        probed = {normalised(host.host) for host in probe.hosts if host.reached} if probe else set()
        hosts = {normalised(name) for name in patterns if not name.startswith("*")} | set(listed_hosts(self._evidence))
        sts = [entry for entry in self._evidence.entries if entry.policy_type == STS and entry.failed_on >= start]
        named = {normalised(failure.mx_host) for entry in sts for failure in entry.failures}
        return tuple(sorted(hosts - named - probed))


def _lack(missing: Missing) -> Reason:
    return Reason(missing.code, missing.have, missing.need, since=missing.since, until=missing.by)


def urgency(verdict: Verdict) -> tuple[int, int, str]:
    """A sorting key: the most urgent verdict first, then most refused sessions, then by name."""
    return URGENCY.index(verdict.name), -(verdict.refused + verdict.refused_lately), verdict.domain


def reasons_text(verdict: Verdict) -> str:
    """The reasons in one line for a table: ``refused-sessions=12 policy-failures=3``, those that made the verdict first."""
    return " ".join(f"{reason.code}={_figure(reason)}" for reason in verdict.reasons)


def _figure(reason: Reason) -> str:
    return f"{reason.figure:.4g}" if reason.figure != int(reason.figure) else str(int(reason.figure))
