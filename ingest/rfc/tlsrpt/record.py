"""The TXT record at ``_smtp._tls.<domain>`` (RFC 8460 section 3): where reports about the domain are to be sent.

Texts are those of whole TXT records: the strings of one record joined without anything between them. Reading never fails.
"""

import re
from collections.abc import Iterator, Sequence

import msgspec

VERSION = "v=TLSRPTv1"
ERROR, WARNING = "error", "warning"

_BEGINNING = re.compile(r"v=TLSRPTv1(?P<blanks>[ \t]*)(?:;|\Z)")
_NEAR = re.compile(r"[\"'\s]*v\s*=\s*[\"']?tls-?rpt", re.IGNORECASE)
_FIELD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}=[\x21-\x3a\x3c\x3e-\x7e]+")
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(?P<after>.*)", re.DOTALL)
# RFC 3986 section 2, without "," "!" ";", which RFC 8460 section 3 wants encoded.
_URI = re.compile(r"(?:[A-Za-z0-9._~:/?#\[\]@$&'()*+=-]|%[0-9A-Fa-f]{2})*")
_TO_ENCODE = re.compile(r"[,;! \"<>\\^`{|}]")
_ENCODED = re.compile(r"((?:%[0-9A-Fa-f]{2})+)")
# A size after an exclamation mark, as DMARC allows it (RFC 7489 section 6.2); TLSRPT does not.
_SIZE = re.compile(r"![0-9]+[kmgt]?$", re.IGNORECASE)
_NAME = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"[!-?A-~]{{1,64}}@(?:{_NAME}|\[[0-9A-Fa-f:.IPv]+\])")
_AUTHORITY = re.compile(rf"(?P<user>[^@/?#]*@)?(?:{_NAME}|\[[0-9A-Fa-f:.]+\])(?::[0-9]{{1,5}})?(?P<path>[/?#].*)?")
_MAX_QUOTED = 80
_EXAMPLE = f"{VERSION}; rua=mailto:ADDRESS"
_MOST_RECORDS = 10  # more are an accident of another kind, and would make the answer endless


# Why senders cannot use an address, and what to write instead; None when they can.
Refusal = tuple[str, str] | None


class Fault(msgspec.Struct, frozen=True):
    """Something wrong with a record: a code, its severity, words for people, and what to do about it.

    An ``error`` makes senders ignore the record or the address; a ``warning`` is legal and worth knowing.
    """

    code: str
    severity: str
    text: str
    repair: str


class Destination(msgspec.Struct, frozen=True):
    """Where reports go. ``scheme`` is ``mailto`` or ``https``; ``uri`` is as it stands in the record.

    ``target`` is what to use: the mail address with its percent-encoding undone, or the URL as it is.
    """

    scheme: str
    uri: str
    target: str


class Record(msgspec.Struct, frozen=True):
    """What a record says: its usable destinations in order, the fields that senders ignore, and the faults."""

    rua: tuple[Destination, ...] = ()
    unknown: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether nothing in it makes senders ignore the record or one of its addresses."""
        return not any(fault.severity == ERROR for fault in self.faults)


class RecordInvalid(ValueError):
    """A record that must not be published. The text says why; correct the input."""


def choose(texts: Sequence[str]) -> Record:
    """The one record among all TXT records at the name. Never raises.

    Those that do not begin with ``v=TLSRPTv1;`` are discarded; if not exactly one is left, the domain wants no reports. A
    record that seems to be meant as one is read for its faults.
    """
    ours = [text for text in texts if ";" in text and _BEGINNING.match(text)]
    meant = ours or [text for text in texts if _NEAR.match(text)]
    if len(meant) == 1:
        return parse(meant[0])
    if not meant:
        text = f"no TXT record begins with {VERSION};"
        return Record(faults=(Fault("no-record", ERROR, text, f"publish one such as {_EXAMPLE}"),))
    begin = "begin" if ours else "are meant to begin"
    text = f"{len(meant)} TXT records {begin} with {VERSION}; there must be exactly one"
    repair = "delete all but one, and list all addresses in its rua, with commas"
    # Nobody knows which one will stay, so the faults of each are told.
    others = dict.fromkeys(fault for text in meant[:_MOST_RECORDS] for fault in parse(text).faults)
    return Record(faults=(Fault("several-records", ERROR, text, repair), *others))


def parse(text: str) -> Record:
    """Read one record. Never raises; see ``faults``."""
    faults = list(_version_faults(text))
    rua: list[Destination] | None = None
    unknown: list[str] = []
    meant = False
    for field in _fields(text, faults):
        name, _, value = field.partition("=")
        if name == "rua" and rua is not None:
            repair = "list all addresses in one rua, with commas"
            faults.append(Fault("duplicate-field", WARNING, "a second rua; senders ignore one of the two", repair))
            _destinations(value, faults)
        elif name == "rua":
            rua = _destinations(value, faults)
        elif name.strip(" \t").lower() == "rua":
            # It does not count in this form. Its addresses are judged too, so that no repair brings another fault to light.
            meant = True
            if _FIELD.fullmatch(field):
                faults.append(Fault("field-case", ERROR, f"{name}: names are case-sensitive", "write rua="))
            else:
                faults.append(_field_fault(field))
            _destinations(value.strip(" \t"), faults)
        elif not _FIELD.fullmatch(field):
            faults.append(_field_fault(field))
        else:
            problem = f"{name} is no field of RFC 8460; senders ignore it"
            faults.append(Fault("unknown-field", WARNING, problem, f"remove {name}"))
            unknown.append(name)
    if rua is None and not meant:
        problem = "no rua, so nobody knows where to send reports"
        faults.append(Fault("no-rua", ERROR, problem, f"write it as in {_EXAMPLE}"))
    return Record(tuple(rua or ()), tuple(unknown), tuple(faults))


def render(rua: Sequence[str]) -> str:
    """The record to publish for these ``mailto:`` and ``https:`` URIs, encoded where they need it. Raises RecordInvalid."""
    uris = [_TO_ENCODE.sub(lambda match: f"%{ord(match[0]):02X}", uri.strip()) for uri in rua]
    text = f"{VERSION}; rua={','.join(uris)}"
    record = parse(text)
    errors = [f"{fault.text}; {fault.repair}" for fault in record.faults if fault.severity == ERROR]
    if errors:
        raise RecordInvalid("; ".join(errors))
    return text


def _version_faults(text: str) -> Iterator[Fault]:
    begins = _BEGINNING.match(text)
    if begins and begins["blanks"]:
        # The grammar allows it; the rule for choosing a record wants "v=TLSRPTv1;" at once.
        yield Fault("version-blank", WARNING, "blanks before the first semicolon", f"write {VERSION};")
    if not begins:
        marks = "; the quotation marks are part of it" if text.startswith(('"', "'")) else ""
        repair = "publish it without the quotation marks" if marks else f"begin it with {VERSION};"
        yield Fault("version", ERROR, f"the record must begin with {VERSION}; exactly so{marks}", repair)


def _fields(text: str, faults: list[Fault]) -> Iterator[str]:
    """What stands between the semicolons after the version; one semicolon at the end is allowed."""
    pieces = [piece.strip(" \t") for piece in text.split(";")[1:]]
    if pieces and not pieces[-1]:
        pieces.pop()
    for piece in pieces:
        if piece:
            yield piece
        else:
            faults.append(Fault("empty-field", ERROR, "two semicolons with nothing between them", "remove one of them"))


def _destinations(value: str, faults: list[Fault]) -> list[Destination]:
    """The usable URIs of a rua; what is wrong with the others goes to ``faults``."""
    destinations: list[Destination] = []
    for uri in (piece.strip(" \t") for piece in value.split(",")):
        destination = _destination(uri, faults)
        if destination in destinations:
            faults.append(Fault("duplicate-rua", WARNING, f"{_quoted(uri)} is listed twice", "remove one of the two"))
        elif destination:
            destinations.append(destination)
    if len(destinations) > 1:
        text = "several addresses: Microsoft reports to the first only, others may send the same report to each"
        repair = "put the address that must have all reports first"
        faults.append(Fault("several-rua", WARNING, text, repair))
    return destinations


def _destination(uri: str, faults: list[Fault]) -> Destination | None:
    match = _SCHEME.fullmatch(uri)
    scheme, after_scheme = (match["scheme"].lower(), match["after"]) if match else ("", uri)
    target = _percent_decoded(after_scheme.partition("?")[0]) if scheme == "mailto" else uri
    refusal = _scheme_refusal(scheme, uri) or _character_refusal(uri)
    if scheme == "mailto":
        refusal = refusal or _address_refusal(target)
        if "?" in after_scheme:
            problem = f"{_quoted(uri)}: senders ignore what follows the ?"
            faults.append(Fault("mailto-headers", WARNING, problem, f"write {_quoted(uri.partition('?')[0])}"))
    elif scheme == "https":
        refusal = refusal or _url_refusal(after_scheme)
        if "#" in after_scheme:
            problem = f"{_quoted(uri)}: what follows the # is never sent"
            faults.append(Fault("https-fragment", WARNING, problem, f"write {_quoted(uri.partition('#')[0])}"))
    if refusal:
        why, repair = refusal
        faults.append(Fault("rua", ERROR, f"{_quoted(uri)} {why}", repair))
        return None
    return Destination(scheme, uri, target)


def _scheme_refusal(scheme: str, uri: str) -> Refusal:
    if scheme in ("mailto", "https"):
        return None
    if scheme == "http":
        return "is not encrypted", f"write https{_quoted(uri[4:])}"
    if not scheme and "@" in uri:
        return "lacks its scheme", f"write mailto:{_quoted(uri)}"
    return "is neither a mailto: nor an https: URI", "write mailto: and a mail address, or an https: URL"


def _character_refusal(uri: str) -> Refusal:
    if _SIZE.search(uri):
        return "ends in a size, which DMARC allows and TLSRPT does not", f"write {_quoted(_SIZE.sub('', uri))}"
    if not _URI.fullmatch(uri):
        repair = "percent-encode them: %2C for a comma, %21 for !, %3B for a semicolon"
        return "has characters that must be percent-encoded (RFC 8460 section 3)", repair
    return None


def _address_refusal(address: str) -> Refusal:
    if _ADDRESS.fullmatch(address):
        return None
    return "is no mail address", "write mailto:NAME@DOMAIN, a domain outside ASCII in A-labels (xn--...)"


def _url_refusal(after_scheme: str) -> Refusal:
    match = _AUTHORITY.fullmatch(after_scheme[2:]) if after_scheme.startswith("//") else None
    if not match:
        return "names no host", "write https://HOST/PATH"
    if match["user"]:
        return "has a user name in it, for all the world to see", "leave out what stands before the @"
    return None


def _field_fault(field: str) -> Fault:
    return Fault("field", ERROR, f"{_quoted(field)} is no name=value (RFC 8460 section 3)", _field_repair(field))


def _field_repair(field: str) -> str:
    name, equals, value = field.partition("=")
    tight = f"{name.strip()}={value.strip()}"
    if equals and _FIELD.fullmatch(tight):
        return f"write {_quoted(tight)}, without blanks around ="
    return f"remove {_quoted(field)}"


def _percent_decoded(text: str) -> str:
    """UTF-8 behind percent signs (RFC 3986 section 2.1); what is none becomes U+FFFD."""
    return _ENCODED.sub(lambda run: bytes.fromhex(run[1].replace("%", "")).decode("utf-8", "replace"), text)


def _quoted(text: str) -> str:
    return text[:_MAX_QUOTED] or "(empty)"
