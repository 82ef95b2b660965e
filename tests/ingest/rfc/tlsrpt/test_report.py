"""Properties of the reader, and the rules that a golden pair does not show."""

import datetime as dt
import io
import json
import zipfile
import zlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.rfc.tlsrpt import document, figures, message
from ingest.rfc.tlsrpt.domains import FILE_NAME, HEADER, NOWHERE, REPORT_ID
from ingest.rfc.tlsrpt.fields import MAX_DEFECTS
from ingest.rfc.tlsrpt.message import MAX_UNREAD, read_mail
from ingest.rfc.tlsrpt.ranges import failure_day, report_day
from ingest.rfc.tlsrpt.report import MAX_ENTRIES, Hints, NotAReport, PolicyEntry, read_reports, without_header
from tests import goldens
from tests.goldens import detail, entry, mail, multipart, packed, part, report, text, zipped

LIMIT = 1024 * 1024

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.binary(max_size=400))
def test_any_bytes_are_a_report_or_refused(data: bytes) -> None:
    try:
        reports = read_reports(data, LIMIT)
    except NotAReport as refusal:
        assert str(refusal)
    else:
        assert reports


@given(anything, anything, anything, anything, anything)
def test_any_values_in_the_right_places_are_kept_or_noted(
    policy: object, summary: object, odd: object, ident: object, dates: object
) -> None:
    value = report(
        {"policy": policy, "summary": summary, "failure-details": odd},
        odd,
        entry(3, 1, detail()),
        report_id=ident,
        extra=dates,
    )
    ((read, _),) = read_reports(json.dumps(value).encode(), LIMIT)
    assert read.entries[-1].successful_sessions == 3
    assert read.entries[-1].details[0].result_type == "certificate-expired"
    # Everything that was read can be written: to JSON, and as UTF-8 without NUL (PostgreSQL).
    assert b"\\u0000" not in msgspec.json.encode(read)


@given(st.lists(st.tuples(st.integers(0, 2**53 - 1), st.integers(0, 2**53 - 1)), max_size=5))
def test_counts_come_back_exactly(counts: list[tuple[int, int]]) -> None:
    ((read, _),) = read_reports(text(report(*(entry(*pair) for pair in counts))), LIMIT)
    assert [(policy.successful_sessions, policy.failed_sessions) for policy in read.entries] == counts


@given(st.permutations(sorted(report(entry(1, 1, detail()), entry(2)).items())), st.sampled_from([None, 1, "\t"]))
def test_the_same_content_in_another_layout_is_the_same_report(
    members: list[tuple[str, object]], indent: int | str | None
) -> None:
    ((usual, _),) = read_reports(text(report(entry(1, 1, detail()), entry(2))), LIMIT)
    ((other, _),) = read_reports(json.dumps(dict(members), indent=indent).encode(), LIMIT)
    assert figures.Figures(other.entries).of_domain("receiver.example") == figures.Figures(usual.entries).of_domain(
        "receiver.example"
    )


def test_other_figures_under_the_same_id_are_another_report() -> None:
    ((first, _),), ((other, _),) = (
        read_reports(text(report(entry(1))), LIMIT),
        read_reports(text(report(entry(2))), LIMIT),
    )
    assert figures.Figures(first.entries).of_domain("receiver.example") != figures.Figures(other.entries).of_domain(
        "receiver.example"
    )


@pytest.mark.parametrize(
    ("start", "end", "day", "why"),
    [
        ("2026-03-14T00:00:00Z", "2026-03-14T23:59:59Z", "2026-03-14", "the usual day"),
        ("2026-03-14T00:00:00Z", "2026-03-15T00:00:00Z", "2026-03-14", "Mail.ru: the end is the next midnight"),
        ("2026-03-14T10:17:42Z", "2026-03-15T10:17:42Z", "2026-03-14", "Stalwart: most of it is the first day"),
        ("2026-03-14T22:00:00Z", "2026-03-15T21:59:59Z", "2026-03-15", "most of it is the second day"),
        ("2026-03-14T12:00:00Z", "2026-03-14T13:00:00Z", "2026-03-14", "hourly"),
        ("2026-03-14T23:00:00Z", "2026-03-15T00:00:00Z", "2026-03-14", "the last hour"),
        ("2026-03-15T00:00:00Z", "2026-03-15T01:00:00Z", "2026-03-15", "the first hour"),
        ("2026-03-14T23:30:00Z", "2026-03-15T00:30:00Z", "2026-03-14", "an hour of both days alike"),
        ("2026-03-14T23:00:00Z", "2026-03-15T23:00:05Z", "2026-03-15", "an interval that drifts by seconds"),
        ("2026-03-14T00:10:00Z", "2026-03-15T00:25:00Z", "2026-03-14", "by a quarter of an hour"),
        ("2026-03-14T23:50:00Z", "2026-03-16T00:05:00Z", "2026-03-15", "by a quarter of an hour, over three days"),
        ("2026-03-14T12:00:00Z", "2026-03-15T12:00:00Z", "2026-03-14", "twelve hours each: the earlier"),
        ("2026-03-14T12:00:00Z", "2026-03-15T11:59:59Z", "2026-03-14", "the same, without the last instant"),
        ("2026-03-14T12:00:00Z", "2026-03-15T12:00:00.000001Z", "2026-03-15", "the least more"),
        ("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z", "2026-10-25", "25 hours: Berlin's clocks go back"),
        ("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z", "2026-03-29", "23 hours: they go forward"),
        ("2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z", "2026-11-01", "25 hours: New York"),
        ("2026-03-14T06:00:00Z", "2026-03-15T18:00:00Z", "2026-03-14", "36 hours, 18 each: the earlier"),
        ("2026-03-14T23:00:00Z", "2026-03-16T11:00:00Z", "2026-03-15", "36 hours around a whole day"),
        ("2026-03-14T00:10:00Z", "2026-03-14T00:00:00Z", "2026-03-14", "SocketLabs: ends before it begins"),
        ("2026-03-15T00:00:00Z", "2026-03-10T00:00:00Z", "2026-03-15", "days before"),
        ("2026-03-15T00:00:00Z", "2026-03-15T00:00:00Z", "2026-03-15", "a single instant"),
    ],
)
def test_the_day_of_a_report(start: str, end: str, day: str, why: str) -> None:
    moments = dt.datetime.fromisoformat(start), dt.datetime.fromisoformat(end)
    assert report_day(*moments) == (dt.date.fromisoformat(day), False), why
    assert failure_day(*moments) == dt.date.fromisoformat(day), why


@pytest.mark.parametrize(
    ("start", "end", "first", "last", "why"),
    [
        ("2026-03-14T00:00:00Z", "2026-03-20T23:59:59Z", "2026-03-14", "2026-03-20", "a week"),
        ("2026-03-14T00:00:00Z", "2026-03-21T00:00:00Z", "2026-03-14", "2026-03-20", "its end is the next midnight"),
        ("2026-03-14T23:00:00Z", "2026-03-21T23:00:00Z", "2026-03-14", "2026-03-21", "a week from hour to hour"),
        ("2026-03-14T00:00:00Z", "2026-03-15T12:00:01Z", "2026-03-14", "2026-03-15", "a second more than 36 hours"),
        ("2026-03-14T00:00:00Z", "2026-03-16T00:00:00Z", "2026-03-14", "2026-03-15", "two days"),
    ],
)
def test_the_days_of_a_long_range(start: str, end: str, first: str, last: str, why: str) -> None:
    moments = dt.datetime.fromisoformat(start), dt.datetime.fromisoformat(end)
    assert report_day(*moments) == (dt.date.fromisoformat(first), True), why
    assert failure_day(*moments) == dt.date.fromisoformat(last), why


@pytest.mark.parametrize(
    ("failed", "details", "unexplained"), [(5, [2, 1], 2), (1, [1, 1], 0), (None, [3], 0), (4, [None], 4), (3, [], 3)]
)
def test_unexplained_failures(failed: int | None, details: list[int | None], unexplained: int) -> None:
    rows = [detail(sessions=count) for count in details]
    ((read, _),) = read_reports(text(report(entry(0, failed, *rows))), LIMIT)
    assert read.entries[0].unexplained_sessions == unexplained


def test_hints_never_overrule_the_report() -> None:
    hints = Hints("other.example", "", dt.datetime(2020, 1, 1, tzinfo=dt.UTC), dt.datetime(2020, 1, 2, tzinfo=dt.UTC))
    ((read, _),) = read_reports(text(report(entry(1))), LIMIT, hints)
    assert (read.entries[0].policy_domain, read.start.year) == ("receiver.example", 2026)


def test_only_one_readable_date_serves_for_both() -> None:
    ((read, _),) = read_reports(text(report(entry(1), date_range={"end-datetime": "2026-03-14T23:59:59Z"})), LIMIT)
    assert read.start == read.end
    assert "date-range" in {defect.where for defect in read.defects}


def test_long_names_are_cut_and_noted() -> None:
    ((read, _),) = read_reports(text(report(entry(1), organization_name="x" * 5000)), LIMIT)
    assert read.organization == "x" * 255
    assert "5000 characters" in next(defect.what for defect in read.defects if defect.where == "organization-name")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"[],", "no object"),
        (b"[" + b"[]," * 1_000_001 + b"[]]", "more than 1000000 values"),
        (b'{"policies":[],"n":' + b"9" * 5000 + b"}", "no JSON"),
        (b'{"n":' + b"9" * 5000 + b",}", "no JSON"),
        (b"\xff\xfe\x00", "no UTF-16-LE text"),
        (b"[]", "no object"),
        (b"{}", "no 'policies'"),
        (b'"{not json"', "no JSON"),
        (b'[[[{"policies":[]}]]]', "no object"),
        (b"   ", "is empty"),
    ],
)
def test_refusals_say_why(data: bytes, reason: str) -> None:
    with pytest.raises(NotAReport) as refusal:
        read_reports(data, 64 * LIMIT)
    assert reason in str(refusal.value)


def test_an_empty_archive_has_nothing_in_it() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("folder/"), b"")
    with pytest.raises(NotAReport, match="has nothing in it"):
        read_reports(buffer.getvalue(), LIMIT)


def test_policy_lines_survive_what_is_no_list_inside() -> None:
    ((read, _),) = read_reports(text(report(entry(1, policy_string=["[not json", 7, "a\nb"]))), LIMIT)
    assert read.entries[0].policy_strings == ("[not json", "7", "a", "b")


def test_an_entry_is_frozen() -> None:
    with pytest.raises(AttributeError):
        PolicyEntry("sts", "receiver.example", 1, 0).policy_type = "tlsa"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (mail("Content-Type: text/plain\r\n\r\n" + "--\r\n" * 1001), "more than 1000 parts"),
        (mail("Content-Type: text/plain\r\n\r\n" + "\r\n" * 400_001), "more than 400000 lines"),
        (b"X: " + b"a" * (message.MAX_HEADER_BYTES + 1) + b"\r\n\r\n", "header is larger"),
        (b"", "only text/plain"),
        (mail("Content-Type: multipart/mixed; boundary=x\r\n\r\nnothing"), "only multipart/mixed"),
    ],
)
def test_mails_beyond_the_limits_are_refused_cheaply(raw: bytes, reason: str) -> None:
    with pytest.raises(NotAReport) as refusal:
        message.read_mail(raw, LIMIT)
    assert reason in str(refusal.value)


def test_deep_nesting_is_refused() -> None:
    body = part(packed(text(report(entry(1)))))
    for level in range(400):
        body = multipart(body, boundary=f"b{level}")
    raw = mail(body)
    try:
        report_mail = message.read_mail(raw, LIMIT)
    except NotAReport as refusal:
        assert "nested too deeply" in str(refusal)
    else:
        assert len(report_mail.reports) == 1


@pytest.mark.parametrize(
    "name",
    ["=?utf-8?b?4oKs?=", "=?no-such-charset?q?x?=", "a" * 3000, "utf-8''%E2%82%AC.json"],
)
def test_odd_file_names_do_not_lose_the_report(name: str) -> None:
    raw = mail(multipart(part(packed(text(report(entry(1)))), name=name)))
    assert len(message.read_mail(raw, LIMIT).reports) == 1


def test_parameters_that_the_library_trips_over_do_not_lose_the_report() -> None:
    odd = part(packed(text(report(entry(1)))), name="").replace("gzip\r\n", 'gzip; name*=a; name*0="b"\r\n', 1)
    assert len(message.read_mail(mail(multipart(odd)), LIMIT).reports) == 1


def test_messages_in_messages_without_end_are_refused() -> None:
    with pytest.raises(NotAReport, match="nested too deeply"):
        message.read_mail(b"Content-Type: message/rfc822\r\n\r\n" * 5_000, LIMIT)


def test_values_of_the_wrong_shape_are_noted_and_kept() -> None:
    odd = report(entry(1, mx_host={"a": 1}), entry(2, 1, detail(receiving_mx_hostname="two words")), extra=1)
    ((read, _),) = read_reports(text(odd), LIMIT)
    assert read.entries[0].mx_hosts == ('{"a":1}',)
    assert read.entries[1].details[0].receiving_mx_hostname == "two words"
    ((read, _),) = read_reports(text(report(policies="none")), LIMIT)
    assert read.entries == ()
    assert [defect.what for defect in read.defects] == ["is no list"]


@pytest.mark.parametrize(
    "moment", ["yesterday", "0001-01-01T00:00:00+14:00", "1999-12-31T23:59:59Z", "2200-01-01T00:00:00Z"]
)
def test_a_date_that_cannot_be_is_as_good_as_none(moment: str) -> None:
    dates = {"start-datetime": moment, "end-datetime": "2026-03-14T23:59:59Z"}
    ((read, _),) = read_reports(text(report(entry(1), date_range=dates)), LIMIT)
    assert read.start == read.end
    assert "date-range.start-datetime" in {defect.where for defect in read.defects}


def test_broken_parameters_do_not_lose_the_report() -> None:
    odd = part(packed(text(report(entry(1)))), name="").replace(
        "gzip\r\n", "gzip; name*1*=no-such'x'%ff; name*0*=%\r\n", 1
    )
    assert len(message.read_mail(mail(multipart(odd)), LIMIT).reports) == 1


@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"Content-Type: multipart/mixed; boundary=b\r\n", b"Content-Transfer-Encoding: base64\r\n"]),
)
def test_any_mail_is_read_or_refused(body: bytes, header: bytes) -> None:
    try:
        message.read_mail(header + b"\r\n" + body, LIMIT)
    except NotAReport as refusal:
        assert str(refusal)
    message.subject(body)


@pytest.mark.parametrize(
    ("name", "domain", "year"),
    [
        ("s.example!r.example!1773446400!1773532799!001.json.gz", "r.example", 2026),
        ("folder/s.example!R.Example.!1773446400!1773532799.json", "r.example", 2026),
        ("s.example!r.example!99999999999!1773532799.json", "r.example", None),
        ("s.example!" + "r" * 300 + "!1773446400!1773532799.json", "", 2026),
        ("report.json.gz", "", None),
    ],
)
def test_what_a_file_name_says(name: str, domain: str, year: int | None) -> None:
    hints = message.hints_from("", name)
    assert (hints.file_domain, hints.start.year if hints.start else None) == (domain, year)


def test_the_header_goes_before_the_file_name() -> None:
    hints = message.hints_from("first.example", "s!second.example!1773446400!1773532799.json")
    ((read, _),) = read_reports(text(report(entry(1, policy_domain=...))), LIMIT, hints)
    assert [(policy.policy_domain, policy.domain_source) for policy in read.entries] == [("first.example", HEADER)]
    bare = without_header(read)
    assert [(policy.policy_domain, policy.domain_source) for policy in bare.entries] == [("second.example", FILE_NAME)]
    assert "not covered by the signature; missing; taken from the file name" in bare.defects[-1].what


def test_an_unsigned_header_is_all_that_is_not_believed() -> None:
    named = report(entry(1, policy_domain="a.example"), report_id="x")
    ((read, _),) = read_reports(text(named), LIMIT, Hints("first.example"))
    assert without_header(read) is read
    nameless = report(entry(1, policy_domain=...), entry(2, policy_domain="a.example"), report_id="x")
    ((read, _),) = read_reports(text(nameless), LIMIT, Hints("first.example"))
    assert [policy.policy_domain for policy in without_header(read).entries] == ["a.example", "a.example"]
    ((read, _),) = read_reports(text(report(entry(1, policy_domain=...), report_id="x")), LIMIT, Hints("first.example"))
    assert [(policy.policy_domain, policy.domain_source) for policy in without_header(read).entries] == [("", NOWHERE)]


@pytest.mark.parametrize(
    ("report_id", "domain", "why"),
    [
        ("2026-03-14T00:00:00Z_idx1_a.example", "a.example", "tlsrpt-reporter"),
        ("2026-03-14T00:00:00Z_A.Example.", "a.example", "Google"),
        ("133548192000000000+b\u00fccher.example", "xn--bcher-kva.example", "Microsoft, with a U-label"),
        ("133548192000000000+", "", "Microsoft, without a domain"),
        ("133548192000000000+" + "a" * 200 + "." + "b" * 52, "", "the id is longer than what is kept of it"),
        ("a1b2c3@mail.example", "", "an address is no policy domain"),
        ("5f3c_9.example", "", "no form that a sender is known for"),
    ],
)
def test_a_report_id_may_name_the_domain(report_id: str, domain: str, why: str) -> None:
    ((read, _),) = read_reports(text(report(entry(1, policy_domain=...), report_id=report_id)), LIMIT)
    assert read.entries[0].policy_domain == domain, why
    assert read.entries[0].domain_source == (REPORT_ID if domain else NOWHERE)


@pytest.mark.parametrize(
    ("others", "domain", "why"),
    [
        (["a.example"], "a.example", "the only one that is named"),
        (["a.example", "A.example."], "a.example", "twice the same"),
        (["a.example", "b.example"], "", "either may be meant"),
        ([], "", "none is named"),
    ],
)
def test_other_entries_may_name_the_domain(others: list[str], domain: str, why: str) -> None:
    named = [entry(1, policy_domain=name) for name in others]
    of_dane = entry(1, policy_domain="mx.other.example", policy_type="tlsa")
    value = report(*named, of_dane, {"no": "policy"}, entry(2, policy_domain=..., policy_type="no-policy-found"))
    ((read, _),) = read_reports(text(value | {"report-id": "x"}), LIMIT)
    assert read.entries[-1].policy_domain == domain, why


@pytest.mark.parametrize(
    ("end", "same", "why"),
    [
        ("2026-03-15T00:00:00Z", True, "23:59:59 and the next midnight are one end"),
        ("2026-03-14T23:59:59.999999999Z", True, "fractions of a second"),
        ("2026-03-14T23:00:00Z", False, "another range"),
    ],
)
def test_a_range_is_told_in_minutes(end: str, same: bool, why: str) -> None:
    def minutes(until: str) -> tuple[str, str]:
        ranges = {"start-datetime": "2026-03-14T00:00:00Z", "end-datetime": until}
        ((read, _),) = read_reports(text(report(entry(1), date_range=ranges)), LIMIT)
        return figures.minutes(read.start, read.end)

    assert (minutes("2026-03-14T23:59:59Z") == minutes(end)) is same, why


def test_figures_do_not_depend_on_what_a_tool_adds() -> None:
    usual = report(entry(3, 1, detail()), entry(0, 0, policy_type="tlsa"))
    rewritten = json.loads(json.dumps(usual))
    rewritten["policies"].reverse()
    for member in rewritten["policies"]:
        member["policy"] |= {"mx-host": "", "policy-string": ["version: STSv1"]}
        member["failure-details"] = [
            row | {"additional-information": "", "x": 1} for row in member.get("failure-details", [])
        ]
    ((original, _),), ((other, _),) = read_reports(text(usual), LIMIT), read_reports(text(rewritten), LIMIT)
    assert figures.Figures(original.entries).of_domain("receiver.example") == figures.Figures(other.entries).of_domain(
        "receiver.example"
    )
    for domain_of in (figures.stated_domain, figures.resolved_domain):
        assert figures.Figures(original.entries).of_report(domain_of) == figures.Figures(other.entries).of_report(
            domain_of
        )


def test_documents_know_their_member_name() -> None:

    (read_object,) = document.documents_in(zipped(inner__json=text(report())), LIMIT)
    assert isinstance(read_object, tuple)
    assert read_object[1].name == "inner.json"


def test_a_huge_subject_is_not_looked_at() -> None:
    assert message.subject(b"Subject: " + b"=?utf-8?q?x?= " * 100_000 + b"\r\n\r\n") == ""
    assert message.subject(b"Subject: caf\xc3\xa9\r\n\r\n") != ""


@pytest.mark.parametrize(
    ("data", "may", "why"),
    [
        (b'{"a": 1}', True, "an object"),
        (b"\xef\xbb\xbf \r\n[", True, "a list behind a byte order mark"),
        (b'"{}"', True, "JSON inside a string"),
        (packed(b"{}"), True, "gzip of JSON"),
        (packed(packed(b"{}")), True, "gzip of gzip"),
        (packed(zipped(a=b"{}")), True, "gzip of zip"),
        (packed(zlib.compress(b"{}")), True, "gzip of deflate, which can be read"),
        (packed(b"{}")[:12], True, "damaged, but meant as one"),
        (zlib.compress(b"{}"), True, "what HTTP calls deflate"),
        (zipped(a=b"anything"), True, "an archive may hold one"),
        (packed(b"<?xml?>"), False, "gzip of XML"),
        (zlib.compress(b"<?xml?>"), False, "deflated XML"),
        (b"\x78\x9cnonsense", False, "the letter x"),
        (b"hello", False, "text"),
        (b"", False, "nothing"),
    ],
)
def test_the_first_look(data: bytes, may: bool, why: str) -> None:
    assert document.may_hold_report(data) is may, why


def test_infinities_become_text() -> None:
    ((read, _),) = read_reports(
        b'{"policies":[],"extra":[Infinity,1.5],"date-range":{"start-datetime":"2026-03-14T00:00:00Z"}}', LIMIT
    )
    assert read.extra == {"extra": ["inf", 1.5]}


def test_what_is_noted_and_read_of_one_report_is_bounded() -> None:
    """A stranger may put any number of faults into a report: the first thousand say enough."""
    broken = [goldens.entry("many", -1) for _ in range(MAX_DEFECTS)]
    ((read, _),) = read_reports(goldens.text(goldens.report(*broken)), LIMIT)
    assert len(read.defects) == MAX_DEFECTS + 1
    assert read.defects[-1].what == f"departs from RFC 8460 in more than {MAX_DEFECTS} places"
    crowd = b'{"policies":[' + b",".join([b"{}"] * (MAX_ENTRIES + 1)) + b"]," + goldens.text(goldens.report())[1:]
    with pytest.raises(NotAReport, match="has 10001 policies, more than the 10000"):
        read_reports(crowd.replace(b'"policies":[]', b'"x":[]'), LIMIT)


def test_only_so_many_unreadable_parts_of_a_mail_are_tried() -> None:
    parts = [goldens.part(b"no report", name=f"{number}.json") for number in range(MAX_UNREAD + 5)]
    with pytest.raises(NotAReport):
        read_mail(goldens.mail(goldens.multipart(*parts)), LIMIT)
