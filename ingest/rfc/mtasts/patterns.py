"""The mx patterns of a policy (RFC 8461 sections 3.2 and 4.1): which hosts they cover, and what is wrong with one."""

import ipaddress
import re
import unicodedata
from collections.abc import Iterator, Sequence

from ingest.rfc.faults import ERROR, WARNING, Fault, quoted

_MAX_HOST = 253
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_DOTS = str.maketrans(dict.fromkeys("\u3002\uff0e\uff61", "."))  # the other full stops of IDNA (RFC 3490 section 3.1)
_BETWEEN_HOSTS = re.compile(r"[,; \t]+")
_PREFERENCE = re.compile(r"[0-9]{1,5}[ \t]+([^ \t]+)")
_PORT = re.compile(r"([A-Za-z0-9.*-]+):[0-9]{1,5}")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://([^/:?#]*).*")
# Second labels under which country registries hand out names, as in co.uk; no host there belongs to the domain alone.
_REGISTRIES = frozenset({"ac", "co", "com", "edu", "gob", "gov", "gouv", "gv", "ne", "net", "or", "org"})
_WILDCARD_RULE = "a host's full name, or *.domain, where * stands for exactly one label"


def normalised(name: str) -> str:
    """Lower case, A-labels, no trailing dot, as ``ingest.rfc.names`` has them. What is too long for a name stays as it is."""
    text = name.strip()
    if text.isascii() or len(text) > _MAX_HOST:  # the cost of Punycode grows with the square
        return text.lower().rstrip(".")
    lower = ".".join(label.lower() for label in text.translate(_DOTS).split("."))
    return ".".join(
        label if label.isascii() else "xn--" + label.encode("punycode").decode()
        for label in unicodedata.normalize("NFC", lower).rstrip(".").split(".")
    )


def match(patterns: Sequence[str], host: str) -> bool:
    """Whether ``host`` is one of the MX hosts (section 4.1): ``*.`` stands for exactly one leftmost label.

    Case, a trailing dot, and the form of a label outside ASCII (U-label or A-label) make no difference.
    """
    name = normalised(host)
    label, _, parent = name.partition(".")
    wildcard = f"*.{parent}" if label and parent else ""
    return bool(name) and any(wanted in (name, wildcard) for wanted in map(normalised, patterns) if wanted)


def is_host(name: str) -> bool:
    """Whether a certificate can be made out to ``name``: letters, digits and hyphens, dots between, no address.

    The syntax is Domain of RFC 5321 section 4.1.2: no trailing dot, no underscore.
    """
    labels = name.split(".")
    return len(name) <= _MAX_HOST and all(map(_LABEL.fullmatch, labels)) and not labels[-1].isdigit()


def intended(pattern: str) -> str:
    """The pattern that was meant by an mx value, as far as it can be told; "" when it cannot. A good one is meant itself."""
    if is_host(pattern.removeprefix("*.")):
        return pattern
    meant = ""
    if not pattern.isascii():
        meant = normalised(pattern)
    elif pattern.endswith(".") and is_host(pattern.removeprefix("*.").rstrip(".")):
        meant = pattern.rstrip(".")
    elif preference := _PREFERENCE.fullmatch(pattern):
        meant = preference[1].rstrip(".")
    elif wrapped := _URL.fullmatch(pattern) or _PORT.fullmatch(pattern):
        meant = wrapped[1]
    elif pattern.startswith("."):
        meant = f"*{pattern}"
    return meant if is_host(meant.removeprefix("*.")) else ""


def pattern_faults(pattern: str, line: int) -> Iterator[Fault]:
    """What is wrong with one mx value (section 3.2: ``["*."] Domain``), and with the one that was meant by it."""
    meant = intended(pattern)
    host = meant.removeprefix("*.")
    named = f"mx {quoted(pattern)}"
    if not pattern.isascii():
        yield Fault("mx-not-ascii", ERROR, f"{named} is not written in A-labels", _write(meant), line)
    elif meant and meant != pattern and meant == pattern.rstrip("."):
        yield Fault("mx-trailing-dot", ERROR, f"{named} ends in a dot", _write(meant), line)
    elif not meant or meant != pattern:
        why, repair = _why_no_pattern(pattern, meant)
        yield Fault("mx", ERROR, f"{named} {why}", repair, line)
    if meant != host and _is_registry(host):
        text = f"mx {quoted(meant)} covers hosts of anybody: every name with one label before .{host}"
        yield Fault("mx-broad", WARNING, text, "write the full names of your MX hosts, an mx line for each", line)
    elif meant and "." not in host:
        repair = "write the host's full name as its MX record has it"
        yield Fault("mx-one-label", WARNING, f"mx {quoted(meant)} has one label only", repair, line)


def why_not_covered(patterns: Sequence[str], host: str) -> str:
    """For a host that no pattern matches, the wildcard that its owner may have thought covers it, in words; or ""."""
    name = normalised(host)
    for pattern in map(normalised, patterns):
        parent = pattern.removeprefix("*.")
        if pattern == parent:
            continue
        if name == parent:
            return f"; {quoted(pattern)} covers names below {quoted(parent)}, not {quoted(parent)} itself"
        if name.endswith("." + parent):
            return f"; the * of {quoted(pattern)} stands for exactly one label"
    return ""


def _why_no_pattern(pattern: str, meant: str) -> tuple[str, str]:
    """What makes it none, and what to write."""
    if not pattern:
        return "has no value", "write a host's name after mx:, or remove the line"
    if _PREFERENCE.fullmatch(pattern):
        return "begins with the preference of its MX record", _write(meant)
    if _URL.fullmatch(pattern):
        return "is a URL", _write(meant)
    if _BETWEEN_HOSTS.search(pattern):
        names = [name for name in _BETWEEN_HOSTS.split(pattern) if name]
        lines = ", ".join(f"mx: {quoted(name)}" for name in names[:4])
        return "is more than one host", f"write one mx line for each: {lines}"
    if _is_address(pattern):
        return "is an address", "write the host's name as its MX record has it"
    if _PORT.fullmatch(pattern):
        return "has a port", _write(meant)
    if "@" in pattern:
        return "is a mail address", "write the name of an MX host"
    if pattern.startswith("."):
        return "begins with a dot", _write(meant)
    return _why_no_name(pattern)


def _why_no_name(pattern: str) -> tuple[str, str]:
    if pattern == "*":
        return "is a lone *, which covers nothing", f"write {_WILDCARD_RULE}"
    if "*" in pattern.removeprefix("*."):
        return "has a * that is not the whole first label", f"write {_WILDCARD_RULE}"
    if "_" in pattern:
        repair = "give the host a name of letters, digits and hyphens, in DNS, in its certificate and here"
        return "has an underscore, and no certificate is made out to such a name", repair
    return "is neither a host name nor *.domain (RFC 8461 section 4.1)", f"write {_WILDCARD_RULE}"


def _write(meant: str) -> str:
    return f"write mx: {meant}" if meant else "write the host's name, in A-labels (xn--...), as its MX record has it"


def _is_registry(host: str) -> bool:
    second, _, top = normalised(host).rpartition(".")
    return not second or (len(top) == 2 and second in _REGISTRIES)


def _is_address(pattern: str) -> bool:
    bare = pattern.strip("[]")
    try:
        ipaddress.ip_address(bare[5:] if bare[:5].lower() == "ipv6:" else bare)
    except ValueError:
        return pattern.rpartition(".")[2].isdigit()
    return True
