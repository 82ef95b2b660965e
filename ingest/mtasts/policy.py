"""The policy file (RFC 8461 section 3.2), as served and as quoted in reports (``policy-string``): read, judge, match, write.

Reading never fails: what is wrong is a list of faults beside what could be read. A fault of severity ``error`` makes senders
treat the policy as absent; a ``warning`` is legal and unwise.
"""

import unicodedata
from collections.abc import Sequence

import msgspec

MODES = ("enforce", "testing", "none")
# Section 3.2: at most about one year.
MAX_MAX_AGE = 31_557_600
# Section 3.3 suggests to fetch no more than this.
MAX_BYTES = 64 * 1024
# Google Workspace help: one day at least, and one to two weeks in testing.
LEAST_MAX_AGE, TESTING_MAX_AGE = 86_400, 1_209_600
ERROR, WARNING = "error", "warning"


class Fault(msgspec.Struct, frozen=True):
    """Something wrong with a policy: a code, its severity, words for people, and the line (from 1; 0: the whole text)."""

    code: str
    severity: str
    text: str
    line: int = 0


class Policy(msgspec.Struct, frozen=True):
    """What a policy says. ``mode`` is in lower case as it stands ("" when absent), ``mx`` the patterns as they stand."""

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
    """A policy that must not be published. The text says why."""


def parse(text: str | Sequence[str]) -> Policy:
    """Read a policy file, or the lines of a ``policy-string``. Never raises; see ``faults``.

    Keys are case-sensitive, unknown keys are ignored, of a duplicate key other than mx the first counts (section 3.2).
    """
    lines = text.splitlines() if isinstance(text, str) else list(text)
    faults: list[Fault] = []
    fields: dict[str, str] = {}
    mx: list[str] = []
    for number, line in enumerate(lines, start=1):
        key, colon, value = (part.strip() for part in line.partition(":"))
        if not key and not colon:
            continue
        if not colon:
            faults.append(Fault("no-colon", ERROR, f"line {number} is no 'key: value'", number))
        elif key == "mx":
            mx.append(value)
            faults += _pattern_faults(value, number)
        elif key in fields and key in ("version", "mode", "max_age"):
            faults.append(
                Fault("duplicate-key", WARNING, f"a second {key}; the first counts (RFC 8461 section 3.2)", number)
            )
        else:
            faults += _key_faults(key, number)
            fields.setdefault(key, value)
    max_age, age_faults = _max_age(fields.get("max_age"))
    mode = fields.get("mode", "").lower()
    faults += age_faults + _field_faults(fields, mode, mx, max_age)
    if len("\n".join(lines).encode("utf-8", "replace")) > MAX_BYTES:
        faults.append(Fault("too-large", ERROR, f"larger than {MAX_BYTES} bytes; senders stop reading there"))
    unknown = tuple(key for key in fields if key not in ("version", "mode", "max_age"))
    return Policy(mode, tuple(mx), max_age, fields.get("version", ""), unknown, tuple(faults))


def _key_faults(key: str, number: int) -> list[Fault]:
    if key in ("version", "mode", "max_age"):
        if key == "version" and number != 1:
            return [Fault("version-not-first", WARNING, "version is not on the first line", number)]
        return []
    if key.lower() in ("version", "mode", "max_age", "mx"):
        return [
            Fault(
                "key-case", ERROR, f"{key}: keys are case-sensitive, write {key.lower()} (RFC 8461 section 3.2)", number
            )
        ]
    return [Fault("unknown-key", WARNING, f"{key} is no key of RFC 8461; senders ignore it", number)]


def _field_faults(fields: dict[str, str], mode: str, mx: list[str], max_age: int | None) -> list[Fault]:
    faults = []
    if fields.get("version") != "STSv1":
        faults.append(Fault("version", ERROR, "the version must be STSv1"))
    if fields.get("mode") == "enforced":
        faults.append(
            Fault("mode-enforced", ERROR, "mode: enforced is a common mistake (even in Google's help); write enforce")
        )
    elif fields.get("mode") not in MODES:
        faults.append(Fault("mode", ERROR, "the mode must be enforce, testing or none, in lower case"))
    if not mx and mode != "none":
        faults.append(Fault("no-mx", ERROR, "no mx line; there must be at least one (RFC 8461 section 3.2)"))
    if max_age is not None and mode in ("enforce", "testing"):
        if max_age < LEAST_MAX_AGE:
            faults.append(
                Fault("max-age-short", WARNING, f"max_age below {LEAST_MAX_AGE} (one day) protects hardly anybody")
            )
        if mode == "testing" and max_age > TESTING_MAX_AGE:
            faults.append(
                Fault("max-age-long", WARNING, f"in testing, max_age is best {LEAST_MAX_AGE * 7} to {TESTING_MAX_AGE}")
            )
    return faults


def _max_age(text: str | None) -> tuple[int | None, list[Fault]]:
    if text is None:
        return None, [Fault("no-max-age", ERROR, "no max_age")]
    if not (text.isascii() and text.isdigit() and len(text) <= 10) or int(text) > MAX_MAX_AGE:
        return None, [Fault("max-age", ERROR, f"max_age must be a number of seconds from 0 to {MAX_MAX_AGE}")]
    return int(text), []


def _pattern_faults(pattern: str, number: int) -> list[Fault]:
    if not pattern.isascii():
        return [Fault("mx-not-ascii", ERROR, f"mx {pattern}: write A-labels (xn--...)", number)]
    host = pattern.removeprefix("*.").removesuffix(".")
    labels = host.split(".")
    if "*" in host or len(host) > 253 or not all(_is_label(label) for label in labels):
        return [
            Fault(
                "mx",
                ERROR,
                f"mx {pattern or '(empty)'} is neither a host name nor *.domain (RFC 8461 section 4.1)",
                number,
            )
        ]
    if len(labels) < 2:
        return [Fault("mx-one-label", WARNING, f"mx {pattern} has one label only", number)]
    return []


def _is_label(label: str) -> bool:
    return (
        0 < len(label) <= 63
        and label.replace("-", "").replace("_", "").isalnum()
        and label[0] != "-"
        and label[-1] != "-"
    )


def mx_key(policy: Policy) -> tuple[str, ...]:
    """The normalised set of patterns: two policies with the same key differ in mode and age at most (decision.md section 1)."""
    return tuple(sorted({_normalised(pattern) for pattern in policy.mx}))


def match(patterns: Sequence[str], host: str) -> bool:
    """Whether ``host`` is one of the MX hosts (section 4.1): ``*.`` stands for exactly one leftmost label."""
    name = _normalised(host)
    parent = name.partition(".")[2]
    return any(name == wanted or (bool(parent) and wanted == "*." + parent) for wanted in map(_normalised, patterns))


def render(mode: str, mx: Sequence[str], max_age: int) -> str:
    """A policy file, ready to serve (CRLF). Raises PolicyInvalid for what senders would not accept."""
    hosts = "".join(f"mx: {pattern}\r\n" for pattern in mx)
    text = f"version: STSv1\r\nmode: {mode}\r\n{hosts}max_age: {max_age}\r\n"
    errors = [fault.text for fault in parse(text).faults if fault.severity == ERROR]
    if errors or parse(text).mx != tuple(mx):
        raise PolicyInvalid("; ".join(errors) or "a line break in an mx pattern")
    return text


def _normalised(name: str) -> str:
    """Lower case, A-labels, no trailing dot."""
    text = unicodedata.normalize("NFC", name.strip()).lower().rstrip(".")
    return ".".join(
        label if label.isascii() else "xn--" + label.encode("punycode").decode() for label in text.split(".")
    )
