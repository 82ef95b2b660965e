"""One world for each verdict, as signed mails of real senders' habits, for a test that sends them through the SMTP door.

Every world is a domain of its own, about which senders report every day of the last weeks. ``mails`` writes them as of today, so
what a world shows it shows today. Faults lie so that the verdicts are the same when midnight passes between sending and asking.
"""

import datetime as dt
import email.utils
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from dashboard.decision.verdict import (
    ENFORCING,
    ENFORCING_REFUSING,
    INSUFFICIENT,
    NO_POLICY,
    NOT_READY,
    POLICY_BROKEN,
    READY,
    WITHDRAWN,
)
from tests import reports, signing
from tests.nameserver import Records, txt

# Reports about the days from so many days ago until yesterday.
DAYS = 20
_WINDOW = 14

MX = ("mx1.receiver.example", "mx2.receiver.example")
TESTING = ("version: STSv1", "mode: testing", *(f"mx: {host}" for host in MX), "max_age: 604800")
ENFORCE = ("version: STSv1", "mode: enforce", *(f"mx: {host}" for host in MX), "max_age: 604800")
NONE = ("version: STSv1", "mode: none", "max_age: 86400")


class Sender(msgspec.Struct, frozen=True):
    """Who reports: ``sessions`` every day, signed by the domain of ``address`` with key ``number``; 0 does not sign.

    Reports are about the days from ``began`` days ago on, and come ``reports_after`` days.
    """

    organization: str
    address: str
    number: int
    sessions: int
    reports_after: int = 1
    began: int = DAYS

    @property
    def domain(self) -> str:
        return self.address.partition("@")[2]


GOOGLE = Sender("Google Inc.", "noreply-smtp-tls-reporting@google.com", 1, 20)
MICROSOFT = Sender("Microsoft Corporation", "tlsrpt-noreply@microsoft.com", 2, 15, reports_after=2)
MAILRU = Sender("Mail.ru", "tls-rpt-noreply@mail.ru", 3, 5)
# With a domain and a key of its own; anybody can have these.
STRANGER = Sender("Stranger Ltd.", "reports@stranger.example", 4, 50, began=3)
SECOND = Sender("Second Voice Ltd.", "tlsrpt@second.example", 5, 4_000, began=14)
FORGER = Sender("Microsoft Corporation", "tlsrpt-noreply@microsoft.com", 0, 3_000)
PROVEN = _WINDOW * (GOOGLE.sessions + MICROSOFT.sessions)  # Mail.ru quotes no policy, so its sessions prove nothing
_SINCE_SWITCH = 10 * (GOOGLE.sessions + MICROSOFT.sessions)  # twelve days ago, without the newest two


class Trouble(msgspec.Struct, frozen=True):
    """Failed sessions of one sender on one day; without a ``host``, a policy that could not be fetched."""

    days_ago: int
    sender: Sender
    result_type: str
    sessions: int
    host: str = ""


class World(msgspec.Struct, frozen=True):
    """A domain, what happens to it, and what must be said about it today: the verdict, ``sessions`` that count, ``refused`` ones.

    ``policies`` are (days ago, lines) from the oldest to the newest; None: there is no policy. ``grows``: sessions that the next
    complete day adds, where figures begin with the switch.
    """

    domain: str
    verdict: str
    story: str
    policies: tuple[tuple[int, tuple[str, ...] | None], ...] = ((DAYS, TESTING),)
    senders: tuple[Sender, ...] = (GOOGLE, MICROSOFT, MAILRU)
    troubles: tuple[Trouble, ...] = ()
    sessions: int = PROVEN
    refused: int = 0
    grows: int = 0

    def policy(self, days_ago: int) -> tuple[str, ...] | None:
        """The lines that were published on that day."""
        return [lines for since, lines in self.policies if since >= days_ago][-1]


WORLDS = (
    World("no-policy.example", NO_POLICY, "TLSRPT, but no MTA-STS policy.", ((DAYS, None),), sessions=0),
    World(
        "policy-broken.example",
        POLICY_BROKEN,
        "In testing; on three days of the last week Microsoft could not fetch the policy for 4 sessions.",
        troubles=tuple(Trouble(ago, MICROSOFT, "sts-policy-fetch-error", 4) for ago in (6, 5, 4)),
        sessions=PROVEN - 12,
    ),
    World(
        "insufficient-evidence.example",
        INSUFFICIENT,
        "In testing and clean, but only Google's reports prove anything. Somebody sends unsigned mail in Microsoft's name, 3,000 "
        "clean sessions a day, and a stranger signs 4,000 a day for two weeks. The window reaches back for the 299 sessions.",
        senders=(GOOGLE, MAILRU, FORGER, SECOND),
        sessions=15 * GOOGLE.sessions,
    ),
    World(
        "not-ready.example",
        NOT_READY,
        "In testing; a certificate on mx2 was renewed late, and all three senders met it. Mail.ru is a newcomer: its session is "
        "said beside the verdict.",
        troubles=(
            Trouble(4, GOOGLE, "certificate-expired", 2, MX[1]),
            Trouble(3, MICROSOFT, "certificate-expired", 3, MX[1]),
            Trouble(3, MAILRU, "certificate-expired", 1, MX[1]),
        ),
        refused=5,
    ),
    World("ready.example", READY, "In testing, and nothing failed but DANE."),
    World(
        "enforcing.example",
        ENFORCING,
        "Enforcing since 12 days, and nothing failed. A stranger signs that 40 sessions were refused.",
        ((DAYS, TESTING), (12, ENFORCE)),
        senders=(GOOGLE, MICROSOFT, MAILRU, SECOND),
        troubles=(Trouble(5, SECOND, "certificate-expired", 40, MX[0]),),
        sessions=_SINCE_SWITCH,
        grows=PROVEN // _WINDOW,
    ),
    World(
        "enforcing-refusing.example",
        ENFORCING_REFUSING,
        "Enforcing since 12 days; a host lost STARTTLS the day before yesterday, and one had a wrong name a week ago. Since three "
        "days a stranger signs reports by which all is well and the policy is withdrawn.",
        ((DAYS, TESTING), (12, ENFORCE)),
        senders=(GOOGLE, MICROSOFT, MAILRU, STRANGER),
        troubles=(
            Trouble(8, MICROSOFT, "certificate-host-mismatch", 4, MX[1]),
            Trouble(2, GOOGLE, "starttls-not-supported", 3, MX[0]),
        ),
        sessions=_SINCE_SWITCH,
        grows=PROVEN // _WINDOW,
        refused=7,
    ),
    World(
        "withdrawn.example",
        WITHDRAWN,
        "Enforcing once; since 18 days the policy says mode none.",
        ((DAYS, ENFORCE), (18, NONE)),
        sessions=0,
    ),
)


def keys() -> Mapping[str, Records]:
    """The DKIM keys of the senders, as their DNS has them."""
    signers = (GOOGLE, MICROSOFT, MAILRU, STRANGER, SECOND)
    return {
        f"{signing.SELECTOR}._domainkey.{sender.domain}": txt(signing.record(signing.rsa_key(number=sender.number)))
        for sender in signers
    }


def mails(world: World, today: dt.date) -> Iterator[tuple[str, bytes]]:
    """(envelope sender, mail) of all reports about the world's domain that have been written by ``today``."""
    for days_ago in range(DAYS, 0, -1):
        for sender in world.senders:
            if sender.began >= days_ago >= sender.reports_after:
                yield sender.address, _mail(world, sender, today - dt.timedelta(days=days_ago), days_ago)


def _mail(world: World, sender: Sender, day: dt.date, days_ago: int) -> bytes:
    troubles = [trouble for trouble in world.troubles if (trouble.sender, trouble.days_ago) == (sender, days_ago)]
    document = _WRITERS[sender.organization](world, sender, day, world.policy(days_ago), troubles)
    report_id = f"<{day:%Y.%m.%d}T00.00.00Z+{world.domain}@{sender.domain}>"
    mail = reports.mail(
        document,
        sender=sender.address,
        domain=world.domain,
        submitter=sender.domain,
        date=dt.datetime.combine(day + dt.timedelta(days=1), dt.time(10), dt.UTC),
        headers={
            "Message-ID": email.utils.make_msgid(domain=sender.domain),
            "Subject": f"Report Domain: {world.domain} Submitter: {sender.domain} Report-ID: {report_id}",
        },
    )
    if not sender.number:
        return mail
    week = {"x": int(dt.datetime.now(dt.UTC).timestamp()) + 7 * 86_400} if sender is GOOGLE else {}
    return signing.signed(mail, key=signing.rsa_key(number=sender.number), domain=sender.domain, **week)


Lines = tuple[str, ...] | None


def _google(world: World, sender: Sender, day: dt.date, policy: Lines, troubles: list[Trouble]) -> dict[str, Any]:
    """Google keeps the carriage returns of the policy file, and lists its MX patterns."""
    quoted = {"policy_string": [line + "\r" for line in policy], "mx_host": list(MX)} if policy else {}
    return _report(sender, day, f"{day}T00:00:00Z_{world.domain}", _entry(world, sender, policy, troubles, **quoted))


def _microsoft(world: World, sender: Sender, day: dt.date, policy: Lines, troubles: list[Trouble]) -> dict[str, Any]:
    """Microsoft lists the same sessions under tlsa and sts, writes mx-host as a string and leaves out zones."""
    quoted = {"policy_string": list(policy), "mx_host": MX[0]} if policy else {}
    broken = reports.detail("tlsa-invalid", 1)
    dane = reports.entry(
        sender.sessions - 1,
        1,
        broken,
        policy_type="tlsa",
        policy_domain=world.domain,
        policy_string=['["3 1 1 AB0CDE", "2 0 1 FF"]'],
        mx_host=MX[0],
    )
    lost = [trouble for trouble in troubles if not trouble.host]
    entries = [dane, _entry(world, sender, policy, troubles, **quoted)]
    for trouble in lost:  # names neither hosts nor the policy
        failed = reports.detail(
            trouble.result_type, trouble.sessions, receiving_mx_hostname=..., sending_mta_ip=..., receiving_ip=...
        )
        entries.append(reports.entry(0, trouble.sessions, failed, policy_domain=world.domain, policy_string=...))
    number = (day.toordinal() - dt.date(1601, 1, 1).toordinal()) * 864_000_000_000
    dates = {"start-datetime": f"{day}T00:00:00", "end-datetime": f"{day}T23:59:59"}
    return _report(sender, day, f"{number}+{world.domain}", *entries, date_range=dates)


def _mailru(world: World, sender: Sender, day: dt.date, policy: Lines, troubles: list[Trouble]) -> dict[str, Any]:
    """Mail.ru quotes no policy, ends at the next midnight, and gives two details for one failed session."""
    dates = {"start-datetime": f"{day}T00:00:00Z", "end-datetime": f"{day + dt.timedelta(days=1)}T00:00:00Z"}
    twice = [trouble for trouble in troubles for _ in range(2)]
    entry = _entry(world, sender, policy, twice, policy_string=...)
    failed = sum(trouble.sessions for trouble in troubles)
    entry["summary"] = {
        "total-successful-session-count": sender.sessions - failed,
        "total-failure-session-count": failed,
    }
    return _report(sender, day, str(uuid.uuid4()), entry, date_range=dates)


def _stranger(world: World, sender: Sender, day: dt.date, _policy: Lines, troubles: list[Trouble]) -> dict[str, Any]:
    """Quotes what it likes."""
    entry = _entry(world, sender, NONE, troubles, policy_string=list(NONE))
    return _report(sender, day, f"{day}_{world.domain}", entry)


def _second(world: World, sender: Sender, day: dt.date, policy: Lines, troubles: list[Trouble]) -> dict[str, Any]:
    """Writes as RFC 8460 has it, and quotes the policy in force: nothing but its domain tells it from an honest sender."""
    quoted = {"policy_string": list(policy)} if policy else {}
    return _report(sender, day, f"{day}_{world.domain}", _entry(world, sender, policy, troubles, **quoted))


def _entry(world: World, sender: Sender, policy: Lines, troubles: list[Trouble], **quoted: Any) -> dict[str, Any]:
    """What happened under the policy; without one, what happened all the same."""
    met = [trouble for trouble in troubles if trouble.host]
    failed = sum(trouble.sessions for trouble in met)
    unfetched = sum(trouble.sessions for trouble in troubles if not trouble.host)
    details = [
        reports.detail(trouble.result_type, trouble.sessions, receiving_mx_hostname=trouble.host) for trouble in met
    ]
    if policy is None:
        quoted |= {"policy_type": "no-policy-found", "policy_string": ...}
    entry: dict[str, Any] = reports.entry(
        sender.sessions - failed - unfetched, failed, *details, policy_domain=world.domain, **quoted
    )
    return entry


def _report(sender: Sender, day: dt.date, report_id: str, *entries: Any, **changes: Any) -> dict[str, Any]:
    contact = f"mailto:{sender.address}"
    return reports.report_json(
        *entries,
        day=str(day),
        report_id=report_id,
        organization_name=sender.organization,
        contact_info=contact,
        **changes,
    )


_WRITERS = {
    "Google Inc.": _google,
    "Microsoft Corporation": _microsoft,
    "Mail.ru": _mailru,
    "Stranger Ltd.": _stranger,
    "Second Voice Ltd.": _second,
}
