"""How far a report is believed, by the way it came and who signed it."""

# What DKIM says of a mail (RFC 6376); of these only VERIFIED vouches for a report.
UNSIGNED, FAILED, UNDETERMINED = "unsigned", "failed", "undetermined"

VERIFIED, UNVERIFIED, UNAUTHENTICATED, IMPORTED = "verified", "unverified", "unauthenticated", "imported"
# Which trust wins when one report comes several ways; the first two are evidence (docs/verdict.md).
TRUST_ORDER = (VERIFIED, IMPORTED, UNVERIFIED, UNAUTHENTICATED)
EVIDENCE = TRUST_ORDER[:2]
