"""Trace headers: what a door writes is read back exactly, and what only looks like it is a mail like any other."""

import datetime as dt
import email
import email.policy

import pytest

from ingest.spool import channels, trace

NOW = dt.datetime(2026, 3, 15, 12, tzinfo=dt.UTC)
FOUND = dt.datetime(2026, 3, 16, tzinfo=dt.UTC)
WRITTEN = trace.for_mail(
    trace.Client("mx.sender.example", "192.0.2.1", "ESMTP"),
    sender="a@sender.example",
    hostname="receiver.example",
    recipient="b@receiver.example",
    now=NOW,
)
DATE = b"Sun, 15 Mar 2026 12:00:00 +0000"


def test_what_a_door_writes_is_read_back() -> None:
    arrival, original = trace.read(WRITTEN + b"From: x\r\n\r\n", FOUND)
    assert (arrival.door, arrival.received_at, arrival.sender) == (channels.SMTP, NOW, "a@sender.example")
    assert original == b"From: x\r\n\r\n"


def test_a_letter_is_marked_where_a_stranger_cannot_write() -> None:
    word = "(StartTally, for postmaster) with"
    client = trace.Client(f"a {word}", "::1", "ESMTP")
    for letter in (False, True):
        header = trace.for_mail(
            client, sender=word, hostname="r.example", recipient="postmaster", now=NOW, letter=letter
        )
        assert trace.read(header, FOUND)[0].letter is letter


@pytest.mark.parametrize(
    ("forged", "why"),
    [
        (WRITTEN.replace(DATE, b"Sun, 15 Mar 2026 12:00:00 \xff0000"), "not ASCII; raised UnicodeDecodeError"),
        (WRITTEN.replace(DATE, b"some day"), "no date; raised ValueError"),
        (WRITTEN.replace(DATE, b"Sun, 15 Mar 2026 12:00:00 -0000"), "no zone; gave a naive time"),
        (WRITTEN.replace(DATE, b"Sun, 15 Mar 2026 12:00:00 +9999"), "a zone of four days; raised ValueError"),
        (WRITTEN.replace(DATE, b"15 Mar 26 12:00"), "a date that we do not write so"),
        (WRITTEN.replace(b"<a@sender.example>", b"<\xe4@sender.example>"), "a sender in Latin-1"),
    ],
)
def test_a_trace_that_only_looks_like_ours_is_part_of_the_mail(forged: bytes, why: str) -> None:
    arrival, original = trace.read(forged + b"From: x\r\n\r\n", FOUND)
    assert (arrival.door, arrival.received_at) == (channels.MAILDIR, FOUND), why
    assert original == forged + b"From: x\r\n\r\n"


@pytest.mark.parametrize(
    "label", ["message/delivery-status", "message/rfc822", "Multipart/mixed; boundary=a", "; message/x"]
)
def test_an_upload_is_one_file_whatever_its_label(label: str) -> None:
    """Python's parser looks into messages and multiparts, and would find nothing there."""
    body = b'{"report-id": 1}\r\n\r\n{}'
    wrapped = trace.for_upload(body, content_type=label, filename="", peer="::1", hostname="r.example", now=NOW)
    _, original = trace.read(wrapped, FOUND)
    assert email.message_from_bytes(original, policy=email.policy.compat32).get_payload(decode=True) == body
