"""Passwords and secrets: what this process was told in confidence, and how text is shown without it.

``keep`` and ``keep_url`` note a secret when the settings are read and when a database is opened. ``without_secrets`` is asked
wherever text leaves the process: by the log, by the errors of the commands, by what /readyz and the pages quote.
"""

import re
from urllib.parse import quote, quote_plus, unquote, unquote_plus

HIDDEN = "***"
# Of a shorter one there is nothing left to protect, and it would be found in every other word.
_SHORTEST = 4
# What our own log lines say all the time; as a password it is the first guess of everybody.
_EVERYDAY = frozenset({"starttally", "postgres", "postgresql", "password", "localhost"})
# Up to so many characters a secret is looked for as a word of its own: "test" is not hidden in "latest".
_LONGEST_WORD = 8

# The last @ of a word ends the password, so that one with an @ in it is hidden whole. Repetitions are bounded, because the
# log quotes strangers too.
_IN_A_URL = re.compile(r"(?<![A-Za-z0-9+.-])([A-Za-z][A-Za-z0-9+.-]{0,30}://[^\s:/@]{0,100}):\S{0,300}@")
_SECRET_NAMES = "(?:ssl)?password|passwd|pwd|client_secret|(?:id|access|refresh)_token|code_verifier"  # noqa: S105
_VALUE = r"""'(?:[^'\\]|\\.){0,300}'|"(?:[^"\\]|\\.){0,300}"|[^\s&;,'"]+"""
_AS_A_PAIR = re.compile(rf"""(?i)\b({_SECRET_NAMES})(['"]?\s*[=:]\s*)({_VALUE})""")

_secrets: set[str] = set()
_known: re.Pattern[str] | None = None


def keep(secret: str) -> None:
    """Show ``secret`` no more, in none of the ways in which a URL or a driver may spell it."""
    global _known
    decoded = unquote(secret)
    spellings = {secret, decoded, unquote_plus(secret), quote(decoded, safe=""), quote_plus(decoded)}
    spellings |= {repr(spelling)[1:-1] for spelling in spellings}
    spellings |= {part for part in re.split(r"[\r\n]+", secret) if part != secret}
    new = {text for text in spellings if len(text) >= _SHORTEST and text.lower() not in _EVERYDAY} - _secrets
    if new:
        _secrets.update(new)
        _known = re.compile("|".join(map(_pattern, sorted(_secrets, key=len, reverse=True))))


def _pattern(secret: str) -> str:
    within = len(secret) > _LONGEST_WORD
    return re.escape(secret) if within else rf"(?<![A-Za-z0-9]){re.escape(secret)}(?![A-Za-z0-9])"


def keep_url(url: str) -> None:
    """Show the passwords of a database's URL no more; also of one that is none (a slip of the pen, libpq's ``key=value``)."""
    _, _, after = url.partition("://")
    authority, at, _ = after.rpartition("@")
    if at:
        keep(authority.partition(":")[2])
    for _name, _sign, value in _AS_A_PAIR.findall(url):
        keep(value.strip("'\""))


def without_secrets(text: str) -> str:
    """``text`` with ``***`` for each known secret, and for what stands where passwords and tokens stand."""
    text = _known.sub(HIDDEN, text) if _known else text
    text = _IN_A_URL.sub(rf"\1:{HIDDEN}@", text)
    return _AS_A_PAIR.sub(rf"\1\2{HIDDEN}", text)
