"""Report mails that broke the reader, found by fuzzing."""

import gzip
import io
import json
import zipfile

import pytest

from ingest.rfc.tlsrpt.document import NotAReport, may_hold_report
from ingest.rfc.tlsrpt.message import read_mail
from ingest.rfc.tlsrpt.report import MAX_ROWS, read_reports
from tests.goldens import entry, mail, multipart, part, report

LIMIT = 32 * 1024 * 1024


def test_a_charset_with_a_nul_hides_no_report() -> None:
    """Python's decoding of such a part raises ValueError."""
    odd = "Content-Type: text/plain; charset*=ascii''a%00\r\n\r\nh???\r\n"
    whole = mail(multipart(odd, part(gzip.compress(json.dumps(report(entry(1))).encode()))))
    assert len(read_mail(whole.replace(b"h???", b"h\xe4\xf6\xfc"), LIMIT).reports) == 1


def test_a_charset_with_a_nul_of_the_mail_itself() -> None:
    with pytest.raises(NotAReport):
        read_mail(b"Content-Type: text/plain; charset*=ascii''a%00\r\n\r\nh\xe4\r\n", LIMIT)


@pytest.mark.parametrize("blank", [b"\xa0", b"\xc2\xa0", b"\v\f \t", b"\xef\xbb\xbf"])
def test_blanks_before_a_report(blank: bytes) -> None:
    """The HTTPS door refuses nothing that the reader reads."""
    data = blank + json.dumps(report(entry(1))).encode()
    assert may_hold_report(data)
    assert len(read_reports(data, LIMIT)) == 1


GOOD_NAMELESS = gzip.compress(json.dumps(report(entry(1, policy_domain=...), report_id="x")).encode())
GOOD = gzip.compress(json.dumps(report(entry(1))).encode())
BOMBS = {
    "zeros": gzip.compress(bytes(2_000_000)),
    "blanks, then no JSON": gzip.compress(b"[" + b" " * 900_000 + b"x"),
    "JSON, no report": gzip.compress(b'{"a":"' + b" " * 900_000 + b'"}'),
    "cut off": gzip.compress(b"[" * 900_000)[:-9],
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_bombs_together_may_unpack_to_so_much(bomb: bytes) -> None:
    """Two and a report are read, ten are not: what they cost together is bounded."""
    limit = 1_000_000
    assert len(read_mail(mail(multipart(part(bomb), part(bomb), part(GOOD))), limit).reports) == 1
    with pytest.raises(NotAReport):
        read_mail(mail(multipart(*[part(bomb)] * 10, part(GOOD))), limit)
    late = read_mail(mail(multipart(part(GOOD), *[part(bomb)] * 10)), limit)
    assert len(late.reports) == 1
    assert late.unread


def test_reports_of_one_mail_may_have_so_many_rows_together() -> None:
    """Policies of two bytes would cost seconds each ten thousand; what is beyond is refused before it is read."""
    crowd = gzip.compress(json.dumps(report() | {"policies": [{}] * 9_000}).encode())
    report_mail = read_mail(mail(multipart(*[part(crowd)] * 30)), LIMIT)
    assert len(report_mail.reports) == MAX_ROWS // 9_000
    assert "has 9000 policies and failure details, and only 450 more are read" in report_mail.unread
    rows = [{"failure-details": [{}] * MAX_ROWS}]
    with pytest.raises(NotAReport, match="has 100001 policies and failure details"):
        read_reports(json.dumps(report() | {"policies": rows}).encode(), LIMIT)


def test_a_list_of_reports_keeps_each_in_its_own_words() -> None:
    """Kept as a whole with each of them, a list of thousands would fill the disk."""
    many = [report() | {"report-id": str(number)} for number in range(3_000)]
    reports = read_reports(json.dumps(many).encode(), LIMIT)
    assert len(reports) == MAX_ROWS // 50
    assert [json.loads(document.text)["report-id"] for _, document in reports[:3]] == ["0", "1", "2"]
    assert sum(len(document.text) for _, document in reports) < len(json.dumps(many))
    parts = [part(gzip.compress(json.dumps(many[:1_500]).encode()))] * 3
    mixed = read_mail(mail(multipart(*parts)), LIMIT)
    assert len(mixed.reports) == MAX_ROWS // 50
    assert "more reports than are read of one mail or file" in mixed.unread
    assert "was not read: the mail has too much in it before" in mixed.unread


def test_what_is_lost_of_an_archive_is_said() -> None:
    """A text beside the reports is none; a damaged report is one that somebody must see."""
    good = json.dumps(report(entry(1))).encode()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name, data in {"README": b"Hello", "a.json": good, "b.json": good[:-9], "c.json": b'{"a": 1}'}.items():
            file.writestr(name, data)
    report_mail = read_mail(mail(multipart(part(archive.getvalue(), "application/zip"))), LIMIT)
    assert len(report_mail.reports) == 1
    assert "is no JSON" in report_mail.unread
    assert "has no 'policies'" in report_mail.unread
    assert "Hello" not in report_mail.unread
    assert report_mail.unread.count(";") == 1


@pytest.mark.parametrize(("length", "domain"), [(1, "named.example"), (3_000, "")])
def test_a_hostile_file_name_says_nothing(length: int, domain: str) -> None:
    """To decode a parameter of thousands of pieces takes seconds."""
    nameless = part(GOOD_NAMELESS).replace('filename="', f'filename="{"é" * length}!named.example!1!2.json"; x="')
    ((reading, _),) = read_mail(mail(multipart(nameless), domain=""), LIMIT).reports
    assert reading.entries[0].policy_domain == domain
