"""One reading of a day, wherever one is typed."""

import datetime as dt

import pytest

from ingest.text.days import NoDay, read_day

NO_DAYS = [
    pytest.param("2026-W11-6", id="ISO's week form"),
    pytest.param("2026W116", id="the week form without hyphens"),
    pytest.param("20260314", id="without hyphens"),
    pytest.param("2026-3-14", id="a digit is missing"),
    pytest.param("14.03.2026", id="as Germans write it"),
    pytest.param("2026-02-30", id="February has no such day"),
    pytest.param("0000-01-01", id="there was no year 0"),
    pytest.param("2026-03-14T00", id="an instant"),
    pytest.param(" 2026-03-14", id="a blank before"),
    pytest.param("2026-03-14\n", id="a line feed behind"),
    pytest.param("\u0662\u0660\u0662\u0666-\u0660\u0663-\u0661\u0664", id="Arabic digits"),
    pytest.param("2026\u201003\u201014", id="typographic hyphens"),
    pytest.param("today", id="a word"),
]


@pytest.mark.parametrize("text", ["2026-03-14", "2024-02-29", "1970-01-01", "2199-12-31"])
def test_a_day(text: str) -> None:
    assert read_day(text) == dt.date(*map(int, text.split("-")))


@pytest.mark.parametrize("text", [*NO_DAYS, pytest.param("", id="nothing")])
def test_what_is_no_day(text: str) -> None:
    with pytest.raises(NoDay) as error:
        read_day(text)
    assert str(error.value) == f"{text!r} is no day; write it as YYYY-MM-DD, for example 2026-03-14"


@pytest.mark.parametrize("text", ["0001-01-01", "1969-12-31", "2200-01-01", "9999-12-31"])
def test_no_report_is_about_such_a_day(text: str) -> None:
    with pytest.raises(NoDay, match=f"^{text} is not between 1970-01-01 and 2199-12-31$"):
        read_day(text)
