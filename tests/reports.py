"""Reports and report mails for tests: a usual one by default, everything changeable by name. Reserved example domains only.

``entry`` and ``detail`` are those of the golden pairs: ``entry(successful, failed, *details, policy_domain=...)``,
``detail(result_type, sessions, receiving_mx_hostname=...)``; a member given as ``...`` is left out, as None is null.
"""

import datetime as dt
import email.utils
import json
from collections.abc import Mapping
from typing import Any

from tests.goldens import HUMAN, detail, entry, multipart, packed, part
from tests.goldens import report as _report

__all__ = ["detail", "entry", "mail", "report_json"]

CAME = dt.datetime(2026, 3, 15, 10, 11, 12, tzinfo=dt.UTC)


def report_json(*entries: Any, day: str = "2026-03-14", **changes: Any) -> dict[str, Any]:
    """A report about ``day``; without ``entries`` it has one of type sts: 41 successful and 6 failed sessions, two causes."""
    usual = entry(41, 6, detail(sessions=4), detail("starttls-not-supported", 2))
    about_day = {
        "date_range": {"start-datetime": f"{day}T00:00:00Z", "end-datetime": f"{day}T23:59:59Z"},
        "report_id": f"{day}T00:00:00Z_receiver.example",
    }
    value: dict[str, Any] = _report(*(entries or [usual]), **(about_day | changes))
    return value


def mail(
    report: dict[str, Any] | bytes,
    *,
    sender: str = "tls-reports@sender.example",
    recipient: str = "tlsrpt@receiver.example",
    domain: str = "receiver.example",
    submitter: str = "sender.example",
    date: dt.datetime = CAME,
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """A multipart/report mail (RFC 8460 section 5.3) with the gzipped report attached; CRLF line ends.

    ``headers`` replace those of the same name, or are added; bytes are attached as they are, without compression.
    """
    attached = packed(json.dumps(report).encode()) if isinstance(report, dict) else report
    chosen = {
        "From": sender,
        "To": recipient,
        "Date": email.utils.format_datetime(date),
        "Message-ID": f"<{date:%Y%m%d%H%M%S}@{submitter}>",
        "Subject": f"Report Domain: {domain} Submitter: {submitter} Report-ID: <1@{submitter}>",
        "TLS-Report-Domain": domain,
        "TLS-Report-Submitter": submitter,
        "MIME-Version": "1.0",
    } | dict(headers or {})
    head = "".join(f"{name}: {value}\r\n" for name, value in chosen.items())
    name = f"{submitter}!{domain}!1773446400!1773532799!001.json.gz"
    return (head + multipart(HUMAN, part(attached, name=name))).encode()
