"""Commands to paste: what a stranger wrote is one argument of them, whatever is in it."""

import shlex

import pytest

from dashboard.decision.facts.causes import Cause
from dashboard.decision.verdict import decide
from dashboard.words import commands_to_run
from tests.dashboard.decision.worlds import END, GOOGLE, MICROSOFT, daily, entry, evidence, failure

DOMAIN = "receiver.example"


def cause_of(result_type: str, *voices: str, mx: str = "mx1.receiver.example") -> Cause:
    bad = [entry(END, voice, 5, failure(result_type, 2, mx)) for voice in voices]
    return decide(evidence(*daily(), *bad)).causes[0]


def test_accepting_names_the_voice_when_only_one_saw_it() -> None:
    command = commands_to_run.accept_command(DOMAIN, cause_of("certificate-expired", GOOGLE))
    assert command == (
        "starttally override accept receiver.example certificate-expired --mx mx1.receiver.example --voice google.com "
        '--note "..."'
    )
    assert "--voice" not in commands_to_run.accept_command(DOMAIN, cause_of("certificate-expired", GOOGLE, MICROSOFT))


def test_a_repair_is_dated() -> None:
    assert commands_to_run.repaired_command(DOMAIN, cause_of("certificate-expired", GOOGLE)) == (
        f"starttally override repaired receiver.example certificate-expired --mx mx1.receiver.example --on {END} "
        '--note "..."'
    )


def test_failures_that_name_no_host_are_named_so() -> None:
    assert "--mx '(none named)'" in commands_to_run.repaired_command(
        DOMAIN, cause_of("certificate-expired", GOOGLE, mx="")
    )


@pytest.mark.parametrize(
    "result_type", ["$(reboot)", "a; rm -rf x", "it's `x`", '"quoted"', "--help", "-x $(y)", "new\nline"]
)
def test_a_shell_reads_what_a_stranger_wrote_as_one_word(result_type: str) -> None:
    cause = cause_of(result_type, GOOGLE)
    for command in (
        commands_to_run.accept_command(DOMAIN, cause),
        commands_to_run.repaired_command(DOMAIN, cause),
        commands_to_run.believe_command(DOMAIN, result_type),
    ):
        words = shlex.split(command)
        assert result_type in words
        # A word that begins with a hyphen stands after the end of the options.
        assert not result_type.startswith("-") or words.index("--") < words.index(result_type)


def test_other_commands() -> None:
    assert commands_to_run.thresholds_command(DOMAIN, "--reporters 1") == (
        'starttally override thresholds receiver.example --reporters 1 --note "..."'
    )
    assert commands_to_run.next_command(DOMAIN, "a.example", "b.example") == (
        "starttally policy next receiver.example --mx a.example --mx b.example"
    )
    assert commands_to_run.look_command(DOMAIN) == "curl -i https://mta-sts.receiver.example/.well-known/mta-sts.txt"
    assert commands_to_run.accept_absence_command(DOMAIN, GOOGLE) == (
        'starttally override accept receiver.example no-policy-found --voice google.com --note "..."'
    )
