"""Report mails that broke the reader, found by fuzzing."""

import gzip
import json

from ingest.tlsrpt.message import read_mail
from tests.goldens import entry, mail, multipart, part, report

LIMIT = 32 * 1024 * 1024


def test_a_charset_with_a_nul_hides_no_report() -> None:
    """Python's decoding of such a part raises ValueError."""
    odd = "Content-Type: text/plain; charset*=ascii''a%00\r\n\r\nh???\r\n"
    whole = mail(multipart(odd, part(gzip.compress(json.dumps(report(entry(1))).encode()))))
    assert len(read_mail(whole.replace(b"h???", b"h\xe4\xf6\xfc"), LIMIT).reports) == 1
