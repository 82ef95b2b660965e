"""Well-known reporters: senders that are a known voice for every domain, from a list that ships with the program. Pure.

The list is ``data/reporters.toml``; its head says who may be on it and how to amend it. Only signers under which no
customer can sign are listed, because a known voice moves the verdict (docs/verdict.md).
"""

import functools
import tomllib
from collections.abc import Mapping
from importlib import resources

import msgspec

from . import voices


class Reporter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One reporter: its registrable domain, its organisation names as reports have them, DKIM domains seen, and the proof."""

    voice: str
    names: tuple[str, ...]
    signers: tuple[str, ...]
    sources: tuple[str, ...]


def listed() -> tuple[Reporter, ...]:
    """All listed reporters, sorted by voice."""
    return _reporters()


def is_listed(voice: str) -> bool:
    """Whether a voice, a registrable domain in lower case, is on the list."""
    return voice in {reporter.voice for reporter in _reporters()}


def voice_of_name(name: str) -> str:
    """The voice that uses an organisation name, or "". ``name`` is folded by ``voices.folded``.

    A name alone proves nothing: a stranger may call itself as it likes. It ties what carries no signature, no submitter and
    no contact address, and was loaded by the operator.
    """
    return _voices_by_name().get(name, "")


@functools.cache
def _reporters() -> tuple[Reporter, ...]:
    text = resources.files("ingest.testimony").joinpath("reporters.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text)["reporter"], tuple[Reporter, ...])


@functools.cache
def _voices_by_name() -> Mapping[str, str]:
    return {voices.folded(name): reporter.voice for reporter in _reporters() for name in reporter.names}
