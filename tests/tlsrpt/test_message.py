"""Report mails that broke the reader, found by fuzzing."""

import gzip
import json

import pytest

from ingest.tlsrpt.document import NotAReport, may_hold_report
from ingest.tlsrpt.message import read_mail
from ingest.tlsrpt.report import read_reports
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
