"""The shipped list of well-known reporters: what may stand in it, and what is asked of it."""

import datetime as dt
import re
import tomllib

import pytest
from publicsuffixlist import PublicSuffixList

from ingest.testimony import reporters, voices
from tests.support import ROOT

FILE = tomllib.loads((ROOT / "ingest/testimony/reporters.toml").read_text())
SUFFIXES = PublicSuffixList(only_icann=True)


def test_the_file_is_well_formed():
    assert set(FILE) == {"day", "reporter", "excluded"}
    assert isinstance(FILE["day"], dt.date)
    assert len(reporters.listed()) == len(FILE["reporter"]) > 0


def test_the_head_says_the_day_and_how_to_amend_it():
    head = (ROOT / "ingest/testimony/reporters.toml").read_text().split("\n\n")[0]
    assert re.search(r"Made on \d{4}-\d\d-\d\d\.", head)
    assert "To amend it:" in head


@pytest.mark.parametrize("reporter", reporters.listed(), ids=lambda reporter: reporter.voice)
def test_a_reporter_is_a_registrable_domain_with_signers_under_it_and_sources(reporter: reporters.Reporter):
    assert SUFFIXES.privatesuffix(reporter.voice) == reporter.voice
    assert reporter.names
    assert reporter.signers
    assert {SUFFIXES.privatesuffix(signer) for signer in reporter.signers} == {reporter.voice}
    assert reporter.sources
    assert all(re.search(r"\(20\d\d-\d\d-\d\d\)", source) for source in reporter.sources), "a source has its day"


def test_the_lists_are_sorted_and_hold_nothing_twice():
    listed = [reporter.voice for reporter in reporters.listed()]
    assert listed == sorted(set(listed))
    assert list(FILE["excluded"]) == sorted(FILE["excluded"])
    for values in (
        [voices.folded(name) for reporter in reporters.listed() for name in reporter.names],
        [signer for reporter in reporters.listed() for signer in reporter.signers],
    ):
        assert len(values) == len(set(values))


def test_no_domain_under_which_customers_sign_is_listed():
    """Any customer could sign a report as the provider."""
    excluded = {SUFFIXES.privatesuffix(domain) for domain in FILE["excluded"]}
    assert excluded == set(FILE["excluded"])
    assert excluded.isdisjoint(reporter.voice for reporter in reporters.listed())
    assert all(FILE["excluded"].values()), "a reason"


@pytest.mark.parametrize(
    ("voice", "listed"),
    [
        ("google.com", True),
        ("microsoft.com", True),
        ("gmail.com", False),
        ("mail.ru", False),
        ("smtp.google.com", False),
        ("", False),
    ],
)
def test_a_voice_is_on_the_list_or_not(voice: str, listed: bool):
    assert reporters.is_listed(voice) is listed


@pytest.mark.parametrize(
    ("name", "voice"),
    [
        ("Google Inc.", "google.com"),
        ("google llc", "google.com"),
        ("  Microsoft   CORPORATION ", "microsoft.com"),
        ("Mail.ru", ""),
        ("Google Inc. of Nowhere", ""),
        ("", ""),
    ],
)
def test_a_name_leads_to_its_voice(name: str, voice: str):
    assert reporters.voice_of_name(voices.folded(name)) == voice
