"""Brings payloads through the real doors: into every text field of reports, every header of mails, into file names.

A payload that cannot be written in one place (a line break in a header) is written there as closely as the place allows.
"""

import base64
import contextlib
import datetime as dt
import itertools
import json
import re
import smtplib
import socket
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from ingest.rfc import names
from tests.goldens import detail, entry, packed, report
from tests.nameserver import NameServer
from tests.payloads import Payload
from tests.system.test_end_to_end import Installation

# A loopback address of its own: wherever it is found whole, a peer's address was written down.
PEER = "127.0.77.9"
TO = "tlsrpt@receiver.example"
# One report holds so many, so that a page shows so many.
TOGETHER = 60
# The doors send away who makes twenty mistakes, or greets too often.
_A_CONNECTION = 12


class Batch(NamedTuple):
    """Some payloads, the policy domain they are put under, and their two large reports: as entries, as details."""

    domain: str
    payloads: tuple[Payload, ...]
    reports: tuple[dict[str, Any], dict[str, Any]]


def batches(payloads: Iterable[Payload], day: dt.date) -> list[Batch]:
    """The payloads, TOGETHER for each policy domain."""
    batched = []
    waiting = iter(payloads)
    for number in itertools.count():
        group = tuple(itertools.islice(waiting, TOGETHER))
        if not group:
            return batched
        domain = f"d{number}.example"
        batched.append(Batch(domain, group, (_as_entries(domain, group, day), _as_details(domain, group, day))))
    raise AssertionError


def _report(day: dt.date, *entries: Any, **changes: Any) -> dict[str, Any]:
    days = {"start-datetime": f"{day}T00:00:00Z", "end-datetime": f"{day}T23:59:59Z"}
    return report(*entries, date_range=days, **changes)


def _as_entries(domain: str, payloads: Sequence[Payload], day: dt.date) -> dict[str, Any]:
    """Each payload as a policy: its type, text, mode, MX hosts and other members. The first is a name of the mode, too."""
    every = []
    for payload in payloads:
        text = payload.text
        member = entry(1, 1, policy_type=text, policy_domain=domain, policy_string=[text, f"mode: {text}"])
        member["policy"] |= {"mx-host": [text], text: text}
        every.append(member | {text: {text: [text]}})
    every.append(entry(1, 1, policy_domain=domain, policy_string=["version: STSv1", f"mode: {payloads[0].text}"]))
    return _report(day, *every, organization_name=f"entries of {domain}", report_id=payloads[-1].text)


def _as_details(domain: str, payloads: Sequence[Payload], day: dt.date) -> dict[str, Any]:
    """Each payload as a failure detail: every field of it."""
    details = [all_over(payload.text) for payload in payloads]
    return _report(
        day,
        entry(1, len(details), *details, policy_domain=domain),
        organization_name=f"details of {domain}",
        contact_info=payloads[0].text,
    )


def all_over(text: str) -> dict[str, Any]:
    """A failure detail with ``text`` in every field, and one more."""
    fields = ("sending_mta_ip", "receiving_mx_hostname", "receiving_mx_helo", "receiving_ip", "failure_reason_code")
    return detail(text, 1, **dict.fromkeys((*fields, "additional_information"), text)) | {text: text}


def single(payload: Payload, day: dt.date) -> dict[str, Any]:
    """A report of its own, named by the payload; about a domain of that name, where it can be one."""
    text = payload.text
    return _report(
        day,
        entry(2, 1, all_over(text), policy_domain=domain_of(payload)),
        organization_name=text,
        report_id=text,
        contact_info=text,
        **{text: text},
    )


def domain_of(payload: Payload) -> str:
    """The policy domain that the payload's own report is stored under."""
    try:
        return names.domain_name(payload.text.replace("\0", "\ufffd")) or "d0.example"
    except (ValueError, UnicodeError):
        return "d0.example"


def as_json(value: object) -> bytes:
    """JSON as a sender may write it: everything beyond ASCII as escapes, lone surrogates too."""
    return json.dumps(value).encode("ascii")


def _header(text: str) -> bytes:
    """A text as a header's value: raw UTF-8, lines folded, so that nothing in it ends the header."""
    return re.sub(rb"\r\n|\r|\n", b"\r\n ", text.encode("utf-8", "surrogatepass"))


def report_mail(payload: Payload, value: dict[str, Any]) -> bytes:
    """A report mail whose headers, file name and signature hold the payload."""
    text = _header(payload.text)
    word = re.sub(rb"[\s;]", b"_", payload.text.encode("utf-8", "surrogatepass"))[:200]
    signature = b"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=%s; s=%s; h=From; bh=x; b=%s\r\n"
    return (
        signature % (word, word, word)
        + b'From: "%s" <%s>\r\nTo: <tlsrpt@receiver.example>\r\nSubject: %s\r\n' % (text, word, text)
        + b"Date: Sun, 15 Mar 2026 10:11:12 +0000\r\nMessage-ID: <%s>\r\n" % word
        + b"TLS-Report-Domain: %s\r\nTLS-Report-Submitter: %s\r\n" % (text, text)
        + _attachment(payload.text, "application/tlsrpt+gzip", packed(as_json(value)))
    )


def unreadable_mail(payload: Payload) -> bytes:
    """A mail that claims to hold a report and holds the payload: it ends in quarantine, which tells the file's name."""
    text = _header(payload.text)
    return b'From: "%s" <a@sender.example>\r\nSubject: %s\r\n' % (text, text) + _attachment(
        payload.text, "application/tlsrpt+json", b"no report: " + payload.text.encode("utf-8", "surrogatepass")
    )


def _attachment(name: str, content_type: str, data: bytes) -> bytes:
    encoded = quote(name[:300], safe="", errors="surrogatepass")
    disposition = f"Content-Disposition: attachment; filename*=utf-8''{encoded}\r\n"
    return (
        f"MIME-Version: 1.0\r\nContent-Type: {content_type}\r\n{disposition}"
        f"Content-Transfer-Encoding: base64\r\n\r\n{base64.encodebytes(data).decode()}"
    ).encode()


def by_smtp(address: tuple[str, int], payloads: Sequence[Payload], day: dt.date, batched: Sequence[Batch]) -> int:
    """Send everything by mail: the batches' reports, and for each payload a report and an unreadable mail of its own.

    The payload is also said in EHLO, MAIL and RCPT. Returns the number of mails that were accepted.
    """
    accepted = 0
    for group in _in_groups(payloads):
        with smtplib.SMTP(*address, timeout=60, source_address=(PEER, 0)) as client:
            client.ehlo("client.example")
            for payload in group:
                word = _word(payload.text)
                for command in (f"EHLO {word}", f"MAIL FROM:<{word}>", "RSET"):
                    client.docmd(command) if payload is group[0] else None
                client.mail("a@sender.example")
                client.rcpt(f"{word}@elsewhere.example")
                client.rset()
                client.sendmail("a@sender.example", [TO], report_mail(payload, single(payload, day)))
                client.sendmail("a@sender.example", [TO], unreadable_mail(payload))
                accepted += 2
    for batch in batched:
        with smtplib.SMTP(*address, timeout=60, source_address=(PEER, 0)) as client:
            for value in batch.reports:
                client.sendmail("a@sender.example", [TO], report_mail(Payload("", "plain", ""), value))
                accepted += 1
    return accepted


def _in_groups(payloads: Sequence[Payload]) -> Iterator[Sequence[Payload]]:
    for start in range(0, len(payloads), _A_CONNECTION):
        yield payloads[start : start + _A_CONNECTION]


def _word(text: str) -> str:
    """A text as one word of an SMTP command: smtplib sends ASCII, and a line is a line."""
    return re.sub(r"[\r\n]+", " ", text).encode("ascii", "backslashreplace").decode()[:200]


def by_http(address: tuple[str, int], payloads: Sequence[Payload], day: dt.date) -> list[bytes]:
    """Upload for each payload a report and something that is none, the payload in the file's name; the answers."""
    answers = []
    for payload in payloads:
        name = re.sub(rb"[\r\n\0]+", b" ", payload.text.encode("utf-8", "surrogatepass"))[:300]
        answers.append(_post(address, name, as_json(single(payload, day))))
        answers.append(_post(address, name, as_json({"no report": payload.text})))
        answers.append(_post(address, name, payload.text.encode("utf-8", "surrogatepass"), path=_path(payload.text)))
    return answers


def _path(text: str) -> bytes:
    return b"/v1/" + quote(text[:100], errors="replace").encode()


def _post(address: tuple[str, int], name: bytes, body: bytes, path: bytes = b"/v1/tlsrpt") -> bytes:
    """By hand: no client library writes such headers."""
    head = (
        b"POST %s HTTP/1.1\r\nHost: receiver.example\r\nUser-Agent: %s\r\nContent-Type: application/tlsrpt+json\r\n"
        b'Content-Disposition: attachment; filename="%s"\r\nContent-Length: %d\r\nConnection: close\r\n\r\n'
    ) % (path, name, name, len(body))
    with socket.create_connection(address, timeout=60, source_address=(PEER, 0)) as connection:
        answer = b""
        with contextlib.suppress(ConnectionError):  # a refusal may come before the body is taken
            connection.sendall(head + body)
        with contextlib.suppress(ConnectionError):
            while piece := connection.recv(65536):
                answer += piece
    return answer


class Delivered(NamedTuple):
    """What was sent and where it is now; ``answers`` are those of the HTTP door, ``log`` that of both doors."""

    installation: Installation
    payloads: Sequence[Payload]
    batches: Sequence[Batch]
    answers: Sequence[bytes]
    log: str

    @property
    def url(self) -> str:
        """The database."""
        return self.installation.url


def deliver(folder: Path, payloads: Sequence[Payload], together: Iterable[Payload]) -> Delivered:
    """Run the doors and the worker as an operator does, and send each of ``payloads`` alone, and those of ``together``."""
    day = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=2)
    batched = batches(together, day)
    with NameServer({}) as server:
        installation = Installation(folder, f"sqlite:///{folder}/var/starttally.db", str(server.address))
        installation.environment["STARTTALLY_RECIPIENTS"] = TO
        installation.run("db", "upgrade")
        with installation.running("receive"):
            installation.wait_for_smtp()
            accepted = by_smtp(installation.smtp, payloads, day, batched)
            answers = by_http(installation.http, payloads, day)
        accepted += sum(answer.startswith(b"HTTP/1.1 201") for answer in answers)
        printed = installation.run("work", "--once", expect=1)
    counts = dict(word.split("=") for word in printed.split())
    assert sum(map(int, counts.values())) == accepted, printed
    return Delivered(installation, payloads, batched, answers, (folder / "receive.log").read_text())
