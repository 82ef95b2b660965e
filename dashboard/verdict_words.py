"""The verdict in words: the same sentences on the page and on the command line. Pure."""

from collections.abc import Iterator, Mapping

from ingest.mtasts.enforcement import DANE_ONLY, POLICY_UNUSABLE, REFUSED
from ingest.tlsrpt.vocabulary import UNEXPLAINED

from . import verdict as rules
from .verdict import Missing, Reason, Verdict
from .weighing import RECEIVER, SENDER_OR_PATH, Cause

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
# What a manager understands, and what to do next.
SENTENCES: Mapping[str, str] = {
    rules.NO_POLICY: "Senders look for an MTA-STS policy and find none, so nothing protects mail to this domain on its way.",
    rules.POLICY_BROKEN: "Senders cannot get or read this domain's policy, so it protects nobody, and no change of it "
    "reaches them.",
    rules.INSUFFICIENT: "Nothing speaks against enforce so far, but too little is known yet to be sure.",
    rules.NOT_READY: "Do not switch to enforce yet: some mail would not have been delivered on the first try.",
    rules.READY: "Yes: this domain's policy may go to enforce. By all that reports say, no mail would have been refused.",
    rules.ENFORCING: "The policy enforces encryption, and no mail is being refused.",
    rules.ENFORCING_REFUSING: "Mail is being turned away now: senders enforce encryption as the policy tells them, and some of "
    "the servers do not meet it.",
    rules.WITHDRAWN: "The policy is switched off (mode none). Nothing protects mail to this domain on its way.",
}
NEXT_STEPS: Mapping[str, str] = {
    rules.NO_POLICY: "Publish a policy in mode testing.",
    rules.POLICY_BROKEN: "Repair the policy file, its web server, or the TXT record; then wait for new reports.",
    rules.INSUFFICIENT: "Wait, and keep the policy as it is.",
    rules.NOT_READY: "Repair the causes below, those with most sessions first.",
    rules.READY: "Publish the policy in mode enforce with a short max_age, then change the id in DNS.",
    rules.ENFORCING: "Raise max_age step by step, to two weeks or more.",
    rules.ENFORCING_REFUSING: "Repair the causes below at once, or go back to testing until they are repaired.",
    rules.WITHDRAWN: "Keep serving the file until the last sender has let go of the older policy.",
}

# Under what is said about ready and enforcing, when some refusals were accepted.
_APART = " That is apart from the causes that were accepted: their sessions are refused all the same."

_REASONS: Mapping[str, str] = {
    "mode-none": "The policy in force says mode: none.",
    "refused-sessions": "{figure} sessions in these days would have been refused by enforce.",
    "refused-lately": "{figure} sessions in the newest days, whose reports are still arriving, would have been refused.",
    "policy-faulty": "The policy itself is faulty: {names}.",
    "policy-failures": "{figure} sessions met a policy that could not be used ({names}).",
    "no-policy-found": "Senders found no policy for {figure} sessions.",
    "nothing-refused": "{figure} sessions in these days, none refused.",
    "enough-evidence": "At {names} confidence no more than {rate} of the sessions would be refused (asked for: {limit}).",
    "policy-unknown": "No trusted report quotes a policy that can be read, so nobody knows what the sessions prove.",
    "too-few-days": "The policy has been the same for {figure} complete days; {threshold} are asked for.",
    "too-few-reporters": "{figure} independent reporters; {threshold} are asked for.",
    "too-few-sessions": "{figure} clean sessions; {threshold} are needed to be sure.",
    "dane-failures": "DANE senders refuse {figure} sessions today, in every mode ({names}). The switch changes nothing there.",
    "accepted-sessions": "{figure} refused sessions are left out, because their cause was accepted.",
    "stated-policy": "The policy in force was entered by hand (days ago: {figure}) and outranks what reports quote.",
    "stated-policy-overtaken": "The policy entered by hand (days ago: {figure}) no longer counts: senders have changed to "
    "another one since.",
    "own-thresholds": "This domain has thresholds of its own ({names}).",
    "no-recent-evidence": "No report about these days is about the policy in force.",
    "refused-by-older-policy": "{figure} sessions in the newest days were refused by senders that still hold an older policy in "
    "mode enforce ({names}).{until}",
    "signers-not-listed": "{figure} sessions are in reports whose signers are not listed as believed ({names}): these can block "
    "and prove nothing.",
    "policy-not-quoted": "{figure} sessions are in reports that quote no policy: these can block and prove nothing.",
    "one-reporter-dominates": "{rate} of the sessions come from one reporter ({names}).",
    "silent-reporters": "{figure} reporters have fallen silent ({names}). Silence is no success.",
    "old-policy-seen": "{figure} reporters still saw an older policy ({names}).",
    "long-ranges": "{figure} reports cover more than 36 hours and count on their first day.",
}
MISSING: Mapping[str, str] = {
    "too-few-days": "Complete days under this policy",
    "too-few-reporters": "Independent reporters",
    "too-few-sessions": "Clean sessions",
}
_MOST_NAMED = 6

FAULTS: Mapping[str, str] = {
    RECEIVER: "several reporters see it, so it is on the receiving side",
    SENDER_OR_PATH: "one reporter sees it and others do not, so it is on that sender's side or on the way",
}
_UNCLEAR = "only one reporter is there, so nobody can tell whose fault it is"


def sentence(found: Verdict) -> str:
    """The verdict in a sentence that a manager understands."""
    apart = found.name in (rules.READY, rules.ENFORCING) and any(
        one.code == "accepted-sessions" for one in found.reasons
    )
    return SENTENCES[found.name] + (_APART if apart else "")


def reason(one: Reason) -> str:
    """A reason as a sentence. Names from reports are in it as they are: the caller makes them fit for its place."""
    names = ", ".join(one.names[:_MOST_NAMED])
    if len(one.names) > _MOST_NAMED:
        names += f" and {len(one.names) - _MOST_NAMED} more"
    return _REASONS[one.code].format(
        figure=f"{one.figure:,.0f}",
        threshold=f"{one.threshold or 0:,.0f}",
        rate=f"{one.figure:.2%}",
        limit=f"{one.threshold or 0:.2%}",
        names=names,
        until=f" Their caches hold it until {one.until} at the latest." if one.until else "",
    )


def lack(one: Missing) -> str:
    """When something missing will suffice, as a sentence; "" when time alone does not help and nothing is to be said."""
    if one.by is not None:
        return f"At the present rate that is enough on {one.by}."
    if one.code == "too-few-sessions":
        return "At the present rate there will never be enough: accept a higher bound, or probe the MX hosts."
    return "Nobody can tell when another reporter comes." if one.code == "too-few-reporters" else ""


def fault(cause: Cause) -> str:
    """Whose fault a cause is, with the evidence: never only the label."""
    seen = f"seen by {cause.reporters} of {cause.of_reporters} reporters: {FAULTS.get(cause.fault, _UNCLEAR)}"
    attack = "; it may be an attack that strips encryption" if cause.possible_downgrade else ""
    return seen + attack


def consequence(cause: Cause) -> str:
    """What a cause means for the switch, in a few words."""
    return {
        REFUSED: "enforce would refuse them",
        POLICY_UNUSABLE: "the policy could not be used",
        DANE_ONLY: "DANE senders refuse them today",
    }[cause.consequence]


def lines(found: Verdict) -> Iterator[str]:
    """The whole verdict in sentences, for a terminal."""
    yield sentence(found)
    days = f"{found.window.start} to {found.window.end}"
    mode = found.mode or "unknown"
    yield f"Policy: mode {mode}" + (f", its mx patterns since {found.current.since}" if found.current else "")
    yield f"Evidence: {found.sessions:,} sessions by {found.reporters} reporters, {days}; {found.refused:,} would be refused"
    for one in found.reasons:
        yield ("* " if one.blocking else "- ") + reason(one)
    for missing in found.missing:
        if words := lack(missing):
            yield f"  {missing.code}: {words}"
    for cause in found.causes:
        about = "failures without an explanation" if cause.result_type == UNEXPLAINED else cause.result_type
        where = f" at {cause.mx_host}" if cause.mx_host else ""
        accepted = f" ({cause.accepted:,} accepted)" if cause.accepted else ""
        yield f"  {cause.sessions:,}{accepted} x {about}{where}: {consequence(cause)}; {fault(cause)}"
    if found.mx_without_evidence:
        yield f"No evidence about {', '.join(found.mx_without_evidence)}: no failure names them, and successes name no host."
    yield f"Next: {NEXT_STEPS[found.name]}"
