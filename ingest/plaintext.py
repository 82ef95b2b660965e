"""Text from strangers, fit for a terminal or a log line: what it says is shown, what it does is not done."""

import unicodedata

# Cc, Cf: control and format characters (ANSI escapes, bidi overrides, zero-width); Cs, Co, Cn: nothing a terminal can show;
# Zl, Zp: line breaks that are no newline.
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def one_line(text: str, limit: int = 300) -> str:
    """``text`` on one line with every invisible character as an escape (``\\x1b``, ``\\u202e``), cut to ``limit``."""
    shown = "".join(_visible(character) for character in text[:limit])
    return shown + "…" if len(text) > limit else shown


def _visible(character: str) -> str:
    if unicodedata.category(character) not in _HIDDEN:
        return character
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")
