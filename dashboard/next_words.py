"""The next step that a verdict asks for: a few sentences, and the commands to run. Pure.

``next_step`` adds what is to be published, where something is.
"""

import datetime as dt
from collections.abc import Callable, Mapping

import msgspec

from ingest.mtasts.enforcement import POLICY_UNUSABLE

from . import cause_words, commands_to_run
from .commands_to_run import Run, next_command
from .phrases import counted, listed
from .policy_history import OPERATOR
from .verdict import Missing, Reason, Verdict

TWO_WEEKS = 14 * 86_400
_MOST_COMMANDS, _MOST_BELIEVED = 6, 3


class NextWords(msgspec.Struct, frozen=True):
    """What to do next: sentences, and what to run for it, in order."""

    words: str
    commands: tuple[Run, ...] = ()


def next_words(found: Verdict) -> NextWords:
    """The next step of a verdict: for each reason that made it, what to do about it, once."""
    steps = [STEPS[one.code](one, found) for one in found.reasons if one.blocking]
    words = [step.words for step in steps]
    if found.mode == "testing" and _hold_enforce(found) and not _has_caches(found):
        words.append("Nothing is to be published again: the policy says testing already.")
    commands = dict.fromkeys(command for step in steps for command in step.commands)
    return NextWords(" ".join(dict.fromkeys(filter(None, words))), tuple(commands)[:_MOST_COMMANDS])


def is_early(found: Verdict) -> bool:
    """Whether a policy that enforces has done so for too few complete days to tell more than "so far"."""
    return found.mode == "enforce" and found.window.days < found.thresholds.window_days


def _hold_enforce(found: Verdict) -> bool:
    return any(not one.changed for one in found.held)


def _has_caches(found: Verdict) -> bool:
    return any(one.code == "refused-by-older-policy" for one in found.reasons)


def _repair(_one: Reason, found: Verdict) -> NextWords:
    """Under enforce with the way back to testing."""
    words, commands = _first_repair(found)
    if found.mode != "enforce":
        return NextWords(words, commands)
    back = Run("To go back to testing", next_command(found.domain))
    return NextWords(f"{words} Do it at once, or go back to testing until it is done.", (back, *commands))


def _first_repair(found: Verdict) -> tuple[str, tuple[Run, ...]]:
    """What to repair, the cause with most sessions first, and its commands."""
    causes = [cause for cause in found.causes if cause.blocks]
    if not causes:
        return "Look at the reports of these sessions for what failed.", ()
    first, others = causes[0], len(causes) - 1
    more = f", then {counted(others, 'other cause')}" if others else ""
    words = f"Repair {cause_words.title(first)} ({counted(first.sessions, 'session')}){more}."
    line = cause_words.mx_line(first)
    return f"{words} {line}".strip(), tuple(cause_words.commands(first, found))


def _wait_for_caches(one: Reason, found: Verdict) -> NextWords:
    """Caches go on refusing, whatever is published now."""
    until = f"until {one.until}" if one.until else "until their max_age ends, which nobody quoted"
    state = {
        "testing": "Nothing is to be published again, the policy says testing already: caches of the older one may refuse",
        "none": "The policy is withdrawn already: go on serving its file, because caches of the older one may refuse",
    }.get(found.mode, "Keep the hosts of the older policy in order: caches may refuse by it")
    words, commands = _first_repair(found)
    return NextWords(f"{words} {state} {until}.", commands)


def _serve(one: Reason, found: Verdict) -> NextWords:
    things = f"the TXT record at _mta-sts.{found.domain}, and after it the policy file"
    look = Run("To see that it is served", commands_to_run.look_command(found.domain))
    if one.until is None:
        words = "Keep serving the policy file for as long as the largest max_age that was ever served"
        return NextWords(f"{words}, then delete it: {things}.", (look,))
    if one.until >= found.on:
        words = (
            f"Keep serving the policy file until {one.until}, the last day on which a sender may apply the older policy"
        )
        return NextWords(f"{words}; afterwards delete it: {things}.", (look,))
    return NextWords(f"Delete it: {things}. The last day on which the file had to be served was {one.until}.")


def _correct(_one: Reason, found: Verdict) -> NextWords:
    commands = [
        Run("To look at it as senders do", commands_to_run.look_command(found.domain)),
        Run("To look over the corrected file", commands_to_run.lint_command()),
    ]
    if found.current and found.current.source == OPERATOR:
        commands.append(Run("To enter the corrected policy", commands_to_run.policy_command(found.domain)))
    return NextWords("Correct the policy file or the TXT record, and publish it with a new id.", tuple(commands))


def _add_lines(one: Reason, found: Verdict) -> NextWords:
    told = {cause.mx_host for cause in found.causes if cause.blocks and cause_words.mx_line(cause)}
    lines = listed([f'"mx: {name}"' for name in one.names])
    it = "this line" if len(one.names) == 1 else "these lines"
    if {*one.names} <= told:
        return NextWords("")
    return NextWords(f"Publish the policy with {it}: {lines}.", (Run("To print it", next_command(found.domain)),))


def _reach(_one: Reason, found: Verdict) -> NextWords:
    commands = [Run("To look at it as senders do", commands_to_run.look_command(found.domain))]
    for cause in found.causes:
        if cause.consequence == POLICY_UNUSABLE and cause_words.is_live(cause):
            commands += cause_words.commands(cause, found)
            break
    words = f"Repair the web server of mta-sts.{found.domain}, its certificate or the policy file; then wait for new reports."
    return NextWords(words, tuple(commands))


def _publish_again(one: Reason, found: Verdict) -> NextWords:
    domain, day = found.domain, one.until or found.on
    repaired = commands_to_run.repaired_absence_command(domain, day)
    commands = [
        Run("To look at it as senders do", commands_to_run.look_command(domain)),
        Run("To print what to publish", next_command(domain)),
        Run("Once it is there again", repaired),
    ]
    if len(one.voices) == 1:
        accept = commands_to_run.accept_absence_command(domain, one.voices[0])
        commands.append(Run("If only this sender does not find it", accept))
    return NextWords(
        f"Publish the TXT record at _mta-sts.{domain} and the policy file again, unless they were withdrawn on purpose.",
        tuple(commands),
    )


def _publish_first(_one: Reason, found: Verdict) -> NextWords:
    are_known = bool(found.mx_without_evidence or (found.current and found.current.policy.mx))
    words = "Publish a policy in mode testing"
    if are_known:
        return NextWords(f"{words}.", (Run("To print it", next_command(found.domain)),))
    return NextWords(
        f"{words}, which names every host of your MX records.",
        (Run("To print it, with your hosts", next_command(found.domain, "HOST")),),
    )


def _look_at_failures(_one: Reason, _found: Verdict) -> NextWords:
    return NextWords("Repair what fails before any policy enforces.")


def _enforced(_one: Reason, found: Verdict) -> NextWords:
    """No advice to raise max_age before there are days enough since the switch."""
    current = found.current
    days = found.thresholds.window_days
    if current is not None and is_early(found):
        enough = current.mode_since + dt.timedelta(days=days + found.thresholds.late_days)
        return NextWords(
            f"Wait until {enough}, when {days} complete days since the switch are known, and keep max_age as it is.",
            (Run("To print what to publish then", next_command(found.domain)),),
        )
    if current is not None and (current.policy.max_age or 0) < TWO_WEEKS:
        return NextWords(
            "Raise max_age step by step, to two weeks or more.",
            (Run("To print the next step", next_command(found.domain)),),
        )
    return NextWords("Nothing: the policy enforces, and senders keep it for two weeks or more.")


def _switch(_one: Reason, found: Verdict) -> NextWords:
    return NextWords(
        "Publish the policy in mode enforce with a short max_age, then change the id in the TXT record.",
        (Run("To print both, and the way back", next_command(found.domain)),),
    )


def _wait(_one: Reason, found: Verdict) -> NextWords:
    """What comes by waiting, what does not, and what makes it suffice."""
    commands = tuple(command for lack in found.missing for command in options(lack, found))
    if day := found.ready_on:
        return NextWords(f"Wait, and keep the policy as it is: ready on {day} if it stays so.", commands)
    words = "Keep the policy as it is."
    if days := [lack.by for lack in found.missing if lack.by]:
        words = f"Wait until {max(days)}, and keep the policy as it is."
    never = [_LACKING[lack.code] for lack in found.missing if lack.by is None and lack.code in _LACKING]
    words = f"{words} Waiting brings no {' and no '.join(never)} that can be foreseen"
    probe = any(lack.probe for lack in found.missing if lack.by is None)
    ways = ["decide whether less is enough"] if commands else []
    ways += ["let a probe find every MX host in order, which stands for the second reporter"] if probe else []
    return NextWords(f"{words}: {', or '.join(ways)}." if ways else f"{words}.{_first_failure(found)}", commands)


_LACKING: Mapping[str, str] = {
    "clean-days": "clean days",
    "too-few-reporters": "other reporters",
    "too-few-sessions": "more sessions",
}


def _first_failure(found: Verdict) -> str:
    """When no session succeeds, what fails has to be repaired before anything can be proven."""
    live = [cause for cause in found.causes if cause_words.is_live(cause)]
    return f" No session succeeds: repair {cause_words.title(live[0])}." if live and not found.sessions else ""


def options(missing: Missing, found: Verdict) -> tuple[Run, ...]:
    """What makes it suffice without waiting."""
    return tuple(
        Run(f"If {_enough(option)} for this domain", commands_to_run.thresholds_command(found.domain, option))
        for option in missing.options
    )


def _enough(option: str) -> str:
    name, _, value = option.partition(" ")
    if name == "--reporters":
        return f"{counted(int(value), 'reporter')} {'is' if value == '1' else 'are'} enough"
    return f"a bound of {float(value) * 100:.6g} % is enough" if name == "--bound" else f"{option} is enough"


def _enter(_one: Reason, found: Verdict) -> NextWords:
    return NextWords(
        "Enter the policy as it is served, so that the sessions prove something.",
        (Run("To enter it", commands_to_run.policy_command(found.domain)),),
    )


def _know(_one: Reason, found: Verdict) -> NextWords:
    if not found.newcomers:
        return NextWords(
            "Wait for reports of known senders.",
            (Run("What is known of this domain", commands_to_run.reports_command(found.domain)),),
        )
    return NextWords(
        "Believe a reporter that you know, or wait until one is known.",
        tuple(
            Run(f"To believe {one.organization}", commands_to_run.believe_command(found.domain, one.voice))
            for one in found.newcomers[:_MOST_BELIEVED]
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
