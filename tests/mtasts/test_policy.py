"""Policy files: what is read, what is wrong with it, what matches."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.mtasts import policy
from ingest.mtasts.policy import ERROR, WARNING, PolicyInvalid, match, mx_key, parse, render

GOOD = [
    "version: STSv1",
    "mode: testing",
    "mx: mx1.receiver.example",
    "mx: *.backup.receiver.example",
    "max_age: 604800",
]


def changed(**lines: str | None) -> list[str]:
    """The good policy with lines replaced by key; None leaves one out."""
    found = []
    for line in GOOD:
        key = line.partition(":")[0]
        replacement = lines.pop(key, line)
        if replacement is not None:
            found.append(replacement)
    return found


def test_a_good_policy_has_no_faults() -> None:
    said = parse("\r\n".join(GOOD) + "\r\n")
    assert (said.mode, said.mx, said.max_age, said.version) == (
        "testing",
        ("mx1.receiver.example", "*.backup.receiver.example"),
        604800,
        "STSv1",
    )
    assert (said.faults, said.usable) == ((), True)


@pytest.mark.parametrize(
    "lines",
    [
        ["version:STSv1", "mode:enforce", "mx:mta-sts.receiver.example", "max_age:86401"],  # SocketLabs: no blank
        [line + "\r" for line in GOOD],  # Google
        [*GOOD[:2], "", *GOOD[2:]],
        ["version: STSv1", "mode: none", "max_age: 86400"],
        ["version: STSv1", "mode: none", "max_age: 0"],
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
        ([*GOOD, "mx: localhost"], "mx-one-label", WARNING),
        ([*GOOD, "x: " + "x" * policy.MAX_BYTES], "too-large", ERROR),
    ],
)
def test_faults(lines: list[str], code: str, severity: str) -> None:
    said = parse(lines)
    (fault,) = [fault for fault in said.faults if fault.code == code]
    assert (fault.severity, bool(fault.text)) == (severity, True)
    assert said.usable is (severity == WARNING)


def test_of_a_duplicate_the_first_counts() -> None:
    assert parse([*GOOD, "mode: enforce"]).mode == "testing"


@pytest.mark.parametrize(
    ("pattern", "host", "matches", "why"),
    [
        ("mx.receiver.example", "MX.Receiver.Example.", True, "case and trailing dot"),
        ("*.receiver.example", "mx.receiver.example", True, "one label"),
        ("*.receiver.example", "a.mx.receiver.example", False, "two labels"),
        ("*.receiver.example", "receiver.example", False, "not the apex"),
        ("receiver.example", "mx.receiver.example", False, "no parent look-up"),
        ("xn--gpher-jua.example", "göpher.example", True, "A- and U-label"),
        ("*.göpher.example", "mx.xn--gpher-jua.example", True, "a pattern in U-labels"),
        ("*.", "x", False, "an empty domain"),
        ("ö" * 2000, "ö" * 2000, True, "no name at all, compared as it is"),
    ],
)
def test_matching(pattern: str, host: str, matches: bool, why: str) -> None:
    assert match([pattern], host) is matches, why


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


@given(st.text() | st.lists(st.text()))
def test_any_text_is_read(text: str | list[str]) -> None:
    said = parse(text)
    assert said.usable or said.faults
    mx_key(said)


hosts = st.from_regex(r"(\*\.)?[a-z0-9]{1,10}(\.[a-z0-9]{1,10}){1,3}", fullmatch=True)


@given(st.sampled_from(policy.MODES), st.lists(hosts, min_size=1, max_size=5), st.integers(0, policy.MAX_MAX_AGE))
def test_what_is_written_is_read_again(mode: str, mx: list[str], max_age: int) -> None:
    said = parse(render(mode, mx, max_age))
    assert (said.mode, list(said.mx), said.max_age, said.usable) == (mode, mx, max_age, True)


@pytest.mark.parametrize(
    ("mode", "mx", "max_age", "says"),
    [
        ("enforced", ["mx.receiver.example"], 86400, "write enforce"),
        ("enforce", [], 86400, "no mx line"),
        ("enforce", ["mx.receiver.example"], -1, "max_age must be"),
        ("enforce", ["mx.receiver.example\nmx: evil.example"], 86400, "line break"),
    ],
)
def test_nothing_wrong_is_written(mode: str, mx: list[str], max_age: int, says: str) -> None:
    with pytest.raises(PolicyInvalid, match=says):
        render(mode, mx, max_age)
