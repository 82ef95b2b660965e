"""The TXT record at ``_smtp._tls.<domain>`` (RFC 8460 section 3): where reports about the domain are to be sent.

What it shares with other records is in ``rfc.txt``. Reading never fails.
"""

import re
from collections.abc import Sequence

import msgspec

from ingest.rfc.faults import ERROR, WARNING, Fault, quoted
from ingest.rfc.txt import FIELD, Grammar, fields

VERSION = "v=TLSRPTv1"

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
_EXAMPLE = f"{VERSION}; rua=mailto:ADDRESS"
_GRAMMAR = Grammar(
    VERSION,
    near=re.compile(r"[\"'\s]*v\s*=\s*[\"']?tls-?rpt", re.IGNORECASE),
    section="RFC 8460 section 3",
    example=_EXAMPLE,
    if_several="delete all but one, and list all addresses in its rua, with commas",
)


# Why senders cannot use an address, and what to write instead; None when they can.
Refusal = tuple[str, str] | None


class Destination(msgspec.Struct, frozen=True):
    """Where reports go. ``scheme`` is ``mailto`` or ``https``; ``uri`` is as it stands in the record.

    ``target`` is what to use: the mail address with its percent-encoding undone, or the URL as it is.
    """

    scheme: str
    uri: str
    target: str


class TlsrptRecord(msgspec.Struct, frozen=True):
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


def choose(texts: Sequence[str]) -> TlsrptRecord:
    """The one record among all TXT records at the name. Never raises.

    Those that do not begin with ``v=TLSRPTv1;`` are discarded; if not exactly one is left, the domain wants no reports. A
    record that seems to be meant as one is read for its faults.
    """
    text, faults = _GRAMMAR.choose(texts, lambda text: parse(text).faults)
    return TlsrptRecord(faults=faults) if text is None else parse(text)


def parse(text: str) -> TlsrptRecord:
    """Read one record. Never raises; see ``faults``."""
    faults = list(_GRAMMAR.version_faults(text))
    rua: list[Destination] | None = None
    unknown: list[str] = []
    meant = False
    for field in fields(text, faults):
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
            if FIELD.fullmatch(field):
                faults.append(Fault("field-case", ERROR, f"{name}: names are case-sensitive", "write rua="))
            else:
                faults.append(_GRAMMAR.field_fault(field))
            _destinations(value.strip(" \t"), faults)
        elif not FIELD.fullmatch(field):
            faults.append(_GRAMMAR.field_fault(field))
        else:
            problem = f"{name} is no field of RFC 8460; senders ignore it"
            faults.append(Fault("unknown-field", WARNING, problem, f"remove {name}"))
            unknown.append(name)
    if rua is None and not meant:
        problem = "no rua, so nobody knows where to send reports"
        faults.append(Fault("no-rua", ERROR, problem, f"write it as in {_EXAMPLE}"))
    return TlsrptRecord(tuple(rua or ()), tuple(unknown), tuple(faults))


def render(rua: Sequence[str]) -> str:
    """The record to publish for these ``mailto:`` and ``https:`` URIs, encoded where they need it. Raises RecordInvalid."""
    uris = [_TO_ENCODE.sub(lambda match: f"%{ord(match[0]):02X}", uri.strip()) for uri in rua]
    text = f"{VERSION}; rua={','.join(uris)}"
    record = parse(text)
    errors = [f"{fault.text}; {fault.repair}" for fault in record.faults if fault.severity == ERROR]
    if errors:
        raise RecordInvalid("; ".join(errors))
    return text


def _destinations(value: str, faults: list[Fault]) -> list[Destination]:
    """The usable URIs of a rua; what is wrong with the others goes to ``faults``."""
    destinations: list[Destination] = []
    for uri in (piece.strip(" \t") for piece in value.split(",")):
        destination = _destination(uri, faults)
        if destination in destinations:
            faults.append(Fault("duplicate-rua", WARNING, f"{quoted(uri)} is listed twice", "remove one of the two"))
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
            problem = f"{quoted(uri)}: senders ignore what follows the ?"
            faults.append(Fault("mailto-headers", WARNING, problem, f"write {quoted(uri.partition('?')[0])}"))
    elif scheme == "https":
        refusal = refusal or _url_refusal(after_scheme)
        if "#" in after_scheme:
            problem = f"{quoted(uri)}: what follows the # is never sent"
            faults.append(Fault("https-fragment", WARNING, problem, f"write {quoted(uri.partition('#')[0])}"))
    if refusal:
        why, repair = refusal
        faults.append(Fault("rua", ERROR, f"{quoted(uri)} {why}", repair))
        return None
    return Destination(scheme, uri, target)


def _scheme_refusal(scheme: str, uri: str) -> Refusal:
    if scheme in ("mailto", "https"):
        return None
    if scheme == "http":
        return "is not encrypted", f"write https{quoted(uri[4:])}"
    if not scheme and "@" in uri:
        return "lacks its scheme", f"write mailto:{quoted(uri)}"
    return "is neither a mailto: nor an https: URI", "write mailto: and a mail address, or an https: URL"


def _character_refusal(uri: str) -> Refusal:
    if _SIZE.search(uri):
        return "ends in a size, which DMARC allows and TLSRPT does not", f"write {quoted(_SIZE.sub('', uri))}"
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


def _percent_decoded(text: str) -> str:
    """UTF-8 behind percent signs (RFC 3986 section 2.1); what is none becomes U+FFFD."""
    return _ENCODED.sub(lambda run: bytes.fromhex(run[1].replace("%", "")).decode("utf-8", "replace"), text)
