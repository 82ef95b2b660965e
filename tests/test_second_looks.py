"""Retries of undetermined and quarantined messages, and retention, on both engines."""

import datetime as dt
from collections.abc import Sequence

import msgspec
import pytest
import sqlalchemy as sa

from ingest import housekeeping, intake, models, retries, settings, store, trace
from ingest.authentication import FAILED, UNDETERMINED, UNSIGNED, Authentication
from tests.goldens import INPUTS, detail, entry, report, text
from tests.test_store import CAME, NOW, SIGNED, USUAL, everything, rows, save, submission

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


def retry(engine: sa.Engine, resolver: Resolver, now: dt.datetime, **changes: object) -> int:
    return retries.retry_undetermined(engine, settings.load(**changes), resolver, resolver.prefetch, now)


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
    assert max(waits) == 360


def test_given_up_after_three_days(engine: sa.Engine) -> None:
    save(engine, submission(USUAL, verdict=WAITING))
    assert retry(engine, Resolver(WAITING), CAME + dt.timedelta(days=3)) == 1
    assert rows(engine, models.undetermined) == []
    assert rows(engine, models.report)[0]["trust"] == "unverified"
    assert rows(engine, models.delivery)[0]["dkim"] == UNDETERMINED


def test_a_message_no_longer_wanted_is_dropped(engine: sa.Engine) -> None:
    save(engine, submission(USUAL, verdict=WAITING))
    assert retry(engine, Resolver(SIGNED), NOW + dt.timedelta(hours=1), domains="other.example") == 1
    assert rows(engine, models.undetermined) == []
    assert rows(engine, models.report)[0]["trust"] == "unverified"


def test_loaded_mail_does_not_wait(engine: sa.Engine) -> None:
    save(engine, submission(USUAL, trace.LOAD, WAITING))
    assert rows(engine, models.undetermined) == []
    assert rows(engine, models.report)[0]["trust"] == "imported"


def quarantine_file(engine: sa.Engine, data: bytes, name: str | None, **changes: object) -> str:
    arrival = trace.Arrival(trace.LOAD if name else trace.SMTP, CAME, trace.digest(data))
    chosen = settings.load(**changes)
    refused = intake.decode_file(data, name, arrival, chosen) if name else intake.decode_mail(data, arrival, chosen)
    assert isinstance(refused, intake.Quarantined)
    save(engine, refused)
    return arrival.message_digest


@pytest.mark.parametrize("name", [None, "report.json"])
def test_a_retry_after_a_change_of_settings_stores_and_clears(engine: sa.Engine, name: str | None) -> None:
    data = text(USUAL) if name else INPUTS["labelled-gzip-is-plain.eml"]
    digest = quarantine_file(engine, data, name, domains="other.example")
    tally = retries.retry_quarantined(engine, settings.load(), Resolver(Authentication(UNSIGNED)), [digest], NOW)
    assert msgspec.structs.astuple(tally) == (1, 0, 0)
    assert rows(engine, models.quarantine) == []
    assert rows(engine, models.report)[0]["trust"] == ("imported" if name else "unverified")


def test_a_retry_in_vain_stays_with_todays_reason(engine: sa.Engine) -> None:
    digest = quarantine_file(engine, text(USUAL), "report.json", domains="other.example")
    chosen = settings.load(domains="third.example", max_report_bytes=65536)
    tally = retries.retry_quarantined(engine, chosen, Resolver(WAITING), [digest], NOW)
    assert msgspec.structs.astuple(tally) == (0, 0, 1)
    (kept,) = rows(engine, models.quarantine)
    assert (kept["reason"], kept["state"]) == ("foreign-domain", "waiting")


def test_a_partly_read_message_stays_in_quarantine(engine: sa.Engine) -> None:
    message = INPUTS["one-good-one-broken.eml"]
    decoded = intake.decode_mail(message, trace.Arrival(trace.SMTP, CAME, trace.digest(message)), settings.load())
    assert isinstance(decoded, intake.Decoded)
    save(engine, intake.Submission(decoded, Authentication(FAILED), "unverified"))
    tally = retries.retry_quarantined(engine, settings.load(), Resolver(WAITING), [trace.digest(message)], NOW)
    assert (tally.stored, tally.duplicate) == (0, 1)
    assert len(rows(engine, models.quarantine)) == 1


def aged(engine: sa.Engine) -> None:
    old = report(
        entry(1, 1, detail()),
        date_range={"start-datetime": "2025-01-01T00:00:00Z", "end-datetime": "2025-01-01T23:59:59Z"},
    )
    with engine.begin() as connection:
        store.save(connection, [submission(old)], dt.datetime(2025, 1, 2, tzinfo=dt.UTC))
    save(engine, submission(USUAL))
    quarantine_file(engine, b"nothing", "nothing.json")


def test_nothing_is_pruned_before_its_time(engine: sa.Engine) -> None:
    aged(engine)
    before = everything(engine)
    keep = settings.load(keep_raw_days=1000, keep_details_days=1000, keep_reports_days=1000, keep_quarantine_days=1000)
    assert msgspec.structs.astuple(housekeeping.prune(engine, keep, NOW)) == (0, 0, 0, 0)
    for_ever = settings.load(keep_raw_days=0, keep_details_days=0, keep_reports_days=0, keep_quarantine_days=0)
    assert msgspec.structs.astuple(housekeeping.prune(engine, for_ever, NOW)) == (0, 0, 0, 0)
    assert everything(engine) == before


def test_each_class_has_its_own_retention(engine: sa.Engine) -> None:
    aged(engine)
    chosen = settings.load(keep_raw_days=300, keep_details_days=200, keep_reports_days=0, keep_quarantine_days=1)
    gone = housekeeping.prune(engine, chosen, NOW + dt.timedelta(days=2))
    assert msgspec.structs.astuple(gone) == (1, 1, 0, 1)
    assert len(rows(engine, models.report)) == 2
    assert len(rows(engine, models.raw_report)) == 1
    assert len(rows(engine, models.failure_detail)) == 2


def test_pruned_reports_leave_the_sums(engine: sa.Engine) -> None:
    aged(engine)
    gone = housekeeping.prune(engine, settings.load(keep_reports_days=300, keep_raw_days=0, keep_details_days=0), NOW)
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
