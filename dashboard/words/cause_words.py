"""A cause in sentences: what failed, when, who saw it, what follows, how sure that is, who repairs it, which commands. Pure.

Names from reports are in the sentences as they are: the caller makes them fit for its place.
"""

from collections.abc import Iterator, Mapping

from dashboard.decision.facts.causes import RECEIVER, SENDER_OR_PATH, Cause
from dashboard.decision.facts.failures import AHEAD, OLDER_POLICY
from dashboard.decision.verdict import Verdict
from ingest.rfc.result_types import (
    DANE_ONLY,
    DANE_OPERATOR,
    MX_NOT_IN_POLICY,
    POLICY_HOST,
    POLICY_UNUSABLE,
    REFUSED,
    UNEXPLAINED,
)
from ingest.rfc.result_types import RECEIVER as MX_OPERATOR

from .commands_to_run import Run, accept_command, next_command, repaired_command
from .phrases import counted, listed, since_day, span
from .reason_words import look_back

_MOST_VOICES = 8

# Who can repair it, by the table of ``ingest.rfc.result_types``.
_REPAIRERS: Mapping[str, str] = {
    MX_OPERATOR: "who runs the MX hosts",
    POLICY_HOST: "who runs the policy host",
    DANE_OPERATOR: "who keeps the TLSA records and their zone",
}
_UNKNOWN_REPAIRER = "nobody can tell without the reason: read the reports"


def title(cause: Cause) -> str:
    """What failed and where, by its code: ``certificate-expired at mx1.example``."""
    what = "failures without an explanation" if cause.result_type == UNEXPLAINED else cause.result_type
    return f"{what} at {cause.mx_host}" if cause.mx_host else what


def is_live(cause: Cause) -> bool:
    """Whether there is still something to say in the present tense: neither over nor accepted, nor of an older policy."""
    return bool(cause.sessions) and not cause.over and cause.consequence != OLDER_POLICY


def when(cause: Cause, verdict: Verdict) -> str:
    """How many sessions on which days, and whether that is over."""
    count = counted(cause.sessions or cause.accepted, "session")
    if cause.over:
        return f"{count} failed {span(cause.first_day, cause.last_day)}; over since"
    if cause.consequence == OLDER_POLICY:
        return f"{count} failed {span(cause.first_day, cause.last_day)}"
    if cause.first_day <= look_back(verdict):
        return f"{count} failed {since_day(cause.first_day, before=True)}, last on {cause.last_day}"
    return f"{count} failed {span(cause.first_day, cause.last_day)}"


def beside(cause: Cause) -> str:
    """How many of the sessions were accepted, or called repaired; "" when none."""
    apart = []
    if cause.accepted and not cause.sessions:
        apart.append("accepted")
    elif cause.accepted:
        apart.append(f"{cause.accepted:,} more accepted")
    if cause.repaired:
        apart.append(f"{cause.repaired:,} called repaired")
    return ", ".join(apart)


def consequence(cause: Cause, verdict: Verdict) -> str:
    """What follows, as a sentence in the tense that fits: what is over was refused, what is not is or would be."""
    they = "it" if cause.sessions + cause.accepted == 1 else "them"
    if cause.consequence == REFUSED:
        if cause.phase == AHEAD:
            return "Enforce will refuse such sessions as soon as the caches of these senders hold it."
        return _refused(cause, they)
    end = f" until {cause.until}" if cause.until and cause.until >= verdict.on else ""
    return {
        POLICY_UNUSABLE: "The policy could not be fetched or read. One in the cache applied; without one nothing did.",
        DANE_ONLY: "DANE senders refuse such sessions in every mode: the switch changes nothing.",
        OLDER_POLICY: f"Caches hold{end} an older policy that does not name the host: nothing to repair.",
    }[cause.consequence]


def _refused(cause: Cause, they: str) -> str:
    """What was under enforce was refused, what was under testing would have been."""
    sessions = cause.sessions + cause.accepted
    if not cause.enforced:
        return f"Enforce would have refused {they}."
    if cause.enforced >= sessions:
        return f"Enforce refused {they}."
    return f"Enforce refused {cause.enforced:,} of {they} and would have refused the others."


def seen(cause: Cause) -> str:
    """Which voices saw it, with their sessions and keys, and how many did not."""
    counts = [f"{name} {sessions:,}" for name, sessions in cause.by_organization]
    keys = [voice for voice in cause.voices if voice not in cause.organizations]
    by = f" ({listed(keys, _MOST_VOICES)})" if keys else ""
    silent = ""
    if cause.silent:
        has = "has" if len(cause.silent) == 1 else "have"
        silent = f" {listed(cause.silent)} {has} been silent since."
    of = (
        f"Seen by {cause.reporters:,} of {counted(cause.of_reporters, 'reporter')}: {listed(counts, _MOST_VOICES)}{by}."
    )
    return of + silent


def fault(cause: Cause) -> str:
    """Whose fault it is and how sure that is, with the evidence: never only the label."""
    if cause.result_type == MX_NOT_IN_POLICY:
        called = [name for name in cause.reported_as if name != MX_NOT_IN_POLICY]
        whatever = f" (reported as {listed(called)})" if called else ""
        return f"Certain{whatever}: no mx line covers the host."
    reason = f" Reason given: {listed(cause.reported_as)}." if cause.reported_as else ""
    if cause.consequence == OLDER_POLICY:
        return reason.strip()
    if cause.fault == RECEIVER:
        return f"Certain: several reporters see it, so it is on the receiving side.{reason}"
    if cause.fault == SENDER_OR_PATH:
        attack = "; it may be an attack that strips encryption" if cause.possible_downgrade else ""
        return (
            f"Suspected: one reporter sees it and others do not, so it is that sender's or on its way{attack}.{reason}"
        )
    return f"Suspected: only one reporter is there, so nobody can tell whose fault it is.{reason}"


def repairer(cause: Cause) -> str:
    """Who can repair it, in a few words; "" when there is nothing to repair."""
    if cause.over or cause.consequence == OLDER_POLICY:
        return ""
    if cause.result_type == MX_NOT_IN_POLICY:
        return "who keeps the policy and the MX records"
    if cause.fault == SENDER_OR_PATH:
        return f"that sender, or {_REPAIRERS.get(cause.repairer, 'whoever its reason names')}"
    return _REPAIRERS.get(cause.repairer, _UNKNOWN_REPAIRER)


def mx_line(cause: Cause) -> str:
    """What to do about a host that the policy lacks: the line to add when it is known to be yours. "" for other causes."""
    if cause.result_type != MX_NOT_IN_POLICY or cause.over or not cause.mx_host:
        return ""
    if cause.is_listed:
        return f'Add this line to the policy: "mx: {cause.mx_host}".'
    return "Add the host to the policy if it is yours; if not, somebody answers MX queries falsely."


def commands(cause: Cause, verdict: Verdict) -> Iterator[Run]:
    """For a live cause, what to run and when: after it was repaired, or when it will not be."""
    if not is_live(cause) or cause.consequence == DANE_ONLY:
        return
    if cause.result_type == MX_NOT_IN_POLICY and cause.is_listed:
        yield Run("To print the policy with it", next_command(verdict.domain))
    yield Run("Once it is repaired", repaired_command(verdict.domain, cause))
    yield Run("If it will not be", accept_command(verdict.domain, cause))


def sentences(cause: Cause, verdict: Verdict) -> Iterator[str]:
    """A cause for a terminal: its head, then what there is to know. Without its commands."""
    apart = beside(cause)
    yield f"{title(cause)}: {when(cause, verdict)}" + (f" ({apart})." if apart else ".")
    parts = [consequence(cause, verdict), seen(cause)]
    if not cause.over:
        parts.append(fault(cause))
    yield " ".join(part for part in parts if part)
    if who := repairer(cause):
        yield " ".join(part for part in (f"To repair: {who}.", mx_line(cause)) if part)
