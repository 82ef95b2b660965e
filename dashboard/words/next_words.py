"""The next step that a verdict asks for: a few sentences, and the commands to run. Pure.

``next_step`` adds what is to be published, where something is.
"""

import datetime as dt
from collections.abc import Callable, Mapping

import msgspec

from dashboard.decision.facts.policy_history import OPERATOR
from dashboard.decision.verdict import INSUFFICIENT, NOT_READY, Missing, Reason, Verdict
from ingest.rfc.result_types import POLICY_UNUSABLE

from . import cause_words, commands_to_run
from .commands_to_run import Run, next_command
from .phrases import counted, listed

TWO_WEEKS = 14 * 86_400
_MOST_COMMANDS, _MOST_BELIEVED = 6, 3


class NextWords(msgspec.Struct, frozen=True):
    """What to do next: sentences, and what to run for it, in order."""

    words: str
    commands: tuple[Run, ...] = ()


def next_words(verdict: Verdict) -> NextWords:
    """The next step of a verdict: for each reason that made it, what to do about it, once."""
    steps = [STEPS[reason.code](reason, verdict) for reason in verdict.reasons if reason.blocking]
    words = [step.words for step in steps]
    is_waiting = verdict.name in (INSUFFICIENT, NOT_READY)
    if is_waiting and verdict.mode == "testing" and _hold_enforce(verdict):
        words.append("Nothing is to be published again: the policy says testing already.")
    commands = dict.fromkeys(command for step in steps for command in step.commands)
    return NextWords(" ".join(dict.fromkeys(filter(None, words))), tuple(commands)[:_MOST_COMMANDS])


def is_early(verdict: Verdict) -> bool:
    """Whether a policy that enforces has done so for too few complete days to tell more than "so far"."""
    return verdict.mode == "enforce" and verdict.window.days < verdict.thresholds.window_days


def _hold_enforce(verdict: Verdict) -> bool:
    return any(not holder.changed for holder in verdict.held)


def _repair(_reason: Reason, verdict: Verdict) -> NextWords:
    """Under enforce with the way back to testing."""
    words, commands = _first_repair(verdict)
    if verdict.mode != "enforce":
        return NextWords(words, commands)
    back = Run("To go back to testing", next_command(verdict.domain))
    return NextWords(f"{words} Do it at once, or go back to testing until it is done.", (back, *commands))


def _first_repair(verdict: Verdict) -> tuple[str, tuple[Run, ...]]:
    """What to repair, the cause with most sessions first, and its commands."""
    causes = [cause for cause in verdict.causes if cause.blocks]
    if not causes:
        return "Look at the reports of these sessions for what failed.", ()
    first, others = causes[0], len(causes) - 1
    more = f", then {counted(others, 'other cause')}" if others else ""
    words = f"Repair {cause_words.title(first)} ({counted(first.sessions, 'session')}){more}."
    line = cause_words.mx_line(first)
    return f"{words} {line}".strip(), tuple(cause_words.commands(first, verdict))


def _wait_for_caches(reason: Reason, verdict: Verdict) -> NextWords:
    """Caches go on refusing, whatever is published now."""
    until = f"until {reason.until}" if reason.until else "until their max_age ends, which nobody quoted"
    state = {
        "testing": "Nothing is to be published again, the policy says testing already: caches of the older one may refuse",
        "none": "The policy is withdrawn already: go on serving its file, because caches of the older one may refuse",
    }.get(verdict.mode, "Keep the hosts of the older policy in order: caches may refuse by it")
    words, commands = _first_repair(verdict)
    return NextWords(f"{words} {state} {until}.", commands)


def _serve(reason: Reason, verdict: Verdict) -> NextWords:
    things = f"the TXT record at _mta-sts.{verdict.domain}, and after it the policy file"
    look = Run("To see that it is served", commands_to_run.look_command(verdict.domain))
    if reason.until is None:
        words = "Keep serving the policy file for as long as the largest max_age that was ever served"
        return NextWords(f"{words}, then delete it: {things}.", (look,))
    if reason.until >= verdict.on:
        words = f"Keep serving the policy file until {reason.until}, the last day on which a sender may apply the older policy"
        return NextWords(f"{words}; afterwards delete it: {things}.", (look,))
    return NextWords(f"Delete it: {things}. The last day on which the file had to be served was {reason.until}.")


def _correct(_reason: Reason, verdict: Verdict) -> NextWords:
    commands = [
        Run("To look at it as senders do", commands_to_run.look_command(verdict.domain)),
        Run("To look over the corrected file", commands_to_run.lint_command()),
    ]
    if verdict.current and verdict.current.source == OPERATOR:
        commands.append(Run("To enter the corrected policy", commands_to_run.policy_command(verdict.domain)))
    return NextWords("Correct the policy file or the TXT record, and publish it with a new id.", tuple(commands))


def _add_lines(reason: Reason, verdict: Verdict) -> NextWords:
    told = {cause.mx_host for cause in verdict.causes if cause.blocks and cause_words.mx_line(cause)}
    lines = listed([f'"mx: {name}"' for name in reason.names])
    it = "this line" if len(reason.names) == 1 else "these lines"
    if {*reason.names} <= told:
        return NextWords("")
    return NextWords(f"Publish the policy with {it}: {lines}.", (Run("To print it", next_command(verdict.domain)),))


def _reach(_reason: Reason, verdict: Verdict) -> NextWords:
    commands = [Run("To look at it as senders do", commands_to_run.look_command(verdict.domain))]
    for cause in verdict.causes:
        if cause.consequence == POLICY_UNUSABLE and cause_words.is_live(cause):
            commands += cause_words.commands(cause, verdict)
            break
    words = f"Repair the web server of mta-sts.{verdict.domain}, its certificate or the policy file; then wait for new reports."
    return NextWords(words, tuple(commands))


def _publish_again(reason: Reason, verdict: Verdict) -> NextWords:
    domain, day = verdict.domain, reason.until or verdict.on
    repaired = commands_to_run.repaired_absence_command(domain, day)
    commands = [
        Run("To look at it as senders do", commands_to_run.look_command(domain)),
        Run("To print what to publish", next_command(domain)),
        Run("Once it is there again", repaired),
    ]
    if len(reason.voices) == 1:
        accept = commands_to_run.accept_absence_command(domain, reason.voices[0])
        commands.append(Run("If only this sender does not find it", accept))
    return NextWords(
        f"Publish the TXT record at _mta-sts.{domain} and the policy file again, unless they were withdrawn on purpose.",
        tuple(commands),
    )


def _publish_first(_reason: Reason, verdict: Verdict) -> NextWords:
    are_known = bool(verdict.mx_without_evidence or (verdict.current and verdict.current.policy.mx))
    words = "Publish a policy in mode testing"
    if are_known:
        return NextWords(f"{words}.", (Run("To print it", next_command(verdict.domain)),))
    return NextWords(
        f"{words}, which names every host of your MX records.",
        (Run("To print it, with your hosts", next_command(verdict.domain, "HOST")),),
    )


def _look_at_failures(_reason: Reason, _verdict: Verdict) -> NextWords:
    return NextWords("Repair what fails before any policy enforces.")


def _enforced(_reason: Reason, verdict: Verdict) -> NextWords:
    """No advice to raise max_age before there are days enough since the switch."""
    current = verdict.current
    days = verdict.thresholds.window_days
    if current is not None and is_early(verdict):
        enough = current.mode_since + dt.timedelta(days=days + verdict.thresholds.late_days)
        return NextWords(
            f"Wait until {enough}, when {days} complete days since the switch are known, and keep max_age as it is.",
            (Run("To print what to publish then", next_command(verdict.domain)),),
        )
    if current is not None and (current.policy.max_age or 0) < TWO_WEEKS:
        return NextWords(
            "Raise max_age step by step, to two weeks or more.",
            (Run("To print the next step", next_command(verdict.domain)),),
        )
    return NextWords("Nothing: the policy enforces, and senders keep it for two weeks or more.")


def _switch(_reason: Reason, verdict: Verdict) -> NextWords:
    return NextWords(
        "Publish the policy in mode enforce with a short max_age, then change the id in the TXT record.",
        (Run("To print both, and the way back", next_command(verdict.domain)),),
    )


def _wait(_reason: Reason, verdict: Verdict) -> NextWords:
    """What comes by waiting, what does not, and what makes it suffice."""
    commands = tuple(command for lack in verdict.missing for command in options(lack, verdict))
    if day := verdict.ready_on:
        return NextWords(f"Wait, and keep the policy as it is: ready on {day} if it stays so.", commands)
    words = "Keep the policy as it is."
    if days := [lack.by for lack in verdict.missing if lack.by]:
        words = f"Wait until {max(days)}, and keep the policy as it is."
    never = [_LACKING[lack.code] for lack in verdict.missing if lack.by is None and lack.code in _LACKING]
    words = f"{words} Waiting brings no {' and no '.join(never)} that can be foreseen"
    probe = any(lack.probe for lack in verdict.missing if lack.by is None)
    ways = ["decide whether less is enough"] if commands else []
    ways += ["let a probe find every MX host in order, which stands for the second reporter"] if probe else []
    return NextWords(f"{words}: {', or '.join(ways)}." if ways else f"{words}.{_first_failure(verdict)}", commands)


_LACKING: Mapping[str, str] = {
    "clean-days": "clean days",
    "too-few-reporters": "other reporters",
    "too-few-sessions": "more sessions",
}


def _first_failure(verdict: Verdict) -> str:
    """When no session succeeds, what fails has to be repaired before anything can be proven."""
    live = [cause for cause in verdict.causes if cause_words.is_live(cause)]
    return f" No session succeeds: repair {cause_words.title(live[0])}." if live and not verdict.sessions else ""


def options(missing: Missing, verdict: Verdict) -> tuple[Run, ...]:
    """What makes it suffice without waiting."""
    return tuple(
        Run(f"If {_enough(option)} for this domain", commands_to_run.thresholds_command(verdict.domain, option))
        for option in missing.options
    )


def _enough(option: str) -> str:
    name, _, value = option.partition(" ")
    if name == "--reporters":
        return f"{counted(int(value), 'reporter')} {'is' if value == '1' else 'are'} enough"
    return f"a bound of {float(value) * 100:.6g} % is enough" if name == "--bound" else f"{option} is enough"


def _enter(_reason: Reason, verdict: Verdict) -> NextWords:
    return NextWords(
        "Enter the policy as it is served, so that the sessions prove something.",
        (Run("To enter it", commands_to_run.policy_command(verdict.domain)),),
    )


def _know(_reason: Reason, verdict: Verdict) -> NextWords:
    if not verdict.newcomers:
        return NextWords(
            "Wait for reports of known senders.",
            (Run("What is known of this domain", commands_to_run.reports_command(verdict.domain)),),
        )
    return NextWords(
        "Believe a reporter that you know, or wait until one is known.",
        tuple(
            Run(f"To believe {newcomer.organization}", commands_to_run.believe_command(verdict.domain, newcomer.voice))
            for newcomer in verdict.newcomers[:_MOST_BELIEVED]
        ),
    )


STEPS: Mapping[str, Callable[[Reason, Verdict], NextWords]] = {
    "refused-sessions": _repair,
    "refused-lately": _repair,
    "will-be-refused": _repair,
    "refused-by-older-policy": _wait_for_caches,
    "mode-none": _serve,
    "policy-faulty": _correct,
    "mx-missing": _add_lines,
    "policy-failures": _reach,
    "policy-gone": _publish_again,
    "no-policy-found": _publish_first,
    "one-sender-found-none": _publish_first,
    "failures-without-policy": _look_at_failures,
    "nothing-refused": _enforced,
    "nothing-refused-so-far": _enforced,
    "nothing-refused-by-known": _enforced,
    "nothing-refused-by-known-so-far": _enforced,
    "enough-evidence": _switch,
    "clean-days": _wait,
    "too-few-reporters": _wait,
    "too-few-sessions": _wait,
    "policy-unknown": _enter,
    "no-known-voice": _know,
}
