"""The record at _smtp._tls: where reports go, what is wrong with it, and which of several counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.rfc.faults import ERROR, WARNING
from ingest.rfc.tlsrpt.record import Destination, RecordInvalid, choose, parse, render

MAIL, POST = "mailto:reports@example.com", "https://reports.example.com/v1/tlsrpt"
GOOD = f"v=TLSRPTv1; rua={MAIL}"


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("v=TLSRPTv1;rua=mailto:reports@example.com", "reports@example.com"),  # RFC 8460 section 3.1.1
        ("v=TLSRPTv1; rua=https://reporting.example.com/v1/tlsrpt", "https://reporting.example.com/v1/tlsrpt"),
        ("v=TLSRPTv1 ;\trua=MAILTO:a@b.example ; ".replace(" ;\t", ";\t"), "a@b.example"),
        ("v=TLSRPTv1; rua=mailto:a%2Cb%21%3B%25@b.example", "a,b!;%@b.example"),
        ("v=TLSRPTv1; rua=mailto:a@[IPv6:2001:db8::1]", "a@[IPv6:2001:db8::1]"),
        ("v=TLSRPTv1; rua=https://[2001:db8::1]:8443/a%2Cb?c=d", "https://[2001:db8::1]:8443/a%2Cb?c=d"),
        ("v=TLSRPTv1; rua=https://b.example", "https://b.example"),
    ],
)
def test_good_records_have_no_faults(text: str, target: str) -> None:
    record = parse(text)
    assert record.faults == ()
    assert [destination.target for destination in record.rua] == [target]


def test_several_addresses_are_read_in_order_with_a_warning() -> None:
    record = parse(f"v=TLSRPTv1; rua={MAIL} ,\t{POST}; later=x")
    assert record.rua == (Destination("mailto", MAIL, "reports@example.com"), Destination("https", POST, POST))
    assert [fault.code for fault in record.faults] == ["several-rua", "unknown-field"]
    assert (record.unknown, record.usable) == (("later",), True)


@pytest.mark.parametrize(
    ("text", "code", "severity", "why"),
    [
        (f"v=TLSRPTv1 ; rua={MAIL}", "version-blank", WARNING, "allowed by the grammar, and not 'v=TLSRPTv1;'"),
        (f"v=TLSRPTV1; rua={MAIL}", "version", ERROR, "case"),
        (f"v=TLSRPTv1.0; rua={MAIL}", "version", ERROR, "another version"),
        (f" v=TLSRPTv1; rua={MAIL}", "version", ERROR, "a blank first"),
        (f"'v=TLSRPTv1; rua={MAIL}", "version", ERROR, "a quotation mark"),
        ("v=TLSRPTv1", "no-rua", ERROR, "nothing behind the version"),
        ("v=TLSRPTv1; later=x", "no-rua", ERROR, "no rua"),
        ("v=TLSRPTv1; rua", "rua", ERROR, "nothing behind it"),
        (f"{GOOD}; later", "field", ERROR, "no ="),
        (f"v=TLSRPTv1; rua ={MAIL}", "field", ERROR, "a blank before ="),
        (f"v=TLSRPTv1; RUA={MAIL}", "field-case", ERROR, "case"),
        (f"v=TLSRPTv1;; rua={MAIL}", "empty-field", ERROR, "nothing between semicolons"),
        (f"{GOOD}; rua={POST}", "duplicate-field", WARNING, "two fields instead of a list"),
        (f"{GOOD},{MAIL}", "duplicate-rua", WARNING, "listed twice"),
        (f"{GOOD}; ruf=x", "unknown-field", WARNING, "DMARC's"),
        (f"{GOOD}?subject=x", "mailto-headers", WARNING, "what follows the ? is not used"),
        (f"v=TLSRPTv1; rua={POST}#x", "https-fragment", WARNING, "never sent"),
    ],
)
def test_faults(text: str, code: str, severity: str, why: str) -> None:
    record = parse(text)
    assert [fault.severity for fault in record.faults if fault.code == code] == [severity], why
    assert all(fault.repair for fault in record.faults)
    assert record.usable is (severity == WARNING)


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("", "neither a mailto: nor"),
        ("reports@example.com", "write mailto:reports@example.com"),
        ("http://example.com/", "write https://example.com/"),
        ("ftp://example.com/", "neither a mailto: nor"),
        ("example.com", "neither a mailto: nor"),
        ("mailto:reports@example.com!10m", "ends in a size"),
        ("mailto:re!ports@example.com", "percent-encoded"),
        ("mailto:re ports@example.com", "percent-encoded"),
        ("mailto:re%2ports@example.com", "percent-encoded"),
        ("mailto:räports@example.com", "percent-encoded"),
        ("mailto:r%C3%A4ports@example.com", "no mail address"),
        ("mailto:r%FFports@example.com", "no mail address"),
        ("mailto:a@b.example%00", "no mail address"),
        ("mailto:", "no mail address"),
        ("mailto:reports", "no mail address"),
        ("mailto:reports@", "no mail address"),
        ("mailto:a@b@example.com", "no mail address"),
        ("mailto:reports@localhost", "no mail address"),
        ("mailto:reports@-a.example", "no mail address"),
        ("https:example.com", "names no host"),
        ("https://", "names no host"),
        ("https:///path", "names no host"),
        ("https://localhost/", "names no host"),
        ("https://example.com:port/", "names no host"),
        ("https://user:secret@example.com/", "user name"),
    ],
)
def test_addresses_that_senders_cannot_use(uri: str, says: str) -> None:
    record = parse(f"v=TLSRPTv1; rua={uri},{MAIL}")
    (fault,) = [fault for fault in record.faults if fault.severity == ERROR]
    assert fault.code == "rua"
    assert says in f"{fault.text}; {fault.repair}"
    assert [destination.uri for destination in record.rua] == [MAIL]  # the others are still told


@pytest.mark.parametrize(
    ("text", "code", "repair"),
    [
        (f"v=TLSRPTv1 ; rua={MAIL}", "version-blank", "write v=TLSRPTv1;"),
        (f"v=TLSRPTV1; rua={MAIL}", "version", "begin it with v=TLSRPTv1;"),
        (f'"v=TLSRPTv1; rua={MAIL}"', "version", "publish it without the quotation marks"),
        ("v=TLSRPTv1; later=x", "no-rua", "write it as in v=TLSRPTv1; rua=mailto:ADDRESS"),
        (f"{GOOD}; later", "field", "remove later"),
        (f"v=TLSRPTv1; rua ={MAIL}", "field", f"write rua={MAIL}, without blanks around ="),
        (f"v=TLSRPTv1; RUA={MAIL}", "field-case", "write rua="),
        (f"v=TLSRPTv1;; rua={MAIL}", "empty-field", "remove one of them"),
        (f"{GOOD}; rua={POST}", "duplicate-field", "list all addresses in one rua, with commas"),
        (f"{GOOD},{MAIL}", "duplicate-rua", "remove one of the two"),
        (f"{GOOD},{POST}", "several-rua", "put the address that must have all reports first"),
        (f"{GOOD}; ruf=x", "unknown-field", "remove ruf"),
        (f"{GOOD}?subject=x", "mailto-headers", f"write {MAIL}"),
        (f"v=TLSRPTv1; rua={POST}#x", "https-fragment", f"write {POST}"),
        (f"{GOOD}!10m", "rua", f"write {MAIL}"),
        ("v=TLSRPTv1; rua=https://u@a.example/", "rua", "leave out what stands before the @"),
        ("v=TLSRPTv1; rua=https://a", "rua", "write https://HOST/PATH"),
        ("v=spf1 -all", "no-record", "publish one such as v=TLSRPTv1; rua=mailto:ADDRESS"),
    ],
)
def test_what_to_write_instead(text: str, code: str, repair: str) -> None:
    assert [fault.repair for fault in choose([text]).faults if fault.code == code] == [repair]


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("v=TLSRPTV1; RUA=a@b.example; ruf=x", ["version", "field-case", "rua", "unknown-field"]),
        ("v=TLSRPTv1; rua = a@b.example", ["field", "rua"]),
        (f"v=TLSRPTv1; rua={MAIL}; rua=a@b.example", ["duplicate-field", "rua"]),
        (f"v=TLSRPTv1; RUA={MAIL}", ["field-case"]),  # it is there: no second fault says that it is not
    ],
)
def test_no_fault_hides_another(text: str, codes: list[str]) -> None:
    assert [fault.code for fault in parse(text).faults] == codes


def test_the_answer_about_many_records_is_bounded() -> None:
    assert len(choose([f"v=TLSRPTv1; rua=a{number}" for number in range(1000)]).faults) <= 11


def test_of_several_records_one_stays() -> None:
    (fault,) = choose([GOOD, GOOD]).faults
    assert fault.repair == "delete all but one, and list all addresses in its rua, with commas"


@pytest.mark.parametrize(
    ("texts", "count", "codes"),
    [
        (["v=spf1 -all", GOOD], 1, []),
        ([GOOD, "v=TLSRPTv1"], 1, []),  # does not count: no semicolon
        ([GOOD, f"v=TLSRPTv1; rua={POST}"], 0, ["several-records"]),
        # Whichever of several stays, what is wrong with it is told at once.
        ([GOOD, "v=TLSRPTv1; rua=a@b.example"], 0, ["several-records", "rua"]),
        ([f"v=tlsrptv1; rua={MAIL}", "v=TLS-RPTv1"], 0, ["several-records", "version", "no-rua"]),
        ([], 0, ["no-record"]),
        (["v=spf1 -all", "v=STSv1; id=1"], 0, ["no-record"]),
        ([f"v=TLS-RPTv1; rua={MAIL}"], 1, ["version"]),  # meant as one: its faults help more than "none"
    ],
)
def test_exactly_one_record_counts(texts: list[str], count: int, codes: list[str]) -> None:
    record = choose(texts)
    assert [fault.code for fault in record.faults] == codes
    assert len(record.rua) == count


@given(st.text() | st.text("rua=mailto:https/@.,;!%2C[] a").map(lambda text: "v=TLSRPTv1; rua=" + text))
def test_any_text_is_read(text: str) -> None:
    record = parse(text)
    assert bool(record.rua) or not record.usable
    assert all(destination.target for destination in record.rua)
    assert choose([text]).usable <= record.usable


addresses = st.from_regex(r"[a-z0-9.,;!+_-]{1,20}@([a-z0-9]{1,9}\.){1,3}[a-z]{2,6}", fullmatch=True)
paths = st.from_regex(r"[A-Za-z0-9._~/,;!=-]{0,20}", fullmatch=True)


@given(st.lists(addresses, min_size=1, max_size=4, unique=True), st.lists(paths, max_size=2, unique=True))
def test_what_is_written_is_read_again(mail: list[str], path: list[str]) -> None:
    rua = [f"mailto:{address}" for address in mail] + [f"https://reports.example.com/{segment}" for segment in path]
    record = choose([render(rua)])
    assert record.usable
    assert [destination.target for destination in record.rua if destination.scheme == "mailto"] == mail
    assert len(record.rua) == len(rua)


@pytest.mark.parametrize(
    ("rua", "says"),
    [
        ([], "neither a mailto"),
        (["reports@example.com"], "write mailto:"),
        (["mailto:a@b.example!10m"], "no mail address"),
        (["mailto:a@b.example\r\n; rua=x"], "percent-encoded"),
        (["https://a.example/%zz"], "percent-encoded"),
    ],
)
def test_nothing_wrong_is_written(rua: list[str], says: str) -> None:
    with pytest.raises(RecordInvalid, match=says):
        render(rua)
