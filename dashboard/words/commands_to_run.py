"""The commands that an answer names, ready to paste into a shell. Pure: only text, quoted for a shell.

What a stranger wrote (a host, a result type, a voice) is one argument, whatever is in it.
"""

import datetime as dt
import shlex

import msgspec

from dashboard.decision.evidence import NO_MX
from dashboard.decision.facts.causes import Cause
from ingest.rfc.policy_types import NO_POLICY_FOUND

# What the operator is to fill in.
_NOTE = ' --note "..."'


class Run(msgspec.Struct, frozen=True):
    """A command, and in a few words when to run it."""

    when: str
    command: str


def accept_command(domain: str, cause: Cause) -> str:
    """Accepts a cause: for every voice, or for the only one that saw it."""
    voice = ("--voice", cause.voices[0]) if len(cause.voices) == 1 else ()
    return _override("accept", domain, cause.result_type, *_mx(cause), *voice)


def accept_absence_command(domain: str, voice: str) -> str:
    """Accepts that a voice finds no policy."""
    return _override("accept", domain, NO_POLICY_FOUND, "--voice", voice)


def repaired_command(domain: str, cause: Cause) -> str:
    """Says that a cause was repaired on the last day on which it was seen."""
    return _override("repaired", domain, cause.result_type, *_mx(cause), "--on", str(cause.last_day))


def repaired_absence_command(domain: str, on: dt.date) -> str:
    """Says that the policy could be found again after the day ``on``."""
    return _override("repaired", domain, NO_POLICY_FOUND, "--on", str(on))


def believe_command(domain: str, voice: str) -> str:
    """Believes a newcomer."""
    return _override("believe", domain, voice)


def dismiss_command(domain: str, voice: str) -> str:
    """Dismisses a newcomer."""
    return _override("dismiss", domain, voice)


def thresholds_command(domain: str, option: str) -> str:
    """Sets a threshold of this domain; ``option`` as a verdict's Missing has it: ``--reporters 1``."""
    return shlex.join(["starttally", "override", "thresholds", domain, *option.split()]) + _NOTE


def policy_command(domain: str) -> str:
    """Enters the policy in force by hand."""
    return _override("policy", domain, "FILE")


def next_command(domain: str, *mx: str) -> str:
    """Prints what to publish next; ``mx`` are hosts to name instead of those in force."""
    return shlex.join(["starttally", "policy", "next", domain, *(word for host in mx for word in ("--mx", host))])


def lint_command() -> str:
    """Looks over a policy file."""
    return "starttally policy lint FILE"


def reports_command(domain: str) -> str:
    """Lists the reports about a domain."""
    return shlex.join(["starttally", "export", "reports", "--domain", domain])


def look_command(domain: str) -> str:
    """Looks at the policy file as senders do."""
    return shlex.join(["curl", "-i", f"https://mta-sts.{domain}/.well-known/mta-sts.txt"])


def _override(name: str, domain: str, subject: str, *options: str) -> str:
    if subject.startswith("-"):
        # A sender's result type must not be taken for an option.
        return f"{shlex.join(['starttally', 'override', name, *options])}{_NOTE} -- {shlex.join([domain, subject])}"
    return shlex.join(["starttally", "override", name, domain, subject, *options]) + _NOTE


def _mx(cause: Cause) -> tuple[str, ...]:
    return "--mx", cause.mx_host or NO_MX
