"""What DKIM says about one mail, as data."""

import msgspec

from ingest.testimony.trust import FAILED


class Authentication(msgspec.Struct, frozen=True):
    """The verdict and its evidence, or its reason in words.

    ``signer`` (d=), ``selector`` and ``key_record`` are those of the signature that holds, and ``""`` without one: what
    merely claims to be signed by a domain must not be shown under its name. ``wrong`` is true when a signature was made over
    other content; one whose key is gone, or that has expired, is not wrong. ``names_domain`` is false when a field
    TLS-Report-Domain stands in a signed header that the signature does not cover, or several do: anybody may have added it.
    ``untimely`` is true when a signature holds but for the time of arrival: that is undetermined, because this host's clock may
    be wrong (docs/reliability.md row 22).
    """

    dkim: str
    reason: str = ""
    signer: str = ""
    selector: str = ""
    key_record: str = ""
    wrong: bool = False
    names_domain: bool = True
    untimely: bool = False

    @property
    def for_good(self) -> "Authentication":
        """The verdict when nobody looks again: what is outside its time has failed."""
        return msgspec.structs.replace(self, dkim=FAILED, untimely=False) if self.untimely else self
