"""The shipped list of well-known reporters."""


def is_listed(voice: str) -> bool:
    """Whether a voice is on the list."""
    return voice in ("google.com", "microsoft.com")


def voice_of_name(name: str) -> str:
    """The voice that uses a folded organisation name, or ""."""
    return {"google": "google.com", "microsoft": "microsoft.com"}.get(name, "")
