"""Builds the golden pairs in tests/data: an input as a real sender or gateway shapes it, and what must be read from it.

``python -m tests.goldens`` writes the inputs anew and prints which readings differ from the committed ``.expected.json``;
with ``--accept`` it writes those too, to be read by eye before they are committed. All names are reserved ones.
"""

import base64
import bz2
import gzip
import io
import json
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

from ingest import submissions
from ingest.spool import channels

DATA = Path(__file__).parent / "data"

DAY = {"start-datetime": "2026-03-14T00:00:00Z", "end-datetime": "2026-03-14T23:59:59Z"}
POLICY = [
    "version: STSv1",
    "mode: testing",
    "mx: mx1.receiver.example",
    "mx: *.backup.receiver.example",
    "max_age: 604800",
]


def report(*policies: Any, **changes: Any) -> dict[str, Any]:
    """A report with ``policies``; other members by name with ``_`` for ``-``; a member given as None is null, as ... left out."""
    value = {
        "organization-name": "Sender Inc.",
        "date-range": DAY,
        "contact-info": "tls@sender.example",
        "report-id": "2026-03-14T00:00:00Z_receiver.example",
        "policies": list(policies),
    } | {name.replace("_", "-"): change for name, change in changes.items()}
    return {name: member for name, member in value.items() if member is not ...}


def entry(successful: Any = 1, failed: Any = 0, *details: Any, policy: Any = None, **changes: Any) -> dict[str, Any]:
    """A policy entry of type sts about receiver.example; keyword arguments change its ``policy`` object."""
    described = {"policy-type": "sts", "policy-string": POLICY, "policy-domain": "receiver.example"}
    described |= {name.replace("_", "-"): change for name, change in changes.items()}
    value: dict[str, Any] = {
        "policy": policy or {name: member for name, member in described.items() if member is not ...},
        "summary": {"total-successful-session-count": successful, "total-failure-session-count": failed},
    }
    if details:
        value["failure-details"] = list(details)
    return value


def detail(result_type: Any = "certificate-expired", sessions: Any = 1, **changes: Any) -> dict[str, Any]:
    """A failure detail."""
    value = {
        "result-type": result_type,
        "sending-mta-ip": "192.0.2.1",
        "receiving-mx-hostname": "mx1.receiver.example",
        "receiving-ip": "198.51.100.1",
        "failed-session-count": sessions,
    } | {name.replace("_", "-"): change for name, change in changes.items()}
    return {name: member for name, member in value.items() if member is not ...}


def text(value: Any) -> bytes:
    """Compact JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def packed(data: bytes) -> bytes:
    """Gzip, the same bytes every time."""
    return gzip.compress(data, mtime=0)


def zipped(**members: bytes) -> bytes:
    """A zip archive of files named by keyword (``__`` stands for a dot)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name.replace("__", ".")), data)
    return buffer.getvalue()


def tarred(**members: bytes) -> bytes:
    """A tar archive of files; names are taken as they are."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, data in members.items():
            header = tarfile.TarInfo(name)
            header.size = len(data)
            archive.addfile(header, io.BytesIO(data))
    return buffer.getvalue()


NAME = "sender.example!receiver.example!1773446400!1773532799!001.json.gz"


def part(data: bytes, content_type: str = "application/tlsrpt+gzip", name: str = NAME) -> str:
    """A base64 part."""
    disposition = f'Content-Disposition: attachment; filename="{name}"\r\n' if name else ""
    body = base64.encodebytes(data).decode().replace("\n", "\r\n")
    return f"Content-Type: {content_type}\r\n{disposition}Content-Transfer-Encoding: base64\r\n\r\n{body}"


def multipart(*parts: str, kind: str = "report; report-type=tlsrpt", boundary: str = "b1", close: bool = True) -> str:
    """A multipart body with its Content-Type header; ``close=False`` leaves out the last boundary."""
    inner = "".join(f"--{boundary}\r\n{each}\r\n" for each in parts)
    end = f"--{boundary}--\r\n" if close else ""
    return f'Content-Type: multipart/{kind}; boundary="{boundary}"\r\n\r\n{inner}{end}'


HUMAN = "Content-Type: text/plain; charset=utf-8\r\n\r\nThis is an aggregate TLS report from sender.example\r\n"


def mail(body: str, *, domain: str = "receiver.example", submitter: str = "sender.example") -> bytes:
    """A whole mail around a body that begins with its Content-Type header."""
    marks = f"TLS-Report-Domain: {domain}\r\n" if domain else ""
    marks += f"TLS-Report-Submitter: {submitter}\r\n" if submitter else ""
    return (
        "From: tls-reports@sender.example\r\nTo: tlsrpt@receiver.example\r\n"
        "Date: Sun, 15 Mar 2026 10:11:12 +0000\r\nMessage-ID: <1@sender.example>\r\n"
        "Subject: Report Domain: receiver.example Submitter: sender.example Report-ID: <1@sender.example>\r\n"
        f"{marks}MIME-Version: 1.0\r\n{body}"
    ).encode()


def usual(value: Any, **changes: Any) -> bytes:
    """The usual report mail around a report."""
    return mail(multipart(HUMAN, part(packed(text(value)), **changes)))


GOOD = report(entry(41, 6, detail(sessions=4), detail("starttls-not-supported", 2)))
SPLIT = text(GOOD)
TLSA = '["3 1 1 AB0CDE", "2 0 1 FF"]'

INPUTS: dict[str, bytes] = {
    # Google
    "google-usual.eml": usual(
        report(entry(3, policy_string=[line + "\r" for line in POLICY], mx_host=["mx1.receiver.example"]))
    ),
    "google-empty-ip.json": text(report(entry(0, 2, detail("validation-failure", 2, sending_mta_ip="")))),
    "google-no-marks.eml": mail(multipart(HUMAN, part(packed(SPLIT))), domain="", submitter=""),
    # Microsoft
    "microsoft-no-zone.eml": usual(
        report(entry(2), date_range={"start-datetime": "2026-03-14T00:00:00", "end-datetime": "2026-03-14T23:59:59"})
    ),
    "microsoft-tlsa-and-sts.json.gz": packed(
        text(
            report(
                entry(7), entry(7, policy_type="tlsa", policy_string=[TLSA]), organization_name="Microsoft Corporation"
            )
        )
    ),
    "microsoft-fetch-error.json": text(
        report(
            entry(
                0,
                3,
                detail("sts-policy-fetch-error", 3, sending_mta_ip=..., receiving_mx_hostname=..., receiving_ip=...),
                policy_string=...,
            ),
            report_id="133944884956529435+",
        )
    ),
    # Mail.ru: details are not exclusive
    "mailru-overlap.json": text(
        report(entry(0, 1, detail("sts-policy-fetch-error"), detail("certificate-expired"), policy_string=...))
    ),
    # Postfix with tlsrpt-reporter
    "postfix-no-policy.eml": mail(
        multipart(
            HUMAN,
            part(
                packed(
                    text(
                        report(
                            entry(
                                5,
                                1,
                                detail(
                                    "starttls-not-supported", receiving_mx_helo="mx1.receiver.example\nPIPELINING\nSIZE"
                                ),
                                policy={"policy-type": "no-policy-found"},
                            )
                        )
                    )
                ),
                name="",
            ),
        ),
        domain="Receiver.Example.",
    ),
    # Stalwart
    "stalwart-nulls.json": text(
        report(
            entry(12, 3, detail(sessions=3, sending_mta_ip=None, receiving_mx_helo=None, failure_reason_code=None)),
            contact_info=None,
            date_range={"start-datetime": "2026-03-14T10:17:42Z", "end-datetime": "2026-03-15T10:17:42Z"},
        )
    ),
    # SocketLabs
    "socketlabs-own-names.json": text(
        report(
            entry(
                0,
                2,
                detail(
                    "certificate-host-mismatch",
                    2,
                    receiving_mx_hostname=...,
                    receiving_mx_host_name="MX1.receiver.example.",
                ),
            ),
            date_range={"start-datetime": "2026-03-14T00:10:00Z", "end-datetime": "2026-03-14T00:00:00Z"},
        )
    ),
    # Halon spells the header in its own way; names of the RFC's text used as they stand
    "placeholder-names.json": text(
        report(
            entry(
                1, 1, detail(additional_info_uri="https://sender.example/1"), mx_host_pattern=["mx1.receiver.example"]
            )
        )
    ),
    "rfc-string-mx-host.json": text(report(entry(1, mx_host="*.receiver.example"))),
    "counts-as-text.json": text(report(entry("42", "7", detail(sessions="5"), detail("new-kind-of-failure", 2.0)))),
    "counts-absurd.json": text(report(entry(2**53, -1, detail(sessions=True)), entry(2**53 - 1, None))),
    "no-counts.json": text(report({"policy": {"policy-type": "sts", "policy-domain": "receiver.example"}})),
    "unknown-words.json": text(
        report(
            entry(1, 0, policy_type="STS"),
            entry(2, 0, policy_type="bimi"),
            entry(3, 0, policy_type=...),
            vendor={"a": [1, None]},
        )
    ),
    "details-null.json": text(report(entry(1) | {"failure-details": None})),
    "policies-null.json": text(report(policies=None)),
    "policies-empty.json": text(report()),
    "policies-one-object.json": text(report(policies=entry(4))),
    "entries-bad-among-good.json": text(
        report(
            entry(1),
            None,
            "nonsense",
            entry(2, 1, 7, detail(), None),
            {"policy": 5, "summary": []},
            entry(3) | {"failure-details": "?"},
        )
    ),
    "names-idn-case-dots.json": text(
        report(
            entry(1, policy_domain="Straße.Receiver.EXAMPLE."),
            entry(2, policy_domain="xn--strae-oqa.receiver.example"),
            entry(3, 1, detail(receiving_mx_hostname="MX1.Receiver.Example."), policy_domain=" receiver.example "),
            entry(4, policy_domain="x" * 300),
            entry(5, policy_domain="two words.example"),
        )
    ),
    "addresses-ipv6.json": text(
        report(
            entry(
                0,
                4,
                detail(sending_mta_ip="2001:DB8:0:0:0:0:0:1", receiving_ip="[IPv6:2001:db8::2]"),
                detail(sending_mta_ip="::ffff:192.0.2.9", receiving_ip="[192.0.2.7]"),
                detail(sending_mta_ip="x.x.x.x", receiving_ip="fe80::1%eth0"),
                detail(sending_mta_ip="mail.sender.example", receiving_ip=7),
            )
        )
    ),
    "several-domains.json": text(
        report(
            entry(1),
            entry(2, policy_domain="second.example"),
            entry(0, 3, detail(sessions=3), policy_domain="second.example"),
        )
    ),
    "dates-odd.json": text(
        report(
            entry(1),
            date_range={
                "start-datetime": "2026-03-14t00:00:00.123456789+02:00",
                "end-datetime": "2026-03-14 23:59:59z",
            },
        )
    ),
    "sender.example!receiver.example!1773446400!1773532799.json": text(
        report(entry(1, policy_domain=...), date_range=None)
    ),
    "nul-and-surrogates.json": rb'{"organization-name":"a\u0000b","report-id":"\ud800x","date-range":'
    + text(DAY)
    + rb',"policies":[],"contact-info":"\ud83d\ude00"}',
    # Encodings and wrappings of the document
    "bom-utf8.json": b"\xef\xbb\xbf" + SPLIT,
    "bom-utf16.json": b"\xff\xfe" + SPLIT.decode().encode("utf-16-le"),
    "latin1.json": text(report(entry(1), organization_name="Größe GmbH")).decode().encode("latin-1"),
    "json-in-a-string.json": text(SPLIT.decode()),
    "list-of-reports.json": text([GOOD, report(entry(9), report_id="second")]),
    "two-documents.json": SPLIT + b"\n" + text(report(entry(9), report_id="second")),
    "junk-after.json": SPLIT + b"\n-- \nscanned by a gateway\n",
    "gzip-two-members.json.gz": packed(SPLIT[:100]) + packed(SPLIT[100:]),
    "gzip-trailing-bytes.json.gz": packed(SPLIT) + b"trailing",
    "gzip-padded.json.gz": packed(SPLIT) + b"\0" * 512,
    "gzip-twice.json.gz": packed(packed(SPLIT)),
    "gzip-is-plain.json.gz": SPLIT,
    "plain-is-gzip.json": packed(SPLIT),
    # Wrappings of the mail
    "labelled-gzip-is-plain.eml": mail(multipart(HUMAN, part(SPLIT))),
    "labelled-json-is-gzip.eml": mail(multipart(HUMAN, part(packed(SPLIT), "application/tlsrpt+json"))),
    "octet-stream.eml": mail(multipart(HUMAN, part(packed(SPLIT), "application/octet-stream"), kind="mixed")),
    "pdf-by-mistake.eml": mail(multipart(HUMAN, part(SPLIT, "application/pdf", "report.pdf"), kind="mixed")),
    "zip-attached.eml": mail(
        multipart(HUMAN, part(zipped(readme__txt=b"hello", report__json=SPLIT), "application/zip", "r.zip"))
    ),
    "single-part.eml": mail(part(packed(SPLIT))),
    "plain-8bit.eml": mail(
        "Content-Type: application/tlsrpt+json\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + SPLIT.decode()
    ),
    "no-closing-boundary.eml": mail(multipart(HUMAN, part(packed(SPLIT)), close=False)),
    "line-feeds-only.eml": mail(multipart(HUMAN, part(packed(SPLIT)))).replace(b"\r\n", b"\n"),
    "nested.eml": mail(
        multipart(multipart(HUMAN, multipart(part(packed(SPLIT)), boundary="b3"), boundary="b2"), kind="mixed")
    ),
    "forwarded.eml": mail(
        multipart(
            HUMAN,
            "Content-Type: message/rfc822\r\n\r\n"
            + mail(multipart(part(packed(text(report(entry(1, policy_domain=...))))), boundary="b2")).decode(),
            kind="mixed",
        ),
        domain="",
        submitter="",
    ),
    "two-reports.eml": mail(
        multipart(HUMAN, part(packed(SPLIT)), part(packed(text(report(entry(9), report_id="second")))), kind="mixed")
    ),
    "one-good-one-broken.eml": mail(multipart(HUMAN, part(b"\x1f\x8bbroken"), part(packed(SPLIT)), kind="mixed")),
    # More forms are in tests/forms.py; these are what real senders and mail programs make.
    "forwarded-base64.eml": mail(
        multipart(
            HUMAN,
            "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n"
            + base64.encodebytes(mail(multipart(part(packed(SPLIT)), boundary="b2"))).decode().replace("\n", "\r\n"),
            kind="mixed",
        ),
        domain="",
        submitter="",
    ),
    "zip-of-a-mail.eml": mail(
        multipart(HUMAN, part(zipped(report__eml=mail(part(packed(SPLIT)))), "application/zip", "r.zip"), kind="mixed"),
        domain="",
        submitter="",
    ),
    "base64-labelled-7bit.eml": mail(multipart(HUMAN, part(packed(SPLIT)))).replace(
        b"Encoding: base64", b"Encoding: 7bit"
    ),
    "no-boundary.eml": mail(multipart(HUMAN, part(packed(SPLIT)))).replace(b'; boundary="b1"', b""),
    "mark-before-header.eml": b"\xef\xbb\xbf" + mail(multipart(HUMAN, part(packed(SPLIT)))),
    "tlsrpt-reporter-encoded-words.eml": mail(
        multipart(HUMAN, part(packed(text(report(entry(2, policy={"policy-type": "no-policy-found"})))), name="")),
        domain="=?utf-8?q?b=C3=BCcher=2Eexample?=",
    ),
    "utf16-no-mark.json": SPLIT.decode().encode("utf-16-le"),
    "bzip2.json.bz2": bz2.compress(SPLIT),
    "flat-policies.json": text(
        report(
            entry(50)["policy"] | {"summary": entry(50, 3)["summary"], "failure-details": [detail(sessions=3)]},
            {"policy-type": "no-policy-found", "policy-domain": "second.example"} | entry(20, 1)["summary"],
        )
    ),
    # No report at all
    "none-winmail.eml": mail(
        multipart(HUMAN, part(b"\x78\x9f\x3e\x22\x01\0", "application/ms-tnef", "winmail.dat"), kind="mixed")
    ),
    "none-outlook.msg": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504),
    "none-human-only.eml": mail(
        multipart(HUMAN, "Content-Type: text/html\r\n\r\n<p>Hello</p>\r\n", kind="alternative")
    ),
    "none-dmarc.eml": usual({}, content_type="application/gzip").replace(b"TLS", b"DMARC"),
    "none-xml.json.gz": packed(b'<?xml version="1.0"?><feedback/>'),
    "none-empty.json": b"",
    "none-number.json": b"42",
    "none-truncated.json.gz": packed(SPLIT)[:150],
    "none-no-dates.json": text(report(entry(1), date_range={"start-datetime": "yesterday"})),
    "none-year-9999.json": text(report(entry(1), date_range={"start-datetime": "9999-12-31T23:59:59-23:00"})),
    "none-nested-deep.json": b'{"policies":' + b"[" * 20000,
    "none-gzip-four-times.json.gz": packed(packed(packed(packed(SPLIT)))),
}


def reading_of(path: Path) -> Any:
    """What intake reads from a golden input, as plain JSON values."""
    import datetime as dt

    import msgspec

    from ingest import intake
    from ingest.settings import settings
    from ingest.spool import trace

    data = path.read_bytes()
    arrival = trace.Arrival(channels.LOAD, dt.datetime(2026, 3, 16, tzinfo=dt.UTC), trace.digest(data))
    chosen = settings.load()
    if path.suffix == ".eml":
        decoded = intake.decode_mail(data, arrival, chosen)
    else:
        decoded = intake.decode_file(data, path.name, arrival, chosen)
    if isinstance(decoded, submissions.Quarantined):
        return {"quarantine": decoded.explanation}
    reports = [json.loads(msgspec.json.encode(read)) for read, _ in decoded.reports]
    for golden in reports:
        del golden["domain_without_header"]
        for each in golden["entries"]:
            if not each["domain_source"]:  # the entry names its domain itself
                del each["domain_source"]
    return {"submitter": decoded.submitter, "author": decoded.author, "unread": decoded.unread, "reports": reports}


def inputs() -> list[Path]:
    """The golden inputs in the folder."""
    return sorted(path for path in DATA.iterdir() if not path.name.endswith(".expected.json"))


def expected_of(path: Path) -> Path:
    """Where the reading of an input is written down."""
    return path.with_name(path.name + ".expected.json")


def main() -> None:
    """Write the inputs; compare or accept the readings."""
    DATA.mkdir(exist_ok=True)
    for name, data in INPUTS.items():
        (DATA / name).write_bytes(data)
    for path in inputs():
        reading = json.dumps(reading_of(path), indent=1, ensure_ascii=False) + "\n"
        known = expected_of(path)
        if not known.exists() or known.read_text() != reading:
            sys.stdout.write(f"{path.name} differs\n")
            if "--accept" in sys.argv:
                known.write_text(reading)


if __name__ == "__main__":
    main()
