"""A small world of reports with known figures: what the pages must show is computed here from the reports as sent."""

import dataclasses
import datetime as dt
import json
import random
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from ingest.settings.settings import Settings
from ingest.testimony.trust import IMPORTED, UNAUTHENTICATED, UNVERIFIED, VERIFIED
from tests import stored
from tests.reports import detail, entry, report_json

# Text that would take effect if a page read it as HTML, Markdown, LaTeX, an icon or a direction override.
HOSTILE = [
    "<img src=x onerror=\"document.title='owned'\">",
    "<script>document.title='owned'</script>",
    "[click](https://attacker.example/)",
    "![](https://attacker.example/pixel.png)",
    ":red[danger] :material/delete: :smile: :streamlit:",
    "$\\frac{1}{2}$ and $$x^2$$",
    "**bold** _em_ `code` ~~gone~~",
    "https://attacker.example/login www.attacker.example a@attacker.example",
    "\u202egnp.exe\u202c \u2066x\u2069 zero\u200bwidth",
    "# heading\n- list\n> quote",
    "=cmd|' /C calc'!A0",
    "<a href='javascript:alert(1)'>x</a>",
    "``` fence",
]
TESTING = ["version: STSv1", "mode: testing", "mx: mx1.receiver.example", "mx: mx2.receiver.example", "max_age: 604800"]
ENFORCE = ["version: STSv1", "mode: enforce", "mx: mx.second.example", "max_age: 1209600"]


WELL_KNOWN = {"google.example": "google.com", "microsoft.example": "microsoft.com"}


@dataclasses.dataclass(frozen=True)
class Sent:
    """A report as it was sent, and how it came."""

    report: dict[str, Any]
    trust: str
    received_at: dt.datetime
    bare: bool = False  # a file without a mail around it
    contradicted: bool = False  # by another one with more sessions, which counts

    @property
    def signer(self) -> str:
        """Two well-known reporters, whatever they call themselves here, and one service that signs for all others."""
        return WELL_KNOWN.get(self.report["organization-name"], "sender.example")

    @property
    def day(self) -> dt.date:
        return dt.date.fromisoformat(self.report["date-range"]["start-datetime"][:10])


def sent(day: dt.date, organization: str, trust: str, *entries: Any, **changes: Any) -> Sent:
    """A report about ``day``, which came at ten o'clock the next day."""
    received_at = dt.datetime.combine(day, dt.time(10), dt.UTC) + dt.timedelta(days=1)
    members = {"organization_name": organization, "report_id": f"{day}_{organization}"} | changes
    return Sent(report_json(*entries, day=str(day), **members), trust, received_at)


def world(today: dt.date) -> list[Sent]:
    """Thirty days of reports about a few domains, the same every time but for the dates. Nothing is about the edges."""
    return [*_main_domain(today), *_other_domains(today), *_odd_ones(today), *_hostile_ones(today)]


def _main_domain(today: dt.date) -> Iterator[Sent]:
    chance = random.Random(8460)
    for ago in range(2, 31):
        day = today - dt.timedelta(days=ago)
        count = chance.randrange(300, 800)
        details = []
        if 5 <= ago <= 8:
            details = [
                detail(sessions=7),
                detail("certificate-host-mismatch", 2, receiving_mx_hostname="mx2.receiver.example"),
            ]
        if ago == 12:
            details = [detail("sts-policy-fetch-error", 3, receiving_mx_hostname=...)]
        failed = sum(d["failed-session-count"] for d in details)
        yield sent(day, "google.example", VERIFIED, entry(count, failed, *details, policy_string=TESTING))
        if ago % 2 == 0:
            pair = [entry(40 + ago, 1, detail("starttls-not-supported", 1), policy_string=TESTING)]
            pair.append(
                entry(40 + ago, 1, detail("tlsa-invalid", 1), policy_type="tlsa", policy_string=["3 1 1 AB0CDE"])
            )
            yield sent(day, "microsoft.example", VERIFIED, *pair)
        if ago % 5 == 0:
            # Failures that no detail explains.
            yield sent(day, "mail.example", IMPORTED, entry(11, 2, policy_string=TESTING))
        if ago % 6 == 0:
            yield sent(day, "forger.example", UNVERIFIED, entry(0, 5000, detail("certificate-expired", 5000)))


def _other_domains(today: dt.date) -> Iterator[Sent]:
    for ago in range(3, 10):
        day = today - dt.timedelta(days=ago)
        second = entry(90, 4, detail("certificate-not-trusted", 4, receiving_mx_hostname="mx.second.example"))
        second["policy"] |= {"policy-domain": "second.example", "policy-string": ENFORCE}
        yield sent(day, "google.example", VERIFIED, second, report_id=f"{day}_second")
        plain = entry(
            20 + ago, 0, policy_type="no-policy-found", policy_string=..., policy_domain="xn--bcher-kva.example"
        )
        yield sent(day, "google.example", VERIFIED, plain, report_id=f"{day}_books")
    for number in range(9):
        day = today - dt.timedelta(days=4 + number % 3)
        yield sent(
            day,
            "google.example",
            VERIFIED,
            entry(5 + number, 0, policy_domain=f"customer{number}.example", policy_string=TESTING),
            report_id=f"{day}_customer{number}",
        )
    old = today - dt.timedelta(days=200)
    yield sent(old, "stalwart.example", VERIFIED, entry(8, 0, policy_domain="quiet.example", policy_string=TESTING))


def _odd_ones(today: dt.date) -> Iterator[Sent]:
    day = today - dt.timedelta(days=6)
    # Two that contradict each other: the same id, other figures.
    for failed in (0, 3):
        details = [detail("validation-failure", failed, failure_reason_code="MX_HOSTS_MISMATCH")] if failed else []
        twice = sent(
            day, "twice.example", VERIFIED, entry(9, failed, *details, policy_string=TESTING), report_id="twice"
        )
        yield dataclasses.replace(twice, contradicted=not failed)
    # No domain named at all, and no mail around it that could name one.
    nameless = entry(3, 0, policy_type="no-policy-found", policy_string=..., policy_domain=...)
    yield dataclasses.replace(sent(day, "postfix.example", IMPORTED, nameless, report_id="nameless"), bare=True)
    yield sent(
        day, "upload.example", UNAUTHENTICATED, entry(2, 1, detail("brand-new-failure", 1), policy_string=TESTING)
    )
    week = {"start-datetime": f"{day}T00:00:00Z", "end-datetime": f"{day + dt.timedelta(days=3)}T00:00:00Z"}
    yield sent(
        day, "weekly.example", VERIFIED, entry(50, 0, policy_string=TESTING), date_range=week, report_id="weekly"
    )


def _hostile_ones(today: dt.date) -> Iterator[Sent]:
    day = today - dt.timedelta(days=7)
    for number, text in enumerate(HOSTILE):
        worst = detail(text, 1, receiving_mx_helo=text, failure_reason_code=text, additional_information=text)
        worst |= {"receiving-mx-hostname": text, "sending-mta-ip": text, text: text}
        yield sent(
            day,
            text,
            VERIFIED,
            entry(1, 1, worst, policy_domain="hostile.example", policy_string=[text, "mode: " + text], mx_host=[text]),
            report_id=f"{number} {text}",
            contact_info=text,
        )
    # What a domain name may look like: printable, without blanks.
    yield sent(
        day, "google.example", VERIFIED, entry(2, 0, policy_domain=":red[x].[a](//b.example)<b>", policy_string=TESTING)
    )


def fill(engine: sa.Engine, settings: Settings, today: dt.date) -> list[Sent]:
    """Store the world, and a few messages that cannot be read; return what was sent."""
    everything = world(today)
    stored.store_reports(
        engine,
        [
            stored.submission(
                sending.report, settings, trust=sending.trust, arrived_at=sending.received_at, signer=sending.signer
            )
            for sending in everything
            if not sending.bare
        ],
    )
    for sending in everything:
        if sending.bare:
            stored.store_file(engine, sending.report, settings)
    stored.store_file(engine, b"<?xml version='1.0'?><feedback/>", settings, name="dmarc.xml")
    stored.store_file(
        engine,
        b"From: <b>x</b>\r\nSubject: :red[hello] <script>1</script>\r\n\r\nno report\r\n",
        settings,
        name="x.eml",
    )
    stored.store_file(engine, json.dumps({"policies": []}).encode(), settings, name="<img src=x>.json")
    return everything


def sums(
    everything: list[Sent],
    trusts: tuple[str, ...],
    policy_type: str = "sts",
    domain: str = "",
    days: int = 14,
    *,
    today: dt.date,
) -> tuple[int, int]:
    """Successful and failed sessions of some reports, from the reports as sent."""
    successful = failed = 0
    for sending in everything:
        if (
            sending.contradicted
            or sending.trust not in trusts
            or not today - dt.timedelta(days=days) <= sending.day <= today
        ):
            continue
        for member in sending.report["policies"]:
            if member["policy"]["policy-type"] == policy_type and domain in ("", member["policy"].get("policy-domain")):
                successful += member["summary"]["total-successful-session-count"]
                failed += member["summary"]["total-failure-session-count"]
    return successful, failed
