"""Which copies of a report count: tables (docs/verdict.md, "Who says what, once")."""

import datetime as dt

import pytest

from ingest.rfc.tlsrpt.domains import FILE_NAME, HEADER, NOWHERE, REPORT_ID
from ingest.testimony.folding import Copy, InferredCopy, Standing, displaced, fold
from ingest.testimony.trust import EVIDENCE, IMPORTED, UNAUTHENTICATED, UNVERIFIED, VERIFIED

NOON = dt.datetime(2026, 3, 15, 12, tzinfo=dt.UTC)
CLAIM = ("tls@sender.example", "Sender Inc.")


def copy(
    name: str,
    *,
    figures: str = "same",
    trust: str = IMPORTED,
    signer: str = "",
    voice: str = "sender.example",
    claim: tuple[str, str] = CLAIM,
    sessions: int = 10,
    refused: int = 0,
    hours: int = 0,
    domain: str = "receiver.example",
) -> Copy:
    received_at = NOON + dt.timedelta(hours=hours)
    return Copy((domain, name), signer or voice, signer, claim, figures, trust, sessions, refused, received_at)


def standings(*copies: Copy, trusted: tuple[str, ...] = EVIDENCE) -> dict[str, Standing]:
    return {key[1]: standing for key, standing in fold(copies, trusted).items()}


def counting(*copies: Copy, trusted: tuple[str, ...] = EVIDENCE) -> set[str]:
    return {name for name, standing in standings(*copies, trusted=trusted).items() if standing.counts}


MAIL = copy("mail", trust=VERIFIED, signer="sender.example")


@pytest.mark.parametrize(
    ("other", "counts", "why"),
    [
        (copy("file"), {"mail"}, "the attachment saved from the mail"),
        (copy("upload", trust=UNAUTHENTICATED), {"mail"}, "the same report by HTTPS"),
        (copy("file", voice="relay.example"), {"mail"}, "unsigned, and claims the same: nothing shows another sender"),
        (copy("mail2", trust=VERIFIED, signer="other.example"), {"mail", "mail2"}, "another signer is another voice"),
        (
            copy("file", voice="x.example", claim=("tls@x.example", "X")),
            {"mail", "file"},
            "another sender, the same id",
        ),
        (copy("forged", trust=UNVERIFIED, figures="other", sessions=99), {"mail", "forged"}, "kept apart"),
        (copy("archive", figures="other", sessions=11), {"archive"}, "corrected totals: more sessions count"),
        (copy("archive", figures="other", sessions=9), {"mail"}, "corrected totals: more sessions count"),
    ],
)
def test_what_counts_beside_a_verified_mail(other: Copy, counts: set[str], why: str) -> None:
    assert counting(MAIL, other) == counts, why
    assert counting(other, MAIL) == counts, f"{why}, in the other order"


@pytest.mark.parametrize(
    ("other", "contradicted", "why"),
    [
        (copy("archive", figures="other"), True, "both are trusted"),
        (copy("forged", figures="other", trust=UNVERIFIED), False, "an untrusted copy contradicts nothing"),
        (copy("file"), False, "equal figures"),
        (copy("mail2", figures="other", trust=VERIFIED, signer="other.example"), False, "another voice"),
    ],
)
def test_what_contradicts_a_verified_mail(other: Copy, contradicted: bool, why: str) -> None:
    assert standings(MAIL, other)["mail"].contradicted is contradicted, why
    assert standings(MAIL, other)[other.key[1]].contradicted is contradicted, why


def test_of_contradicting_copies_the_larger_refusal_accuses() -> None:
    more, refusing = copy("more", figures="a", sessions=20), copy("refusing", figures="b", sessions=10, refused=3)
    folded = standings(more, refusing)
    assert (folded["more"].counts, folded["more"].accuses) == (True, False)
    assert (folded["refusing"].counts, folded["refusing"].accuses) == (False, True)
    folded = standings(copy("more", figures="a", sessions=20, refused=3), refusing)
    assert (folded["more"].counts, folded["more"].accuses) == (True, True)


def test_a_copy_of_a_contradicted_report_is_only_a_copy() -> None:
    folded = standings(MAIL, copy("file", hours=1), copy("archive", figures="other", sessions=5))
    assert [folded[name].contradicted for name in ("mail", "file", "archive")] == [True, False, True]
    assert (folded["file"].original, folded["file"].counts, folded["file"].accuses) == (MAIL.key, False, False)


@pytest.mark.parametrize(
    ("copies", "first", "why"),
    [
        ([copy("b", hours=1), copy("a", hours=2)], "b", "the first to come"),
        ([copy("a", trust=UNVERIFIED), copy("b", hours=9)], "b", "the one that is trusted"),
        ([copy("a"), copy("b", trust=VERIFIED, signer="sender.example", hours=9)], "b", "the one trusted most"),
    ],
)
def test_which_of_equal_copies_stands_for_all(copies: list[Copy], first: str, why: str) -> None:
    assert counting(*copies) == {first}, why


def test_uploads_contradict_each_other_where_the_operator_trusts_them() -> None:
    copies = (
        copy("a", trust=UNAUTHENTICATED, figures="a", sessions=3),
        copy("b", trust=UNAUTHENTICATED, figures="b", sessions=4),
    )
    assert counting(*copies) == {"a", "b"}
    assert counting(*copies, trusted=(*EVIDENCE, UNAUTHENTICATED)) == {"b"}


def test_a_sender_without_contact_is_the_signer_that_uses_its_name() -> None:
    """Stalwart: the file saved from its mail names no domain. A stranger's signature takes over no sender that names one."""
    nameless = ("", "mail server")
    mail = copy("mail", trust=VERIFIED, signer="sender.example", claim=nameless, sessions=3)
    file = copy("file", voice="mail server", claim=nameless, figures="corrected", sessions=4)
    assert counting(mail, file) == {"file"}
    assert standings(mail, file)["file"].voice == "sender.example"
    named = copy("file", figures="other", sessions=4)
    stranger = copy("forged", trust=VERIFIED, signer="stranger.example", figures="more", sessions=9)
    assert counting(named, stranger) == {"file", "forged"}


def test_a_strangers_signature_under_a_copy_takes_nothing_over() -> None:
    file = copy("file")
    stranger = copy("forged", trust=VERIFIED, signer="stranger.example")
    both = {each.key[1]: each for each in (file, stranger)}
    known = fold(both.values(), EVIDENCE, {"sender.example"}.__contains__)
    assert {standing.voice for standing in known.values()} == {"sender.example"}
    # The policy that the stranger quotes beside equal figures is not the sender's word.
    assert [key[1] for key, standing in known.items() if standing.counts] == ["file"]
    service = fold(both.values(), EVIDENCE, {"sender.example", "stranger.example"}.__contains__)
    assert {standing.voice for standing in service.values()} == {"stranger.example"}


@pytest.mark.parametrize("figures", ["same", "more"])
def test_a_strangers_signature_takes_no_name_over(figures: str) -> None:
    """Who gives no contact address is told by its name alone, and anybody may sign with that name."""
    nameless = ("", "mail server")
    file = copy("file", voice="mail server", claim=nameless, refused=3)
    stranger = copy("forged", trust=VERIFIED, signer="stranger.example", claim=nameless, figures=figures, sessions=99)
    folded = {
        key[1]: standing for key, standing in fold([file, stranger], EVIDENCE, {"mail server"}.__contains__).items()
    }
    assert folded["file"].voice == "mail server"
    assert not folded["file"].contradicted
    assert {standing.voice for standing in folded.values() if standing.counts} >= {"mail server"}
    both_known = fold([file, stranger], EVIDENCE, {"mail server", "stranger.example"}.__contains__)
    assert both_known[file.key].voice == "stranger.example"


def inferred(name: str, domain: str, source: str, **given: object) -> InferredCopy:
    return InferredCopy(copy(name, domain=domain, **given), source)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("copies", "gone", "why"),
    [
        (
            [inferred("upload", "", NOWHERE, trust=UNAUTHENTICATED), inferred("mail", "r.example", HEADER)],
            {"upload": "mail"},
            "an upload has no header",
        ),
        (
            [inferred("file", "", NOWHERE), inferred("mail", "r.example", HEADER, trust=UNVERIFIED)],
            {"mail": "file"},
            "the one that is trusted, although its domain is unknown",
        ),
        (
            [inferred("a", "r.example", HEADER), inferred("b", "r.example", FILE_NAME)],
            {},
            "copies within a domain are told by their figures",
        ),
        (
            [inferred("a", "r.example", FILE_NAME), inferred("b", "x.example", REPORT_ID)],
            {"b": "a"},
            "the more credible source",
        ),
        (
            [inferred("a", "r.example", HEADER), inferred("b", "", NOWHERE, voice="o.example", claim=("", "O"))],
            {},
            "another sender",
        ),
        (
            [
                inferred("a", "r.example", HEADER, trust=VERIFIED, signer="sender.example"),
                inferred("b", "", NOWHERE, trust=VERIFIED, signer="other.example"),
            ],
            {},
            "another signer",
        ),
    ],
)
def test_an_inferred_domain_makes_no_second_report(copies: list[InferredCopy], gone: dict[str, str], why: str) -> None:
    assert {key[1]: original[1] for key, original in displaced(copies).items()} == gone, why
    assert {key[1]: original[1] for key, original in displaced(copies[::-1]).items()} == gone, why
