"""Second looks at undetermined messages, and retention, on both engines."""

import datetime as dt
import zlib
from collections.abc import Sequence

import pytest
import sqlalchemy as sa

from ingest import intake, submissions
from ingest.authentication.dkim_keys import Keys
from ingest.authentication.signatures import authenticate, signature_names
from ingest.authentication.verdict import Authentication
from ingest.database import models
from ingest.settings import settings
from ingest.spool import channels, trace
from ingest.store import saving
from ingest.store.upkeep import retention
from ingest.testimony.trust import UNDETERMINED
from ingest.work import second_looks
from tests import signing
from tests.goldens import detail, entry, report, usual
from tests.ingest.store.test_saving import CAME, NOW, SIGNED, USUAL, everything, rows, save, submission
from tests.nameserver import SILENT, NameServer, txt
from tests.readers import ToldReader

WAITING = Authentication(UNDETERMINED, "no answer")


class Resolver:
    """A stand-in for DNS and DKIM together: answers what it is told, and notes what it was asked."""

    def __init__(self, verdict: Authentication) -> None:
        self.verdict = verdict
        self.prefetched: list[int] = []
        self.asked_at: list[dt.datetime] = []

    def __call__(self, message: bytes, now: dt.datetime) -> Authentication:
        self.asked_at.append(now)
        return self.verdict

    def prefetch(self, messages: Sequence[bytes]) -> None:
        self.prefetched.append(len(messages))

    def reader(self, chosen: settings.Settings | None = None, **changes: object) -> ToldReader:
        return ToldReader(chosen or settings.load(**changes), self, self.prefetch)


def retry(engine: sa.Engine, resolver: Resolver, now: dt.datetime, **changes: object) -> int:
    return second_looks.retry_undetermined(engine, resolver.reader(**changes), now).decided


def test_not_before_its_time(engine: sa.Engine) -> None:
    save(engine, submission(USUAL, verdict=WAITING))
    assert retry(engine, Resolver(SIGNED), NOW) == 0
    assert len(rows(engine, models.undetermined)) == 1


def test_decided_when_dns_answers(engine: sa.Engine) -> None:
    save(engine, submission(USUAL, verdict=WAITING))
    resolver = Resolver(SIGNED)
    assert retry(engine, resolver, NOW + dt.timedelta(minutes=2)) == 1
    assert (rows(engine, models.report)[0]["trust"], rows(engine, models.undetermined)) == ("verified", [])
    # Expiry is judged as on arrival: Google's signatures last 7 days.
    assert (resolver.asked_at, resolver.prefetched) == ([CAME], [1])


def test_ever_longer_waits_while_dns_is_silent(engine: sa.Engine) -> None:
    save(engine, submission(USUAL, verdict=WAITING))
    waits = []
    now = NOW
    for _ in range(12):
        now = rows(engine, models.undetermined)[0]["next_attempt"]
        assert retry(engine, Resolver(WAITING), now) == 0
        waits.append((rows(engine, models.undetermined)[0]["next_attempt"] - now) / dt.timedelta(minutes=1))
        if now - CAME > dt.timedelta(days=2):
            break
    assert waits[:4] == [2, 4, 8, 16]
    assert max(waits) == 60


def tried(engine: sa.Engine, attempts: int) -> None:
    with engine.begin() as connection:
        connection.execute(sa.update(models.undetermined).values(attempts=attempts))


def test_given_up_after_three_days_and_said_so(engine: sa.Engine) -> None:
    save(engine, submission(USUAL, verdict=WAITING))
    tried(engine, 24)
    assert retry(engine, Resolver(WAITING), CAME + dt.timedelta(days=3)) == 1
    assert rows(engine, models.undetermined) == []
    assert rows(engine, models.report)[0]["trust"] == "unverified"
    (way,) = rows(engine, models.delivery)
    assert (way["dkim"], way["dkim_reason"]) == (UNDETERMINED, "given up: DNS gave no answer for 3 days (no answer)")


def test_the_key_that_decided_is_kept_as_evidence(engine: sa.Engine) -> None:
    save(engine, submission(USUAL, verdict=WAITING))
    retry(engine, Resolver(SIGNED), NOW + dt.timedelta(minutes=2))
    (way,) = rows(engine, models.delivery)
    assert (way["signer"], way["selector"], way["key_record"]) == ("sender.example", "s1", "v=DKIM1; p=abc")


class Dies(Exception):
    """As if the kernel had ended the reader here."""


def test_an_attempt_is_counted_before_it_is_made(engine: sa.Engine) -> None:
    save(engine, submission(USUAL, verdict=WAITING))

    def dies(message: bytes, now: dt.datetime) -> Authentication:
        raise Dies

    now = NOW + dt.timedelta(minutes=2)
    for attempt in (1, 2, 3):
        with pytest.raises(Dies):
            second_looks.retry_undetermined(engine, ToldReader(settings.load(), dies), now)
        (row,) = rows(engine, models.undetermined)
        assert (row["attempts"], row["unfinished"]) == (attempt, attempt)
        assert retry(engine, Resolver(SIGNED), now) == 0, "the same message again at once"
        now = row["next_attempt"]
    assert retry(engine, Resolver(SIGNED), now) == 1
    assert rows(engine, models.undetermined) == []
    assert rows(engine, models.delivery)[0]["dkim_reason"].startswith("given up: checking the signature again ended")


def many(*numbers: int) -> list[submissions.Submission]:
    return [submission(report(entry(1), report_id=f"number-{number}"), verdict=WAITING) for number in numbers]


def test_who_was_with_a_deadly_message_is_read_alone_and_decided(engine: sa.Engine) -> None:
    deadly, *others = many(*range(6))
    save(engine, deadly, *others)

    def verdict(message: bytes, now: dt.datetime) -> Authentication:
        if message == deadly.decoded.message:
            raise Dies
        return SIGNED

    now = NOW
    for _ in range(12):
        now += dt.timedelta(hours=2)
        try:
            second_looks.retry_undetermined(engine, ToldReader(settings.load(), verdict), now)
        except Dies:
            continue
    assert rows(engine, models.undetermined) == []
    assert sorted(row["trust"] for row in rows(engine, models.report)) == ["unverified"] + ["verified"] * 5


def test_one_round_goes_on_until_all_are_decided(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(second_looks, "_AT_ONCE", 3)
    save(engine, *many(*range(10)))
    resolver = Resolver(SIGNED)
    assert retry(engine, resolver, NOW + dt.timedelta(minutes=2)) == 10
    assert resolver.prefetched == [3, 3, 3, 1]


def test_a_round_ends_in_time_and_what_is_left_is_due_as_it_was(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(engine, *many(*range(5)))
    clock = iter(range(0, 1000, 4))
    monkeypatch.setattr(second_looks.time, "monotonic", lambda: next(clock))
    now = NOW + dt.timedelta(minutes=2)
    resolver = Resolver(SIGNED)
    progress = second_looks.retry_undetermined(engine, resolver.reader(), now, seconds=10)
    assert (progress.decided, progress.more) == (3, True)
    left = [(row["attempts"], row["unfinished"], row["next_attempt"]) for row in rows(engine, models.undetermined)]
    assert left == [(0, 0, now)] * 2


def test_only_headers_are_held_for_the_look_up(engine: sa.Engine) -> None:
    large = report(entry(1), vendor="x".join(map(str, range(200_000))))
    save(engine, *(submission(large | {"report-id": str(number)}, verdict=WAITING) for number in range(3)))
    held: list[int] = []
    now = NOW + dt.timedelta(minutes=2)
    reader = ToldReader(settings.load(), Resolver(SIGNED), lambda headers: held.extend(map(len, headers)))
    second_looks.retry_undetermined(engine, reader, now)
    assert len(held) == 3
    assert max(held) < 70_000 < len(zlib.compress(large["vendor"].encode()))


def test_a_message_no_longer_wanted_is_dropped(engine: sa.Engine) -> None:
    save(engine, submission(USUAL, verdict=WAITING))
    assert retry(engine, Resolver(SIGNED), NOW + dt.timedelta(hours=1), domains="other.example") == 1
    assert rows(engine, models.undetermined) == []
    assert rows(engine, models.report)[0]["trust"] == "unverified"


def test_loaded_mail_does_not_wait(engine: sa.Engine) -> None:
    save(engine, submission(USUAL, channels.LOAD, WAITING))
    assert rows(engine, models.undetermined) == []
    assert rows(engine, models.report)[0]["trust"] == "imported"


def quarantine_file(engine: sa.Engine, data: bytes, name: str | None, **changes: object) -> str:
    arrival = trace.Arrival(channels.LOAD if name else channels.SMTP, CAME, trace.digest(data))
    chosen = settings.load(**changes)
    refused = intake.decode_file(data, name, arrival, chosen) if name else intake.decode_mail(data, arrival, chosen)
    assert isinstance(refused, submissions.Quarantined)
    save(engine, refused)
    return arrival.message_digest


def aged(engine: sa.Engine) -> None:
    old = report(
        entry(1, 1, detail()),
        date_range={"start-datetime": "2025-01-01T00:00:00Z", "end-datetime": "2025-01-01T23:59:59Z"},
    )
    with engine.begin() as connection:
        saving.save(connection, [submission(old)], dt.datetime(2025, 1, 2, tzinfo=dt.UTC))
    save(engine, submission(USUAL))
    quarantine_file(engine, b"nothing", "nothing.json")


def counts(pruned: retention.Pruned) -> tuple[int, ...]:
    return pruned.raw, pruned.details, pruned.reports, pruned.quarantined


def test_nothing_is_pruned_before_its_time(engine: sa.Engine) -> None:
    aged(engine)
    before = everything(engine)
    keep = settings.load(keep_raw_days=1000, keep_details_days=1000, keep_reports_days=1000, keep_quarantine_days=1000)
    assert counts(retention.prune(engine, keep, NOW)) == (0, 0, 0, 0)
    for_ever = settings.load(
        **dict.fromkeys(("keep_raw_days", "keep_details_days", "keep_reports_days", "keep_quarantine_days"), 0),
        keep_quarantine_unsigned_days=0,
    )
    assert counts(retention.prune(engine, for_ever, NOW)) == (0, 0, 0, 0)
    assert everything(engine) == before


def test_each_class_has_its_own_retention(engine: sa.Engine) -> None:
    aged(engine)
    chosen = settings.load(keep_raw_days=300, keep_details_days=200, keep_reports_days=0, keep_quarantine_days=1)
    gone = retention.prune(engine, chosen, NOW + dt.timedelta(days=2))
    assert counts(gone) == (1, 1, 0, 1)
    assert gone.bytes > 0
    assert len(rows(engine, models.report)) == 2
    assert len(rows(engine, models.raw_report)) == 1
    assert len(rows(engine, models.failure_detail)) == 2


def test_an_old_mail_that_comes_into_quarantine_today_stays_its_time(engine: sa.Engine) -> None:
    quarantine_file(engine, b"nothing", "nothing.json")
    long_after_the_mail = settings.load(keep_quarantine_days=1)
    with engine.begin() as connection:
        old = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
        connection.execute(sa.update(models.quarantine).values(received_at=old))
    assert retention.prune(engine, long_after_the_mail, NOW + dt.timedelta(hours=1)).quarantined == 0
    assert retention.prune(engine, long_after_the_mail, NOW + dt.timedelta(hours=25)).quarantined == 1


def test_pruned_reports_leave_the_sums(engine: sa.Engine) -> None:
    aged(engine)
    gone = retention.prune(engine, settings.load(keep_reports_days=300, keep_raw_days=0, keep_details_days=0), NOW)
    assert gone.reports == 1
    with_one = everything(engine)
    assert [len(with_one[name]) for name in ("report", "policy_entry", "failure_detail", "delivery", "raw_report")] == [
        1,
        1,
        2,
        1,
        1,
    ]
    assert [(row["day"], row["reports"]) for row in with_one["domain_day"]] == [(dt.date(2026, 3, 14), 1)]
    assert [row["reports"] for row in with_one["domain_reporter"]] == [1]


def test_a_resolver_that_was_silent_for_a_while_leaves_no_wrong_verdict(engine: sa.Engine) -> None:
    """reliability.md row 13, with real DNS, real signatures and the worker's own look-ups; time is the only thing made up."""
    good = [signing.signed(usual(report(entry(1), report_id=f"good-{number}"))) for number in range(60)]
    bad = [each.replace(b"Subject: Report", b"Subject: report") for each in good[:20]]
    chosen = settings.load()
    now = dt.datetime.now(dt.UTC)
    with NameServer({}, otherwise=SILENT) as server:
        keys = Keys((server.address,))

        def verdict(message: bytes, when: dt.datetime) -> Authentication:
            return authenticate(message, keys, when)

        def look_up(headers: Sequence[bytes]) -> None:
            keys.prefetch([name for header in headers for name in signature_names(header)], 0.3)

        decoded = [
            intake.decode_mail(each, trace.Arrival(channels.SMTP, now, trace.digest(each)), chosen)
            for each in good + bad
        ]
        look_up(good + bad)
        assert all(isinstance(each, submissions.Decoded) for each in decoded)
        save(
            engine, *(intake.authenticated(each, verdict) for each in decoded if isinstance(each, submissions.Decoded))
        )
        assert len(rows(engine, models.undetermined)) == 80
        for _ in range(4):  # silent still
            now += dt.timedelta(hours=2)
            keys = Keys((server.address,))
            assert second_looks.retry_undetermined(engine, ToldReader(chosen, verdict, look_up), now).decided == 0
        server.zone.update({f"{signing.SELECTOR}._domainkey.{signing.DOMAIN}": txt(signing.record(signing.rsa_key()))})
        now += dt.timedelta(hours=2)
        keys = Keys((server.address,))
        assert (
            second_looks.retry_undetermined(engine, ToldReader(chosen, verdict, look_up), now, seconds=60).decided == 80
        )
    assert [row["trust"] for row in rows(engine, models.report) if row["counts"]] == ["verified"] * 60
    # The changed copies of 20 of them failed, and took nothing from the others.
    assert sorted(row["dkim"] for row in rows(engine, models.delivery)) == ["failed"] * 20 + ["verified"] * 60
    assert rows(engine, models.undetermined) == []
