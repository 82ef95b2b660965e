"""The verdict in words: its sentence and everything it rests on; the same on the page and on the command line. Pure.

Its title is in ``faces``. Reasons are put into words in ``reason_words``, causes in ``cause_words``, the next step in
``next_words``.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from dashboard.decision import verdict as rules
from dashboard.decision.facts.causes import Cause
from dashboard.decision.facts.newcomers import Newcomer
from dashboard.decision.facts.policy_history import CachedPolicy
from dashboard.decision.verdict import Missing, Reason, Verdict
from ingest.rfc.result_types import REFUSED

from . import cause_words, next_words
from .commands_to_run import Run, believe_command, dismiss_command
from .phrases import at_most, counted, listed, part_of, share, since_day, span, was
from .reason_words import in_words, newest_days, refused_words

MISSING: Mapping[str, str] = {
    "clean-days": "Clean complete days",
    "too-few-reporters": "Independent reporters",
    "too-few-sessions": "Clean sessions",
}
# Under what is told of ready and enforcing, when some refusals were accepted.
_APART = " That is apart from the causes that were accepted: their sessions are refused all the same."
_MOST_CAUSES, _MOST_NEWCOMERS = 12, 5


def sentence(verdict: Verdict) -> str:
    """The verdict in a sentence or two that a manager understands, with the figures and days that matter.

    Figures and days only: no name from a report or a record is in it, so it fits everywhere, Markdown included.
    """
    accepted = verdict.name in (rules.READY, rules.ENFORCING) and _has(verdict, "accepted-sessions")
    return _SENTENCES[verdict.name](verdict) + (_APART if accepted else "")


def _reason(verdict: Verdict, *codes: str) -> Reason | None:
    """The first reason with one of these codes."""
    return next((reason for reason in verdict.reasons if reason.code in codes), None)


def _has(verdict: Verdict, *codes: str) -> bool:
    return _reason(verdict, *codes) is not None


def _refusing(verdict: Verdict) -> str:
    if by_caches := _reason(verdict, "refused-by-older-policy"):
        senders = "a sender applies" if len(by_caches.names) == 1 else "senders apply"
        return f"Mail is being turned away now: {senders} an older policy in mode enforce, which is still in the cache."
    if not _has(verdict, "refused-sessions", "refused-lately"):
        ahead = _reason(verdict, "will-be-refused")
        begin = f"from {ahead.until} at the latest" if ahead and ahead.until else "soon"
        return (
            f"Mail will be turned away {begin}: sessions fail of senders whose caches still say testing, and their next policy "
            "says enforce."
        )
    refused = [reason for reason in verdict.reasons if reason.code in ("refused-sessions", "refused-lately")]
    sessions, last = sum(reason.figure for reason in refused), max(reason.until for reason in refused if reason.until)
    return (
        f"Mail is being turned away now: senders enforce encryption as the policy tells them, and {counted(sessions, 'session')} "
        f"{was(sessions)} refused, last on {last}."
    )


def _broken(verdict: Verdict) -> str:
    if gone := _reason(verdict, "policy-gone"):
        is_one = len(gone.names) == 1
        senders = (
            "A sender that knew this domain's policy finds" if is_one else "Senders that knew this domain's policy find"
        )
        caches = "its cache runs" if is_one else "their caches run"
        return f"{senders} none since {gone.since}: once {caches} out, nothing protects the mail."
    if _has(verdict, "policy-faulty"):
        return "This domain's policy or its record is faulty, so senders cannot use it."
    if missing := _reason(verdict, "mx-missing"):
        return (
            f"Mail is being turned away now: the policy enforces and leaves out {counted(missing.figure, 'MX host')}."
        )
    return (
        "Senders cannot get or read this domain's policy: those without it in a cache are not protected, and no change of it "
        "reaches the others."
    )


def _no_policy(verdict: Verdict) -> str:
    failed = _reason(verdict, "failures-without-policy")
    first = f"{part_of(failed.figure, failed.of)} failed in TLS, and no policy asks for it. " if failed else ""
    if _has(verdict, "one-sender-found-none"):
        return (
            f"{first}One sender looked for an MTA-STS policy, and this sender found none; as far as it can tell, nothing "
            "protects mail to this domain on its way."
        )
    return (
        f"{first}Senders look for an MTA-STS policy and find none, so nothing protects mail to this domain on its way."
    )


def _accusing(verdict: Verdict) -> bool:
    return any(newcomer.refused for newcomer in verdict.newcomers)


def _waiting(verdict: Verdict) -> str:
    """What is missing, and the day on which nothing will be, if there is one."""
    if _has(verdict, "no-known-voice"):
        return "No known reporter has reported about this domain yet, so nothing can be told."
    if _has(verdict, "policy-unknown"):
        return "Nobody quotes a policy that can be read, so nobody knows what the sessions prove."
    lacks = ", ".join(f"{lack.have:,.0f} of {counted(lack.need, _LACKS[lack.code])}" for lack in verdict.missing)
    ready = f"; ready on {verdict.ready_on} if it stays so" if verdict.ready_on else ""
    return f"{_so_far(verdict)} too little is known yet: {lacks}{ready}."


_LACKS: Mapping[str, str] = {
    "clean-days": "clean day",
    "too-few-reporters": "independent reporter",
    "too-few-sessions": "clean session",
}


def _so_far(verdict: Verdict) -> str:
    """What is known, with the conjunction that leads to what is not."""
    if verdict.causes and not verdict.sessions:
        return "No session that counts has succeeded, so"
    past = [cause for cause in verdict.causes if cause.over and cause.consequence == REFUSED]
    if past:
        last = max(cause.last_day for cause in past)
        return f"Sessions failed until {last}, and no known reporter has met that since, but"
    if _accusing(verdict):
        return "Known reporters tell of nothing against enforce, but"
    return "Nothing speaks against enforce so far, but"


def _not_ready(verdict: Verdict) -> str:
    if refused := _reason(verdict, "refused-sessions", "refused-lately"):
        refusal = "would not have been delivered on the first try"
        lately = " of the newest days" if refused.code == "refused-lately" else ""
        return f"Do not switch to enforce yet: {part_of(refused.figure, refused.of)}{lately} {refusal}."
    missing = _reason(verdict, "mx-missing")
    hosts = counted(missing.figure if missing else 0, "MX host")
    return f"Do not switch to enforce yet: it would refuse mail to {hosts}, which no mx line of the policy covers."


def _ready(verdict: Verdict) -> str:
    by = counted(verdict.reporters, "independent reporter")
    if _accusing(verdict):
        return (
            f"Yes: this domain's policy may go to enforce, by all that {by} tell; strangers, who are not known, tell of "
            "refused sessions."
        )
    return (
        f"Yes: this domain's policy may go to enforce. Of {counted(verdict.sessions, 'session')} that {by} counted, none would "
        "have been refused."
    )


def _enforcing(verdict: Verdict) -> str:
    past = _reason(verdict, "refused-until")
    by = " that a known reporter sees" if _accusing(verdict) else ""
    if past:
        days = f"on {past.until}" if past.since == past.until else f"until {past.until}"
        sessions = f"{part_of(past.figure, past.of)} {was(past.figure)} refused {days}, and none since"
        return f"The policy enforces encryption. No mail{by} is being refused now: {sessions}."
    when = "so far" if next_words.is_early(verdict) else f"since {verdict.window.start}"
    return f"The policy enforces encryption, and no mail{by} has been refused {when}."


def _withdrawn(verdict: Verdict) -> str:
    current = verdict.current
    since = f", {since_day(current.mode_since, before=current.mode_since_before)}" if current else ""
    return f"The policy is switched off (mode none{since}). Nothing protects mail to this domain on its way."


_SENTENCES: Mapping[str, Callable[[Verdict], str]] = {
    rules.NO_POLICY: _no_policy,
    rules.POLICY_BROKEN: _broken,
    rules.INSUFFICIENT: _waiting,
    rules.NOT_READY: _not_ready,
    rules.READY: _ready,
    rules.ENFORCING: _enforcing,
    rules.ENFORCING_REFUSING: _refusing,
    rules.WITHDRAWN: _withdrawn,
}


def lack_words(lack: Missing) -> str:
    """When something missing will suffice, as a sentence; "" when nobody can tell."""
    if lack.by is None:
        return ""
    if lack.code == "clean-days":
        return f"If it stays so, they are complete on {lack.by}."
    return f"At the present rate that is enough on {lack.by}."


def policy_in_force(verdict: Verdict) -> str:
    """Which policy is in force, since when, and who says so."""
    current = verdict.current
    if current is None:
        return "Policy in force: unknown, nobody has quoted one."
    source = {"operator": "entered by hand", "probe": "as a probe found it"}.get(
        current.source, "by what senders quote"
    )
    mode = since_day(current.mode_since, before=current.mode_since_before)
    hosts = since_day(current.since, before=current.since_before)
    return f"Policy in force ({source}): mode {current.policy.mode or 'unknown'} {mode}, its mx lines {hosts}."


def evidence(verdict: Verdict) -> str:
    """The figures of the window, all from the same sessions, and apart from them those of the newest days."""
    days, lately = span(verdict.window.start, verdict.window.end), verdict.refused_lately
    if not verdict.window.days:
        words = "Evidence: no complete day since the switch is known yet"
    elif not verdict.sessions:
        words = f"Evidence, {days}: no session counts"
    else:
        whole = f"{counted(verdict.sessions, 'session')} by {counted(verdict.reporters, _reporter(verdict))}"
        refused = f"{verdict.refused:,}" if verdict.refused else "none"
        words = f"Evidence, {days}: {refused} of {whole} {refused_words(verdict, verdict.refused)}"
        if verdict.refused:
            rate, bound = share(verdict.refused, verdict.sessions), at_most(verdict.bound)
            words += f" ({rate}), at most {bound} with {_sure(verdict)} confidence"
    if lately:
        newest = newest_days(verdict.window, verdict.on)
        words += (
            f"; apart from these, {counted(lately, 'session')} of the newest days ({newest}) {_lately_refused(verdict)}"
        )
    return f"{words}."


def _reporter(verdict: Verdict) -> str:
    """While strangers accuse, it is said that those who do not are the known ones."""
    return "independent known reporter" if _accusing(verdict) else "independent reporter"


def _lately_refused(verdict: Verdict) -> str:
    by_caches = _has(verdict, "refused-by-older-policy") and not _has(verdict, "refused-lately")
    return f"{was(verdict.refused_lately)} refused" if by_caches else refused_words(verdict, verdict.refused_lately)


def _sure(verdict: Verdict) -> str:
    return f"{verdict.thresholds.confidence * 100:.6g} %"


def in_brief(verdict: Verdict) -> str:
    """The figures of a verdict in a line, for a list of domains."""
    mode = verdict.mode or "no policy known"
    refused = f"{verdict.refused:,}" if verdict.refused else "none"
    words = f"{refused} of {counted(verdict.sessions, 'session')} refused, at most {at_most(verdict.bound)}"
    if not verdict.sessions:
        words = "no session counts"
    lately = f", {verdict.refused_lately:,} more in the newest days" if verdict.refused_lately else ""
    return f"{mode}: {words}{lately}; {counted(verdict.reporters, 'reporter')}"


def caches(verdict: Verdict) -> Iterator[str]:
    """Until when whose caches may go on refusing under an older policy in mode enforce."""
    holding: dict[object, list[CachedPolicy]] = {}
    for holder in verdict.held:
        if not holder.changed:
            holding.setdefault(holder.until, []).append(holder)
    for until, members in sorted(holding.items(), key=lambda item: str(item[0])):
        names = listed(sorted({holder.organization for holder in members}))
        end = f"until {until}" if until else "for as long as its max_age, which nobody quoted"
        cache = "cache" if len({holder.voice for holder in members}) == 1 else "caches"
        yield f"The {cache} of {names} may hold an older policy in mode enforce and refuse by it {end}."


def unseen_hosts(verdict: Verdict) -> str:
    """The MX hosts about which nothing is known, "" without any."""
    hosts = verdict.mx_without_evidence
    if not hosts:
        return ""
    it = "it" if len(hosts) == 1 else "them"
    return f"No evidence about {listed(hosts, 20)}: no failure names {it}, and successes name no host."


def newcomer_words(newcomer: Newcomer, verdict: Verdict) -> str:
    """Who is not known, and what it tells."""
    signer = f", signed by {newcomer.signer}" if newcomer.signer else ", unsigned"
    tells = f"{counted(newcomer.sessions, 'session')} {span(newcomer.first_day, newcomer.last_day)}"
    verb = refused_words(verdict, newcomer.refused)
    refused = f"{newcomer.refused:,} of them {verb}" if newcomer.refused else "none of them refused"
    more = [f"quotes mode {listed(newcomer.modes)}"] if newcomer.modes else []
    more += ["finds no policy"] if newcomer.finds_none else []
    return f"{newcomer.organization} ({newcomer.voice}{signer}): {tells}, {'; '.join([refused, *more])}."


def newcomer_commands(newcomer: Newcomer, verdict: Verdict) -> tuple[Run, ...]:
    """What makes a newcomer count, and what takes it off the screen."""
    return (
        Run("To believe it", believe_command(verdict.domain, newcomer.voice)),
        Run("To dismiss it", dismiss_command(verdict.domain, newcomer.voice)),
    )


def with_newcomers(verdict: Verdict) -> str:
    """What the verdict would be if newcomers were believed, "" without any."""
    if not verdict.newcomers:
        return ""
    if verdict.with_newcomers == verdict.name:
        return "With them the verdict would be the same."
    return f"With them the verdict would be {verdict.with_newcomers}."


def lines(verdict: Verdict) -> Iterator[str]:
    """The whole verdict for a terminal: sentence, figures, reasons, causes with their commands, remarks, next step."""
    yield sentence(verdict)
    yield policy_in_force(verdict)
    yield evidence(verdict)
    yield from (f"* {in_words(reason, verdict)}" for reason in verdict.reasons if reason.blocking)
    yield from _causes(verdict.causes, verdict)
    yield from (f"- {in_words(reason, verdict)}" for reason in verdict.reasons if not reason.blocking)
    yield from (f"- {words}" for words in caches(verdict))
    if hosts := unseen_hosts(verdict):
        yield f"- {hosts}"
    yield from _newcomers(verdict)
    step = next_words.next_words(verdict)
    yield f"Next: {step.words}"
    yield from _commands(step.commands)


def _commands(commands: Iterable[Run]) -> Iterator[str]:
    return (f"    {run.when}: {run.command}" for run in commands)


def _causes(causes: tuple[Cause, ...], verdict: Verdict) -> Iterator[str]:
    for cause in causes[:_MOST_CAUSES]:
        head, *details = cause_words.sentences(cause, verdict)
        yield f"  {head}"
        yield from (f"    {words}" for words in details)
        yield from _commands(cause_words.commands(cause, verdict))
    if len(causes) > _MOST_CAUSES:
        yield f"  {counted(len(causes) - _MOST_CAUSES, 'more cause')} with fewer sessions: see --json."


def _newcomers(verdict: Verdict) -> Iterator[str]:
    for newcomer in verdict.newcomers[:_MOST_NEWCOMERS]:
        yield f"  {newcomer_words(newcomer, verdict)}"
        yield from _commands(newcomer_commands(newcomer, verdict))
    if len(verdict.newcomers) > _MOST_NEWCOMERS:
        yield f"  {counted(len(verdict.newcomers) - _MOST_NEWCOMERS, 'more stranger')}: see --json."
    if words := with_newcomers(verdict):
        yield f"  {words}"
