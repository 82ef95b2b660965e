"""mx patterns: what they cover, what is wrong with one, and what to write instead."""

import pytest

from ingest.rfc.faults import ERROR, WARNING
from ingest.rfc.mtasts.patterns import is_host, match, pattern_faults, why_not_covered

NAME = "write the host's name, in A-labels (xn--...), as its MX record has it"
WILDCARD = "write a host's full name, or *.domain, where * stands for exactly one label"
RECORD = "write the host's name as its MX record has it"


@pytest.mark.parametrize("pattern", ["mx1.receiver.example", "*.receiver.example", "MX1.Receiver.Example", "1a.b.c0-1"])
def test_good_patterns(pattern: str) -> None:
    assert list(pattern_faults(pattern, 1)) == []


@pytest.mark.parametrize(
    ("pattern", "says", "repair"),
    [
        ("", "mx (empty) has no value", "write a host's name after mx:, or remove the line"),
        (
            "mx1.receiver.example, mx2.receiver.example",
            "more than one host",
            "write one mx line for each: mx: mx1.receiver.example, mx: mx2.receiver.example",
        ),
        ("a.example\tb.example;", "more than one host", "write one mx line for each: mx: a.example, mx: b.example"),
        ("10 mx1.receiver.example.", "begins with the preference", "write mx: mx1.receiver.example"),
        ("192.0.2.1", "is an address", RECORD),
        ("*.192.0.2.1", "is an address", RECORD),
        ("[2001:db8::1]", "is an address", RECORD),
        ("[IPv6:2001:db8::1]", "is an address", RECORD),
        ("mx1.receiver.example:25", "has a port", "write mx: mx1.receiver.example"),
        ("smtp://mx1.receiver.example:25/", "is a URL", "write mx: mx1.receiver.example"),
        ("https://", "is a URL", NAME),
        ("postmaster@receiver.example", "is a mail address", "write the name of an MX host"),
        (".receiver.example", "begins with a dot", "write mx: *.receiver.example"),  # an early draft's syntax
        ("..receiver.example", "begins with a dot", NAME),
        ("*", "a lone *, which covers nothing", WILDCARD),
        ("*mx.receiver.example", "not the whole first label", WILDCARD),
        ("mx.*.receiver.example", "not the whole first label", WILDCARD),
        ("*.*.receiver.example", "not the whole first label", WILDCARD),
        ("mx_1.receiver.example", "has an underscore", "give the host a name of letters, digits and hyphens, in DNS,"),
        ("mx-.receiver.example", "neither a host name", WILDCARD),
        ("-mx.receiver.example", "neither a host name", WILDCARD),
        ("mx1..receiver.example", "neither a host name", WILDCARD),
        ('"mx1.receiver.example"', "neither a host name", WILDCARD),
        ("a" * 64 + ".example", "neither a host name", WILDCARD),
        (".".join(["a" * 50] * 6), "neither a host name", WILDCARD),
        ("mx1.receiver.example.", "ends in a dot", "write mx: mx1.receiver.example"),
        ("*.receiver.example.", "ends in a dot", "write mx: *.receiver.example"),
        ("göpher.example", "not written in A-labels", "write mx: xn--gpher-jua.example"),
        ("*.Göpher.example", "not written in A-labels", "write mx: *.xn--gpher-jua.example"),
        ("ö" * 300, "not written in A-labels", NAME),  # no name, however it is written
    ],
)
def test_what_is_wrong_and_what_to_write(pattern: str, says: str, repair: str) -> None:
    (fault,) = pattern_faults(pattern, 6)
    assert says in fault.text
    assert fault.repair.startswith(repair)
    assert (fault.severity, fault.line) == (ERROR, 6)


@pytest.mark.parametrize(
    ("pattern", "code"),
    [
        ("*.com", "mx-broad"),
        ("*.co.uk", "mx-broad"),
        ("*.CO.UK", "mx-broad"),
        ("localhost", "mx-one-label"),
        ("*.example.uk", None),  # somebody's own domain
        ("*.co.example", None),  # no country
        ("mx.co.uk", None),  # no wildcard
    ],
)
def test_legal_and_unwise(pattern: str, code: str | None) -> None:
    faults = list(pattern_faults(pattern, 1))
    assert [fault.code for fault in faults] == ([code] if code else [])
    assert {fault.severity for fault in faults} <= {WARNING}


@pytest.mark.parametrize(
    ("patterns", "host", "says"),
    [
        (
            ["*.receiver.example"],
            "Receiver.example",
            "covers names below receiver.example, not receiver.example itself",
        ),
        (["*.receiver.example"], "a.mx.receiver.example", "the * of *.receiver.example stands for exactly one label"),
        (["other.example", "*.receiver.example"], "a.b.receiver.example", "exactly one label"),
        (["receiver.example"], "mx.receiver.example", ""),
        (["*.receiver.example"], "mx.evilreceiver.example", ""),
        ([], "mx.receiver.example", ""),
    ],
)
def test_the_wildcard_that_was_taken_to_cover_a_host(patterns: list[str], host: str, says: str) -> None:
    reason = why_not_covered(patterns, host)
    assert reason.endswith(says)
    assert bool(reason) is bool(says)


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("mx1.receiver.example", True),
        ("xn--gpher-jua.example", True),
        ("localhost", True),
        ("", False),
        ("mx1.receiver.example.", False),
        ("*.receiver.example", False),
        ("192.0.2.1", False),
        ("a_b.example", False),
        ("ö.example", False),
    ],
)
def test_host_names(name: str, is_one: bool) -> None:
    assert is_host(name) is is_one


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
        ("*.receiver.example", ".receiver.example", False, "an empty label"),
        ("", "", False, "nothing"),
        ("ö" * 2000, "ö" * 2000, True, "no name at all, compared as it is"),
    ],
)
def test_matching(pattern: str, host: str, matches: bool, why: str) -> None:
    assert match([pattern], host) is matches, why
