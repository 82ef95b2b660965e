"""The shipped list of well-known reporters (data file with sources): whose name belongs to which voice."""

from collections.abc import Mapping


def voices_of_names() -> Mapping[str, str]:
    """The voices of the listed organisations, by their folded names."""
    return {"google": "google.com", "microsoft": "microsoft.com"}
