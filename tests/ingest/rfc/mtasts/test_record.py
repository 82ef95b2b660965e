"""The record at _mta-sts: what is read, what is wrong with it, and which of several counts."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.rfc.faults import ERROR, WARNING
from ingest.rfc.mtasts.record import choose, new_id, parse, render

GOOD = "v=STSv1; id=20160831085700Z;"


@pytest.mark.parametrize(
    "text",
    [
        GOOD,  # RFC 8461 section 3.1
        "v=STSv1;id=1",
        "v=STSv1;\tid=" + "a" * 32 + " ; ",
    ],
)
def test_good_records_have_no_faults(text: str) -> None:
    assert parse(text).faults == ()
    assert parse(text).id


def test_fields_that_senders_ignore_are_named() -> None:
    record = parse("v=STSv1; x_y.z-1=a=b; id=1; x_y.z-1=2")
    assert (record.id, record.unknown, record.usable) == ("1", ("x_y.z-1",), False)  # "=" in a value breaks the grammar
    record = parse("v=STSv1; later=a; id=1")
    assert (record.id, record.unknown, record.usable) == ("1", ("later",), True)


@pytest.mark.parametrize(
    ("text", "code", "severity", "why"),
    [
        ("v=STSv1 ; id=1", "version-blank", WARNING, "allowed by the grammar, and not 'beginning with v=STSv1;'"),
        ("v=stsv1; id=1", "version", ERROR, "case"),
        ("v=STSv12; id=1", "version", ERROR, "another version"),
        (" v=STSv1; id=1", "version", ERROR, "a blank first"),
        ('"v=STSv1; id=1"', "version", ERROR, "quotation marks pasted into a web form"),
        ("id=1; v=STSv1", "version", ERROR, "not first"),
        ("", "version", ERROR, "nothing"),
        ("v=STSv1", "no-id", ERROR, "nothing behind the version"),
        ("v=STSv1;", "no-id", ERROR, "nothing behind the version"),
        ("v=STSv1; id=", "id", ERROR, "empty"),
        ("v=STSv1; id=2016-08-31", "id", ERROR, "hyphens"),
        ("v=STSv1; id=" + "a" * 33, "id", ERROR, "33 characters"),
        ("v=STSv1; id=é", "id", ERROR, "not ASCII"),
        ("v=STSv1; id = 1", "field", ERROR, "blanks around ="),
        ("v=STSv1; ID=1", "field-case", ERROR, "case"),
        ("v=STSv1; id=1; id=2", "duplicate-id", WARNING, "which one?"),
        ("v=STSv1;; id=1", "empty-field", ERROR, "nothing between semicolons"),
        ("v=STSv1; id=1;;", "empty-field", ERROR, "two at the end"),
        ("v=STSv1; id=1; x", "field", ERROR, "no ="),
        ("v=STSv1; id=1; x=", "field", ERROR, "no value"),
        ("v=STSv1; id=1; " + "x" * 33 + "=1", "field", ERROR, "a name of 33 characters"),
        ("v=STSv1; id=1; mode=enforce", "unknown-field", WARNING, "belongs in the policy file"),
    ],
)
def test_faults(text: str, code: str, severity: str, why: str) -> None:
    record = parse(text)
    assert [fault.severity for fault in record.faults if fault.code == code] == [severity], why
    assert all(fault.repair for fault in record.faults)
    assert record.usable is (severity == WARNING)


def test_what_belongs_in_the_policy_file_is_said_to() -> None:
    (fault,) = parse("v=STSv1; id=1; max_age=1").faults
    assert fault.repair == "remove max_age; it belongs in the policy file"


@pytest.mark.parametrize(
    ("text", "code", "repair"),
    [
        ("v=STSv1 ; id=1", "version-blank", "write v=STSv1;"),
        ("v=stsv1; id=1", "version", "begin it with v=STSv1;"),
        ("'v=STSv1; id=1", "version", "publish it without the quotation marks"),
        ("v=STSv1", "no-id", "write it as in v=STSv1; id=20160831085700Z;"),
        ("v=STSv1; id=", "id", "write it as in v=STSv1; id=20160831085700Z;"),
        ("v=STSv1; id=2016-08-31T08:57", "id", "write id=20160831T0857"),
        ("v=STSv1; id=" + "é" + "1" * 33, "id", "write id=" + "1" * 32),
        ("v=STSv1; id = 1", "field", "write id=1, without blanks around ="),
        ("v=STSv1; id=1; x", "field", "remove x"),
        ("v=STSv1; id=1; x=", "field", "remove x="),
        ("v=STSv1; ID=1", "field-case", "write id="),
        ("v=STSv1; id=1; id=2", "duplicate-id", "leave the newest id only"),
        ("v=STSv1;; id=1", "empty-field", "remove one of them"),
        ("v=STSv1; id=1; rua=mailto:x", "unknown-field", "remove rua; it belongs in the TXT record at _smtp._tls"),
        ("v=STSv1; id=1; later=x", "unknown-field", "remove later"),
        ("v=spf1 -all", "no-record", "publish one such as v=STSv1; id=20160831085700Z;"),
    ],
)
def test_what_to_write_instead(text: str, code: str, repair: str) -> None:
    assert [fault.repair for fault in choose([text]).faults if fault.code == code] == [repair]


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("V=STSv1; ID=a-b; max_age=1", ["version", "field-case", "id", "unknown-field"]),
        ("v=STSv1; id = a-b", ["field", "id"]),
        ("v=STSv1; id=1; id=a-b", ["duplicate-id", "id"]),
        ("v=STSv1; ID=1", ["field-case"]),  # it is there: no second fault says that it is not
        ("v=STSv1; id = 1", ["field"]),
    ],
)
def test_no_fault_hides_another(text: str, codes: list[str]) -> None:
    assert [fault.code for fault in parse(text).faults] == codes


def test_the_answer_about_many_records_is_bounded() -> None:
    assert len(choose([f"v=STSv1; id=a-{number}" for number in range(1000)]).faults) <= 11


def test_of_several_records_one_stays() -> None:
    (fault,) = choose([GOOD, GOOD]).faults
    assert fault.repair == "delete all but the one with the newest id"


@pytest.mark.parametrize(
    ("texts", "ident", "codes"),
    [
        (["v=spf1 -all", GOOD, "google-site-verification=x"], "20160831085700Z", []),
        ([GOOD, "v=STSv1"], "20160831085700Z", []),  # the second does not count: no semicolon, and the first does
        (["v=STSv1 ; id=1"], "1", ["version-blank"]),
        ([GOOD, "v=STSv1; id=2"], "", ["several-records"]),
        ([GOOD, GOOD], "", ["several-records"]),
        ([], "", ["no-record"]),
        (["v=spf1 -all", "v=TLSRPTv1; rua=mailto:a@b.example"], "", ["no-record"]),
        (["V=STSv1; id=1"], "1", ["version"]),  # meant as one: its faults help more than "none"
        (['"v=STSv1; id=1;"', "v=spf1 -all"], "1", ["version", "field"]),
        # Whichever of several stays, what is wrong with it is told at once.
        ([GOOD, "v=STSv1; id=a-b; mode=none"], "", ["several-records", "id", "unknown-field"]),
        (["V=STSv1; id=1", "v=STSv1 id=2"], "", ["several-records", "version", "no-id"]),
    ],
)
def test_exactly_one_record_counts(texts: list[str], ident: str, codes: list[str]) -> None:
    record = choose(texts)
    assert [fault.code for fault in record.faults] == codes
    assert record.id == ident
    assert record.usable is (not codes or codes == ["version-blank"])


@given(st.text() | st.text('v=STSv1;id \t"').map(lambda text: "v=STSv1;" + text))
def test_any_text_is_read(text: str) -> None:
    record = parse(text)
    assert bool(record.id) or not record.usable
    assert choose([text]).usable <= record.usable


@given(st.from_regex(r"[A-Za-z0-9]{1,32}", fullmatch=True))
def test_what_is_written_is_read_again(ident: str) -> None:
    record = choose([render(ident)])
    assert (record.id, record.faults) == (ident, ())


@pytest.mark.parametrize("ident", ["", "a" * 33, "a-b", "1; mode=none", "1\n"])
def test_no_wrong_id_is_written(ident: str) -> None:
    with pytest.raises(ValueError, match="1 to 32 letters and digits"):
        render(ident)


def test_a_new_id_is_the_time_in_utc() -> None:
    zone = dt.timezone(dt.timedelta(hours=2))
    assert new_id(dt.datetime(2026, 3, 14, 1, 2, 3, 999, zone)) == "20260313230203"
    assert parse(render(new_id(dt.datetime.now(dt.UTC)))).usable


def test_a_new_id_wants_a_zone() -> None:
    with pytest.raises(ValueError, match="naive"):
        new_id(dt.datetime(2026, 3, 14))  # noqa: DTZ001
