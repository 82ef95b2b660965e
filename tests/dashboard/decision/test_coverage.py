"""What an override covers, how its subject is typed, and the commands that are printed for it."""

import datetime as dt
import shlex

import msgspec
import pytest
from typer.testing import CliRunner

from dashboard.commands.app import app
from dashboard.decision.evidence import NO_MX, Evidence, Voice
from dashboard.decision.facts.causes import Cause
from dashboard.decision.overrides.coverage import coverage
from dashboard.decision.overrides.subjects import typed_result_type, typed_voice
from dashboard.decision.verdict import decide
from dashboard.words import override_words
from dashboard.words.commands_to_run import accept_command, believe_command, dismiss_command, repaired_command
from ingest.testimony.override_rules import (
    AcceptedCause,
    BelievedVoice,
    Content,
    DismissedVoice,
    EnteredPolicy,
    MxHosts,
    Override,
    OwnThresholds,
    RefusedOverride,
    RepairedCause,
)
from tests.dashboard.decision.worlds import DAY, ENFORCE, GOOGLE, MICROSOFT, ON, START, daily, entry, evidence, failure

EXPIRED, MX1 = "certificate-expired", "mx1.receiver.example"
FILE = "version: STSv1\nmode: testing\nmx: mx1.receiver.example\nmx: mx2.receiver.example\nmax_age: 604800\n"


def words(reported: Evidence, content: Content) -> str:
    given = dt.datetime.combine(ON, dt.time(9), dt.UTC)
    return override_words.covers(coverage(reported, Override("receiver.example", "1", content, "why", "alice", given)))


REPORTED = evidence(
    entry(START, GOOGLE, 7, failure(EXPIRED, 2)),
    entry(START + DAY, MICROSOFT, 9, failure(EXPIRED, 3, "mx2.receiver.example"), failure("x", 1, "")),
    entry(START + 2 * DAY, GOOGLE, 5, failure("validation-failure", 4, "evil.example")),
    # Overlapping details are no more than the entry's failures.
    entry(START + 3 * DAY, GOOGLE, 5, failure(EXPIRED, 4), failure(EXPIRED, 4, ""), failed=5),
    entry(START + 4 * DAY, MICROSOFT, 1, policy=None, policy_type="no-policy-found", failed=1),
    entry(
        START + 5 * DAY, "dane.example", 6, failure("tlsa-invalid", policy_type="tlsa"), policy=None, policy_type="tlsa"
    ),
    entry(START + 6 * DAY, GOOGLE, 5, policy=ENFORCE, failed=0, unexplained=0),
)
NOTHING = "covers nothing that has been reported"


@pytest.mark.parametrize(
    ("content", "covered"),
    [
        (AcceptedCause(EXPIRED), f"covers 10 sessions of 2 voices since {START}"),
        (AcceptedCause(EXPIRED, MX1), f"covers 6 sessions of 1 voice since {START}"),
        (AcceptedCause(EXPIRED, "MX2.receiver.example"), NOTHING),
        (AcceptedCause("x"), f"covers 1 session of 1 voice since {START + DAY}"),
        (AcceptedCause(EXPIRED, NO_MX), f"covers 4 sessions of 1 voice since {START + 3 * DAY}"),
        (AcceptedCause(EXPIRED, voice=MICROSOFT), f"covers 3 sessions of 1 voice since {START + DAY}"),
        (AcceptedCause(EXPIRED, voice="mail.ru"), NOTHING),
        # What it is, and what its sender calls it.
        (AcceptedCause("mx-not-in-policy"), f"covers 4 sessions of 1 voice since {START + 2 * DAY}"),
        (AcceptedCause("validation-failure"), f"covers 4 sessions of 1 voice since {START + 2 * DAY}"),
        (AcceptedCause("no-policy-found"), f"covers 2 sessions of 1 voice since {START + 4 * DAY}"),
        (AcceptedCause("tlsa-invalid"), f"covers 1 session of 1 voice since {START + 5 * DAY}"),
        (RepairedCause(START + DAY, EXPIRED), f"covers 5 sessions of 2 voices since {START}"),
        (RepairedCause(START - DAY, EXPIRED), NOTHING),
        (BelievedVoice(MICROSOFT), f"covers 15 sessions of 1 voice since {START + DAY}"),
        (DismissedVoice("dane.example"), f"covers 0 sessions of 1 voice since {START + 5 * DAY}"),
        (DismissedVoice("mail.ru"), NOTHING),
        (
            MxHosts(("MX2.receiver.example.", "mx3.receiver.example")),
            f"covers 3 sessions of 1 voice since {START + DAY}",
        ),
        (OwnThresholds(bound=0.02), f"covers 46 sessions of 2 voices since {START}"),
    ],
)
def test_what_an_override_covers(content: Content, covered: str) -> None:
    assert words(REPORTED, content) == covered


def test_a_policy_covers_what_quotes_it() -> None:
    from dashboard.decision.overrides.overrides import policy_of

    policy, _ = policy_of(FILE, ())
    reported = evidence(entry(START, GOOGLE, 7, policy=policy), entry(START, MICROSOFT, 7, policy=ENFORCE))
    assert words(reported, EnteredPolicy(FILE)) == f"covers 7 sessions of 1 voice since {START}"
    assert words(reported, EnteredPolicy(FILE.replace("testing", "none"))) == NOTHING


def test_where_the_look_back_ends_it_may_be_older() -> None:
    reported = msgspec.structs.replace(REPORTED, first_day=START)
    assert words(reported, AcceptedCause(EXPIRED)).endswith(f"since before {START}")


def test_what_a_name_stands_for_is_covered() -> None:
    """A voice that was known by its name when it was dismissed."""
    tied = msgspec.structs.replace(REPORTED, aliases={"google mail": GOOGLE})
    assert words(tied, DismissedVoice("google mail")).startswith("covers 33 sessions of 1 voice")
    assert words(tied, AcceptedCause(EXPIRED, voice="google mail")).startswith("covers 7 sessions of 1 voice")


@pytest.mark.parametrize(
    ("typed", "result_type"),
    [
        (EXPIRED, EXPIRED),
        (" Certificate-Expired ", EXPIRED),
        ("STARTTLS_NOT_SUPPORTED", "starttls-not-supported"),
        ("mx-not-in-policy", "mx-not-in-policy"),
        ("no-policy-found", "no-policy-found"),
        ("unexplained", "unexplained"),
        ("Their-Own", "Their-Own"),
    ],
)
def test_result_types_as_typed(typed: str, result_type: str) -> None:
    assert typed_result_type(typed, {"Their-Own"}.__contains__) == result_type


@pytest.mark.parametrize(
    ("typed", "nearest"),
    [
        ("certificate-expire", EXPIRED),
        ("starttls-not-suported", "starttls-not-supported"),
        ("fetch-error", "sts-policy-fetch-error"),
        ("their-own", ""),
        ("", ""),
    ],
)
def test_no_result_type(typed: str, nearest: str) -> None:
    with pytest.raises(RefusedOverride, match=f"the nearest is {nearest}"):
        typed_result_type(typed, {"Their-Own", ""}.__contains__)


VOICES = {
    GOOGLE: Voice(GOOGLE, "Google Inc."),
    "small mailer": Voice("small mailer", "Small Mailer GmbH"),
    "stranger.example": Voice("stranger.example", "Big Mail Ltd.", known=False),
    "other.example": Voice("other.example", "BIG MAIL", known=False),
}


@pytest.mark.parametrize(
    ("typed", "voice"),
    [
        (GOOGLE, GOOGLE),
        (" Mail.Google.COM. ", GOOGLE),
        ("smtp-tls-reporting@google.com", GOOGLE),
        ("mailto:TLS@mail.google.com", GOOGLE),
        ("Google Inc.", GOOGLE),
        ("Microsoft Corporation", MICROSOFT),
        ("Small Mailer", "small mailer"),
        ("Tied Ltd", "tied.example"),
        ("never-heard-of.example", "never-heard-of.example"),
        ("b\u00fccher.example", "xn--bcher-kva.example"),
    ],
)
def test_voices_as_typed(typed: str, voice: str) -> None:
    known = msgspec.structs.replace(REPORTED, voices=VOICES, aliases={"tied": "tied.example"})
    assert typed_voice(known, typed) == voice


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("Big Mail Inc.", r"who calls itself so: other\.example, stranger\.example \(give the domain\)"),
        ("Nobody", "known as 'Nobody'$"),
        ("", "known as ''$"),
        ("!?", "known as"),
    ],
)
def test_what_is_no_voice(typed: str, hint: str) -> None:
    with pytest.raises(RefusedOverride, match=hint):
        typed_voice(msgspec.structs.replace(REPORTED, voices=VOICES), typed)


def cause_of(result_type: str, mx: str = MX1, voices: tuple[str, ...] = (GOOGLE,)) -> Cause:
    failing = [entry(ON - 5 * DAY, voice, 9, failure(result_type, 1, mx)) for voice in voices]
    (cause,) = decide(evidence(*daily(START, ON), *failing)).causes
    return cause


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (
            accept_command("a.example", cause_of(EXPIRED)),
            'accept a.example certificate-expired --mx mx1.receiver.example --voice google.com --note "..."',
        ),
        (
            accept_command("a.example", cause_of("odd; type", "", (GOOGLE, MICROSOFT))),
            "accept a.example 'odd; type' --mx '(none named)' --note \"...\"",
        ),
        (
            accept_command("a.example", cause_of("--all", "")),
            "accept --mx '(none named)' --voice google.com --note \"...\" -- a.example --all",
        ),
        (
            repaired_command("a.example", cause_of(EXPIRED)),
            f'repaired a.example certificate-expired --mx mx1.receiver.example --on {ON - 5 * DAY} --note "..."',
        ),
        (believe_command("a.example", "new.example"), 'believe a.example new.example --note "..."'),
        (dismiss_command("a.example", "small mailer"), "dismiss a.example 'small mailer' --note \"...\""),
    ],
)
def test_commands_to_paste(command: str, text: str) -> None:
    assert command == f"starttally override {text}"
    # The command line takes each apart as it is meant: what fails is that there is no database.
    answer = CliRunner().invoke(app, shlex.split(command)[1:])
    assert type(answer.exception).__name__ == "DatabaseAway", answer.output
