"""Shares are read and written alike in settings, on the command line and on the page."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.settings import settings, table
from ingest.text.shares import NoShare, percent, read_share


@pytest.mark.parametrize(
    ("text", "share", "written"),
    [
        ("0.02", 0.02, "2 %"),
        ("2%", 0.02, "2 %"),
        (" 2 % ", 0.02, "2 %"),
        ("2.5%", 0.025, "2.5 %"),
        ("0.07", 0.07, "7 %"),
        ("1e-3", 0.001, "0.1 %"),
        ("2", 2.0, "200 %"),
        ("0", 0.0, "0 %"),
        ("1e-05 %", 1e-7, "1e-05 %"),
    ],
)
def test_a_share_is_read_and_written(text: str, share: float, written: str) -> None:
    assert read_share(text) == share
    assert percent(share) == written


@pytest.mark.parametrize(
    "text", ["", "%", "a", "0,02", "-1", "2%%", "nan", "inf", "1_0", "٢%", "2 percent", "1e9999", "9" * 50]
)
def test_what_is_no_share(text: str) -> None:
    with pytest.raises(NoShare, match=r"write it as 0\.02 or 2%"):
        read_share(text)


@given(st.integers(1, 999_999).map(lambda parts: parts / 1_000_000))
def test_what_is_written_can_be_read(share: float) -> None:
    assert read_share(percent(share)) == pytest.approx(share, rel=1e-12)


@pytest.mark.parametrize("written", ["0.025", "2.5%", "2.5 %"])
def test_the_setting_takes_and_shows_a_share(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.setenv("STARTTALLY_VERDICT_BOUND", written)
    read = settings.load()
    assert read.verdict_bound == 0.025
    row = next(row for row in table.current(read) if row.name == "STARTTALLY_VERDICT_BOUND")
    assert (row.value, row.default) == ("2.5 %", "1 %")


@pytest.mark.parametrize(("written", "why"), [("2", "less than 1"), ("0%", "greater than 0"), ("some", "no share")])
def test_a_wrong_share_is_refused_in_words(monkeypatch: pytest.MonkeyPatch, written: str, why: str) -> None:
    monkeypatch.setenv("STARTTALLY_VERDICT_BOUND", written)
    with pytest.raises(settings.SettingsError, match=why):
        settings.load()
