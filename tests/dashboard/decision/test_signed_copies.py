"""Copies of reports that are really signed: unsigned ones, strangers', archives; and who is one voice with whom."""

import json
from pathlib import Path
from typing import Any

import pytest

from dashboard.decision.verdict import INSUFFICIENT, NOT_READY, READY
from ingest.testimony.trust import IMPORTED, UNVERIFIED, VERIFIED
from tests import reports
from tests.dashboard.decision.signed_post import (
    BEGAN,
    DAY,
    DOMAIN,
    ENFORCE,
    GOOGLE,
    MAILER,
    MICROSOFT,
    ON,
    OTHER,
    STRANGER,
    TESTING,
    Post,
    Sender,
    arrival_of,
    blocking,
    headline,
    report_of,
)
from tests.dashboard.decision.worlds import days
from tests.reports import detail, entry

KNOWN = (GOOGLE, MICROSOFT)
BAD_DAY = ON - 5 * DAY
CLEAN = entry(500, 0, policy_string=list(TESTING))
# Under a policy that the failing host is not in, nothing would be to repair.
ELSEWHERE = entry(17, 3, detail("certificate-expired", 3), policy_string=list(OTHER))
REFUSING = entry(17, 3, detail("certificate-expired", 3), policy_string=list(TESTING))
# Stalwart gives no contact address; the name in its reports is that of its host's operator.
STALWART = Sender("Small Host", "noreply-tls@small.example", contact=False)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A folder that the operator loads."""
    folder = tmp_path / "archive"
    folder.mkdir()
    return folder


def put(archive: Path, mail: bytes) -> None:
    """Keep a mail in the archive, under a name of its own."""
    (archive / f"{len(list(archive.iterdir()))}.eml").write_bytes(mail)


def put_file(archive: Path, report: dict[str, Any]) -> None:
    """Keep a report without a mail around it."""
    (archive / f"{len(list(archive.iterdir()))}.json").write_text(json.dumps(report))


@pytest.mark.parametrize("first", ["signed", "unsigned"])
@pytest.mark.parametrize(("true", "forged"), [(REFUSING, CLEAN), (CLEAN, REFUSING)], ids=["hides", "accuses"])
def test_an_unsigned_copy_contradicts_nothing(post: Post, true: Any, forged: Any, first: str) -> None:
    """The same id and range with other figures, by mail and by HTTPS, before or after the signed one."""

    def forge() -> None:
        post.send(GOOGLE, BAD_DAY, forged, signed=False)
        post.upload(GOOGLE, BAD_DAY, forged)

    post.daily([GOOGLE], BEGAN, BAD_DAY - DAY)
    post.daily([GOOGLE], BAD_DAY + DAY, ON - DAY)
    post.daily([MICROSOFT], BEGAN, ON - DAY)
    without = post.verdict()
    if first == "unsigned":
        forge()
        assert post.verdict() == without
    post.send(GOOGLE, BAD_DAY, true)
    before = post.verdict()
    assert before.name == (NOT_READY if true is REFUSING else READY)
    assert before.refused == (3 if true is REFUSING else 0)
    if first == "signed":
        forge()
    assert post.verdict() == before
    rows = [
        row for row in post.rows("day", "trust", "successful_sessions", "contradicted", "counts") if row[0] == BAD_DAY
    ]
    # The mail and the upload say the same, so they are one report, which is kept beside Google's.
    of_google = [(trust, counts) for _, trust, successful, _, counts in rows if successful != 20]
    assert sorted(of_google) == [(UNVERIFIED, True), (VERIFIED, True)]
    assert not any(contradicted for _, _, _, contradicted, _ in rows)


def test_corrected_totals_of_the_sender_itself_do_contradict(post: Post) -> None:
    post.daily(KNOWN, BEGAN, ON - DAY)
    before = post.verdict()
    post.send(GOOGLE, BAD_DAY, REFUSING, received_at=arrival_of(BAD_DAY + DAY))
    after = post.verdict()
    # Both have 20 sessions; the one that refuses accuses, and neither counts beside the other.
    assert (after.name, after.refused, after.sessions) == (NOT_READY, 3, before.sessions + 3)
    assert [contradicted for _, contradicted in post.rows("day", "contradicted")].count(True) == 2


@pytest.mark.parametrize("first", ["genuine", "stranger"])
@pytest.mark.parametrize("figures", [REFUSING, CLEAN], ids=["the same figures", "other figures"])
def test_a_strangers_copy_displaces_nothing(post: Post, figures: Any, first: str) -> None:
    """Id, range, name and contact address of Google's report, signed by somebody else."""
    forger = Sender(GOOGLE.organization, STRANGER.address)
    claim = {"contact_info": GOOGLE.address, "report_id": report_of(GOOGLE, BAD_DAY)["report-id"]}
    post.daily([GOOGLE], BEGAN, BAD_DAY - DAY)
    post.daily([MICROSOFT], BEGAN, ON - DAY)
    if first == "stranger":
        post.send(forger, BAD_DAY, figures, **claim)
        assert post.verdict().name == READY
    post.send(GOOGLE, BAD_DAY, REFUSING)
    before = post.verdict()
    if first == "genuine":
        post.send(forger, BAD_DAY, figures, **claim)
    after = post.verdict()
    assert headline(after) == headline(before)
    assert (after.name, after.refused) == (NOT_READY, 3)
    assert [(newcomer.voice, newcomer.sessions) for newcomer in after.newcomers] == [
        ("stranger.example", 20 if figures is REFUSING else 500)
    ]
    assert not any(contradicted for (contradicted,) in post.rows("contradicted"))


def changed(mail: bytes) -> bytes:
    """The mail with another line in its text, as a forger would change more: the body hash is wrong then."""
    assert mail.count(b"\r\n--") > 1
    head, line_end, body = mail.partition(b"\r\n\r\n")
    return head + line_end + b"It was changed.\r\n" + body


def test_an_archive_with_forged_mail(post: Post, archive: Path) -> None:
    """Loaded: a wrong signature moves nothing; a key that is gone, or none at all, is vouched for by the operator."""
    post.daily([GOOGLE], BEGAN, ON - DAY)
    gone = Sender("Gone AG", "tls@gone.example")
    for day in days(BEGAN, ON - 2 * DAY):
        put(archive, post.mail(gone, day, entry(20, 0, policy_string=list(TESTING))))
    post.forget(gone)
    post.load(archive)
    before = post.verdict()
    assert (before.name, before.reporters, before.sessions) == (READY, 2, 2 * 14 * 20)
    for day in days(ON - 10 * DAY, ON - DAY):
        # Changed mails of Microsoft, and some that a stranger made up in its name.
        put(archive, changed(post.mail(MICROSOFT, day, entry(1, 50, detail(sessions=50), policy_string=list(TESTING)))))
        forger = Sender("Microsoft Corporation", MICROSOFT.address)
        forged = post.mail(forger, day, entry(1, 60, detail(sessions=60), policy_string=list(ENFORCE)))
        put(archive, forged.replace(b"\r\n b=", b"\r\n b=AAAA", 1))
    loaded = post.load(archive)
    assert (loaded.tally.stored, loaded.tally.quarantined) == (20, 0)
    assert post.verdict() == before
    trusts = [trust for (trust,) in post.rows("trust")]
    assert {trust: trusts.count(trust) for trust in trusts} == {VERIFIED: 31, IMPORTED: 30, UNVERIFIED: 20}


def test_a_changed_mail_whose_key_is_gone_is_wrong_all_the_same(post: Post, archive: Path) -> None:
    post.daily(KNOWN, BEGAN, ON - DAY)
    before = post.verdict()
    gone = Sender("Gone AG", "tls@gone.example")
    put(archive, changed(post.mail(gone, BAD_DAY, REFUSING)))
    post.forget(gone)
    post.load(archive)
    assert post.verdict() == before
    assert (UNVERIFIED,) in post.rows("trust")


def test_what_the_operator_loads_unsigned_is_a_known_voice(post: Post, archive: Path) -> None:
    post.daily([GOOGLE], BEGAN, ON - DAY)
    for day in days(BEGAN, ON - 2 * DAY):
        put(archive, post.mail(MAILER, day, entry(20, 0, policy_string=list(TESTING)), signed=False))
    post.load(archive)
    verdict = post.verdict()
    assert (verdict.name, verdict.reporters, verdict.newcomers) == (READY, 2, ())


def test_archive_and_live_mail_of_one_sender_are_one_voice(post: Post, archive: Path) -> None:
    """Bare files until the day on which the receiver began to work, signed mail since: a false ``ready`` once."""
    live_since = ON - 9 * DAY
    post.daily([MAILER], live_since, ON - DAY)
    for day in days(BEGAN, live_since + DAY):  # on two days as a file and as a mail
        put_file(archive, report_of(MAILER, day, entry(20, 0, policy_string=list(TESTING))))
    post.load(archive)
    verdict = post.verdict()
    assert (verdict.name, verdict.reporters, blocking(verdict)) == (INSUFFICIENT, 1, ["too-few-reporters"])
    assert [(voice.voice, voice.share) for voice in verdict.by_reporter] == [("mailer.example", 1.0)]
    # It is known, because the operator loaded it; each day counts once, however far the window reaches.
    assert verdict.newcomers == ()
    assert verdict.sessions == verdict.window.days * 20


def test_the_file_saved_from_a_live_mail_counts_once(post: Post, archive: Path) -> None:
    post.daily(KNOWN, BEGAN, ON - DAY)
    before = post.verdict()
    for day in days(BEGAN, ON - DAY):
        for sender in KNOWN:
            put_file(archive, report_of(sender, day, entry(20, 0, policy_string=list(TESTING))))
    loaded = post.load(archive)
    assert (loaded.tally.stored, loaded.tally.duplicate) == (0, 62)
    assert headline(post.verdict()) == before


def test_a_sender_without_contact_is_one_voice_too(post: Post, archive: Path) -> None:
    """Stalwart's files name nobody but an organisation; its live mail is signed."""
    live_since = ON - 9 * DAY
    for day in days(BEGAN, live_since - DAY):
        put_file(archive, report_of(STALWART, day, entry(20, 0, policy_string=list(TESTING))))
    post.load(archive)
    post.daily([STALWART], live_since, ON - DAY)
    verdict = post.verdict()
    assert (verdict.name, verdict.reporters, blocking(verdict)) == (INSUFFICIENT, 1, ["too-few-reporters"])


def test_a_name_alone_makes_no_stranger_known(post: Post, archive: Path) -> None:
    """The operator loads files of Small Host; a stranger signs as Small Host, and gives no contact address either."""
    post.daily([GOOGLE], BEGAN, ON - DAY)
    for day in days(BEGAN, ON - 2 * DAY):
        put_file(archive, report_of(STALWART, day, entry(20, 0, policy_string=list(TESTING))))
    post.load(archive)
    before = post.verdict()
    assert (before.name, before.reporters) == (READY, 2)
    forger = Sender("Small Host", STRANGER.address, contact=False)
    for day in days(ON - 8 * DAY, ON - DAY):
        post.send(forger, day, entry(9, 50, detail(sessions=50), policy_string=list(ENFORCE)))
    after = post.verdict()
    assert headline(after) == before
    assert [(newcomer.voice, newcomer.refused) for newcomer in after.newcomers] == [("stranger.example", 8 * 50)]
    assert after.with_newcomers == NOT_READY


@pytest.mark.parametrize(
    ("victim", "copied"),
    [
        pytest.param(GOOGLE, REFUSING, id="listed, same figures"),
        pytest.param(GOOGLE, ELSEWHERE, id="listed, same figures under another policy"),
        pytest.param(GOOGLE, CLEAN, id="listed, other figures"),
        pytest.param(MAILER, REFUSING, id="by contact, same figures"),
        pytest.param(MAILER, CLEAN, id="by contact, other figures"),
        pytest.param(STALWART, REFUSING, id="by name, same figures"),
        pytest.param(STALWART, ELSEWHERE, id="by name, same figures under another policy"),
        pytest.param(STALWART, CLEAN, id="by name, other figures"),
    ],
)
def test_a_strangers_copy_displaces_no_loaded_file(post: Post, archive: Path, victim: Sender, copied: Any) -> None:
    """The operator has the files of a sender, unsigned; a stranger signs a copy with the same id, name and contact. Ids are made
    of the day, and the figures of a small domain can be guessed.
    """
    post.daily([MICROSOFT], BEGAN, ON - DAY)
    for day in days(BEGAN, ON - 2 * DAY):
        figures = REFUSING if day == BAD_DAY else entry(20, 0, policy_string=list(TESTING))
        put_file(archive, report_of(victim, day, figures))
    post.load(archive)
    before = post.verdict()
    assert (before.name, before.refused, before.newcomers) == (NOT_READY, 3, ())
    forger = Sender(victim.organization, STRANGER.address, contact=victim.contact)
    claim: dict[str, Any] = {"contact_info": victim.address} if victim.contact else {}
    post.send(forger, BAD_DAY, copied, report_id=report_of(victim, BAD_DAY)["report-id"], **claim)
    after = post.verdict()
    assert (after.name, after.refused) == (NOT_READY, 3)
    assert headline(after) == before


def test_a_strangers_copy_about_another_domain_displaces_no_loaded_file(post: Post, archive: Path) -> None:
    """The report names no policy domain: the file's name does, and the stranger's own header."""
    nameless = entry(20, 0, policy_string=list(TESTING), policy_domain=...)
    copied = report_of(GOOGLE, BAD_DAY, nameless)
    (archive / f"google.com!{DOMAIN}!1774483200!1774569599.json").write_text(json.dumps(copied))
    post.load(archive)
    assert post.rows("policy_domain", "counts") == [(DOMAIN, True)]
    received_at = arrival_of(BAD_DAY)
    mail = reports.mail(
        copied, sender=STRANGER.address, submitter=STRANGER.domain, domain="x.example", date=received_at
    )
    mail = mail.replace(f"!{DOMAIN}!".encode(), b"!x.example!")
    post.deliver(post.sign(mail, STRANGER, received_at), received_at)
    assert post.rows("policy_domain", "counts") == [(DOMAIN, True), ("x.example", True)]
