"""The policy file (RFC 8461 section 3.2), as served and as quoted in reports (``policy-string``): read, judge, match, write.

Reading never fails: what is wrong is a list of faults beside what could be read. A fault of severity ``error`` makes senders
treat the policy as absent; a ``warning`` is legal and unwise.
"""

import difflib
import re
import unicodedata
from collections.abc import Iterator, Sequence

import msgspec

MODES = ("enforce", "testing", "none")
# Section 3.2: at most about one year.
MAX_MAX_AGE = 31_557_600
# Section 3.3 suggests to fetch no more than this; the rest is not read.
MAX_BYTES = 64 * 1024
# Google Workspace help: one day at least, and one to two weeks in testing.
LEAST_MAX_AGE, LEAST_TESTING_MAX_AGE, TESTING_MAX_AGE = 86_400, 604_800, 1_209_600
# Far above any policy with a mistake in it: this is another kind of file, or an attack on the reader.
MAX_FAULTS = 100
ERROR, WARNING = "error", "warning"

_SINGLE_KEYS = ("version", "mode", "max_age")
_KEYS = (*_SINGLE_KEYS, "mx")
_MAX_HOST = 253
_LINE_END = re.compile(r"\r\n|\n|\r")
_LONE_CR = re.compile(r"\r(?!\n)")
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}")
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_DOTS = str.maketrans(dict.fromkeys("\u3002\uff0e\uff61", "."))  # the other full stops of IDNA (RFC 3490 section 3.1)
_MAX_QUOTED = 80


class Fault(msgspec.Struct, frozen=True):
    """Something wrong with a policy: a code, its severity, words for people, and the line (from 1; 0: the whole text)."""

    code: str
    severity: str
    text: str
    line: int = 0


class Policy(msgspec.Struct, frozen=True):
    """What a policy says. ``mode`` is in lower case as it stands ("" when absent), ``mx`` the patterns as they stand.

    ``max_age`` is in seconds, None when absent or out of bounds; ``unknown`` are the keys that senders ignore.
    """

    mode: str = ""
    mx: tuple[str, ...] = ()
    max_age: int | None = None
    version: str = ""
    unknown: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether a sender can apply it."""
        return not any(fault.severity == ERROR for fault in self.faults)


class PolicyInvalid(ValueError):
    """A policy that must not be published. The text says why; correct the input."""


def parse(text: str | Sequence[str]) -> Policy:
    """Read a policy file, or the lines of a ``policy-string``. Never raises; see ``faults``.

    Keys are case-sensitive, unknown keys are ignored, of a duplicate key other than mx the first counts (section 3.2).
    """
    reading = _Reading()
    for number, line in _lines(text, reading.faults):
        reading.line(number, line)
        if len(reading.faults) >= MAX_FAULTS:
            reading.faults.append(Fault("too-many-faults", ERROR, "so many faults that the rest was not read", number))
            break
    return reading.policy()


def mx_key(policy: Policy) -> tuple[str, ...]:
    """The normalised set of patterns: two policies with the same key differ in mode and age at most (decision.md section 1)."""
    return tuple(sorted({_normalised(pattern) for pattern in policy.mx}))


def match(patterns: Sequence[str], host: str) -> bool:
    """Whether ``host`` is one of the MX hosts (section 4.1): ``*.`` stands for exactly one leftmost label.

    Case, a trailing dot, and the form of a label outside ASCII (U-label or A-label) make no difference.
    """
    name = _normalised(host)
    label, _, parent = name.partition(".")
    wildcard = f"*.{parent}" if label and parent else ""
    return bool(name) and any(wanted in (name, wildcard) for wanted in map(_normalised, patterns) if wanted)


def render(mode: str, mx: Sequence[str], max_age: int) -> str:
    """A policy file, ready to serve (CRLF). Raises PolicyInvalid for what senders would not accept."""
    hosts = "".join(f"mx: {pattern}\r\n" for pattern in mx)
    text = f"version: STSv1\r\nmode: {mode}\r\n{hosts}max_age: {max_age}\r\n"
    said = parse(text)
    errors = [fault.text for fault in said.faults if fault.severity == ERROR]
    if errors:
        raise PolicyInvalid("; ".join(errors))
    if (said.mode, said.mx, said.max_age) != (mode, tuple(mx), max_age):
        raise PolicyInvalid("a blank or a line break in the mode or in an mx pattern")
    return text


class _Reading:
    """A policy being read, line by line."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self._fields: dict[str, str] = {}
        self._mx: list[str] = []
        self._seen: set[str] = set()

    def line(self, number: int, line: str) -> None:
        before, colon, after = line.partition(":")
        # Section 3.2: ":" *WSP; SocketLabs writes no blank after the colon, which is legal. One before it is not.
        key, value = before.strip(" \t"), after.strip(" \t")
        if not colon:
            self._fault("no-colon", ERROR, f"{_quoted(line)} is no 'key: value'", number)
            return
        if key != before:
            self._fault("key-blank", ERROR, f"blanks around the key {_quoted(key)}", number)
        if key == "mx":
            self._add_mx(value, number)
        elif key in self._fields:
            self._fault("duplicate-key", WARNING, f"a second {key}; the first counts (RFC 8461 section 3.2)", number)
        else:
            self._fields[key] = value
            self._judge_key(key, number)

    def policy(self) -> Policy:
        fields = self._fields
        mode = fields.get("mode", "").lower()
        max_age = _seconds(fields.get("max_age", ""))
        self.faults += _field_faults(fields, self._mx, max_age)
        unknown = tuple(key for key in fields if key not in _SINGLE_KEYS)
        return Policy(mode, tuple(self._mx), max_age, fields.get("version", ""), unknown, tuple(self.faults))

    def _fault(self, code: str, severity: str, text: str, line: int) -> None:
        self.faults.append(Fault(code, severity, text, line))

    def _add_mx(self, pattern: str, number: int) -> None:
        self._mx.append(pattern)
        if pattern.lower() in self._seen:
            self._fault("duplicate-mx", WARNING, f"mx {_quoted(pattern)} is listed before", number)
            return
        self._seen.add(pattern.lower())
        self.faults += _pattern_faults(pattern, number)

    def _judge_key(self, key: str, number: int) -> None:
        if key in _SINGLE_KEYS:
            if key == "version" and len(self._fields) + len(self._mx) > 1:
                self._fault("version-not-first", WARNING, "version is not on the first line", number)
        elif key.lower() in _KEYS:
            text = f"{key}: keys are case-sensitive, write {key.lower()} (RFC 8461 section 3.2)"
            self._fault("key-case", ERROR, text, number)
        elif not _KEY.fullmatch(key):
            self._fault("key", ERROR, f"{_quoted(key)} cannot be a key (RFC 8461 section 3.2)", number)
        else:
            near = difflib.get_close_matches(key.lower(), _KEYS, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            self._fault("unknown-key", WARNING, f"{key} is no key of RFC 8461; senders ignore it{hint}", number)


def _lines(text: str | Sequence[str], faults: list[Fault]) -> Iterator[tuple[int, str]]:
    """The lines with something on them, numbered; faults of the text as a whole are added to ``faults``.

    In reports, lines keep the carriage return that ended them in the file (Google).
    """
    quoted = not isinstance(text, str)
    whole = text if isinstance(text, str) else "\n".join(line.rstrip("\r") for line in text)
    if len(whole.encode("utf-8", "replace")) > MAX_BYTES:
        faults.append(Fault("too-large", ERROR, f"larger than {MAX_BYTES} bytes; senders stop reading there"))
        whole = whole[:MAX_BYTES]
    if whole.startswith("\ufeff"):
        faults.append(
            Fault("byte-order-mark", ERROR, "begins with an invisible byte order mark; save it as plain text")
        )
        whole = whole[1:]
    if not quoted and _LONE_CR.search(whole):
        faults.append(Fault("carriage-return", ERROR, "lines must end with LF or CRLF, not with a lone CR"))
    lines = _LINE_END.split(whole)
    for number, line in enumerate(lines, start=1):
        if line.strip(" \t"):
            yield number, line
        elif number < len(lines) and not quoted:
            faults.append(Fault("blank-line", WARNING, "an empty line; RFC 8461 section 3.2 has none", number))


def _field_faults(fields: dict[str, str], mx: list[str], max_age: int | None) -> Iterator[Fault]:
    if fields.get("version") != "STSv1":
        yield Fault("version", ERROR, f"{_named('version', fields)}; it must be STSv1, written so")
    mode = fields.get("mode", "")
    if mode == "enforced":
        text = "mode: enforced is a common mistake (even in Google's help); write enforce"
        yield Fault("mode-enforced", ERROR, text)
    elif mode not in MODES:
        yield Fault("mode", ERROR, f"{_named('mode', fields)}; it must be enforce, testing or none, in lower case")
    if not mx and mode.lower() != "none":
        yield Fault("no-mx", ERROR, "no mx line; there must be at least one (RFC 8461 section 3.2)")
    if "max_age" not in fields:
        yield Fault("no-max-age", ERROR, "no max_age")
    elif max_age is None:
        text = f"{_named('max_age', fields)}; it must be a number of seconds from 0 to {MAX_MAX_AGE}"
        yield Fault("max-age", ERROR, text)
    elif mode in ("enforce", "testing"):
        yield from _age_faults(mode, max_age)


def _age_faults(mode: str, max_age: int) -> Iterator[Fault]:
    if max_age < LEAST_MAX_AGE:
        yield Fault("max-age-short", WARNING, f"max_age below {LEAST_MAX_AGE} (one day) protects hardly anybody")
    elif mode == "testing" and not LEAST_TESTING_MAX_AGE <= max_age <= TESTING_MAX_AGE:
        code = "max-age-long" if max_age > TESTING_MAX_AGE else "max-age-testing"
        text = f"in testing, max_age is best {LEAST_TESTING_MAX_AGE} to {TESTING_MAX_AGE} (one to two weeks)"
        yield Fault(code, WARNING, text)


def _seconds(text: str) -> int | None:
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        return None
    return int(text) if int(text) <= MAX_MAX_AGE else None


def _pattern_faults(pattern: str, number: int) -> Iterator[Fault]:
    """Section 3.2: ``["*."] Domain``, and Domain (RFC 5321 section 4.1.2) has no trailing dot and no underscore."""
    host = pattern.removeprefix("*.")
    labels = host.split(".")
    if not pattern.isascii():
        said = f"mx {_quoted(pattern)}: write A-labels, {_quoted(_normalised(pattern))}"
        yield Fault("mx-not-ascii", ERROR, said, number)
    elif pattern.endswith(".") and len(host) > 1:
        yield Fault("mx-trailing-dot", ERROR, f"mx {_quoted(pattern)}: write it without the dot at the end", number)
    elif len(host) > _MAX_HOST or not all(map(_LABEL.fullmatch, labels)) or labels[-1].isdigit():
        yield Fault("mx", ERROR, f"mx {_quoted(pattern)} {_why_no_pattern(pattern, labels)}", number)
    elif len(labels) < 2:
        yield Fault("mx-one-label", WARNING, f"mx {_quoted(pattern)} has one label only", number)


def _why_no_pattern(pattern: str, labels: list[str]) -> str:
    if "," in pattern or " " in pattern:
        return "is more than one host; write one mx line for each"
    if labels[-1].isdigit() or ":" in pattern:
        return "is an address; write the host's name"
    if pattern.startswith("."):
        return f"must be written *{_quoted(pattern)}"
    if "*" in pattern.removeprefix("*."):
        return "has a * that is not the whole first label"
    return "is neither a host name nor *.domain (RFC 8461 section 4.1)"


def _named(key: str, fields: dict[str, str]) -> str:
    return f"{key}: {_quoted(fields[key])}" if key in fields else f"no {key}"


def _quoted(text: str) -> str:
    """A stranger's words in a fault: bounded, and never empty."""
    return text[:_MAX_QUOTED] or "(empty)"


def _normalised(name: str) -> str:
    """Lower case, A-labels, no trailing dot, as ``ingest.tlsrpt.names`` has them. What is too long for a name stays as it is."""
    text = name.strip()
    if text.isascii() or len(text) > _MAX_HOST:  # the cost of Punycode grows with the square
        return text.lower().rstrip(".")
    lower = ".".join(label.lower() for label in text.translate(_DOTS).split("."))
    return ".".join(
        label if label.isascii() else "xn--" + label.encode("punycode").decode()
        for label in unicodedata.normalize("NFC", lower).rstrip(".").split(".")
    )
