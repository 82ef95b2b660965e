"""DKIM verdict on a report mail (RFC 8460 section 3, RFC 6376): verified, unsigned, failed or undetermined."""

import msgspec

VERIFIED, UNSIGNED, FAILED, UNDETERMINED = "verified", "unsigned", "failed", "undetermined"


class Authentication(msgspec.Struct, frozen=True):
    """The verdict and its evidence. ``signer`` (d=), ``selector`` and ``key_record`` are those of the signature it rests on."""

    dkim: str
    reason: str = ""
    signer: str = ""
    selector: str = ""
    key_record: str = ""
