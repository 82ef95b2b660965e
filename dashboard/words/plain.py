"""Text from reports is data. Here it is made fit for a page: nothing hidden in it, nothing that takes effect.

Streamlit reads Markdown in titles, captions, labels, metrics, alerts and toasts. Backslashes do not stop all of it: links,
``:material/...:`` and emoji names are looked for after they are resolved. So whatever is not an ordinary word goes into a
code span, where nothing is looked for. Tables, ``st.text`` and ``st.code`` show text as it is; they need ``visible`` only.
"""

import re
from collections.abc import Mapping

import idna

from dashboard.queries.frames import LONGEST_TEXT
from ingest.rfc import names
from ingest.text import plaintext

# A policy domain that no report named. The blank cannot be part of a domain name, so it stands for nothing else.
NO_DOMAIN = "(none named)"

# Letters and digits in any script, with single separators: no Markdown can be made of these.
_ORDINARY = re.compile(r"[^\W_]+(?:(?:[ .,]|, |--?)[^\W_]+)*")
_AUTOLINK = re.compile(r"www\.", re.IGNORECASE)
_ICON, _ICON_WRITTEN_OUT = ":material/", ":material[U+002F]"
_FOR_PEOPLE = {"\n": " \u23ce ", "\t": " "}
_AS_LINES = {"\n": "\n", "\t": "\t"}


def visible(text: str, longest: int = LONGEST_TEXT) -> str:
    """``text`` on one line, with hidden characters written as ``[U+202E]``, and cut to ``longest`` characters."""
    line = text if text.isprintable() and text.isascii() else _written_out(text, _FOR_PEOPLE)
    return line if len(line) <= longest else f"{line[:longest]} \u2026 (cut)"


def visible_lines(text: str, longest: int) -> str:
    """``text`` with its lines kept, for ``st.code``: hidden characters written out, and cut to ``longest`` characters."""
    cut = text[:longest]
    lines = _written_out(cut, _AS_LINES)
    return lines if cut == text else f"{lines}\n\u2026 (cut)"


def plain(text: str, longest: int = 200) -> str:
    """``text`` for a place where Streamlit reads Markdown: ordinary words as they are, anything else as a code span."""
    line = visible(text, longest)
    if _ORDINARY.fullmatch(line) and not _AUTOLINK.search(line):
        return line
    return _code_span(line)


def domain_parameter(domain: str) -> str:
    """A stored policy domain for an address (``?domain=``); ``stored_domain`` reads it back."""
    return domain or NO_DOMAIN


def stored_domain(asked: str) -> str:
    """The stored form (A-labels, lower case) of a domain that a user typed or an address holds; what is none stays as it is."""
    if asked.strip() == NO_DOMAIN:
        return ""
    try:
        return names.domain_name(asked)
    except ValueError:
        return asked


def domain_text(domain: str) -> str:
    """A policy domain for a table or ``st.text``, with its U-labels beside it; what no report named is ``NO_DOMAIN``."""
    u_labels = unicode_name(domain)
    return (visible(domain, 300) + (f" ({u_labels})" if u_labels else "")) or NO_DOMAIN


def domain_label(domain: str) -> str:
    """A policy domain where Streamlit reads Markdown."""
    return plain(domain, 300) if domain else "no domain named"


def unicode_name(domain: str) -> str:
    """The domain as its owner writes it (U-labels), ``""`` when that is no different or cannot be told."""
    if "xn--" not in domain:
        return ""
    try:
        name = ".".join(idna.decode(label) if label.startswith("xn--") else label for label in domain.split("."))
    except (idna.IDNAError, UnicodeError):
        return ""
    return "" if name == domain else visible(name, 300)


def _written_out(text: str, blanks: Mapping[str, str]) -> str:
    """Hidden characters as their code points; line ends and tabs as ``blanks`` says. A CR that ends no line is hidden, too."""
    return plaintext.written_out(
        text.replace("\r\n", "\n"), lambda character: blanks.get(character) or f"[U+{ord(character):04X}]"
    )


def _code_span(text: str) -> str:
    """CommonMark section 6.1: a fence longer than any run of backticks within, and a blank beside a backtick at the edge."""
    if not text.strip():
        return "\u2014"
    # Streamlit rewrites the names of icons before it looks for code: ":material/check:" would be shown as ":material_check:".
    text = text.replace(_ICON, _ICON_WRITTEN_OUT)
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    # One blank is taken off at each end when both are there, so that the text itself keeps its own.
    edge = " " if text[0] in "` " or text[-1] in "` " else ""
    return f"{fence}{edge}{text}{edge}{fence}"
