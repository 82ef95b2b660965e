"""Text as the database keeps it: fit for both engines, and the digests that keys are made of."""

import hashlib


def storable(text: str) -> str:
    """Text from a mail's header as PostgreSQL takes it: without NUL and without lone surrogates."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def short_digest(*parts: str) -> str:
    """32 hexadecimal digits that identify a sequence of texts."""
    framed = b"".join(f"{len(part.encode())}:".encode() + part.encode() for part in parts)
    return hashlib.blake2b(framed, digest_size=16).hexdigest()
