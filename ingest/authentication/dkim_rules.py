"""Which DKIM signatures and keys speak for a TLS report's author (RFC 6376, RFC 8301, RFC 8460 section 3): rules, no network.

Every rule here is one that dkimpy does not have, has otherwise, or dies over.
"""

import base64
import binascii
import datetime as dt
import enum
import re

import msgspec
from dkim.util import InvalidTagValueList, parse_tag_value

from ingest.rfc.names import domain_name

from .dkim_keys import is_name
from .dkim_message import Field, ParsedMail

# Google's has 800 bytes, folded with 9 blanks. dkimpy looks for b= with an expression that needs time by the square on folds
# that follow each other: 0.6 s for 8 KiB of them, were they allowed.
_MAX_SIGNATURE_BYTES = 8 * 1024
_TOO_MANY_BLANKS = re.compile(rb"\s{200}")
_MAX_SIGNED_FIELDS = 200
_MAX_SIGNATURES = 10
_MAX_AUTHOR_BYTES = 2_000
# An RSA key of 8,192 bits takes 1,500 characters.
_MAX_RECORD_BYTES = 4 * 1024
_MAX_CLOCK_ERROR = dt.timedelta(days=1)
_ALGORITHMS = {b"rsa-sha256": "rsa", b"ed25519-sha256": "ed25519"}
_CANONICALIZATIONS = (b"simple", b"relaxed")
_ED25519_BYTES = 32


class Relevance(enum.IntEnum):
    """How much a refusal tells the operator, when a mail has several signatures: how near it came to being accepted."""

    FOREIGN, FORM, KEY, CONTENT = range(4)


class RefusedSignature(Exception):
    """A signature or key that is not accepted. The text completes "signature of example.com: ..."."""

    def __init__(self, reason: str, relevance: Relevance = Relevance.FORM) -> None:
        super().__init__(reason)
        self.relevance = relevance


class KeyInTesting(RefusedSignature):
    """The key's owner asks that its signatures be treated as if they were not there (RFC 6376 section 3.6.1, t=y)."""


class OutsideItsTime(RefusedSignature):
    """The signature had expired on arrival, or was made later: by this host's clock, which may be wrong."""


class Signature(msgspec.Struct, frozen=True):
    """A signature that may be accepted once its key is known. Names are lower-case A-labels, times seconds since 1970."""

    field: Field
    tags: dict[bytes, bytes]
    domain: str
    selector: str
    identity_domain: str
    key_type: str
    relaxed_body: bool
    body_hash: bytes
    signed_at: int | None
    expires_at: int | None

    @property
    def key_name(self) -> str:
        """Where its key is in DNS (RFC 6376 section 3.6.2.1)."""
        return _key_name(self.selector, self.domain)

    def refuse_outside_its_time(self, now: dt.datetime) -> None:
        """Raises OutsideItsTime when the signature had expired, or was made in the future, at ``now``."""
        if self.expires_at is not None and self.expires_at < now.timestamp():
            raise OutsideItsTime("it expired before the mail arrived")
        if self.signed_at is not None and self.signed_at > (now + _MAX_CLOCK_ERROR).timestamp():
            raise OutsideItsTime("it was made in the future")


class Key(msgspec.Struct, frozen=True):
    """A public key as published. ``material`` is p= decoded; ``record`` is the whole record, as text that any database keeps."""

    key_type: str
    material: bytes
    flags: frozenset[bytes]
    record: str


def signatures(mail: ParsedMail) -> list[tuple[str, Signature | RefusedSignature]]:
    """The mail's signatures, topmost first, 10 at most, each behind its label: ``signature of example.com``."""
    labelled: list[tuple[str, Signature | RefusedSignature]] = []
    for number, field in enumerate([field for field in mail.fields if field[0].lower() == b"dkim-signature"], 1):
        if number > _MAX_SIGNATURES:
            break
        label = f"signature {number}"
        try:
            tags = _tags(field)
            label = f"signature of {_domain(tags, b'd')}"
            labelled.append((label, _signature(field, tags, mail)))
        except RefusedSignature as refusal:
            labelled.append((label, refusal))
    return labelled


def _tags(field: Field) -> dict[bytes, bytes]:
    if len(field[1]) > _MAX_SIGNATURE_BYTES:
        raise RefusedSignature("it is too large to verify")
    if _TOO_MANY_BLANKS.search(field[1]):
        raise RefusedSignature("it has too many blanks in a row to verify")
    try:
        tags: dict[bytes, bytes] = parse_tag_value(field[1])
    except InvalidTagValueList as error:
        raise RefusedSignature("it is no list of tags (RFC 6376 section 3.2)") from error
    for tag in (b"v", b"a", b"b", b"bh", b"d", b"h", b"s"):
        if not tags.get(tag):
            raise RefusedSignature(f"it has no {tag.decode()}=")
    return tags


def _signature(field: Field, tags: dict[bytes, bytes], mail: ParsedMail) -> Signature:
    if mail.fault:
        raise RefusedSignature(mail.fault)
    domain, selector = _domain(tags, b"d"), _domain(tags, b"s")
    if not is_name(_key_name(selector, domain)):
        raise RefusedSignature("s= and d= make no domain name")
    _refuse_foreign(domain, author_domain(mail))
    _refuse_forms(tags)
    signed_at, expires_at = _seconds(tags, b"t"), _seconds(tags, b"x")
    if signed_at is not None and expires_at is not None and expires_at < signed_at:
        raise RefusedSignature("it expires before it was made")
    _base64(tags[b"b"], "b=")
    return Signature(
        field=field,
        tags=tags,
        domain=domain,
        selector=selector,
        identity_domain=_identity_domain(tags, domain),
        key_type=_ALGORITHMS[tags[b"a"]],
        relaxed_body=_canonicalization(tags)[1] == b"relaxed",
        body_hash=_base64(tags[b"bh"], "bh="),
        signed_at=signed_at,
        expires_at=expires_at,
    )


def _refuse_foreign(signer: str, author: str) -> None:
    """RFC 8460 wants a signature "by the reporting domain": that of From, or one above it.

    No list of public suffixes is needed to say how far above. Whoever controls a parent zone decides what is published in
    its children: they could publish a key of the child's just as well. So accepting the parent's signature hands nobody a
    power they do not have. A signer needs two labels all the same: no report is signed by a top-level domain.
    """
    if signer != author and not ("." in signer and author.endswith("." + signer)):
        reason = f"it does not speak for the author's domain {author}"
        raise RefusedSignature(reason, Relevance.FOREIGN)


def _refuse_forms(tags: dict[bytes, bytes]) -> None:
    if tags[b"v"] != b"1":
        raise RefusedSignature("its version is not 1")
    if b"l" in tags:
        # RFC 8460 section 3: text behind the signed part would be anybody's.
        raise RefusedSignature("it covers only the first part of the mail (l=), which is not allowed for reports")
    if tags[b"a"] not in _ALGORITHMS:
        # RFC 8301: SHA-1 is not to be trusted.
        raise RefusedSignature(f"its algorithm {_printable(tags[b'a'])} is not accepted")
    _canonicalization(tags)
    if b"dns/txt" not in [method.strip() for method in tags.get(b"q", b"dns/txt").split(b":")]:
        raise RefusedSignature("its key is not in DNS (q=)")
    names = signed_fields(tags)
    if len(names) > _MAX_SIGNED_FIELDS:
        raise RefusedSignature(f"it signs more than {_MAX_SIGNED_FIELDS} fields, too many to verify")
    if b"from" not in names:
        raise RefusedSignature("it does not sign the From field")


def _canonicalization(tags: dict[bytes, bytes]) -> tuple[bytes, bytes]:
    header, _, body = tags.get(b"c", b"simple").partition(b"/")
    body = body or b"simple"
    if header not in _CANONICALIZATIONS or body not in _CANONICALIZATIONS:
        raise RefusedSignature("its canonicalization (c=) is unknown")
    return header, body


def signed_fields(tags: dict[bytes, bytes]) -> list[bytes]:
    """The names in h=, in lower case and in order."""
    return [name.strip().lower() for name in tags[b"h"].split(b":")]


def _identity_domain(tags: dict[bytes, bytes], domain: str) -> str:
    """The domain of i=, which is d= or below it (RFC 6376 section 3.5)."""
    if b"i" not in tags:
        return domain
    _, at, text = tags[b"i"].rpartition(b"@")
    identity = _name(text, "i=")
    if not at or (identity != domain and not identity.endswith("." + domain)):
        raise RefusedSignature("i= is no address within d=")
    return identity


def _seconds(tags: dict[bytes, bytes], tag: bytes) -> int | None:
    """A time of at most 12 digits (RFC 6376 section 3.5), None when absent."""
    if tag not in tags:
        return None
    digits = tags[tag]
    if not digits.isdigit() or len(digits) > 12:
        raise RefusedSignature(f"{tag.decode()}= is no time")
    return int(digits)


def author_domain(mail: ParsedMail) -> str:
    """The domain of the one address in the one From field, as lower-case A-labels. Raises RefusedSignature.

    Two authors, or none, would leave open whom the signature speaks for.
    """
    values = mail.values(b"from")
    if len(values) != 1:
        raise RefusedSignature(f"the mail has {len(values)} From fields instead of one")
    if len(values[0]) > _MAX_AUTHOR_BYTES:
        raise RefusedSignature("the From field is too large to read")
    text = _without_quotes_and_comments(values[0])
    outside, opening, inside = text.partition(b"<")
    address, closing, behind = inside.partition(b">") if opening else (text, b">", b"")
    if (opening and not closing) or behind.strip() or b"," in text or b";" in text or b":" in text:
        raise RefusedSignature("the From field is not exactly one address")
    local, _, domain = address.strip().partition(b"@")
    if not local or b"@" in domain or (opening and b"@" in outside) or len(address.split()) != 1:
        raise RefusedSignature("the From field is not exactly one address")
    return _name(domain, "the domain in the From field")


def _without_quotes_and_comments(value: bytes) -> bytes:
    """``value`` with each quoted string as ``"`` and without comments (RFC 5322 section 3.2), so that what is left is syntax."""
    syntax = bytearray()
    depth, quoted, escaped = 0, False, False
    for byte in value:
        character = bytes((byte,))
        if escaped:
            escaped = False
        elif character == b"\\" and (depth or quoted):
            escaped = True
        elif character == b'"' and not depth:
            quoted = not quoted
            syntax += b'"' if quoted else b""
        elif character == b"(" and not quoted:
            depth += 1
        elif character == b")" and depth:
            depth -= 1
        elif not depth and not quoted:
            syntax += character
    if depth or quoted:
        raise RefusedSignature("the From field is not exactly one address")
    return bytes(syntax)


def read_key(record: bytes) -> Key | None:
    """The key in a TXT record (RFC 6376 section 3.6.1); None for a record that is no DKIM key.

    Raises RefusedSignature, KeyInTesting.
    """
    if len(record) > _MAX_RECORD_BYTES:
        return None
    try:
        tags: dict[bytes, bytes] = parse_tag_value(record)
    except InvalidTagValueList:
        return None
    if b"p" not in tags or tags.get(b"v", b"DKIM1") != b"DKIM1":
        return None
    flags = _words(tags.get(b"t", b""))
    if b"y" in flags:
        raise KeyInTesting("its key is marked as being tested (t=y)", Relevance.KEY)
    if not tags[b"p"]:
        raise RefusedSignature("its key has been revoked", Relevance.KEY)
    # A key for e-mail alone says that its owner does not send reports with it (RFC 8460 section 3).
    if not _words(tags.get(b"s", b"*")) & {b"*", b"tlsrpt"}:
        raise RefusedSignature(f"its key is not meant for TLS reports (s={_printable(tags[b's'])})", Relevance.KEY)
    if b"h" in tags and b"sha256" not in _words(tags[b"h"]):
        raise RefusedSignature("its key does not allow SHA-256", Relevance.KEY)
    key_type = _printable(tags.get(b"k", b"rsa").lower())
    material = _base64(tags[b"p"], "its key", Relevance.KEY)
    if key_type == "ed25519" and len(material) != _ED25519_BYTES:
        raise RefusedSignature("its key is no Ed25519 key", Relevance.KEY)
    return Key(key_type, material, flags, _printable(record, _MAX_RECORD_BYTES))


def refuse_key_for(signature: Signature, key: Key) -> None:
    """Raises RefusedSignature when the key is not for this signature."""
    if key.key_type != signature.key_type:
        reason = f"its key is for {key.key_type}, the signature is {signature.key_type}"
        raise RefusedSignature(reason, Relevance.KEY)
    if b"s" in key.flags and signature.identity_domain != signature.domain:
        raise RefusedSignature("its key does not allow subdomains in i= (t=s)", Relevance.KEY)


def _words(value: bytes) -> frozenset[bytes]:
    """The members of a colon list, without blanks and case."""
    return frozenset(word.strip().lower() for word in value.split(b":"))


def _key_name(selector: str, domain: str) -> str:
    return f"{selector}._domainkey.{domain}"


def _domain(tags: dict[bytes, bytes], tag: bytes) -> str:
    return _name(tags[tag], f"{tag.decode()}=")


def _name(text: bytes, what: str) -> str:
    """A domain name or selector as lower-case A-labels, fit for a look-up. Mail in UTF-8 may write U-labels (RFC 8616)."""
    try:
        # Punycode needs time by the square; no name has more characters than its A-labels.
        name = domain_name(text.decode("utf-8")) if len(text) <= 4 * 253 else ""
    except ValueError:  # UnicodeDecodeError is one
        name = ""
    if not is_name("x." + name):  # one label is enough here
        raise RefusedSignature(f"{what} is no domain name")
    return name


def _base64(value: bytes, what: str, relevance: Relevance = Relevance.FORM) -> bytes:
    try:
        return base64.b64decode(b"".join(value.split()), validate=True)
    except binascii.Error as error:
        raise RefusedSignature(f"{what} is no base64", relevance) from error


def _printable(text: bytes, limit: int = 40) -> str:
    """A stranger's bytes, fit for a sentence, a log and a database."""
    return re.sub(r"[^\x20-\x7e]", "?", text.decode("latin-1"))[:limit]
