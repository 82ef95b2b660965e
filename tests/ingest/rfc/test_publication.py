"""What a domain publishes for a step: the file, the records, the order."""

import dns.rdata
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.rfc.faults import ERROR
from ingest.rfc.mtasts import policy, record
from ingest.rfc.mtasts.ages import MAX_MAX_AGE
from ingest.rfc.mtasts.lint import change_faults, lint
from ingest.rfc.publication import PolicyDraft, TxtRecord, Unpublishable, plan
from ingest.rfc.tlsrpt import record as tlsrpt_record

MX = ["mx1.receiver.example", "*.backup.receiver.example"]
RUA = ["mailto:tlsrpt@receiver.example"]


def test_a_testing_policy() -> None:
    planned = plan("Receiver.example.", PolicyDraft("testing", MX), "20260314120000", RUA)
    assert planned.domain == "receiver.example"
    assert planned.policy_text == (
        "version: STSv1\r\nmode: testing\r\nmx: mx1.receiver.example\r\nmx: *.backup.receiver.example\r\nmax_age: 604800\r\n"
    )
    assert planned.policy_url == "https://mta-sts.receiver.example/.well-known/mta-sts.txt"
    assert planned.mta_sts_record == ("_mta-sts.receiver.example", "v=STSv1; id=20260314120000;")
    assert planned.tlsrpt_record == ("_smtp._tls.receiver.example", "v=TLSRPTv1; rua=mailto:tlsrpt@receiver.example")


def test_the_file_comes_before_the_id() -> None:
    """RFC 8461 section 8.1."""
    for mode in policy.MODES:
        steps = plan("receiver.example", PolicyDraft(mode, MX), "1", RUA).steps
        order = [
            next(at for at, step in enumerate(steps) if word in step) for word in ("Serve", "_mta-sts.", "_smtp._tls.")
        ]
        assert order == [0, 2, 3]


def test_without_rua_nothing_is_said_about_reports() -> None:
    planned = plan("receiver.example", PolicyDraft("enforce", MX), "1")
    assert planned.tlsrpt_record is None
    assert not any("_smtp._tls" in step for step in planned.steps)


def test_names_outside_ascii_become_a_labels() -> None:
    hosts = ["mx.Göpher.example", "*.göpher.example.", "MX.xn--gpher-jua.example"]
    planned = plan("Göpher.example", PolicyDraft("enforce", hosts, 86400), "1")
    assert policy.parse(planned.policy_text).mx == ("mx.xn--gpher-jua.example", "*.xn--gpher-jua.example")
    assert planned.mta_sts_record.name == "_mta-sts.xn--gpher-jua.example"


def test_the_way_out() -> None:
    """RFC 8461 section 8.3; Google: one day, no mx lines."""
    planned = plan("receiver.example", PolicyDraft("none", MX), "1")
    assert planned.policy_text == "version: STSv1\r\nmode: none\r\nmax_age: 86400\r\n"
    assert "(at most 31557600 seconds, a year)" in planned.steps[3]
    assert planned.steps[4].startswith("Then delete the TXT record")
    known = plan("receiver.example", PolicyDraft("none", []), "1", served_max_age=1209600)
    assert "for 2 weeks (max_age 1209600, the largest the domain has served)" in known.steps[3]


def test_enforce_says_how_to_go_back() -> None:
    steps = plan("receiver.example", PolicyDraft("enforce", MX, 1209600), "1").steps
    assert "enforcing for up to 2 weeks (max_age 1209600)" in steps[3]
    assert "2 weeks later its MX record" in steps[4]


def test_a_long_record_is_several_strings() -> None:
    """RFC 1035 section 3.3: 255 octets each; a DNS library reads the line and finds the value."""
    value = tlsrpt_record.render([f"https://reports.example/{'x' * 300}"])
    line = TxtRecord("_smtp._tls.receiver.example", value).zone_line
    start = "_smtp._tls.receiver.example. 3600 IN TXT "
    assert line.startswith(start)
    strings = dns.rdata.from_text("IN", "TXT", line.removeprefix(start)).strings  # type: ignore[attr-defined]
    assert (len(strings), b"".join(strings).decode()) == (2, value)


@pytest.mark.parametrize(
    ("domain", "mode", "mx", "max_age", "ident", "rua", "says"),
    [
        ("receiver.example", "enforced", MX, None, "1", (), "the mode is one of enforce, testing, none"),
        ("receiver.example", "enforce", [], None, "1", (), "no mx line"),
        ("receiver.example", "enforce", ["10 mx.example"], None, "1", (), "has blanks or control characters"),
        ("receiver.example", "enforce", ["192.0.2.1"], None, "1", (), "is an address"),
        ("receiver.example", "enforce", ["mx\r\nmode: none"], None, "1", (), "characters that nobody sees"),
        ("receiver.example", "enforce", ["*"], None, "1", (), "a lone *"),
        ("receiver.example", "enforce", MX, -1, "1", (), "max_age: -1"),
        ("receiver.example", "enforce", MX, MAX_MAX_AGE + 1, "1", (), "it must be a number of seconds"),
        ("receiver.example", "enforce", MX, None, "a-b", (), "1 to 32 letters and digits"),
        ("receiver.example", "enforce", MX, None, "1", ("reports@receiver.example",), "write mailto:reports@"),
        ("receiver", "enforce", MX, None, "1", (), "no domain that can have a policy"),
        ("", "enforce", MX, None, "1", (), "no domain that can have a policy"),
        ("*.receiver.example", "enforce", MX, None, "1", (), "no domain that can have a policy"),
        ("_mta-sts.receiver.example", "enforce", MX, None, "1", (), "no domain that can have a policy"),
        ("192.0.2.1", "enforce", MX, None, "1", (), "no domain that can have a policy"),
        (".".join(["a" * 49] * 5), "enforce", MX, None, "1", (), "no domain that can have a policy"),  # mta-sts. + 249
        ("two words.example", "enforce", MX, None, "1", (), "has blanks"),
        ("\udcff.example", "enforce", MX, None, "1", (), "characters that nobody sees"),
        ("\u200breceiver.example", "enforce", MX, None, "1", (), "characters that nobody sees"),
    ],
)
def test_nothing_wrong_is_planned(
    domain: str, mode: str, mx: list[str], max_age: int | None, ident: str, rua: tuple[str, ...], says: str
) -> None:
    with pytest.raises(Unpublishable) as refusal:
        plan(domain, PolicyDraft(mode, mx, max_age), ident, rua)
    assert says in str(refusal.value)


label = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
host = st.builds(
    lambda labels, top: ".".join([*labels, top]),
    st.lists(label, min_size=1, max_size=3),
    st.sampled_from(["example", "DE", "рф"]),
)


@given(
    host,
    st.sampled_from(policy.MODES),
    st.lists(st.builds(str.__add__, st.sampled_from(["", "*."]), host), min_size=1, max_size=5),
    st.none() | st.integers(0, MAX_MAX_AGE),
    st.from_regex(r"[A-Za-z0-9]{1,32}", fullmatch=True),
)
def test_what_is_planned_has_no_errors(domain: str, mode: str, mx: list[str], max_age: int | None, ident: str) -> None:
    planned = plan(domain, PolicyDraft(mode, mx, max_age), ident, RUA)
    hosts = [name.replace("*.", "mx.") for name in mx]
    linted = lint(planned.policy_text.encode(), hosts)
    assert [fault for fault in linted.faults if fault.severity == ERROR] == []
    assert {fault.code for fault in linted.faults} <= {
        *("max-age-short", "max-age-long", "max-age-testing", "max-age-weeks", "max-age-none", "mx-broad"),
    }
    assert max_age is not None or not any(fault.code.startswith("max-age") for fault in linted.faults)
    assert record.choose([planned.mta_sts_record.value]) == record.StsRecord(id=ident)
    assert planned.tlsrpt_record is not None
    assert tlsrpt_record.choose([planned.tlsrpt_record.value]).faults == ()
    before = msgspec.structs.replace(linted, mode="testing", max_age=604801)
    step = change_faults(before, linted, ident + "0", ident, "1")
    assert {fault.code for fault in step} <= ({"max-age-switch"} if max_age else set())
