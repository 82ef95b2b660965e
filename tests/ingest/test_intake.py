"""The spine: a message becomes a Submission with its trust, or goes to quarantine with a code, by whatever way it came."""

import datetime as dt
import json
from collections.abc import Callable

import pytest

from ingest import intake
from ingest.authentication.verdict import Authentication
from ingest.settings.settings import Settings
from ingest.spool.channels import CHANNELS, HTTPS, LOAD, MAILDIR, SMTP
from ingest.spool.trace import Arrival
from ingest.submissions import FILE_DELAY, Decoded, Quarantined
from ingest.testimony.trust import (
    FAILED,
    IMPORTED,
    UNAUTHENTICATED,
    UNDETERMINED,
    UNSIGNED,
    UNVERIFIED,
    VERIFIED,
)
from ingest.testimony.unread import FOREIGN_DOMAIN, KILLED_READER, NO_REPORT, PARTLY_READ, POSTMASTER
from tests.goldens import entry, mail, multipart, packed, part, report, text, usual

MakeSettings = Callable[..., Settings]
NOW = dt.datetime(2026, 3, 15, 10, tzinfo=dt.UTC)
USUAL = usual(report(entry(5)))
WHOLE = Authentication(VERIFIED, signer="sender.example")


def arrival(door: str = SMTP, **more: object) -> Arrival:
    return Arrival(door, NOW, "digest", **more)  # type: ignore[arg-type]


def decoded(message: bytes, settings: Settings, door: str = SMTP) -> Decoded:
    ready = intake.decode_mail(message, arrival(door), settings)
    assert isinstance(ready, Decoded), ready
    return ready


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"Subject: hello\r\n\r\nno report\r\n", NO_REPORT),
        (b"", NO_REPORT),
        (usual({}), NO_REPORT),
    ],
    ids=["a letter", "nothing", "a report without anything"],
)
def test_what_cannot_be_read_goes_to_quarantine_as_it_came(
    settings_for: MakeSettings, message: bytes, reason: str
) -> None:
    refused = intake.decode_mail(message, arrival(), settings_for())
    assert isinstance(refused, Quarantined)
    assert (refused.reason, refused.message, refused.file_name) == (reason, message, None)


def test_a_letter_to_postmaster_is_kept_apart(settings_for: MakeSettings) -> None:
    refused = intake.decode_mail(b"Subject: hello\r\n\r\nDear postmaster\r\n", arrival(letter=True), settings_for())
    assert isinstance(refused, Quarantined)
    assert refused.reason == POSTMASTER
    assert isinstance(intake.decode_mail(USUAL, arrival(letter=True), settings_for()), Decoded)


def test_a_mail_that_is_read_in_part_is_stored_and_kept(settings_for: MakeSettings) -> None:
    broken = part(packed(b'{"organization-name": '), name="a!receiver.example!1!2.json.gz")
    message = mail(multipart(part(packed(text(report(entry(5))))), broken))
    submission = intake.authenticated(decoded(message, settings_for()), lambda _message, _now: WHOLE)
    assert len(submission.decoded.reports) == 1
    unread = submission.unread
    assert unread is not None
    assert (unread.reason, unread.message, unread.signer) == (PARTLY_READ, message, "sender.example")


@pytest.mark.parametrize(
    ("door", "dkim", "wrong", "trust"),
    [
        (SMTP, VERIFIED, False, VERIFIED),
        (SMTP, UNSIGNED, False, UNVERIFIED),
        (SMTP, FAILED, True, UNVERIFIED),
        (SMTP, UNDETERMINED, False, UNVERIFIED),
        (MAILDIR, VERIFIED, False, VERIFIED),
        (MAILDIR, UNSIGNED, False, UNVERIFIED),
        (LOAD, VERIFIED, False, VERIFIED),
        (LOAD, UNSIGNED, False, IMPORTED),  # the operator vouches for it
        (LOAD, FAILED, False, IMPORTED),  # its key is gone, or it has expired
        (LOAD, FAILED, True, UNVERIFIED),  # somebody has changed it
        (HTTPS, UNSIGNED, False, UNAUTHENTICATED),
    ],
)
def test_trust_by_channel_and_signature(door: str, dkim: str, wrong: bool, trust: str) -> None:
    assert intake.trust_of(Authentication(dkim, wrong=wrong), CHANNELS[door]) == trust


def test_nobody_looks_for_a_signature_on_an_upload_or_a_file(settings_for: MakeSettings) -> None:
    def never(message: bytes, now: dt.datetime) -> Authentication:
        raise AssertionError("looked for a signature")

    upload = intake.authenticated(decoded(USUAL, settings_for(), HTTPS), never)
    assert (upload.trust, upload.authentication.dkim) == (UNAUTHENTICATED, UNSIGNED)
    bare = intake.decode_file(json.dumps(report(entry(5))).encode(), "a.json", arrival(LOAD), settings_for())
    assert isinstance(bare, Decoded)
    assert intake.authenticated(bare, None).trust == IMPORTED


def test_a_bare_file_is_taken_to_have_come_a_day_after_its_range(settings_for: MakeSettings) -> None:
    bare = intake.decode_file(json.dumps(report(entry(5))).encode(), "a.json", arrival(LOAD), settings_for())
    assert isinstance(bare, Decoded)
    (only, _) = bare.reports[0]
    assert (bare.arrival.received_at, bare.arrival.estimated) == (only.end + FILE_DELAY, True)
    refused = intake.decode_file(b"{}", "a.json", arrival(LOAD), settings_for())
    assert isinstance(refused, Quarantined)
    assert (refused.reason, refused.file_name) == (NO_REPORT, "a.json")


def test_a_loaded_signature_outside_its_time_has_failed_for_good(settings_for: MakeSettings) -> None:
    untimely = Authentication(UNDETERMINED, untimely=True)
    by_mail = intake.authenticated(decoded(USUAL, settings_for()), lambda _message, _now: untimely)
    loaded = intake.authenticated(decoded(USUAL, settings_for(), LOAD), lambda _message, _now: untimely)
    assert (by_mail.undetermined, loaded.undetermined) == (True, False)
    assert loaded.authentication.dkim == FAILED


@pytest.mark.parametrize(
    ("domains", "entries"),
    [
        (("receiver.example",), ["receiver.example", "mx.receiver.example"]),
        (("example",), ["receiver.example", "mx.receiver.example", "other.example"]),
        (("other.example",), ["other.example"]),
        (("nowhere.test",), None),
    ],
)
def test_only_the_operators_domains_are_taken(
    settings_for: MakeSettings, domains: tuple[str, ...], entries: list[str] | None
) -> None:
    several = report(
        *(entry(1, policy_domain=name) for name in ("receiver.example", "mx.receiver.example", "other.example"))
    )
    ready = intake.decode_mail(usual(several), arrival(), settings_for(domains=",".join(domains)))
    if entries is None:
        assert isinstance(ready, Quarantined)
        assert ready.reason == FOREIGN_DOMAIN
    else:
        assert isinstance(ready, Decoded)
        assert [each.policy_domain for each in ready.reports[0][0].entries] == entries


def test_who_signed_what_goes_to_quarantine(settings_for: MakeSettings) -> None:
    def refused(door: str) -> Quarantined:
        message = intake.decode_mail(b"Subject: x\r\n\r\n", arrival(door), settings_for())
        assert isinstance(message, Quarantined)
        return message

    signers = [
        intake.with_signer(refused(SMTP), lambda _message, _now: WHOLE).signer,
        intake.with_signer(refused(SMTP), lambda _message, _now: Authentication(UNSIGNED)).signer,
        intake.with_signer(refused(SMTP), lambda _message, _now: Authentication(UNDETERMINED)).signer,
        intake.with_signer(refused(HTTPS), lambda _message, _now: WHOLE).signer,
        intake.with_signer(refused(LOAD), lambda _message, _now: WHOLE).signer,
    ]
    assert signers == ["sender.example", "", None, "", None]


def test_a_message_over_which_its_reader_died_is_not_read_for_its_signer(settings_for: MakeSettings) -> None:
    killed = Quarantined(arrival(), b"", KILLED_READER, "it took all memory")
    assert intake.with_signer(killed, lambda _message, _now: WHOLE) == killed
