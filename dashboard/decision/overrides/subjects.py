"""What an override is about, as people type it: a voice, a result type. Pure."""

import difflib
from collections.abc import Callable

from dashboard.decision.evidence import Evidence
from ingest.rfc.policy_types import NO_POLICY_FOUND
from ingest.rfc.result_types import RESULT_TYPES
from ingest.testimony.override_rules import RefusedOverride, voice_named
from ingest.testimony.voices import folded, is_domain

# What a cause may be, whether RFC 8460 knows it or not.
RESULT_TYPE_NAMES = frozenset({*RESULT_TYPES, NO_POLICY_FOUND})


def typed_result_type(typed: str, is_reported: Callable[[str], bool]) -> str:
    """The result type that was typed: one of RESULT_TYPE_NAMES, or a sender's own that reports contain (``is_reported``).

    Raises RefusedOverride, with the nearest name.
    """
    name = typed.strip()
    if name and (name in RESULT_TYPE_NAMES or is_reported(name)):
        return name
    spelt = name.lower().replace("_", "-")
    if spelt in RESULT_TYPE_NAMES:
        return spelt
    nearest = difflib.get_close_matches(spelt, sorted(RESULT_TYPE_NAMES), 1, cutoff=0)
    raise RefusedOverride(f"no result type is called {name!r}; the nearest is {nearest[0]}")


def typed_voice(evidence: Evidence, typed: str) -> str:
    """The voice that was typed: by its signer, a sub-domain, an address, or the name of an organisation that is known to be its.

    Anybody may call himself as he likes, so a name that only a sender uses for itself is no voice. Raises RefusedOverride.
    """
    voice = voice_named(typed)
    voice = evidence.aliases.get(voice, voice)
    if is_domain(voice) or (voice and voice in evidence.voices):
        return voice
    namesakes = sorted(name for name, speaker in evidence.voices.items() if folded(speaker.organization) == voice)
    hint = f"; who calls itself so: {', '.join(namesakes)} (give the domain)" if voice and namesakes else ""
    raise RefusedOverride(f"no reporter about {evidence.domain} is known as {typed.strip()!r}{hint}")
