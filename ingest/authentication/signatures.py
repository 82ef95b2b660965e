"""DKIM verdict on a report mail (RFC 8460 section 3, RFC 6376): verified, unsigned, failed or undetermined.

The verdict is a function of the message, the key records and the time of arrival: DNS is asked once for a whole batch
(dkim_keys), before any message is judged. Which signatures count is in dkim_rules, how the mail is read in dkim_message;
dkimpy checks the signature over the header fields.
"""

import base64
import datetime as dt
import logging
from collections.abc import Callable
from typing import TypeVar

import dkim
from dkim.crypto import parse_public_key

from ingest.testimony.trust import FAILED, UNDETERMINED, UNSIGNED, VERIFIED

from .dkim_keys import KeyAnswer, Keys
from .dkim_message import ParsedMail, is_plainly_unsigned
from .dkim_rules import (
    Key,
    KeyInTesting,
    OutsideItsTime,
    RefusedSignature,
    Relevance,
    Signature,
    read_key,
    refuse_key_for,
    signatures,
    signed_fields,
)
from .verdict import Authentication

# RFC 8301 section 3.2: at least 1,024 bits, and verifiers need not go beyond 4,096. Exponents beyond 64 bits (OpenSSL's
# limit too) would let a stranger's key cost seconds.
_RSA_BITS = range(1024, 8192 + 1)
_MAX_EXPONENT = 2**64
# Several records at a name are undefined (RFC 6376 section 3.6.2.2); senders that rotate keys badly have two.
_MAX_RECORDS = 4
# dkimpy logs what strangers wrote; the reasons are ours.
_SILENT = logging.Logger("dkimpy", level=logging.CRITICAL + 1)
_NO_SIGNATURE = "the mail has no DKIM signature"
_DOMAIN_FIELD = b"tls-report-domain"
_T = TypeVar("_T")


def signature_names(message: bytes) -> list[str]:
    """The DNS names of the keys that the verdict may need, 10 at most. Costs milliseconds, whatever the message.

    Signatures that would be refused with any key are left out, so strangers cannot make us ask for names at will.
    """
    if is_plainly_unsigned(message):
        return []
    return [signature.key_name for _, signature in signatures(ParsedMail(message)) if isinstance(signature, Signature)]


def authenticate(message: bytes, keys: Keys, now: dt.datetime) -> Authentication:
    """The verdict on ``message`` as it arrived at ``now`` (aware), with the answers to its prefetched ``signature_names``.

    The first signature that passes decides. Else the mail is undetermined if any signature lacks an answer from DNS, or holds
    but is outside its time; failed with the reason that tells most; or unsigned: without a signature, or with signatures by test
    keys alone. Never raises, whatever the message holds.
    """
    if is_plainly_unsigned(message):
        return Authentication(UNSIGNED, _NO_SIGNATURE)
    mail = ParsedMail(message)
    parsed = signatures(mail)
    unknown: list[str] = []
    untimely: list[str] = []
    failures: list[tuple[Relevance, str]] = []
    for label, candidate in parsed:
        try:
            if isinstance(candidate, RefusedSignature):
                raise candidate
            answer = keys.answer(candidate.key_name)
            if answer.problem:
                unknown.append(f"{label}: its key {candidate.key_name} could not be looked up: {answer.problem}")
                continue
            key = _verifying_key(mail, candidate, answer)
            # Last of all: whatever else is wrong with it is wrong at any time.
            candidate.refuse_outside_its_time(now)
            covered = _covers_domain(mail, candidate)
            return Authentication(VERIFIED, "", candidate.domain, candidate.selector, key.record, names_domain=covered)
        except KeyInTesting:
            continue
        except OutsideItsTime as refusal:
            untimely.append(f"{label}: {refusal}")
        except RefusedSignature as refusal:
            failures.append((refusal.relevance, f"{label}: {refusal}"))
    if unknown:
        return Authentication(UNDETERMINED, unknown[0])
    if untimely:
        return Authentication(UNDETERMINED, untimely[0], untimely=True)
    if failures:
        relevance, reason = max(failures, key=lambda failure: failure[0])
        return Authentication(FAILED, reason, wrong=relevance == Relevance.CONTENT)
    if parsed:
        return Authentication(
            UNSIGNED, f"{parsed[0][0]}: its key is marked as being tested (t=y), so it does not count"
        )
    return Authentication(*_without_signature(mail))


def _covers_domain(mail: ParsedMail, signature: Signature) -> bool:
    """Whether whatever the header says about the report's domain is signed (RFC 8460 section 5.3). One in a forwarded message
    is in the body, and the body is.
    """
    fields = mail.values(_DOMAIN_FIELD)
    return not fields or (len(fields) == 1 and _DOMAIN_FIELD in signed_fields(signature.tags))


def _without_signature(mail: ParsedMail) -> tuple[str, str]:
    # A header beyond the limits has no fields here: a signature may be among them.
    if mail.fault and not mail.fields:
        return FAILED, mail.fault
    return UNSIGNED, _NO_SIGNATURE


def _verifying_key(mail: ParsedMail, signature: Signature, answer: KeyAnswer) -> Key:
    """The key under which the signature holds. Raises RefusedSignature with the reason that tells most."""
    if not answer.records:
        _refuse_changed_body(mail, signature)  # that is wrong whatever the key was
        raise RefusedSignature(f"its key {signature.key_name} does not exist", Relevance.KEY)
    refusals: list[RefusedSignature] = []
    for record in answer.records[:_MAX_RECORDS]:
        try:
            key = read_key(record)
            if key is not None:
                _verify(mail, signature, key)
                return key
        except RefusedSignature as refusal:
            refusals.append(refusal)
    if not refusals:
        raise RefusedSignature(f"the record at {signature.key_name} is no DKIM key", Relevance.KEY)
    raise max(refusals, key=lambda refusal: refusal.relevance)


def _verify(mail: ParsedMail, signature: Signature, key: Key) -> None:
    """Raises RefusedSignature unless the signature over body and header fields holds under ``key``."""
    refuse_key_for(signature, key)
    if key.key_type == "rsa":
        _refuse_rsa_key(key)
    _refuse_changed_body(mail, signature)
    if not _guarded(lambda: _header_holds(mail, signature, key), "the signature cannot be read", Relevance.CONTENT):
        reason = "the header does not match (it was changed on its way, or signed with another key)"
        raise RefusedSignature(reason, Relevance.CONTENT)


def _refuse_changed_body(mail: ParsedMail, signature: Signature) -> None:
    body_hash = mail.relaxed_body_hash if signature.relaxed_body else mail.simple_body_hash
    if body_hash != signature.body_hash:
        raise RefusedSignature("the body hash does not match (the mail was changed on its way)", Relevance.CONTENT)


def _refuse_rsa_key(key: Key) -> None:
    numbers = _guarded(lambda: parse_public_key(key.material), "its key is no RSA key", Relevance.KEY)
    bits = numbers["modulus"].bit_length()
    if bits not in _RSA_BITS:
        raise RefusedSignature(f"its RSA key has {bits} bits; 1024 to 8192 are accepted", Relevance.KEY)
    if numbers["publicExponent"] > _MAX_EXPONENT:
        raise RefusedSignature("its RSA key has an absurd exponent", Relevance.KEY)


def _header_holds(mail: ParsedMail, signature: Signature, key: Key) -> bool:
    """dkimpy's word on the signed header fields.

    It sees no body (hashed by us), no times (it compares them with today instead of the arrival) and a key record of key
    type and key alone (it fails colon lists in s=).
    """
    record = b"k=" + key.key_type.encode() + b"; p=" + base64.b64encode(key.material)
    tags = {name: value for name, value in signature.tags.items() if name not in (b"bh", b"t", b"x")}
    verifier = dkim.DKIM(None, logger=_SILENT, tlsrpt=True)
    verifier.headers = list(mail.fields)
    return bool(
        verifier.verify_sig(tags, signed_fields(signature.tags), signature.field, lambda _name, timeout=0: record)  # noqa: ARG005
    )


def _guarded(call: Callable[[], _T], reason: str, relevance: Relevance) -> _T:
    """The result of a call into dkimpy. What strangers wrote makes it raise IndexError, AssertionError, binascii.Error,
    nacl's errors and others outside its own exception type, so here alone every exception means "not accepted". Want of
    memory is our fault, and must not become a verdict.
    """
    try:
        return call()
    except MemoryError:
        raise
    except Exception as error:
        raise RefusedSignature(reason, relevance) from error
