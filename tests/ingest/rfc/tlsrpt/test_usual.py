"""The quick readers of usual mails and reports: they read what the tolerant ones read, and leave the rest to those."""

import gzip
from typing import Any

import msgspec
import pytest

from ingest.rfc.tlsrpt import message
from ingest.rfc.tlsrpt import report as tolerant
from ingest.rfc.tlsrpt.report import MAX_ROWS
from ingest.rfc.tlsrpt.usual import mail as usual_mail
from ingest.rfc.tlsrpt.usual import report as usual_report
from tests import goldens
from tests.goldens import detail, entry, packed, report, text
from tests.support import CORPUS

LIMIT = 1024 * 1024
REPORT = report(entry(5, 3, detail(sessions=2), detail("starttls-not-supported")))


def tolerantly(monkeypatch: pytest.MonkeyPatch, mail: bytes) -> message.ReportMail:
    with monkeypatch.context() as patched:
        patched.setattr(usual_mail, "read", lambda *_: None)
        patched.setattr(usual_report, "read", lambda *_: None)
        return message.read_mail(mail, LIMIT)


def lines(mail: bytes) -> bytes:
    """As a mailbox file holds it."""
    return mail.replace(b"\r\n", b"\n")


def usual(value: object) -> bytes:
    return lines(goldens.usual(value))


def part(data: bytes, content_type: str = "application/tlsrpt+gzip") -> str:
    return goldens.part(data, content_type).replace("\r\n", "\n")


def mixed(*parts: str) -> bytes:
    return lines(goldens.mail(goldens.multipart(*parts)))


HUMAN = goldens.HUMAN


def alone(data: bytes, fields: str = "") -> bytes:
    """A mail that is nothing but a report."""
    return b"From: a@sender.example\n" + part(data).encode().replace(
        b"\nContent-T", fields.encode() + b"\nContent-T", 1
    )


MAILS = {
    "as in the RFC": usual(REPORT),
    "with CRLF": goldens.usual(REPORT),
    "folded fields": b"Received: from a\n\tby b;\n\tdate\nX-Long: a\n b\n\n".strip() + b"\n" + usual(REPORT),
    "a field twice": b"From: first@sender.example\n" + usual(REPORT),
    "no text": mixed(part(packed(text(REPORT)))),
    "the report alone": alone(packed(text(REPORT))),
    "plain JSON in base64": mixed(HUMAN, part(text(REPORT), "application/tlsrpt+json")),
    "signed by three": b"DKIM-Signature: v=1; a=b;\n  b=x\n" * 3 + usual(REPORT),
    "submitter in the part": usual(REPORT)
    .replace(b"TLS-Report-Submitter: sender.example\n", b"")
    .replace(b"Content-Disposition", b"TLS-Report-Submitter: part.example\nContent-Disposition"),
    "quoted-printable text": mixed(
        "Content-Type: text/plain\nContent-Transfer-Encoding: quoted-printable\n\nA=20report\n",
        part(packed(text(REPORT))),
    ),
    "text outside ASCII": usual(REPORT).replace(b"This is", "Dies ist für".encode()),
    "no failures": usual(report(entry(7))),
    "null for what is absent": usual(report({**entry(7), "failure-details": None})),
}


@pytest.mark.parametrize("name", MAILS)
def test_usual_mails_are_read_alike(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    mail = usual_mail.read(MAILS[name], LIMIT, MAX_ROWS)
    assert mail is not None
    quick = message.ReportMail(((mail.report, mail.document),), mail.submitter, mail.author)
    assert message.read_mail(MAILS[name], LIMIT) == quick
    assert gzip.decompress(mail.document.packed or gzip.compress(PLAIN)) == mail.document.text
    bare = msgspec.structs.replace(mail.document, packed=b"")
    assert tolerantly(monkeypatch, MAILS[name]) == msgspec.structs.replace(quick, reports=((mail.report, bare),))


def changed(old: bytes, new: bytes) -> bytes:
    assert old in MAILS["as in the RFC"]
    return MAILS["as in the RFC"].replace(old, new)


UNUSUAL_MAILS = {
    "too large": usual(REPORT) + b"\n" * LIMIT,
    "too many lines": alone(packed(text(REPORT)) + b"\n" * 0) + b"\n" * 20_001,
    "a header without end": b"From: a@sender.example",
    "a header outside ASCII": changed(b"Subject: R", b"Subject: \xff"),
    "encoded words": changed(b"Subject: R", b"Subject: =?utf-8?q?=C3=BC?="),
    "an mbox line": b"From a@sender.example Sun\n" + usual(REPORT),
    "a media type with comments": changed(b"multipart/report;", b"multipart/report (report);"),
    "a boundary in parts": changed(b'boundary="b1"', b'boundary*0="b1"'),
    "another multipart": changed(b"multipart/report", b"multipart/alternative"),
    "no boundary": changed(b'boundary="b1"', b'charset="b1"'),
    "a bare carriage return": changed(b"This is", b"This\ris"),
    "a line of hyphens": changed(b"This is", b"-- \nThis is"),
    "no end": changed(b"--b1--", b""),
    "text after the end": usual(REPORT) + b"footer",
    "a tail to the boundary": changed(b"--b1\n", b"--b1 \n"),
    "a part that is no more than its header": changed(b"Content-Type: text/plain; charset=utf-8\n\n", b"A: b\n"),
    "a forwarded message": changed(b"text/plain", b"message/rfc822"),
    "a picture": changed(b"text/plain", b"image/png"),
    "two reports": mixed(*[part(packed(text(REPORT)))] * 2),
    "broken base64": changed(b"H4sI", b"H4s!"),
    "torn base64": changed(b"H4sI", b"H4s"),
    "another transfer encoding": changed(b"base64", b"x-uuencode"),
    "a report in the text": changed(b"This is an aggregate TLS report", text(REPORT)),
    "base64 in the text": changed(b"This is", b"H4sI" + b"A" * 60),
    "a mail in the text": changed(b"This is", b"Subject: a\nFrom: b\n\nThis is"),
    "text that claims base64": changed(b"charset=utf-8\n", b"charset=utf-8\nContent-Transfer-Encoding: base64\n"),
    "parts in the text": mixed(
        "Content-Type: text/plain\nContent-Transfer-Encoding: quoted-printable\n\n=2D-b2\n",
        part(packed(text(REPORT))),
    ),
    "a long submitter": changed(b"TLS-Report-Submitter: ", b"TLS-Report-Submitter: " + b"a" * 2_001),
    "no report": mixed(HUMAN),
}


@pytest.mark.parametrize("name", UNUSUAL_MAILS)
def test_other_mails_are_left_to_the_tolerant_reader(name: str) -> None:
    assert usual_mail.read(UNUSUAL_MAILS[name], LIMIT, MAX_ROWS) is None


def of_policy(**members: Any) -> bytes:
    altered = entry(5, 3, detail(sessions=2), detail("starttls-not-supported"))
    altered["policy"] |= members
    return text(report(altered))


def of_detail(**members: Any) -> bytes:
    return text(report(entry(5, 3, detail() | members)))


PLAIN = text(REPORT)
UNUSUAL_REPORTS = {
    "larger than allowed": b"{" + b" " * LIMIT + PLAIN[1:],
    "damaged": packed(PLAIN)[:-9],
    "no gzip": packed(PLAIN)[:30] + b"\xff" * 30,
    "two members": packed(PLAIN) + packed(PLAIN),
    "a list": b"[" + PLAIN + b"]",
    "blanks before": b" " + PLAIN,
    "a NUL": text(report(entry(1), contact_info="\0")),
    "not UTF-8": PLAIN.replace(b"Sender", b"S\xffnder"),
    "no JSON": PLAIN[:-1],
    "an unknown member": text(report(entry(1), more=1)),
    "no time": text(report(entry(1), date_range={"start-datetime": "x", "end-datetime": "2026-03-14T23:59:59Z"})),
    "no zone": text(
        report(entry(1), date_range={"start-datetime": "2026-03-14T00:00:00", "end-datetime": "2026-03-14T23:59:59Z"})
    ),
    "a time without end": text(
        report(entry(1), date_range={"start-datetime": "2" * 41, "end-datetime": "2026-03-14T23:59:59Z"})
    ),
    "the end before the start": text(
        report(entry(1), date_range={"start-datetime": "2026-03-15T00:00:00Z", "end-datetime": "2026-03-14T23:59:59Z"})
    ),
    "a long name": text(report(entry(1), organization_name="a" * 256)),
    "another policy type": of_policy(**{"policy-type": "other"}),
    "no policy domain": of_policy(**{"policy-domain": ""}),
    "an impossible policy domain": of_policy(**{"policy-domain": "a b"}),
    "a list inside a text": of_policy(**{"policy-string": ['["a"]']}),
    "a policy of one text": of_policy(**{"policy-string": "version: STSv1"}),
    "another result type": of_detail(**{"result-type": "other"}),
    "a count in a text": of_detail(**{"failed-session-count": "1"}),
    "a count below zero": of_detail(**{"failed-session-count": -1}),
    "policies of no list": text(report(entry(1)) | {"policies": entry(1)}),
}


@pytest.mark.parametrize("name", UNUSUAL_REPORTS)
def test_other_reports_are_left_to_the_tolerant_reader(name: str) -> None:
    assert usual_report.read(UNUSUAL_REPORTS[name], LIMIT, MAX_ROWS) is None


def test_a_report_that_is_a_tar_archive_too_is_looked_at() -> None:
    header = bytearray(text(report(entry(1), contact_info="x" * 600)).ljust(600))
    header[148:156] = b"000000\0 "
    checksum = sum(header[:512]) - sum(header[148:156]) + 8 * ord(" ")
    header[148:156] = b"%06o\0 " % checksum
    assert usual_report.read(bytes(header), LIMIT, MAX_ROWS) is None


def test_the_rows_of_a_report_are_limited() -> None:
    data = packed(text(report(entry(5, 60, *[detail()] * 60))))
    assert usual_report.read(data, LIMIT, 110) is None
    assert usual_report.read(data, LIMIT, 111) is not None
    with pytest.raises(tolerant.NotAReport, match="only 60 more"):
        tolerant.read(data, LIMIT, rows=60)


def test_values_are_normalised_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = detail() | {
        "receiving-mx-hostname": "MX.Receiver.Example.",
        "receiving-ip": "2001:DB8:0::1",
        "sending-mta-ip": "[IPv6:::1]",
        "additional-information": None,
    }
    data = text(report(entry(5, 2, odd, odd | {"receiving-mx-hostname": "a b"}, policy_domain="Straße.Example.")))
    quick = tolerant.read(data, LIMIT)
    assert usual_report.read(data, LIMIT, MAX_ROWS) == quick.reports[0]
    monkeypatch.setattr(usual_report, "read", lambda *_: None)
    assert tolerant.read(data, LIMIT) == quick


def test_most_real_reports_are_usual() -> None:
    if not CORPUS.exists():
        pytest.skip("needs the shared corpus beside the checkout")
    files = [path for path in CORPUS.rglob("*") if path.name.endswith((".json", ".json.gz"))]
    quick = [path for path in files if usual_report.read(path.read_bytes(), LIMIT, MAX_ROWS)]
    assert len(quick) > len(files) / 3


def test_gzip_with_a_name_is_usual() -> None:
    data = gzip.compress(PLAIN)
    named = data[:3] + b"\x08" + data[4:10] + b"report.json\0" + data[10:]
    assert usual_report.read(named, LIMIT, MAX_ROWS) is not None
