"""Text from strangers, fit for a terminal or a log line: what it says is shown, what it does is not done."""

import logging
import re
import sys
import unicodedata
from collections.abc import Callable

from . import confidential

# Cc, Cf: control and format characters (ANSI escapes, bidi overrides, zero-width); Cs, Co, Cn: nothing a terminal can show;
# Zl, Zp: line breaks that are no newline.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Letters, marks and a symbol that show nothing either: what Unicode calls Default_Ignorable_Code_Point beyond those
# categories (joiner, fillers, vowels, variation selectors), and the braille pattern without dots.
_SHOWS_NOTHING = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
# Marks on one letter; more grow over the lines above and below. UTS 39 section 5.4 finds no use for more than four.
_MARKS = frozenset({"Mn", "Me"})
_MOST_MARKS = 4
# A log line with a traceback; the lines of the terminal's log viewer are the reader's business.
_LONGEST_EVENT = 16_000


def written_out(text: str, write: Callable[[str], str]) -> str:
    """``text`` with ``write(character)`` for each character that shows nothing, acts, or is one mark too many."""
    if text.isascii() and text.isprintable():
        return text
    written = []
    marks = 0
    for character in text:
        category = unicodedata.category(character)
        marks = marks + 1 if category in _MARKS else 0
        hidden = category in _HIDDEN or marks > _MOST_MARKS or _SHOWS_NOTHING.match(character)
        written.append(write(character) if hidden else character)
    return "".join(written)


def one_line(text: str, limit: int = 300) -> str:
    """``text`` on one line with every invisible character as an escape (``\\x1b``, ``\\u202e``), cut to ``limit``."""
    line = written_out(text[:limit], _escape)
    return line + "…" if len(text) > limit else line


def log_to_standard_error(level: int) -> None:
    """Send this process's log to standard error, one line an event; under a supervisor the time is its business, but a bare
    terminal has none.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Event("%(asctime)s %(name)s %(levelname)s %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])


class _Event(logging.Formatter):
    """One line whatever is in it: an error's text, or a traceback's, may quote a stranger, who would forge lines of ours."""

    def format(self, record: logging.LogRecord) -> str:
        """The event without secrets, with ``\\n`` for line breaks."""
        return one_line(confidential.without_secrets(super().format(record)[: 2 * _LONGEST_EVENT]), _LONGEST_EVENT)


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")
