"""Really signed report mails about one domain, by the way that real ones take, for tests of who may move a verdict.

A mail is signed with its sender's key, decoded, authenticated against a name server that has the key, and stored as of the
arrival that the test chooses. Only the SMTP dialogue is left out: test_through_the_door has that.
"""

import datetime as dt
import json
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from dashboard import verdicts
from dashboard.decision.verdict import Verdict
from dashboard.queries.question import Question
from ingest import intake
from ingest.authentication import signatures
from ingest.authentication.dkim_keys import Keys
from ingest.authentication.verdict import Authentication
from ingest.database import models
from ingest.loading import loader
from ingest.settings.settings import Settings
from ingest.spool import channels, trace
from ingest.store import overrides
from ingest.store import saving as store
from ingest.submissions import Decoded
from ingest.testimony import override_rules
from tests import reports, signing
from tests.dashboard.decision.worlds import days
from tests.nameserver import NameServer, txt
from tests.signing import FROM_FIELDS

DOMAIN = "receiver.example"
DAY = dt.timedelta(days=1)
ON = dt.date(2026, 3, 31)
# The first complete day of the shortest window on that day, and the last (dashboard.decision.clock.Window).
START, END = ON - 16 * DAY, ON - 3 * DAY
BEGAN = ON - 31 * DAY

TESTING = ("version: STSv1", "mode: testing", "mx: mx1.receiver.example", "max_age: 604800")
ENFORCE = ("version: STSv1", "mode: enforce", "mx: mx1.receiver.example", "max_age: 604800")
OTHER = ("version: STSv1", "mode: testing", "mx: mx9.receiver.example", "max_age: 604800")
NONE = ("version: STSv1", "mode: none", "max_age: 86400")
SIGNED_FIELDS = (*FROM_FIELDS, "tls-report-domain", "tls-report-submitter")


class Sender(msgspec.Struct, frozen=True):
    """Who reports: the name and address in its reports and From, and the DKIM domain that it signs with ("": its address').

    ``contact`` is false for who gives no contact address (Stalwart).
    """

    organization: str
    address: str
    signs_as: str = ""
    contact: bool = True

    @property
    def domain(self) -> str:
        return self.address.partition("@")[2]

    @property
    def signer(self) -> str:
        return self.signs_as or self.domain

    @property
    def key(self) -> signing.PrivateKey:
        """Another one for each signer."""
        return signing.ed25519_key(zlib.crc32(self.signer.encode()))


GOOGLE = Sender("Google Inc.", "noreply-smtp-tls-reporting@google.com")
MICROSOFT = Sender("Microsoft Corporation", "tlsrpt-noreply@microsoft.com")
# An honest voice that is on no list, and one that anybody may be.
MAILER = Sender("Mailer GmbH", "tlsrpt@mailer.example")
STRANGER = Sender("Stranger Ltd.", "reports@stranger.example")


def strangers(count: int) -> list[Sender]:
    """As many strangers, each with a domain and a key of its own."""
    return [Sender(f"Stranger {number} Ltd.", f"reports@stranger{number}.example") for number in range(count)]


def report_of(
    sender: Sender, first: dt.date, *entries: Any, last: dt.date | None = None, **changes: Any
) -> dict[str, Any]:
    """A sender's report about a day, or about the days until ``last``."""
    until = last or first
    members = {
        "date_range": {"start-datetime": f"{first}T00:00:00Z", "end-datetime": f"{until}T23:59:59Z"},
        "organization_name": sender.organization,
        "contact_info": sender.address if sender.contact else ...,
        "report_id": f"{first}_{DOMAIN}@{sender.domain}",
    }
    return reports.report_json(*entries, **(members | changes))


def arrival_of(day: dt.date) -> dt.datetime:
    """When a report about ``day`` usually comes: ten hours after its end."""
    return dt.datetime.combine(day + DAY, dt.time(10), dt.UTC)


class Post:
    """Takes mails in, and asks for the verdict.

    ``nameserver`` has the key of everybody who ever signed; ``forget`` takes one away.
    """

    def __init__(self, engine: sa.Engine, settings: Settings, nameserver: NameServer) -> None:
        self.engine = engine
        self.settings = settings
        self.nameserver = nameserver
        self._waiting: list[Decoded] = []

    def sign(self, mail: bytes, sender: Sender, at: dt.datetime) -> bytes:
        """The mail with its sender's signature; the key is in DNS from now on."""
        name = f"{signing.SELECTOR}._domainkey.{sender.signer}"
        self.nameserver.zone[name] = txt(signing.record(sender.key))  # type: ignore[index]
        time = int(at.timestamp())
        return signing.signed(mail, key=sender.key, domain=sender.signer, fields=SIGNED_FIELDS, t=time)

    def forget(self, sender: Sender) -> None:
        """The sender has taken its key out of DNS."""
        del self.nameserver.zone[f"{signing.SELECTOR}._domainkey.{sender.signer}"]  # type: ignore[attr-defined]

    def mail(
        self,
        sender: Sender,
        day: dt.date,
        *entries: Any,
        received_at: dt.datetime | None = None,
        signed: bool = True,
        **changes: Any,
    ) -> bytes:
        """A sender's mail with its report about a day."""
        document = report_of(sender, day, *entries, **changes)
        moment = received_at or arrival_of(changes.get("last") or day)
        number = f"{document['report-id']}.{zlib.crc32(json.dumps(document).encode())}"
        mail = reports.mail(
            document,
            sender=sender.address,
            submitter=sender.domain,
            date=moment,
            headers={"Message-ID": f"<{number.replace('@', '.')}@{sender.domain}>"},
        )
        return self.sign(mail, sender, moment) if signed else mail

    def send(
        self, sender: Sender, day: dt.date, *entries: Any, received_at: dt.datetime | None = None, **changes: Any
    ) -> None:
        """Mail a report; ``signed=False`` leaves the signature out."""
        moment = received_at or arrival_of(changes.get("last") or day)
        self.deliver(self.mail(sender, day, *entries, received_at=moment, **changes), moment)

    def deliver(self, mail: bytes, received_at: dt.datetime) -> None:
        """A mail came in by SMTP."""
        self._take(mail, trace.Arrival(channels.SMTP, received_at, trace.digest(mail)))

    def upload(self, sender: Sender, day: dt.date, *entries: Any, **changes: Any) -> None:
        """A report came in by HTTPS, in the name of ``sender``: nothing proves whose it is."""
        body = json.dumps(report_of(sender, day, *entries, **changes)).encode()
        moment = arrival_of(day)
        wrapped = trace.for_upload(
            body,
            content_type="application/tlsrpt+json",
            filename="report.json",
            peer="192.0.2.7",
            hostname="mx.receiver.example",
            now=moment,
        )
        arrival, message = trace.read(wrapped, moment)
        self._take(message, arrival)

    def daily(
        self, senders: Iterable[Sender], first: dt.date, last: dt.date, successful: int = 20, **changes: Any
    ) -> None:
        """A clean report of each sender about each of the days."""
        clean = reports.entry(successful, 0, **({"policy_string": list(TESTING)} | changes))
        for day in days(first, last):
            for sender in senders:
                self.send(sender, day, clean)

    def load(self, path: Path) -> loader.Loaded:
        """The operator loads a file or folder. DNS is asked anew, as a later process does."""
        self.store()
        return loader.load([path], self.settings, self.engine, Keys([self.nameserver.address]))

    def store(self) -> None:
        """Authenticate what came in and write it down, in one batch."""
        waiting, self._waiting = self._waiting, []
        keys = Keys([self.nameserver.address])
        names = {name for decoded in waiting for name in signatures.signature_names(decoded.message)}
        keys.prefetch(sorted(names), self.settings.dns_seconds)

        def verdict(message: bytes, now: dt.datetime) -> Authentication:
            return signatures.authenticate(message, keys, now)

        submissions = [intake.authenticated(decoded, verdict) for decoded in waiting]
        with self.engine.begin() as connection:
            store.save(connection, submissions, arrival_of(ON))

    def verdict(self, on: dt.date = ON, **settings: Any) -> Verdict:
        """The verdict on that day, from what had arrived by its end."""
        self.store()
        chosen = self.settings.model_copy(update=settings)
        (verdict,) = verdicts.verdicts(self.engine, Question.of(chosen, on + DAY).about(on), [DOMAIN])
        return verdict

    def override(self, content: override_rules.Content, day: dt.date) -> None:
        """The operator says something that holds from that day on."""
        noon = dt.datetime.combine(day, dt.time(12), dt.UTC)
        overrides.give(self.engine, DOMAIN, content, overrides.Act("test", noon, "known to the operator"))

    def rows(self, *columns: str) -> list[tuple[Any, ...]]:
        """What is stored of the reports, in the order of these columns."""
        self.store()
        chosen = [models.report.c[name] for name in columns]
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(sa.select(*chosen).order_by(*chosen))]

    def _take(self, message: bytes, arrival: trace.Arrival) -> None:
        decoded = intake.decode_mail(message, arrival, self.settings)
        assert isinstance(decoded, Decoded), decoded.explanation
        self._waiting.append(decoded)


def headline(verdict: Verdict) -> Verdict:
    """The verdict without its remarks about newcomers: no newcomer may change it.

    While a newcomer accuses, "nothing refused" is a reason about known voices alone; its figures are the same.
    """
    reasons = [reason for reason in verdict.reasons if not reason.code.startswith("newcomers")]
    plain = [
        msgspec.structs.replace(reason, code=reason.code.replace("nothing-refused-by-known", "nothing-refused"))
        for reason in reasons
    ]
    return msgspec.structs.replace(verdict, reasons=tuple(plain), newcomers=(), with_newcomers="")


def blocking(verdict: Verdict) -> list[str]:
    """The codes of the reasons that made the verdict."""
    return [reason.code for reason in verdict.reasons if reason.blocking]


def remarks_of(verdict: Verdict) -> list[str]:
    """The codes of what is said beside it."""
    return [reason.code for reason in verdict.reasons if not reason.blocking]
