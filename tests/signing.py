"""DKIM signatures for tests, written from RFC 6376 with `cryptography`, so that they share no code with the verifier.

Keys are made once per process. ``signed`` signs; any tag can be changed, added, or left out (None) by name.
"""

import base64
import functools
import hashlib
import re
import time
from collections.abc import Sequence
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

FROM_FIELDS = ("from", "to", "subject", "date", "message-id", "from")
SELECTOR, DOMAIN = "s1", "sender.example"


@functools.cache
def rsa_key(bits: int = 2048, number: int = 0) -> rsa.RSAPrivateKey:
    """An RSA key; another ``number``, another key."""
    return rsa.generate_private_key(65537, bits)


@functools.cache
def ed25519_key(number: int = 0) -> ed25519.Ed25519PrivateKey:
    """An Ed25519 key."""
    return ed25519.Ed25519PrivateKey.generate()


PrivateKey = rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


def public(key: PrivateKey | None = None) -> str:
    """p= of a key record: SubjectPublicKeyInfo for RSA (RFC 6376), the bare key for Ed25519 (RFC 8463)."""
    chosen = (key or rsa_key()).public_key()
    if isinstance(chosen, ed25519.Ed25519PublicKey):
        data = chosen.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    else:
        data = chosen.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(data).decode()


def record(key: PrivateKey | None = None, **tags: str) -> str:
    """A key record; ``tags`` come before p=."""
    key_type = "ed25519" if isinstance(key, ed25519.Ed25519PrivateKey) else "rsa"
    fields = {"v": "DKIM1", "k": key_type} | tags
    return "; ".join(f"{name}={value}" for name, value in fields.items()) + f"; p={public(key)}"


def signed(
    mail: bytes,
    *,
    key: PrivateKey | None = None,
    domain: str = DOMAIN,
    selector: str = SELECTOR,
    canonicalization: str = "relaxed/relaxed",
    fields: Sequence[str] = FROM_FIELDS,
    **tags: Any,
) -> bytes:
    """``mail`` (CRLF) with a DKIM-Signature on top of it."""
    chosen = key or rsa_key()
    algorithm = "ed25519-sha256" if isinstance(chosen, ed25519.Ed25519PrivateKey) else "rsa-sha256"
    header_style, _, body_style = canonicalization.partition("/")
    header, _, body = mail.partition(b"\r\n\r\n")
    usual = {
        "v": 1,
        "a": algorithm,
        "c": canonicalization,
        "d": domain,
        "s": selector,
        "t": int(time.time()),
        "h": ":".join(fields),
        "bh": base64.b64encode(_digest(canonical_body(body, body_style or "simple"), algorithm)).decode(),
    } | tags
    text = "; ".join(f"{name}={value}" for name, value in usual.items() if value is not None)
    unsigned = f" {text};\r\n b=".encode()
    hashed = _signed_fields(header, str(usual["h"]).split(":"), header_style)
    hashed += _canonical_field(b"DKIM-Signature", unsigned, header_style)
    signature = _sign(chosen, hashed, str(usual["a"]))
    return b"DKIM-Signature:" + unsigned + base64.b64encode(signature) + b"\r\n" + mail


def signed_content(mail: bytes, canonicalization: str = "relaxed/relaxed") -> tuple[bytes, bytes]:
    """What a signature over ``FROM_FIELDS`` protects: the canonical fields and the canonical body."""
    if mail.partition(b"\n")[0].endswith(b"\r"):
        header, _, body = mail.partition(b"\r\n\r\n")
    else:  # a file with LF
        header, _, body = mail.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n").partition(b"\r\n\r\n")
    header_style, _, body_style = canonicalization.partition("/")
    return _signed_fields(header, FROM_FIELDS, header_style), canonical_body(body, body_style)


def _sign(key: PrivateKey, hashed: bytes, algorithm: str) -> bytes:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(hashlib.sha256(hashed).digest())
    return key.sign(hashed, padding.PKCS1v15(), hashes.SHA1() if algorithm == "rsa-sha1" else hashes.SHA256())


def _digest(data: bytes, algorithm: str) -> bytes:
    return (hashlib.sha1 if algorithm == "rsa-sha1" else hashlib.sha256)(data).digest()


def _signed_fields(header: bytes, names: Sequence[str], style: str) -> bytes:
    """RFC 6376 section 5.4.2: of fields with one name the last is taken first; names without a field are left out."""
    fields = [line.partition(b":")[::2] for line in re.split(rb"\r\n(?![ \t])", header)]
    hashed = b""
    for name in names:
        for at in reversed(range(len(fields))):
            if fields[at][0].lower().decode() == name.strip().lower():
                hashed += _canonical_field(*fields.pop(at), style) + b"\r\n"
                break
    return hashed


def _canonical_field(name: bytes, value: bytes, style: str) -> bytes:
    if style == "simple":
        return name + b":" + value
    return name.lower() + b":" + re.sub(rb"[ \t]+", b" ", value.replace(b"\r\n", b"")).strip()


def canonical_body(body: bytes, style: str) -> bytes:
    """RFC 6376 sections 3.4.3 and 3.4.4, line by line."""
    lines = body.split(b"\r\n")
    if style == "relaxed":
        lines = [re.sub(rb"[ \t]+", b" ", line).removesuffix(b" ") for line in lines]
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        return b"" if style == "relaxed" else b"\r\n"
    return b"\r\n".join(lines) + b"\r\n"
