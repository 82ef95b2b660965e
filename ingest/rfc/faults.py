"""What is wrong with a policy or a record, how bad it is, and what to write instead."""

import msgspec

# error: senders treat the policy as absent, or refuse mail because of it. warning: legal and unwise. note: worth knowing.
ERROR, WARNING, NOTE = "error", "warning", "note"

_MAX_QUOTED = 80


class Fault(msgspec.Struct, frozen=True):
    """Something wrong: a code, its severity, words for people, what to do about it, and the line (from 1; 0: the whole)."""

    code: str
    severity: str
    text: str
    repair: str
    line: int = 0


def quoted(text: str) -> str:
    """A stranger's words in a fault: bounded, and never empty."""
    return text[:_MAX_QUOTED] or "(empty)"
