"""Every code of the reading side has plain words, and they agree with what the store decided."""

import pytest

from dashboard.queries.question import LANES
from dashboard.views.parts import figures
from dashboard.words import cause_words, wording
from ingest.rfc import result_types
from ingest.rfc.mtasts import enforcement
from ingest.rfc.result_types import DANE_ONLY, POLICY_UNUSABLE, REFUSED, UNCLEAR
from ingest.spool import channels
from ingest.testimony import trust, unread
from ingest.testimony.trust import TRUST_ORDER


@pytest.mark.parametrize("code", sorted(result_types.OF_RFC | {result_types.UNEXPLAINED}))
def test_every_result_type_has_words_a_meaning_and_a_repair(code: str) -> None:
    words = wording.RESULT_TYPES[code]
    assert words.words
    assert words.meaning.endswith(".")
    assert words.repair.endswith(".")


def test_words_and_table_have_the_same_result_types() -> None:
    assert set(wording.RESULT_TYPES) == set(result_types.RESULT_TYPES)


def test_words_and_table_have_the_same_consequences() -> None:
    consequences = {kind.consequence for kind in result_types.RESULT_TYPES.values()}
    assert set(wording.CONSEQUENCES) == set(figures._URGENCY) == consequences


def test_whoever_can_repair_something_has_a_name() -> None:
    assert set(cause_words._REPAIRERS) == {kind.repairer for kind in result_types.RESULT_TYPES.values()} - {UNCLEAR}


@pytest.mark.parametrize("code", [*wording.RESULT_TYPES, "a-word-of-their-own"])
def test_what_the_page_calls_refused_is_what_the_store_counts_as_refused(code: str) -> None:
    assert (result_types.kind_of(code).consequence == REFUSED) == enforcement.refuses("sts", code)


def test_every_trust_has_words() -> None:
    assert set(wording.TRUST) == set(wording.TRUST_MEANING) == set(trust.TRUST_ORDER)


def test_the_lanes_hold_every_trust_once() -> None:
    assert sorted(trust for lane in LANES.values() for trust in lane) == sorted(TRUST_ORDER)


def test_every_channel_has_words() -> None:
    assert set(wording.DOORS) == set(channels.CHANNELS)


def test_every_dkim_verdict_has_words() -> None:
    verdicts = {trust.VERIFIED, trust.UNSIGNED, trust.FAILED, trust.UNDETERMINED}
    assert set(wording.DKIM) == verdicts


def test_every_quarantine_reason_has_words() -> None:
    codes = {unread.NO_REPORT, unread.PARTLY_READ, unread.FOREIGN_DOMAIN, unread.KILLED_READER, unread.POSTMASTER}
    assert set(wording.QUARANTINE_REASONS) == codes


@pytest.mark.parametrize(
    ("choice", "trusts"),
    [
        ("", trust.TRUST_ORDER),
        ("trusted", ("verified", "imported")),
        ("unproven", ("unverified", "unauthenticated")),
        ("imported", ("imported",)),
        ("nonsense", trust.TRUST_ORDER),
    ],
)
def test_a_choice_of_trust(choice: str, trusts: tuple[str, ...]) -> None:
    assert wording.trusts_of(choice) == trusts


@pytest.mark.parametrize(
    ("failed", "refused", "consequence", "under", "words"),
    [
        (1, 1, REFUSED, "sts", "1 session would be refused by enforce"),
        (9, 9, REFUSED, "sts", "9 sessions would be refused by enforce"),
        # validation-failure whose reason code accuses the policy host
        (9, 4, REFUSED, "sts", "4 sessions would be refused by enforce; 5 others would not be"),
        # sts-policy-invalid in a row that names an MX host
        (9, 9, POLICY_UNUSABLE, "sts", "9 sessions would be refused by enforce"),
        (3, 0, POLICY_UNUSABLE, "sts", f"3 sessions; {wording.CONSEQUENCES[POLICY_UNUSABLE]}"),
        (3, 0, DANE_ONLY, "tlsa", f"3 sessions; {wording.CONSEQUENCES[DANE_ONLY]}"),
        (3, 0, REFUSED, "tlsa", "3 sessions failed"),
    ],
)
def test_an_outcome_in_words(failed: int, refused: int, consequence: str, under: str, words: str) -> None:
    assert wording.outcome(failed, refused, consequence, under) == words


@pytest.mark.parametrize(
    ("code", "mode", "text", "title"),
    [
        ("sts", "testing", "version: STSv1", "MTA-STS, mode testing"),
        ("sts", ":red[x]", "mode: :red[x]", "MTA-STS, mode `:red[x]`"),
        ("sts", "", "rubbish", "MTA-STS, mode not readable"),
        ("sts", "", None, "MTA-STS, the text is not quoted"),
        ("tlsa", "", "3 1 1 AB", "DANE records"),
        ("no-policy-found", "", None, "No policy was found"),
        ("[x](y)", "", None, "`[x](y)`, the text is not quoted"),
    ],
)
def test_a_policy_in_a_title(code: str, mode: str, text: str | None, title: str) -> None:
    assert wording.policy_title(code, mode, text) == title


@pytest.mark.parametrize(
    ("count", "words"), [(None, "\u2014"), (float("nan"), "\u2014"), (0, "0"), (1234567.0, "1,234,567")]
)
def test_a_count_in_words(count: float | None, words: str) -> None:
    assert wording.sessions(count) == words


@pytest.mark.parametrize(
    ("count", "words"), [(739, "739 bytes"), (1300, "1.3 KB"), (20_000_000, "20.0 MB"), (3 * 10**9, "3.0 GB")]
)
def test_a_size_in_words(count: int, words: str) -> None:
    assert wording.size(count) == words
