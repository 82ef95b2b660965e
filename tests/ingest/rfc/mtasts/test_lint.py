"""The linter: each fault with its line, severity and repair; the hosts; the change from the policy before."""

import ast
import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.rfc.faults import ERROR, NOTE, WARNING
from ingest.rfc.mtasts.ages import span
from ingest.rfc.mtasts.lint import change_faults, lint
from ingest.rfc.mtasts.policy import MAX_BYTES, MAX_FAULTS, Policy, parse
from tests.support import ROOT

GOOD = b"version: STSv1\nmode: enforce\nmx: mx1.receiver.example\nmx: *.backup.receiver.example\nmax_age: 604800\n"
HOSTS = ["mx1.receiver.example", "a.backup.receiver.example"]


def with_line(old: bytes, new: bytes) -> bytes:
    """The good policy with one line replaced."""
    assert old in GOOD
    return GOOD.replace(old, new)


TESTING = with_line(b"mode: enforce", b"mode: testing")
NONE = b"version: STSv1\nmode: none\nmax_age: 86400\n"
YEAR = with_line(b"604800", b"31557600")
OTHER = b"mx: mx1.receiver.example\nmx: *.backup.receiver.example\nmx: mx2.receiver.example\n"
ENFORCE_OTHER = with_line(b"mx: mx1.receiver.example\nmx: *.backup.receiver.example\n", OTHER)
TESTING_OTHER = ENFORCE_OTHER.replace(b"enforce", b"testing")
FEWER_WILD = with_line(b"mx: mx1.receiver.example\n", b"")
FEWER = with_line(b"mx: *.backup.receiver.example\n", b"")


def test_a_good_policy_has_no_faults() -> None:
    assert lint(GOOD, HOSTS).faults == ()
    assert lint(GOOD.replace(b"\n", b"\r\n"), HOSTS).faults == ()
    assert lint(TESTING, HOSTS).faults == ()
    assert lint(NONE, HOSTS).faults == ()


# The file, and its one fault: line, severity, code, and the beginning of the repair.
BAD = [
    (b"", 0, ERROR, "empty", "write version, mode, mx and max_age", "nothing was saved"),
    (b"\n", 0, ERROR, "empty", "write version, mode, mx and max_age", "only an empty line"),
    (b"\xef\xbb\xbf", 1, ERROR, "byte-order-mark", "save the file as plain text", "nothing else"),
    (b"<!DOCTYPE html>\n<html>: x</html>\n", 1, ERROR, "web-page", "serve the policy file itself", "an error page"),
    (b" \r\n<html>", 1, ERROR, "web-page", "serve the policy file itself", "blanks before it"),
    (GOOD.decode().encode("utf-16"), 0, ERROR, "encoding", "save the file as plain text", "Windows: Unicode"),
    (GOOD + b"note: caf\xe9\n", 6, ERROR, "encoding", "save the file as plain text", "Latin-1"),
    (b"\xef\xbb\xbf" + GOOD, 1, ERROR, "byte-order-mark", "save the file as plain text", "Windows: UTF-8 with BOM"),
    (GOOD + b"x: " + b"x" * MAX_BYTES + b"\n", 0, ERROR, "too-large", "remove what is no policy", "above 64 KB"),
    (GOOD.replace(b"\n", b"\r"), 1, ERROR, "carriage-return", "end each line with LF or CRLF", "an old Macintosh"),
    (
        with_line(b"1.receiver.example\n", b"1.receiver.example\r"),
        3,
        ERROR,
        "carriage-return",
        "end each",
        "a single one",
    ),
    (
        with_line(b"mx1.receiver.example\n", b"mx1.receiver.example\r\n"),
        1,
        NOTE,
        "mixed-line-ends",
        "end all",
        "LF, CRLF",
    ),
    (GOOD.replace(b"\n", b"\r\n", 1), 2, NOTE, "mixed-line-ends", "end all lines alike", "CRLF, then LF"),
    (GOOD.rstrip(), 5, NOTE, "no-final-newline", "end the last line too", "legal: sts-policy-term is optional there"),
    (with_line(b"\nmx: mx1", b"\n\nmx: mx1"), 3, WARNING, "blank-line", "remove the line", "the grammar has none"),
    (GOOD + b"v=STSv1; id=1;\n", 6, ERROR, "record-in-file", "remove the line here", "the TXT record pasted"),
    (GOOD + b'_mta-sts IN TXT "v=STSv1; id=1;"\n', 6, ERROR, "record-in-file", "remove the line", "a zone's line"),
    (GOOD + b"v=TLSRPTv1; rua=mailto:a@b.example\n", 6, ERROR, "record-in-file", "remove the line", "has a colon"),
    (GOOD + b"# backup follows\n", 6, ERROR, "no-colon", "remove the line; a policy has no comments", "a comment"),
    (GOOD + b"hello\n", 6, ERROR, "no-colon", "write a key, a colon and a value", "no colon"),
    (with_line(b"mode: ", b"mode="), 2, ERROR, "no-colon", "write mode: enforce", "written as in the TXT record"),
    (with_line(b"mode:", b"mode :"), 2, ERROR, "key-blank", "write mode:", "a blank before the colon"),
    (with_line(b"mode:", b"Mode:"), 2, ERROR, "key-case", "write mode: enforce", "case counts, and said once"),
    (
        with_line(b"mx: mx1", b"MX: mx1"),
        3,
        ERROR,
        "key-case",
        "write mx: mx1.receiver.example",
        "senders ignore the line",
    ),
    (GOOD + "wört: x\n".encode(), 6, ERROR, "key", "remove the line", "a key is ASCII"),
    (GOOD + b"commnet: x\n", 6, WARNING, "unknown-key", "remove the line", "senders ignore it"),
    (GOOD + b"modes: x\n", 6, WARNING, "unknown-key", "did you mean mode?", "a near miss"),
    (GOOD + b"id: 1\n", 6, WARNING, "unknown-key", "remove the line; the id belongs in the TXT", "that of the record"),
    (
        GOOD + b"mode: testing\n",
        6,
        WARNING,
        "duplicate-key",
        "remove the line that you do not mean",
        "the first counts",
    ),
    (GOOD + b"mx: MX1.receiver.example\n", 6, WARNING, "duplicate-mx", "remove one of the two", "case does not count"),
    (with_line(b"STSv1", b"STSv2"), 1, ERROR, "version", "write version: STSv1", "there is one version"),
    (with_line(b"STSv1", b"stsv1"), 1, ERROR, "version", "write version: STSv1", "case counts"),
    (with_line(b"version: STSv1\n", b""), 0, ERROR, "version", "write version: STSv1", "absent"),
    (
        b"mode: enforce\nversion: STSv1\nmx: a.example\nmax_age: 604800\n",
        *(2, WARNING, "version-not-first", "move version: STSv1 to the first line", "Google's rule"),
    ),
    (with_line(b"enforce", b"enforced"), 2, ERROR, "mode-enforced", "write mode: enforce", "Google's own mistake"),
    (with_line(b"enforce", b"Testing"), 2, ERROR, "mode", "write mode: testing", "case counts"),
    (with_line(b"enforce", b"test"), 2, ERROR, "mode", "write mode: testing", "a near miss"),
    (with_line(b"enforce", b"on"), 2, ERROR, "mode", "write mode: testing (or", "no idea what is meant"),
    (with_line(b"mode: enforce\n", b""), 0, ERROR, "mode", "write mode: testing (or", "absent"),
    (b"version: STSv1\nmode: enforce\nmax_age: 604800\n", 0, ERROR, "no-mx", "write one line mx: HOST", "no host"),
    (
        GOOD.replace(b"enforce", b"none").replace(b"604800", b"86400"),
        3,
        WARNING,
        "none-with-mx",
        "remove",
        "Google's rule",
    ),
    (with_line(b"max_age: 604800\n", b""), 0, ERROR, "no-max-age", "write max_age: 604800", "absent"),
    (b"version: STSv1\nmode: none\n", 0, ERROR, "no-max-age", "write max_age: 86400", "absent, to switch off"),
    (with_line(b"604800", b"31557601"), 5, ERROR, "max-age", "write max_age: 31557600 or less", "above a year"),
    (with_line(b"604800", b"-1"), 5, ERROR, "max-age", "write max_age: 604800 (one week), digits only", "below 0"),
    (with_line(b"604800", b"99999999999"), 5, ERROR, "max-age", "write max_age: 31557600 or less", "11 digits"),
    (with_line(b"604800", b"1w"), 5, ERROR, "max-age", "write max_age: 604800", "a unit"),
    (with_line(b"604800", b"14 days"), 5, ERROR, "max-age", "write max_age: 1209600", "a unit, in words"),
    (with_line(b"604800", b"24h"), 5, ERROR, "max-age", "write max_age: 86400", "hours"),
    (with_line(b"604800", b"604800s"), 5, ERROR, "max-age", "write max_age: 604800", "seconds, said twice"),
    (with_line(b"604800", b"604,800"), 5, ERROR, "max-age", "write max_age: 604800", "groups of digits"),
    (with_line(b"604800", b"99 weeks"), 5, ERROR, "max-age", "write max_age: 604800 (one week)", "above a year"),
    (with_line(b"604800", b""), 5, ERROR, "max-age", "write max_age: 604800 (one week)", "nothing"),
    (with_line(b"604800", "٦٠٤٨٠٠".encode()), 5, ERROR, "max-age", "write max_age: 604800 (one week)", "other digits"),
    (with_line(b"604800", b"86399"), 5, WARNING, "max-age-short", "write max_age: 604800", "below Google's least"),
    (with_line(b"604800", b"86400"), 5, NOTE, "max-age-weeks", "write max_age: 604800 or more", "RFC 8461: weeks"),
    (TESTING.replace(b"604800", b"604799"), 5, WARNING, "max-age-testing", "write max_age: 604800", "Google: a week"),
    (TESTING.replace(b"604800", b"1209601"), 5, WARNING, "max-age-long", "write max_age: 1209600", "Google: two weeks"),
    (NONE.replace(b"86400", b"60"), 3, NOTE, "max-age-none", "write max_age: 86400", "Google: a day to switch off"),
    (NONE.replace(b"86400", b"604800"), 3, NOTE, "max-age-none", "write max_age: 86400", "longer than needed"),
    (GOOD + b"mx: *\n", 6, ERROR, "mx", "write a host's full name, or *.domain", "covers nothing"),
    (GOOD + "mx: göpher.example\n".encode(), 6, ERROR, "mx-not-ascii", "write mx: xn--gpher-jua.example", "a U-label"),
    (GOOD + b"mx: mx2.example.\n", 6, ERROR, "mx-trailing-dot", "write mx: mx2.example", "as in a zone file"),
    (GOOD + b"mx: *.com\n", 6, WARNING, "mx-broad", "write the full names", "hosts of anybody"),
    (GOOD + b"mx: localhost\n", 6, WARNING, "mx-one-label", "write the host's full name", "short"),
    (GOOD.rstrip().replace(b"\n", b" ") + b"\n", 1, ERROR, "keys-on-one-line", "write each key", "joined with blanks"),
    (GOOD.rstrip().replace(b"\n", b"; ") + b"\n", 1, ERROR, "keys-on-one-line", "write each key", "as a TXT record"),
    (GOOD.rstrip().replace(b"\n", b"\\n") + b"\n", 1, ERROR, "keys-on-one-line", "write each key", "echo without -e"),
    (
        GOOD + b"".join(b"x%d: y\n" % number for number in range(MAX_FAULTS)),
        *(5 + MAX_FAULTS, ERROR, "too-many-faults", "repair those above, then look again", "another kind of file"),
    ),
    (GOOD + b"later: \n", 6, ERROR, "unknown-key-value", "remove the line", "empty, against the grammar"),
    (GOOD + b"later: a\x1bb\n", 6, ERROR, "unknown-key-value", "remove the line", "a control character"),
    (
        with_line(b"enforce", "enforce\u00a0".encode()),
        2,
        ERROR,
        "invisible-character",
        "type the line anew",
        "no-break",
    ),
    (with_line(b"mode", "\u200bmode".encode()), 2, ERROR, "invisible-character", "type the line anew", "zero width"),
    (
        GOOD + "mx:\u00a0mx2.example\n".encode(),
        6,
        ERROR,
        "invisible-character",
        "type the line anew",
        "from a web page",
    ),
]
# What some files have beside the fault in question, because of the same line.
BESIDE = dict.fromkeys(("unknown-key-value", "too-many-faults", "too-large", "encoding"), "unknown-key")
BESIDE["empty"] = "blank-line"


@pytest.mark.parametrize(("file", "line", "severity", "code", "repair", "why"), BAD)
def test_each_fault(file: bytes, line: int, severity: str, code: str, repair: str, why: str) -> None:
    policy = lint(file)
    faults = [fault for fault in policy.faults if fault.code != BESIDE.get(code)]
    assert [(fault.line, fault.severity, fault.code) for fault in faults] == [(line, severity, code)], why
    assert faults[0].repair.startswith(repair)
    assert faults[0].text
    assert policy.usable is (severity != ERROR)


# The previous file and id, the new file and id, and the one fault: severity, code, and a part of text and repair.
STEPS = [
    (TESTING, "1", GOOD, "1", ERROR, "id-unchanged", "up to 1 week (max_age 604800)", "the id was forgotten"),
    (TESTING, "1", GOOD, "1", ERROR, "id-unchanged", 'publish "v=STSv1; id=3;" after the file', "the repair"),
    (GOOD, "1", with_line(b"mx1", b"mx2"), "1", ERROR, "id-unchanged", "will not notice", "another host"),
    (GOOD, "1", with_line(b"604800", b"604801"), "1", ERROR, "id-unchanged", "will not notice", "another age"),
    (GOOD, "1", with_line(b"STSv1", b"STSv2"), "1", ERROR, "id-unchanged", "will not notice", "unusable now"),
    (with_line(b"STSv1", b"v2"), "1", GOOD, "1", ERROR, "id-unchanged", "of their own accord", "nobody has a copy"),
    (with_line(b"604800", b"0"), "1", GOOD, "1", ERROR, "id-unchanged", "of their own accord", "a copy for no time"),
    (TESTING, "1", GOOD, "", NOTE, "id-unknown", "cannot be seen without both", "one record only"),
    (TESTING, "", GOOD, "2", NOTE, "id-unknown", "cannot be seen without both", "one record only"),
    (GOOD, "1", GOOD, "2", NOTE, "id-changed-alone", "keep id=1", "the file was forgotten, or nothing changed"),
    (GOOD, "1", TESTING, "2", NOTE, "enforce-cached", "go on enforcing until", "the way back takes max_age"),
    (GOOD, "1", NONE, "2", NOTE, "enforce-cached", "go on enforcing until", "the way out, too"),
    (TESTING, "1", YEAR, "2", WARNING, "max-age-switch", "max_age of 365.2 days at once", "a year from the first day"),
    (NONE, "1", YEAR, "2", WARNING, "max-age-switch", "write max_age: 604800 (one week)", "as long"),
    (TESTING, "1", ENFORCE_OTHER, "2", WARNING, "mx-and-mode", "no report has tested", "two changes at once"),
    (NONE, "1", GOOD, "2", WARNING, "mx-and-mode", "in mode testing, wait", "enforce without a test"),
    (GOOD, "1", TESTING_OTHER, "2", WARNING, "mx-and-mode", "enforce the old mx lines until", "back, and other hosts"),
    (GOOD, "1", FEWER, "2", WARNING, "mx-removed", "senders refuse to deliver to such a host", "a host is gone"),
    (GOOD, "1", FEWER, "2", WARNING, "mx-removed", "copy accept such a host until their copy", "what copies do"),
    (
        TESTING,
        "1",
        FEWER.replace(b"enforce", b"testing"),
        "2",
        WARNING,
        "mx-removed",
        "report as failed each session",
        "in testing",
    ),
]


# What other rules say about the same step.
AT_THE_SAME_STEP = {
    "id-unchanged": ("enforce-cached", "mx-removed"),
    "max-age-switch": ("mx-and-mode",),
    "mx-and-mode": ("enforce-cached",),
}


@pytest.mark.parametrize(("before", "old", "after", "new", "severity", "code", "says", "why"), STEPS)
def test_each_step(
    before: bytes, old: str, after: bytes, new: str, severity: str, code: str, says: str, why: str
) -> None:
    faults = change_faults(lint(before), lint(after), old, new, "3")
    faults = tuple(fault for fault in faults if fault.code == code or fault.code not in AT_THE_SAME_STEP.get(code, ()))
    assert [(fault.severity, fault.code) for fault in faults] == [(severity, code)], why
    assert says in f"{faults[0].text}. {faults[0].repair}"


@pytest.mark.parametrize(
    ("before", "old", "after", "new"),
    [
        (TESTING, "1", GOOD, "2"),
        (GOOD, "1", GOOD, "1"),
        (GOOD, "", GOOD, ""),
        (GOOD, "1", GOOD.replace(b"\n", b"\r\n"), "1"),  # senders make the same of it
        (GOOD, "1", GOOD.replace(b"mx1.receiver", b"MX1.Receiver"), "1"),
        (NONE, "1", TESTING, "2"),  # the way in
        (TESTING, "1", with_line(b"604800", b"1209600"), "2"),  # two weeks from the first day in enforce
        (GOOD, "1", YEAR, "2"),  # raised later
        (GOOD, "1", ENFORCE_OTHER, "2"),  # a host more, in the same mode
        (TESTING, "1", TESTING_OTHER, "2"),
        (TESTING, "1", NONE, "2"),  # the way out names no host
        (
            with_line(b"mx1.receiver.example", b"a.backup.receiver.example"),
            "1",
            FEWER_WILD,
            "2",
        ),  # covered all the same
    ],
)
def test_steps_with_nothing_wrong(before: bytes, old: str, after: bytes, new: str) -> None:
    assert change_faults(lint(before), lint(after), old, new, "3") == ()


@pytest.mark.parametrize(
    ("after", "hosts", "severities", "why"),
    [
        (FEWER, HOSTS[:1], [NOTE], "the MX records name it no longer"),
        (FEWER, HOSTS, [WARNING], "they still do, and nothing covers it"),
        (FEWER, (), [WARNING], "nobody knows"),
        (with_line(b"*.backup", b"a.backup"), HOSTS, [], "a wildcard gave way to the names it stood for"),
        (with_line(b"*.backup", b"b.backup"), HOSTS, [WARNING], "to other names"),
        (GOOD + b"mx: *.*\n", HOSTS, [], "nothing is gone"),
    ],
)
def test_a_removed_line_is_held_against_the_mx_records(
    after: bytes, hosts: list[str], severities: list[str], why: str
) -> None:
    faults = change_faults(lint(GOOD), lint(after), "1", "2", "3", hosts)
    assert [fault.severity for fault in faults if fault.code == "mx-removed"] == severities, why


def test_a_step_is_judged_by_the_mode_that_is_meant() -> None:
    """A wrong mode hides nothing about the step either."""
    after = YEAR.replace(b"enforce", b"enforced").replace(b"mx1.", b"mx7.")
    assert [fault.code for fault in change_faults(lint(TESTING), lint(after), "1", "2", "3")] == [
        *("mx-and-mode", "mx-removed", "max-age-switch"),
    ]
    without = GOOD.replace(b"mode: enforce\n", b"").replace(b"mx1.", b"mx7.")
    assert [fault.code for fault in change_faults(lint(GOOD), lint(without), "1", "2", "3")] == [
        *("mx-and-mode", "mx-removed", "enforce-cached"),
    ]


HOST_CASES = [
    (GOOD, [*HOSTS, "mx9.receiver.example"], 0, ERROR, "mx-not-covered", "senders refuse to deliver to it", "enforce"),
    (TESTING, [*HOSTS, "mx9.receiver.example"], 0, ERROR, "mx-not-covered", "report its sessions as failed", "testing"),
    (
        GOOD,
        [*HOSTS, "backup.receiver.example"],
        0,
        ERROR,
        "mx-not-covered",
        "not backup.receiver.example itself",
        "apex",
    ),
    (GOOD, [*HOSTS, "a.b.backup.receiver.example"], 0, ERROR, "mx-not-covered", "exactly one label", "two labels"),
    (GOOD, [*HOSTS, "göpher.example"], 0, ERROR, "mx-not-covered", "add mx: xn--gpher-jua.example", "in A-labels"),
    (GOOD, HOSTS[:1], 4, WARNING, "mx-stale", "mx *.backup.receiver.example covers none", "the host is gone"),
    (GOOD, HOSTS[1:], 3, WARNING, "mx-stale", "mx mx1.receiver.example covers none", "the host is gone"),
]


@pytest.mark.parametrize(("file", "hosts", "line", "severity", "code", "says", "why"), HOST_CASES)
def test_each_host(file: bytes, hosts: list[str], line: int, severity: str, code: str, says: str, why: str) -> None:
    (fault,) = lint(file, hosts).faults
    assert (fault.line, fault.severity, fault.code) == (line, severity, code), why
    assert says in f"{fault.text}. {fault.repair}"


def test_one_slip_is_said_once() -> None:
    """A host named twice, and a pattern that is wrong already."""
    hosts = ["MX1.receiver.example.", "a.backup.receiver.example", "mx9.receiver.example", "MX9.receiver.example"]
    faults = lint(GOOD + b"mx: *.*\n", hosts).faults
    assert [(fault.line, fault.code) for fault in faults] == [(0, "mx-not-covered"), (6, "mx")]
    assert [fault.code for fault in lint(b"version: STSv1\nmode: testing\nmax_age: 604800\n", hosts).faults] == [
        "no-mx"
    ]


# A file whose first fault could hide others: all of them, so that no repair brings another to light.
ALL_AT_ONCE = [
    (
        b"version: STSv2\nmode: enforced\nmax_age: 60\n",
        [(0, "no-mx"), (1, "version"), (2, "mode-enforced"), (3, "max-age-short")],
        "a wrong version and mode hide no other fault",
    ),
    (
        b"version: STSv1\nmode: testng\nmx: a.example\nmax_age: 9999999\n",
        [(2, "mode"), (4, "max-age-long")],
        "a mode that can be guessed",
    ),
    (
        b"version: STSv1\nmode: on\nmx: a.example\nmax_age: 60\n",
        [(2, "mode"), (4, "max-age-short")],
        "a mode that cannot: what holds in every mode",
    ),
    (
        b"version: STSv1\nmode: None\nmx: a.example\nmax_age: 60\n",
        [(2, "mode"), (3, "none-with-mx"), (4, "max-age-none")],
        "none in capitals",
    ),
    (
        b"version: STSv1\nmx: *\n",
        [(0, "mode"), (0, "no-max-age"), (2, "mx")],
        "what is missing, beside what is wrong",
    ),
    (
        b"Version: STSv2\nMode: enforced\nMX: *.com.\nMX: b.example:25\nMax_Age: 7d\n",
        [
            *[(1, "key-case"), (1, "version"), (2, "key-case"), (2, "mode-enforced"), (3, "key-case")],
            *[(3, "mx-trailing-dot"), (3, "mx-broad"), (4, "key-case"), (4, "mx"), (5, "key-case"), (5, "max-age")],
        ],
        "a key in capitals hides no wrong value, and each of several is told",
    ),
    (
        b"version=STSv1\nmode=enforced\nmx=\nmax_age=60\n",
        [
            *[(1, "no-colon"), (2, "no-colon"), (2, "mode-enforced"), (3, "no-colon"), (3, "mx")],
            *[(4, "no-colon"), (4, "max-age-short")],
        ],
        "= instead of a colon",
    ),
    (
        "version: STSv1\nmode:\u00a0enforced\nmx: a.example\n\u200bmax_age: 60\n".encode(),
        [(2, "invisible-character"), (2, "mode-enforced"), (4, "invisible-character"), (4, "max-age-short")],
        "an invisible character",
    ),
    (
        b"version: STSv1; mode: enforced; mx: a.example; mx: localhost; max_age: 60;\n",
        [(1, "keys-on-one-line"), (1, "mx-one-label"), (1, "mode-enforced"), (1, "max-age-short")],
        "all on one line",
    ),
    (
        b"version: STSv1\\nmode: enforce\\nmx: a.example\\n\n",
        [(0, "no-max-age"), (1, "keys-on-one-line")],
        "a key that is missing from the one line",
    ),
    (
        "version: STSv1\nmode: testing\nmx: *.\u0441\u043e\u043c\nmx: localhost:25\nmax_age: 604800\n".encode(),
        [(3, "mx-not-ascii"), (3, "mx-broad"), (4, "mx"), (4, "mx-one-label")],
        "a pattern that is misspelt and unwise",
    ),
    (b"max_age: 604800\r\nx", [(0, "version"), (0, "mode"), (0, "no-mx"), (2, "no-colon")], "no key but one"),
]


@pytest.mark.parametrize(("file", "faults", "why"), ALL_AT_ONCE)
def test_no_fault_hides_another(file: bytes, faults: list[tuple[int, str]], why: str) -> None:
    codes_by_line = [(fault.line, fault.code) for fault in lint(file).faults]
    assert [(line, code) for line, code in codes_by_line if code != "no-final-newline"] == faults, why
    assert (codes_by_line[-1][1] == "no-final-newline") is not file.endswith(b"\n")


# One line of a policy each: in order, wrong, meant, absent; with the codes of what is wrong.
VERSIONS = [
    ("version: STSv1", ()),
    ("version: 1", ("version",)),
    ("Version: STSv2", ("key-case", "version")),
    (None, ("version",)),
]
MODES = [
    ("mode: enforce", ()),
    ("mode: enforced", ("mode-enforced",)),
    ("mode: on", ("mode",)),
    ("MODE=Enforce", ("no-colon", "mode")),
    (None, ("mode",)),
]
MX_LINES = [
    ("mx: a.example", ()),
    ("mx: a.example.", ("mx-trailing-dot",)),
    ("Mx: old.example:25", ("key-case", "mx", "mx-stale", "mx-not-covered")),
    ("mx: *.com", ("mx-broad", "mx-stale", "mx-not-covered")),
    (None, ("no-mx",)),
]
AGES = [
    ("max_age: 604800", ()),
    ("max_age: 60", ("max-age-short",)),
    ("max_age : 7d", ("key-blank", "max-age")),
    (None, ("no-max-age",)),
]


def test_whatever_is_wrong_at_once_is_told_at_once() -> None:
    """Every mixture of faults of the four keys has the faults of each."""
    for mixture in itertools.product(VERSIONS, MODES, MX_LINES, AGES):
        lines = [line for line, _ in mixture if line]
        expected = sorted({code for _, codes in mixture for code in codes}) if lines else ["empty"]
        faults = lint("".join(f"{line}\n" for line in lines).encode(), ["a.example"]).faults
        assert sorted({fault.code for fault in faults}) == expected, lines


def test_hosts_are_held_against_what_is_meant() -> None:
    """Neither a key in capitals nor a misspelt pattern hides which hosts are forgotten, and which lines are out of date."""
    file = b"version: STSv1\nmode: enforced\nMX: a.example\nmx: old.example.\nmx: b.example:25\nmax_age: 604800\n"
    codes_by_line = [(fault.line, fault.code) for fault in lint(file, ["a.example", "b.example", "c.example"]).faults]
    assert codes_by_line == [
        *[(0, "mx-not-covered"), (2, "mode-enforced"), (3, "key-case"), (4, "mx-trailing-dot"), (4, "mx-stale")],
        (5, "mx"),
    ]


def test_what_was_not_read_is_not_missing() -> None:
    """After the greatest number of faults the rest of the file is unknown."""
    file = b"".join(b"x%d: y\n" % number for number in range(MAX_FAULTS)) + GOOD
    assert {fault.code for fault in lint(file).faults} == {"unknown-key", "too-many-faults"}


def test_all_faults_come_in_the_order_of_their_lines() -> None:
    file = b"mode: enforced\nmx: *\nversion: STSv1\nmx: ok.example\nmx: OK.example\nmax_age: 5 days"
    codes_by_line = [(fault.line, fault.code) for fault in lint(file, ["mx.example"]).faults]
    assert codes_by_line == [
        *[(0, "mx-not-covered"), (1, "mode-enforced"), (2, "mx"), (3, "version-not-first"), (4, "mx-stale")],
        *[(5, "duplicate-mx"), (5, "mx-stale"), (6, "max-age"), (6, "no-final-newline")],
    ]


@pytest.mark.parametrize("line", [b"\n", b"mx: %d.example\n", b"mx: %d.example,\n", b"%d\n"])
def test_the_answer_is_bounded(line: bytes) -> None:
    """However many lines have a fault: those of the text, and those of the hosts."""
    file = b"version: STSv1\n" + b"".join(line.replace(b"%d", b"%d" % number) for number in range(3_000))
    faults = lint(file, ["mx1.receiver.example"]).faults
    assert MAX_FAULTS <= len(faults) <= 2 * MAX_FAULTS + 10


def test_utf_16_is_read_for_its_other_faults() -> None:
    faults = lint(with_line(b"enforce", b"enforced").decode().encode("utf-16")).faults
    assert [(fault.line, fault.code) for fault in faults] == [(0, "encoding"), (2, "mode-enforced")]


def test_a_character_cut_at_the_limit_is_no_fault_of_the_file() -> None:
    file = GOOD + b"x: " + b"x" * (MAX_BYTES - len(GOOD) - 3)
    assert [fault.code for fault in lint(file + "ö".encode()[:1]).faults] == ["too-large", "unknown-key"]
    assert [fault.code for fault in lint(file[:-9] + "ö".encode()[:1]).faults if fault.severity != NOTE] == [
        *("encoding", "unknown-key")
    ]


def codes_in(path: str) -> Iterator[str]:
    """The first argument of each call that makes a fault."""
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name in ("Fault", "_fault", "_wrong"):  # of _wrong, the key is the code
                yield str(node.args[0].value)


def test_every_code_is_in_the_tables() -> None:
    modules = ["policy", "patterns", "ages", "lint"]
    coded = {code for module in modules for code in codes_in(f"ingest/rfc/mtasts/{module}.py")}
    tested = {row[3] for row in BAD} | {row[5] for row in STEPS} | {row[4] for row in HOST_CASES}
    assert coded == tested
    assert len(coded) > 30


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (604800, "1 week"),
        (1209600, "2 weeks"),
        (86400, "1 day"),
        (31536000, "365 days"),
        (31557600, "365.2 days"),
        (7200, "2 hours"),
        (100000, "1.2 days"),
        (60, "60 seconds"),
        (0, "0 seconds"),
    ],
)
def test_spans(seconds: int, words: str) -> None:
    assert span(seconds) == words


@given(st.binary(max_size=200) | st.text("version: STSv1mode\n\r\t*.xö", max_size=80).map(str.encode), st.booleans())
def test_any_file_is_read(file: bytes, with_hosts: bool) -> None:
    policy = lint(file, HOSTS if with_hosts else ())
    assert policy.usable or policy.faults
    assert list(policy.faults) == sorted(policy.faults, key=lambda fault: fault.line)
    assert all(fault.repair and fault.text for fault in policy.faults)
    change_faults(policy, parse(GOOD.decode()), "1", "1", "2")
    change_faults(Policy(), policy, "1", "1", "2")
