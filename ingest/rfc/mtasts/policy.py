"""The policy file (RFC 8461 section 3.2), as served and as quoted in reports (``policy-string``): read, judge, match, write.

Reading never fails: what is wrong is a list of faults beside what could be read. A fault of severity ``error`` makes senders
treat the policy as absent; a ``warning`` is legal and unwise; a ``note`` is worth knowing.
"""

import difflib
import itertools
import re
import unicodedata
from collections.abc import Iterator, Sequence

import msgspec

from ingest.rfc.faults import ERROR, WARNING, Fault, quoted

from .ages import age_faults, seconds
from .patterns import match as match
from .patterns import normalised, pattern_faults

MODES = ("enforce", "testing", "none")
# Section 3.3 suggests to fetch no more than this; the rest is not read.
MAX_BYTES = 64 * 1024
# Far above any policy with a mistake in it: this is another kind of file, or an attack on the reader.
MAX_FAULTS = 100

_SINGLE_KEYS = ("version", "mode", "max_age")
_KEYS = (*_SINGLE_KEYS, "mx")
_LINE_END = re.compile(r"\r\n|\n|\r")
_LONE_CR = re.compile(r"\r(?!\n)")
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}")
_EXTENSION_VALUE = re.compile(r"[^\x00-\x1f\x7f]+")
_MARKUP = re.compile(r"\s*<")
_TXT_RECORD = re.compile(r"v\s*=\s*(?:STSv1|TLSRPTv1)", re.IGNORECASE)
_EQUALS = re.compile(r"[ \t]*(version|mode|mx|max_age)[ \t]*=[ \t]*(.*)", re.IGNORECASE)
# A second key on a line: after a blank or a semicolon, or after a line break that was written as a backslash and a letter.
_NEXT_KEY = re.compile(r"(?:[;,\s]|\\n|\\r)(version|mode|mx|max_age)[ \t]*:")
_SLIPPED_LINE_END = re.compile(r"\\n|\\r")


class Policy(msgspec.Struct, frozen=True):
    """What a policy says. ``mode`` is in lower case as it stands ("" when absent), ``mx`` the patterns as they stand.

    ``max_age`` is in seconds, None when absent or out of bounds; ``unknown`` are the keys that senders ignore; ``mx_lines``
    are the numbers of the lines that hold ``mx``. ``meant_mx`` are patterns, with their lines, that do not count until the
    fault of their line is repaired (``MX: host``).
    """

    mode: str = ""
    mx: tuple[str, ...] = ()
    max_age: int | None = None
    version: str = ""
    unknown: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()
    mx_lines: tuple[int, ...] = ()
    meant_mx: tuple[tuple[str, int], ...] = ()

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
            problem, repair = "so many faults that the rest was not read", "repair those above, then look again"
            reading.faults.append(Fault("too-many-faults", ERROR, problem, repair, number))
            reading.cut = True
            break
    return reading.policy()


def mx_key(policy: Policy) -> tuple[str, ...]:
    """The normalised set of patterns: two policies with the same key differ in mode and age at most (docs/verdict.md)."""
    return tuple(sorted({normalised(pattern) for pattern in policy.mx}))


def intended_mode(mode: str) -> str:
    """The mode that is meant: one of MODES, "" when it cannot be told."""
    lower = mode[:32].lower()
    if lower in MODES:
        return lower
    near = difflib.get_close_matches(lower, MODES, n=1, cutoff=0.7)
    return near[0] if near else ""


def render(mode: str, mx: Sequence[str], max_age: int) -> str:
    """A policy file, ready to serve (CRLF). Raises PolicyInvalid for what senders would not accept."""
    hosts = "".join(f"mx: {pattern}\r\n" for pattern in mx)
    text = f"version: STSv1\r\nmode: {mode}\r\n{hosts}max_age: {max_age}\r\n"
    policy = parse(text)
    errors = [f"{fault.text}; {fault.repair}" for fault in policy.faults if fault.severity == ERROR]
    if errors:
        raise PolicyInvalid("; ".join(errors))
    if (policy.mode, policy.mx, policy.max_age) != (mode, tuple(mx), max_age):
        raise PolicyInvalid("a blank or a line break in the mode or in an mx pattern")
    return text


class _Reading:
    """A policy being read, line by line."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self._fields: dict[str, str] = {}
        self._at: dict[str, int] = {}
        self._mx: list[tuple[str, int]] = []
        self._seen: dict[str, int] = {}
        self._read = False
        self.cut = False
        # What stands there and does not count until its line is repaired. It is judged too, so that no repair brings
        # another fault to light.
        self._meant: dict[str, tuple[str, int]] = {}
        self._meant_mx: list[tuple[str, int]] = []

    def line(self, number: int, line: str) -> None:
        self._read = True
        before, colon, after = line.partition(":")
        # Section 3.2: ":" *WSP; SocketLabs writes no blank after the colon, which is legal. One before it is not.
        key, value = before.strip(" \t"), after.strip(" \t")
        if _TXT_RECORD.search(line):
            text = f"{quoted(line)} is a TXT record, and the file holds none"
            self._fault("record-in-file", ERROR, text, "remove the line here and publish it in DNS", number)
        elif not colon:
            self._judge_without_colon(line, number)
        elif invisible := _invisible(line, key):
            text = f"an invisible character, U+{ord(invisible):04X}, which came with copied text"
            self._fault("invisible-character", ERROR, text, "type the line anew", number)
            self._mean(_visible(key), _visible(value), number)
        else:
            if key != before:
                self._fault("key-blank", ERROR, f"blanks around the key {quoted(key)}", f"write {quoted(key)}:", number)
            self._take(key, value, number)

    def policy(self) -> Policy:
        fields = self._fields
        mx = tuple(pattern for pattern, _ in self._mx)
        max_age = seconds(fields.get("max_age", ""))
        # Of what was not read, nobody knows what is missing.
        self.faults += [fault for fault in self._field_faults() if fault.line or not self.cut]
        return Policy(
            mode=fields.get("mode", "").lower(),
            mx=mx,
            max_age=max_age,
            version=fields.get("version", ""),
            unknown=tuple(key for key in fields if key not in _SINGLE_KEYS),
            faults=tuple(self.faults),
            mx_lines=tuple(number for _, number in self._mx),
            meant_mx=tuple(self._meant_mx),
        )

    def _fault(self, code: str, severity: str, text: str, repair: str, line: int) -> None:
        self.faults.append(Fault(code, severity, text, repair, line))

    def _judge_without_colon(self, line: str, number: int) -> None:
        pair = _EQUALS.fullmatch(line)
        if pair:
            repair = f"write {pair[1].lower()}: {quoted(pair[2])}"
        elif line.lstrip().startswith(("#", ";", "//", "/*")):
            repair = "remove the line; a policy has no comments"
        else:
            repair = "write a key, a colon and a value, or remove the line"
        self._fault("no-colon", ERROR, f"{quoted(line)} is no 'key: value'", repair, number)
        if pair:
            self._mean(pair[1].lower(), pair[2].strip(" \t"), number)

    def _take(self, key: str, value: str, number: int) -> None:
        if key in _KEYS and _NEXT_KEY.search(value):
            text = f"several keys on one line, after {key}"
            self._fault("keys-on-one-line", ERROR, text, "write each key on a line of its own", number)
            self._mean_each(key, value, number)
        elif key == "mx":
            self._add_mx(value, number, self._mx)
        elif key.lower() in _KEYS and key not in _KEYS:
            text = f"{key}: keys are case-sensitive (RFC 8461 section 3.2)"
            self._fault("key-case", ERROR, text, f"write {key.lower()}: {quoted(value)}", number)
            self._fields.setdefault(key, value)
            self._mean(key.lower(), value, number)
        elif key in self._fields:
            text = f"a second {quoted(key)}; the first counts, line {self._at[key]} (RFC 8461 section 3.2)"
            self._fault("duplicate-key", WARNING, text, "remove the line that you do not mean", number)
        else:
            self._fields[key] = value
            self._at[key] = number
            self._judge_key(key, value, number)

    def _mean(self, key: str, value: str, number: int) -> None:
        if key == "mx":
            self._add_mx(value, number, self._meant_mx)
        else:
            self._meant.setdefault(key, (value, number))

    def _mean_each(self, key: str, value: str, number: int) -> None:
        """The keys that stand on one line; ``key`` is the first, ``value`` what follows it."""
        first, *others = _NEXT_KEY.split(value)
        pairs = [(key, first), *zip(others[::2], others[1::2], strict=True)]
        for meant, text in itertools.islice(pairs, MAX_FAULTS):
            self._mean(meant, _SLIPPED_LINE_END.sub(" ", text).strip(" \t;,"), number)

    def _add_mx(self, pattern: str, number: int, patterns: list[tuple[str, int]]) -> None:
        patterns.append((pattern, number))
        first = self._seen.setdefault(normalised(pattern), number)
        if first != number:
            text = f"mx {quoted(pattern)} is listed before, on line {first}"
            self._fault("duplicate-mx", WARNING, text, "remove one of the two lines", number)
            return
        self.faults += pattern_faults(pattern, number)

    def _judge_key(self, key: str, value: str, number: int) -> None:
        if key in _SINGLE_KEYS:
            if key == "version" and len(self._fields) + len(self._mx) > 1:
                text = "version is not on the first line, where Google wants it"
                self._fault("version-not-first", WARNING, text, "move version: STSv1 to the first line", number)
        elif not _KEY.fullmatch(key):
            text = f"{quoted(key)} cannot be a key (RFC 8461 section 3.2)"
            self._fault("key", ERROR, text, "remove the line; keys are version, mode, mx and max_age", number)
        else:
            self._judge_unknown(key, value, number)

    def _judge_unknown(self, key: str, value: str, number: int) -> None:
        near = difflib.get_close_matches(key.lower(), _KEYS, n=1)
        repair = "remove the line, or correct the key"
        if near:
            repair = f"did you mean {near[0]}?"
        elif key.lower() == "id":
            repair = "remove the line; the id belongs in the TXT record at _mta-sts"
        self._fault("unknown-key", WARNING, f"{key} is no key of RFC 8461; senders ignore it", repair, number)
        if not _EXTENSION_VALUE.fullmatch(value):
            text = f"{key} has an empty value, or control characters in it, against the grammar of RFC 8461 section 3.2"
            self._fault("unknown-key-value", ERROR, text, "remove the line", number)

    def _field_faults(self) -> Iterator[Fault]:
        if not self._read:
            if all(fault.severity == WARNING for fault in self.faults):  # else an error says why
                yield Fault("empty", ERROR, "nothing in it", "write version, mode, mx and max_age, a line for each")
            return
        version, line = self._standing("version")
        if version != "STSv1":
            yield _wrong("version", version, line, "it must be STSv1, written so", "write version: STSv1")
        yield from self._mode_faults()
        mode = intended_mode(self._standing("mode")[0] or "")
        patterns = sorted([*self._mx, *self._meant_mx], key=lambda pattern: pattern[1])
        if not patterns and mode != "none":
            text = "no mx line; there must be at least one (RFC 8461 section 3.2)"
            yield Fault("no-mx", ERROR, text, "write one line mx: HOST for each MX host of the domain")
        if patterns and mode == "none":
            text = "mode none applies to no host; Google's rule is no mx lines"
            yield Fault("none-with-mx", WARNING, text, "remove the mx lines", patterns[0][1])
        max_age, line = self._standing("max_age")
        yield from age_faults(max_age, seconds(max_age or ""), mode, line)

    def _standing(self, key: str) -> tuple[str | None, int]:
        """The value of a key, or the one that is meant, and its line; None and 0 when it is nowhere."""
        if key in self._fields:
            return self._fields[key], self._at[key]
        return self._meant.get(key, (None, 0))

    def _mode_faults(self) -> Iterator[Fault]:
        mode, line = self._standing("mode")
        if mode == "enforced":
            text = "mode: enforced is a common mistake (even in Google's help)"
            yield Fault("mode-enforced", ERROR, text, "write mode: enforce", line)
        elif mode not in MODES:
            near = intended_mode(mode or "")
            repair = f"write mode: {near}" if near else "write mode: testing (or enforce, or none)"
            yield _wrong("mode", mode, line, "it must be enforce, testing or none, in lower case", repair)


def _wrong(key: str, value: str | None, line: int, rule: str, repair: str) -> Fault:
    """A key whose value is none of those it can have; None: it is absent. The fault's code is the key."""
    problem = f"no {key}" if value is None else f"{key}: {quoted(value)}"
    return Fault(key, ERROR, f"{problem}; {rule}", repair, line)


def _lines(text: str | Sequence[str], faults: list[Fault]) -> Iterator[tuple[int, str]]:
    """The lines with something on them, numbered; faults of the text as a whole are added to ``faults``.

    In reports, lines keep the carriage return that ended them in the file (Google).
    """
    in_report = not isinstance(text, str)
    whole = text if isinstance(text, str) else "\n".join(line.rstrip("\r") for line in text)
    if len(whole.encode("utf-8", "replace")) > MAX_BYTES:
        problem, repair = f"larger than {MAX_BYTES} bytes; senders stop reading there", "remove what is no policy"
        faults.append(Fault("too-large", ERROR, problem, repair))
        whole = whole[:MAX_BYTES]
    if whole.startswith("\ufeff"):
        problem = "begins with an invisible byte order mark"
        faults.append(Fault("byte-order-mark", ERROR, problem, "save the file as plain text (UTF-8 without BOM)", 1))
        whole = whole[1:]
    if _MARKUP.match(whole):
        problem = "a web page (HTML or XML), and no policy: an error page, or the host's default page"
        faults.append(Fault("web-page", ERROR, problem, "serve the policy file itself under this address", 1))
        return
    if not in_report and (lone := _LONE_CR.search(whole)):
        problem, number = "a line ends with a lone CR", len(_LINE_END.findall(whole, 0, lone.start())) + 1
        faults.append(Fault("carriage-return", ERROR, problem, "end each line with LF or CRLF", number))
    lines = _LINE_END.split(whole)
    for number, line in enumerate(lines, start=1):
        if line.strip(" \t"):
            yield number, line
        elif number < len(lines) and not in_report and len(faults) < MAX_FAULTS:
            problem = "an empty line; RFC 8461 section 3.2 has none"
            faults.append(Fault("blank-line", WARNING, problem, "remove the line", number))


def _invisible(line: str, key: str) -> str:
    """The first character of a line that shows nothing and stands beside one of the four keys or in its value; or ""."""
    if line.isascii():
        return ""
    hidden = next(filter(_is_hidden, line), "")
    return hidden if hidden and _visible(key) in _KEYS else ""


def _visible(text: str) -> str:
    return "".join(char for char in text if not _is_hidden(char)).strip(" \t")


def _is_hidden(char: str) -> bool:
    return not char.isascii() and unicodedata.category(char) in ("Cf", "Zs")
