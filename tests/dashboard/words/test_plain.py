"""Text from reports on a page: hidden characters are seen, and nothing is read as Markdown."""

import markdown_it
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.words import plain
from tests.dashboard.world import HOSTILE


def tokens(text: str) -> list[tuple[str, str]]:
    """What a Markdown reader makes of a text in the middle of a sentence."""
    parsed = markdown_it.MarkdownIt("gfm-like", {"linkify": False}).parseInline(f"a {text} b")
    return [(token.type, token.content) for token in parsed[0].children or []]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_text_is_one_code_span(hostile: str) -> None:
    words = plain.plain(hostile)
    kinds = [kind for kind, _ in tokens(words)]
    assert kinds == ["text", "code_inline", "text"]


@given(st.text(max_size=60))
def test_any_text_is_words_or_one_code_span_that_says_it_whole(text: str) -> None:
    words = plain.plain(text)
    parsed = tokens(words)
    if words.startswith("`"):
        assert [kind for kind, _ in parsed] == ["text", "code_inline", "text"]
        # CommonMark takes one blank off at both ends when both are there, and there is more than blanks.
        assert parsed[1][1].strip() == plain.visible(text).replace(":material/", ":material[U+002F]").strip()
    else:
        assert "".join(content for _, content in parsed) == f"a {words} b"
        assert {kind for kind, _ in parsed} == {"text"}


@pytest.mark.parametrize(
    "ordinary",
    ["example.com", "xn--bcher-kva.example", "Google Inc.", "Sender Inc", "mx1.receiver.example", "m\u00fcller"],
)
def test_ordinary_names_are_no_code(ordinary: str) -> None:
    assert plain.plain(ordinary).strip("`") == ordinary


def test_a_domain_is_shown_without_a_code_span() -> None:
    assert plain.plain("mail.xn--bcher-kva.example") == "mail.xn--bcher-kva.example"


def test_the_name_of_an_icon_is_written_out() -> None:
    """Streamlit rewrites it even in code."""
    assert plain.plain("a :material/check: b") == "`a :material[U+002F]check: b`"


@pytest.mark.parametrize(
    "link", ["www.attacker.example", "see www.attacker.example", "WWW.attacker.example", "a@attacker.example"]
)
def test_what_streamlit_makes_a_link_of_is_code(link: str) -> None:
    assert plain.plain(link).startswith("`")


@pytest.mark.parametrize(
    ("hidden", "written"),
    [
        ("\u202egnp.exe", "[U+202E]gnp.exe"),
        ("a\u200bb", "a[U+200B]b"),
        ("a\x00\x1b[31m", "a[U+0000][U+001B][31m"),
        ("a\r\nb", "a \u23ce b"),
        ("a\rb", "a[U+000D]b"),  # a CR alone ends no line: it writes over one
        ("a\u3164\u2800\ufe0fb", "a[U+3164][U+2800][U+FE0F]b"),  # a letter, a symbol and a mark that show nothing
        ("e" + "\u0301" * 6, "e" + "\u0301" * 4 + "[U+0301][U+0301]"),  # marks that would grow over other lines
        ("\ufeffx", "[U+FEFF]x"),
        ("\U000e0041", "[U+E0041]"),
        ("caf\u00e9", "caf\u00e9"),
    ],
)
def test_hidden_characters_are_written_out(hidden: str, written: str) -> None:
    assert plain.visible(hidden) == written


def test_long_text_is_cut_and_says_so() -> None:
    assert plain.visible("x" * 5000, 100) == "x" * 100 + " \u2026 (cut)"


def test_raw_text_keeps_its_lines() -> None:
    assert plain.visible_lines("a\tb\nc\u202e", 100) == "a\tb\nc[U+202E]"


@pytest.mark.parametrize(
    ("domain", "text"),
    [
        ("xn--bcher-kva.example", "xn--bcher-kva.example (b\u00fccher.example)"),
        ("receiver.example", "receiver.example"),
        ("xn--a.example", "xn--a.example"),  # no valid label: nothing beside it
        ("xn--" + "a" * 200, "xn--" + "a" * 200),
        ("", "(none named)"),
    ],
)
def test_a_domain_has_its_u_labels_beside_it(domain: str, text: str) -> None:
    assert plain.domain_text(domain) == text


@pytest.mark.parametrize("domain", ["receiver.example", "xn--bcher-kva.example", "", ":red[x].[a](//b.example)<b>"])
def test_an_address_leads_back_to_the_stored_domain(domain: str) -> None:
    assert plain.stored_domain(plain.domain_parameter(domain)) == domain


@pytest.mark.parametrize(
    ("typed", "stored"),
    [("B\u00dcCHER.example.", "xn--bcher-kva.example"), (" Receiver.Example ", "receiver.example"), ("a b", "a b")],
)
def test_a_typed_domain_is_read_as_the_store_keeps_it(typed: str, stored: str) -> None:
    assert plain.stored_domain(typed) == stored
