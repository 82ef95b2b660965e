"""How far a report is believed, by the way it came and who signed it."""

VERIFIED, UNVERIFIED, UNAUTHENTICATED, IMPORTED = "verified", "unverified", "unauthenticated", "imported"
# Which trust wins when one report comes several ways; the first two are evidence (docs/verdict.md).
TRUST_ORDER = (VERIFIED, IMPORTED, UNVERIFIED, UNAUTHENTICATED)
EVIDENCE = TRUST_ORDER[:2]
