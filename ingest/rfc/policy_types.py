"""The policy types of RFC 8460 section 4.4. An unknown one is kept as it came."""

STS = "sts"
TLSA = "tlsa"
NO_POLICY_FOUND = "no-policy-found"
POLICY_TYPES = frozenset({STS, TLSA, NO_POLICY_FOUND})
# Where types are told apart by these three only, any other one.
OTHER = "other"
