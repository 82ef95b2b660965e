"""The verdict in words: title, sentence and everything it rests on; the same on the page and on the command line. Pure.

Reasons are put into words in ``reason_words``, causes in ``cause_words``, the next step in ``next_words``.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from ingest.mtasts.enforcement import REFUSED

from . import cause_words, next_words
from . import verdict as rules
from .causes import Cause
from .commands_to_run import Run, believe_command, dismiss_command
from .newcomers import Newcomer
from .phrases import at_most, counted, listed, part_of, share, since_day, span, was
from .policy_history import Held
from .reason_words import newest_days, reason, refused_words
from .verdict import Missing, Reason, Verdict

TITLES: Mapping[str, str] = {
    rules.NO_POLICY: "No policy",
    rules.POLICY_BROKEN: "Policy broken",
    rules.INSUFFICIENT: "Not enough evidence yet",
    rules.NOT_READY: "Not ready for enforce",
    rules.READY: "Ready for enforce",
    rules.ENFORCING: "Enforcing",
    rules.ENFORCING_REFUSING: "Mail is being refused",
    rules.WITHDRAWN: "Withdrawn",
}
MISSING: Mapping[str, str] = {
    "clean-days": "Clean complete days",
    "too-few-reporters": "Independent reporters",
    "too-few-sessions": "Clean sessions",
}
# Under what is told of ready and enforcing, when some refusals were accepted.
_APART = " That is apart from the causes that were accepted: their sessions are refused all the same."
_MOST_CAUSES, _MOST_NEWCOMERS = 12, 5


def sentence(found: Verdict) -> str:
    """The verdict in a sentence or two that a manager understands, with the figures and days that matter.

    Figures and days only: no name from a report or a record is in it, so it fits everywhere, Markdown included.
    """
    accepted = found.name in (rules.READY, rules.ENFORCING) and _has(found, "accepted-sessions")
    return _SENTENCES[found.name](found) + (_APART if accepted else "")


def _reason(found: Verdict, *codes: str) -> Reason | None:
    """The first reason with one of these codes."""
    return next((one for one in found.reasons if one.code in codes), None)


def _has(found: Verdict, *codes: str) -> bool:
    return _reason(found, *codes) is not None


def _refusing(found: Verdict) -> str:
    if by_caches := _reason(found, "refused-by-older-policy"):
        senders = "a sender applies" if len(by_caches.names) == 1 else "senders apply"
        return f"Mail is being turned away: {senders} an older policy in mode enforce, which is still in the cache."
    if not _has(found, "refused-sessions", "refused-lately"):
        ahead = _reason(found, "will-be-refused")
        begin = f"from {ahead.until} at the latest" if ahead and ahead.until else "soon"
        return (
            f"Mail will be turned away {begin}: sessions fail of senders whose caches still say testing, and their next policy "
            "says enforce."
        )
    refused = [one for one in found.reasons if one.code in ("refused-sessions", "refused-lately")]
    sessions, last = sum(one.figure for one in refused), max(one.until for one in refused if one.until)
    return (
        f"Mail is being turned away: senders enforce encryption as the policy tells them, and {counted(sessions, 'session')} "
        f"{was(sessions)} refused, last on {last}."
    )


def _broken(found: Verdict) -> str:
    if gone := _reason(found, "policy-gone"):
        is_one = len(gone.names) == 1
        senders = (
            "A sender that knew this domain's policy finds" if is_one else "Senders that knew this domain's policy find"
        )
        caches = "its cache runs" if is_one else "their caches run"
        return f"{senders} none since {gone.since}: once {caches} out, nothing protects the mail."
    if _has(found, "policy-faulty"):
        return "This domain's policy or its record is faulty, so senders cannot use it."
    if missing := _reason(found, "mx-missing"):
        return f"Mail is being turned away: the policy enforces and leaves out {counted(missing.figure, 'MX host')}."
    return (
        "Senders cannot get or read this domain's policy: those without it in a cache are not protected, and no change of it "
        "reaches the others."
    )


def _no_policy(found: Verdict) -> str:
    failed = _reason(found, "failures-without-policy")
    first = f"{part_of(failed.figure, failed.of)} failed in TLS, and no policy asks for it. " if failed else ""
    if _has(found, "one-sender-found-none"):
        return (
            f"{first}One sender looked for an MTA-STS policy, and this sender found none; as far as it can tell, nothing "
            "protects mail to this domain on its way."
        )
    return (
        f"{first}Senders look for an MTA-STS policy and find none, so nothing protects mail to this domain on its way."
    )


def _accusing(found: Verdict) -> bool:
    return any(one.refused for one in found.newcomers)


def _waiting(found: Verdict) -> str:
    """What is missing, and the day on which nothing will be, if there is one."""
    if _has(found, "no-known-voice"):
        return "No known reporter has reported about this domain yet, so nothing can be told."
    if _has(found, "policy-unknown"):
        return "Nobody quotes a policy that can be read, so nobody knows what the sessions prove."
    lacks = ", ".join(f"{one.have:,.0f} of {counted(one.need, _LACKS[one.code])}" for one in found.missing)
    ready = f"; ready on {found.ready_on} if it stays so" if found.ready_on else ""
    return f"{_so_far(found)}, but too little is known yet: {lacks}{ready}."


_LACKS: Mapping[str, str] = {
    "clean-days": "clean day",
    "too-few-reporters": "independent reporter",
    "too-few-sessions": "clean session",
}


def _so_far(found: Verdict) -> str:
    past = [cause for cause in found.causes if cause.over and cause.consequence == REFUSED]
    if past:
        last = max(cause.last_day for cause in past)
        return f"Sessions failed until {last}, and no known reporter has met that since"
    if _accusing(found):
        return "Known reporters tell of nothing against enforce"
    return "Nothing speaks against enforce so far"


def _not_ready(found: Verdict) -> str:
    if refused := _reason(found, "refused-sessions", "refused-lately"):
        rest = "would not have been delivered on the first try"
        lately = " of the newest days" if refused.code == "refused-lately" else ""
        return f"Do not switch to enforce yet: {part_of(refused.figure, refused.of)}{lately} {rest}."
    missing = _reason(found, "mx-missing")
    hosts = counted(missing.figure if missing else 0, "MX host")
    return f"Do not switch to enforce yet: it would refuse mail to {hosts}, which no mx line of the policy covers."


def _ready(found: Verdict) -> str:
    by = counted(found.reporters, "independent reporter")
    if _accusing(found):
        return (
            f"Yes: this domain's policy may go to enforce, by all that {by} tell; strangers, who are not known, tell of "
            "refused sessions."
        )
    return (
        f"Yes: this domain's policy may go to enforce. Of {counted(found.sessions, 'session')} that {by} counted, none would "
        "have been refused."
    )


def _enforcing(found: Verdict) -> str:
    past = _reason(found, "refused-until")
    by = " that a known reporter sees" if _accusing(found) else ""
    if past:
        days = f"on {past.until}" if past.since == past.until else f"until {past.until}"
        sessions = f"{part_of(past.figure, past.of)} {was(past.figure)} refused {days}, and none since"
        return f"The policy enforces encryption. No mail{by} is being refused now: {sessions}."
    when = "so far" if next_words.is_early(found) else f"since {found.window.start}"
    return f"The policy enforces encryption, and no mail{by} has been refused {when}."


def _withdrawn(found: Verdict) -> str:
    current = found.current
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


def lack(one: Missing) -> str:
    """When something missing will suffice, as a sentence; "" when nobody can tell."""
    if one.by is None:
        return ""
    if one.code == "clean-days":
        return f"If it stays so, they are complete on {one.by}."
    return f"At the present rate that is enough on {one.by}."


def policy_in_force(found: Verdict) -> str:
    """Which policy is in force, since when, and who says so."""
    current = found.current
    if current is None:
        return "Policy in force: unknown, nobody has quoted one."
    source = {"operator": "entered by hand", "probe": "as a probe found it"}.get(
        current.source, "by what senders quote"
    )
    mode = since_day(current.mode_since, before=current.mode_since_before)
    hosts = since_day(current.since, before=current.since_before)
    return f"Policy in force ({source}): mode {current.policy.mode or 'unknown'} {mode}, its mx lines {hosts}."


def evidence(found: Verdict) -> str:
    """The figures of the window, all from the same sessions, and apart from them those of the newest days."""
    days, lately = span(found.window.start, found.window.end), found.refused_lately
    if not found.window.days:
        words = "Evidence: no complete day since the switch is known yet"
    elif not found.sessions:
        words = f"Evidence, {days}: no session counts"
    else:
        whole = f"{counted(found.sessions, 'session')} by {counted(found.reporters, _reporter(found))}"
        refused = f"{found.refused:,}" if found.refused else "none"
        words = f"Evidence, {days}: {refused} of {whole} {refused_words(found, found.refused)}"
        if found.refused:
            rate, bound = share(found.refused, found.sessions), at_most(found.bound)
            words += f" ({rate}), at most {bound} with {_sure(found)} confidence"
    if lately:
        newest = newest_days(found.window, found.on)
        words += (
            f"; apart from these, {counted(lately, 'session')} of the newest days ({newest}) {_lately_refused(found)}"
        )
    return f"{words}."


def _reporter(found: Verdict) -> str:
    """While strangers accuse, it is said that those who do not are the known ones."""
    return "independent known reporter" if _accusing(found) else "independent reporter"


def _lately_refused(found: Verdict) -> str:
    by_caches = _has(found, "refused-by-older-policy") and not _has(found, "refused-lately")
    return f"{was(found.refused_lately)} refused" if by_caches else refused_words(found, found.refused_lately)


def _sure(found: Verdict) -> str:
    return f"{found.thresholds.confidence * 100:.6g} %"


def in_brief(found: Verdict) -> str:
    """The figures of a verdict in a line, for a list of domains."""
    mode = found.mode or "no policy known"
    refused = f"{found.refused:,}" if found.refused else "none"
    words = f"{refused} of {counted(found.sessions, 'session')} refused, at most {at_most(found.bound)}"
    if not found.sessions:
        words = "no session counts"
    lately = f", {found.refused_lately:,} more in the newest days" if found.refused_lately else ""
    return f"{mode}: {words}{lately}; {counted(found.reporters, 'reporter')}"


def caches(found: Verdict) -> Iterator[str]:
    """Until when whose caches may go on refusing under an older policy in mode enforce."""
    holding: dict[object, list[Held]] = {}
    for one in found.held:
        if not one.changed:
            holding.setdefault(one.until, []).append(one)
    for until, members in sorted(holding.items(), key=lambda item: str(item[0])):
        names = listed(sorted({one.organization for one in members}))
        end = f"until {until}" if until else "for as long as its max_age, which nobody quoted"
        cache = "cache" if len({one.voice for one in members}) == 1 else "caches"
        yield f"The {cache} of {names} may hold an older policy in mode enforce and refuse by it {end}."


def unseen_hosts(found: Verdict) -> str:
    """The MX hosts about which nothing is known, "" without any."""
    hosts = found.mx_without_evidence
    if not hosts:
        return ""
    it = "it" if len(hosts) == 1 else "them"
    return f"No evidence about {listed(hosts, 20)}: no failure names {it}, and successes name no host."


def newcomer(one: Newcomer, found: Verdict) -> str:
    """Who is not known, and what it tells."""
    signer = f", signed by {one.signer}" if one.signer else ", unsigned"
    tells = f"{counted(one.sessions, 'session')} {span(one.first_day, one.last_day)}"
    verb = refused_words(found, one.refused)
    refused = f"{one.refused:,} of them {verb}" if one.refused else "none of them refused"
    more = [f"quotes mode {listed(one.modes)}"] if one.modes else []
    more += ["finds no policy"] if one.finds_none else []
    return f"{one.organization} ({one.voice}{signer}): {tells}, {'; '.join([refused, *more])}."


def newcomer_commands(one: Newcomer, found: Verdict) -> tuple[Run, ...]:
    """What makes a newcomer count, and what takes it off the screen."""
    return (
        Run("To believe it", believe_command(found.domain, one.voice)),
        Run("To dismiss it", dismiss_command(found.domain, one.voice)),
    )


def with_newcomers(found: Verdict) -> str:
    """What the verdict would be if newcomers were believed, "" without any."""
    if not found.newcomers:
        return ""
    if found.with_newcomers == found.name:
        return "With them the verdict would be the same."
    return f"With them the verdict would be {found.with_newcomers}."


def lines(found: Verdict) -> Iterator[str]:
    """The whole verdict for a terminal: sentence, figures, reasons, causes with their commands, remarks, next step."""
    yield sentence(found)
    yield policy_in_force(found)
    yield evidence(found)
    yield from (f"* {reason(one, found)}" for one in found.reasons if one.blocking)
    yield from _causes(found.causes, found)
    yield from (f"- {reason(one, found)}" for one in found.reasons if not one.blocking)
    yield from (f"- {words}" for words in caches(found))
    if hosts := unseen_hosts(found):
        yield f"- {hosts}"
    yield from _newcomers(found)
    step = next_words.next_words(found)
    yield f"Next: {step.words}"
    yield from _commands(step.commands)


def _commands(commands: Iterable[Run]) -> Iterator[str]:
    return (f"    {one.when}: {one.command}" for one in commands)


def _causes(causes: tuple[Cause, ...], found: Verdict) -> Iterator[str]:
    for cause in causes[:_MOST_CAUSES]:
        head, *rest = cause_words.sentences(cause, found)
        yield f"  {head}"
        yield from (f"    {words}" for words in rest)
        yield from _commands(cause_words.commands(cause, found))
    if len(causes) > _MOST_CAUSES:
        yield f"  {counted(len(causes) - _MOST_CAUSES, 'more cause')} with fewer sessions: see --json."


def _newcomers(found: Verdict) -> Iterator[str]:
    for one in found.newcomers[:_MOST_NEWCOMERS]:
        yield f"  {newcomer(one, found)}"
        yield from _commands(newcomer_commands(one, found))
    if len(found.newcomers) > _MOST_NEWCOMERS:
        yield f"  {counted(len(found.newcomers) - _MOST_NEWCOMERS, 'more stranger')}: see --json."
    if words := with_newcomers(found):
        yield f"  {words}"
