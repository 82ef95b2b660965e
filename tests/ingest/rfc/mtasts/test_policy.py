"""Policy files: what is read, what is wrong with it, what matches."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.rfc import names
from ingest.rfc.faults import ERROR, WARNING
from ingest.rfc.mtasts import policy
from ingest.rfc.mtasts.ages import MAX_MAX_AGE
from ingest.rfc.mtasts.policy import PolicyInvalid, match, mx_key, parse, render

GOOD = [
    "version: STSv1",
    "mode: testing",
    "mx: mx1.receiver.example",
    "mx: *.backup.receiver.example",
    "max_age: 604800",
]


def changed(**lines: str | None) -> list[str]:
    """The good policy with lines replaced by key; None leaves one out."""
    policy_lines = []
    for line in GOOD:
        key = line.partition(":")[0]
        replacement = lines.pop(key, line)
        if replacement is not None:
            policy_lines.append(replacement)
    return policy_lines


def test_a_good_policy_has_no_faults() -> None:
    parsed = parse("\r\n".join(GOOD) + "\r\n")
    assert (parsed.mode, parsed.mx, parsed.max_age, parsed.version) == (
        "testing",
        ("mx1.receiver.example", "*.backup.receiver.example"),
        604800,
        "STSv1",
    )
    assert (parsed.faults, parsed.usable) == ((), True)


@pytest.mark.parametrize(
    "lines",
    [
        ["version:STSv1", "mode:enforce", "mx:mta-sts.receiver.example", "max_age:604801"],  # SocketLabs: no blank
        [line + "\r" for line in GOOD],  # Google
        [*GOOD[:2], "", *GOOD[2:]],
        ["version: STSv1", "mode: none", "max_age: 86400"],
    ],
)
def test_what_senders_write_otherwise_is_read(lines: list[str]) -> None:
    assert parse(lines).faults == ()


@pytest.mark.parametrize(
    ("lines", "code", "severity"),
    [
        (changed(version=None), "version", ERROR),
        (changed(version="version: STSv2"), "version", ERROR),
        ([GOOD[1], GOOD[0], *GOOD[2:]], "version-not-first", WARNING),
        ([GOOD[2], GOOD[0], GOOD[1], *GOOD[3:]], "version-not-first", WARNING),
        (changed(mode=None), "mode", ERROR),
        (changed(mode="mode: enforced"), "mode-enforced", ERROR),
        (changed(mode="mode: Testing"), "mode", ERROR),
        ([GOOD[0], GOOD[1], GOOD[4]], "no-mx", ERROR),
        (changed(max_age=None), "no-max-age", ERROR),
        (changed(max_age="max_age: 31557601"), "max-age", ERROR),
        (changed(max_age="max_age: -1"), "max-age", ERROR),
        (changed(max_age="max_age: " + "9" * 5000), "max-age", ERROR),
        (changed(max_age="max_age: 60"), "max-age-short", WARNING),
        (changed(max_age="max_age: 31557600"), "max-age-long", WARNING),
        ([*GOOD, "mode: enforce"], "duplicate-key", WARNING),
        ([*GOOD, "comment: hello"], "unknown-key", WARNING),
        ([*GOOD, "MX: mx2.receiver.example"], "key-case", ERROR),
        ([*GOOD, "mx"], "no-colon", ERROR),
        ([*GOOD, "mx: "], "mx", ERROR),
        ([*GOOD, "mx: *"], "mx", ERROR),
        ([*GOOD, "mx: mx.*.receiver.example"], "mx", ERROR),
        ([*GOOD, "mx: two words"], "mx", ERROR),
        ([*GOOD, "mx: -a.receiver.example"], "mx", ERROR),
        ([*GOOD, "mx: göpher.example"], "mx-not-ascii", ERROR),
        ([*GOOD, "mx: mx3.receiver.example."], "mx-trailing-dot", ERROR),
        ([*GOOD, "mx: localhost"], "mx-one-label", WARNING),
        ([*GOOD, "mx: MX1.receiver.example"], "duplicate-mx", WARNING),
        ([*GOOD, " comment: hello"], "key-blank", ERROR),  # section 3.2 has no blanks there
        ([*GOOD, "mode : enforce"], "key-blank", ERROR),
        ([*GOOD, "wörter: hello"], "key", ERROR),
        ([*GOOD, "x" * 33 + ": hello"], "key", ERROR),
        ([*GOOD, ": hello"], "key", ERROR),
        (["\ufeffversion: STSv1", *GOOD[1:]], "byte-order-mark", ERROR),
        (changed(max_age="max_age: 86400"), "max-age-testing", WARNING),  # Google: one to two weeks in testing
        ([*GOOD] + [f"x{number}: y" for number in range(policy.MAX_FAULTS)], "too-many-faults", ERROR),
        ([*GOOD, "x: " + "x" * policy.MAX_BYTES], "too-large", ERROR),
    ],
)
def test_faults(lines: list[str], code: str, severity: str) -> None:
    parsed = parse(lines)
    (fault,) = [fault for fault in parsed.faults if fault.code == code]
    assert (fault.severity, bool(fault.text), bool(fault.repair)) == (severity, True, True)
    assert parsed.usable is (severity == WARNING)


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("\n".join(GOOD), []),
        ("\n".join(GOOD) + "\n", []),
        ("\r\n".join(GOOD) + "\r\n", []),
        ("\r".join(GOOD), ["carriage-return"]),  # the lines of an old Macintosh; still read for its other faults
        ("\r\r\n".join(GOOD), ["carriage-return", *["blank-line"] * 4]),  # converted twice
        ("\n\n".join(GOOD), ["blank-line"] * 4),
        ("\n" + "\n".join(GOOD), ["blank-line"]),
        ("\n".join(GOOD) + "\n\n", ["blank-line"]),
    ],
)
def test_the_lines_of_a_file(text: str, codes: list[str]) -> None:
    parsed = parse(text)
    assert [fault.code for fault in parsed.faults] == codes
    assert (parsed.mode, parsed.mx, parsed.max_age) == ("testing", parse(GOOD).mx, 604800)


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("max-age", "did you mean max_age?"),
        ("modus", "did you mean mode?"),
        ("comment", "remove the line, or correct the key"),
        ("id", "remove the line; the id belongs in the TXT record at _mta-sts"),
    ],
)
def test_a_key_nearly_right_is_recognised(key: str, hint: str) -> None:
    (fault,) = parse([*GOOD, f"{key}: x"]).faults
    assert fault.repair == hint


def test_keys_in_capitals_do_not_count() -> None:
    """Senders ignore them as unknown, so a policy of this kind is none."""
    parsed = parse([line.upper() if line.startswith("mode") else line for line in GOOD])
    assert (parsed.mode, parsed.unknown, parsed.usable) == ("", ("MODE",), False)


def test_a_mode_in_capitals_is_read_and_faulted() -> None:
    parsed = parse(changed(mode="mode: ENFORCE"))
    assert (parsed.mode, parsed.usable) == ("enforce", False)


def test_what_is_beyond_the_size_is_not_read() -> None:
    parsed = parse("\n".join([*GOOD, "x: " + "x" * policy.MAX_BYTES, "mx: late.receiver.example"]))
    assert parsed.mx == parse(GOOD).mx


def test_of_a_duplicate_the_first_counts() -> None:
    assert parse([*GOOD, "mode: enforce"]).mode == "testing"


def test_the_mx_key_leaves_mode_age_and_order_out() -> None:
    other = [
        "version: STSv1",
        "mode: enforce",
        "mx: *.Backup.receiver.example.",
        "mx: MX1.receiver.example",
        "max_age: 1",
    ]
    assert mx_key(parse(GOOD)) == mx_key(parse(other))
    assert mx_key(parse(GOOD)) != mx_key(parse([*GOOD, "mx: mx2.receiver.example"]))


words = st.text("version: STSv1mode\n\r\t*.xö", max_size=60)


@given(st.text() | st.lists(st.text()) | words | st.lists(words))
def test_any_text_is_read(text: str | list[str]) -> None:
    parsed = parse(text)
    assert parsed.usable or parsed.faults
    assert mx_key(parsed) == mx_key(policy.Policy(mx=mx_key(parsed)))


@given(st.text(max_size=60) | st.text("aÖö.\u3002\u0308ßſİΣΑ*- ", max_size=60))
def test_names_are_those_of_the_reports(text: str) -> None:
    """Two pure packages that may not import each other must agree, or a host in a report would not match its policy."""
    try:
        name = names.domain_name(text)
    except ValueError:
        return
    assert mx_key(policy.Policy(mx=(text,))) == (name,)
    assert match([text], name) is bool(name)


hosts = st.from_regex(r"(\*\.)?[a-z0-9]{1,10}(\.[a-z0-9]{1,10}){1,2}\.[a-z]{2,9}", fullmatch=True)


@given(hosts, hosts)
def test_a_wildcard_is_one_label(pattern: str, host: str) -> None:
    host = host.removeprefix("*.")
    parent = pattern.removeprefix("*.")
    assert match([pattern], host.upper() + ".") is (
        host == pattern or (pattern != parent and host.partition(".")[2] == parent)
    )
    assert match(["*." + parent], "mx." + parent)
    assert not match(["*." + parent], parent)
    assert not match(["*." + parent], "a.mx." + parent)


@given(st.sampled_from(policy.MODES), st.lists(hosts, min_size=1, max_size=5), st.integers(0, MAX_MAX_AGE))
def test_what_is_written_is_read_again(mode: str, mx: list[str], max_age: int) -> None:
    parsed = parse(render(mode, mx, max_age))
    assert (parsed.mode, list(parsed.mx), parsed.max_age, parsed.usable) == (mode, mx, max_age, True)


@pytest.mark.parametrize(
    ("mode", "mx", "max_age", "says"),
    [
        ("enforced", ["mx.receiver.example"], 86400, "write mode: enforce"),
        ("enforce", [], 86400, "no mx line"),
        ("enforce", ["mx.receiver.example"], -1, "max_age: -1; it must be"),
        ("enforce", ["mx.receiver.example\nmx: evil.example"], 86400, "line break"),
        ("testing ", ["mx.receiver.example"], 86400, "a blank or a line break"),
        ("testing", ["göpher.example"], 604800, "xn--gpher-jua.example"),
    ],
)
def test_nothing_wrong_is_written(mode: str, mx: list[str], max_age: int, says: str) -> None:
    with pytest.raises(PolicyInvalid, match=says):
        render(mode, mx, max_age)


@pytest.mark.parametrize("end", ["", "mode: none\n"])
def test_blank_lines_are_not_told_without_end(end: str) -> None:
    """Found by fuzzing: 64 KiB of line ends were 32,000 faults."""
    parsed = parse("version: STSv1\n" + "\n" * 30_000 + end)
    assert len(parsed.faults) <= policy.MAX_FAULTS + 5
