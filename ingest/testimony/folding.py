"""Which copies of a report count (docs/verdict.md, "Who says what, once", "One report", "Contradicted"). Pure.

A report comes by mail and by HTTPS, as a file saved from the mail, rewritten by a tool. Copies with equal figures count once.
Of trusted copies with other figures the one with more sessions counts, and the one that refuses more accuses.
"""

import collections
import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from ingest.rfc.tlsrpt.domains import FILE_NAME, HEADER, NOWHERE, OTHER_ENTRIES, REPORT_ID

from . import voices
from .trust import EVIDENCE, TRUST_ORDER

Key = tuple[str, str]  # policy_domain, report_key


class Copy(msgspec.Struct, frozen=True):
    """A stored report among those with the same policy domain, report id and range.

    ``claim`` is what it says about itself: contact address and organisation. ``voice`` is the one it resolves to.
    """

    key: Key
    voice: str
    signer: str
    claim: tuple[str, str]
    figures: str
    trust: str
    sessions: int
    refused: int
    received_at: dt.datetime
    arrival_estimated: bool = False


class Standing(msgspec.Struct, frozen=True):
    """What a copy is good for: its sessions count in sums and as proof, its failures accuse, a trusted copy contradicts it.

    ``voice`` is the one it speaks with, after all copies were seen; ``original`` is the first copy with the same figures.
    """

    counts: bool
    accuses: bool
    contradicted: bool
    voice: str
    original: Key


def fold(
    copies: Iterable[Copy], trusted: Sequence[str] = EVIDENCE, is_known: Callable[[str], bool] = lambda _voice: True
) -> Mapping[Key, Standing]:
    """The standing of each of some copies that share policy domain, report id and range. Copies of which the signer is not known
    (``is_known``) speak with the voice that the unsigned ones name, if that is: a stranger's signature takes nothing over.
    """
    ranked = sorted(copies, key=lambda copy: _rank(copy, trusted))
    classes = [members for alike in _by_figures(ranked) for members in _classes(alike)]
    voices_of_classes = _voices_of(classes, is_known)
    classes = [_own_first(members, voice, trusted) for members, voice in zip(classes, voices_of_classes, strict=True)]
    speaking: dict[str, list[list[Copy]]] = collections.defaultdict(list)
    for members, voice in zip(classes, voices_of_classes, strict=True):
        if members[0].trust in trusted:
            speaking[voice].append(members)
    standings: dict[Key, Standing] = {}
    for members, voice in zip(classes, voices_of_classes, strict=True):
        best = members[0]
        rivals = speaking[voice] if best.trust in trusted else [members]
        counting = max(rivals, key=lambda rival: rival[0].sessions)
        accusing = max(rivals, key=lambda rival: (rival[0].refused, rival is counting))
        for copy in members:
            is_best = copy is best
            standings[copy.key] = Standing(
                counts=is_best and members is counting,
                accuses=is_best and members is accusing,
                contradicted=is_best and len(rivals) > 1,
                voice=voice,
                original=best.key,
            )
    return standings


def _rank(copy: Copy, trusted: Sequence[str]) -> tuple[bool, int, bool, dt.datetime, Key]:
    """The order in which copies with equal figures may stand for all of them: the best trust, then the first to come."""
    return copy.trust not in trusted, TRUST_ORDER.index(copy.trust), copy.arrival_estimated, copy.received_at, copy.key


def _by_figures(copies: Sequence[Copy]) -> Iterable[list[Copy]]:
    groups: dict[str, list[Copy]] = collections.defaultdict(list)
    for copy in copies:
        groups[copy.figures].append(copy)
    return groups.values()


def _classes(alike: Sequence[Copy]) -> Iterable[list[Copy]]:
    """Copies with equal figures, grouped by sender. An unsigned copy belongs to the signed one that makes the same claim: nothing
    shows that another sender wrote it, and independence has to be shown.
    """
    by_voice: dict[str, list[Copy]] = {}
    claims: dict[tuple[str, str], str] = {}
    for copy in sorted(alike, key=lambda copy: not copy.signer):  # stable: signed ones first, else by rank
        voice = copy.voice if copy.signer or copy.voice in by_voice else claims.get(copy.claim, copy.voice)
        by_voice.setdefault(voice, []).append(copy)
        claims.setdefault(copy.claim, voice)
    order = {id(copy): number for number, copy in enumerate(alike)}
    return [sorted(members, key=lambda copy: order[id(copy)]) for members in by_voice.values()]


def _voices_of(classes: Sequence[Sequence[Copy]], is_known: Callable[[str], bool]) -> list[str]:
    """The voice of each class: of its signer where it has one. A class told by a name alone joins the signed one that uses the
    same name, if its signer is known: Stalwart gives no contact address, so the file saved from its mail names no domain.
    """
    signers = [copy for members in classes for copy in members if copy.signer and is_known(copy.voice)]
    signed = {copy.claim: copy.voice for copy in signers}
    class_voices = []
    for members in classes:
        named = sorted(members, key=lambda copy: not copy.signer)  # stable: the signer's first
        voice = next((copy.voice for copy in named if is_known(copy.voice)), named[0].voice)
        class_voices.append(voice if voices.is_domain(voice) else signed.get(members[0].claim, voice))
    return class_voices


def _own_first(members: Sequence[Copy], voice: str, trusted: Sequence[str]) -> list[Copy]:
    """A class of copies in which one of its voice's own stands for all: equal figures leave room for other policies, and what a
    stranger quotes in its copy is not the sender's word.
    """
    return sorted(members, key=lambda copy: (copy.trust not in trusted, copy.voice != voice))  # stable: else by rank


# Where a domain that is inferred comes from, the most credible first.
_SOURCES = (HEADER, FILE_NAME, REPORT_ID, OTHER_ENTRIES, NOWHERE)


class InferredCopy(msgspec.Struct, frozen=True):
    """A copy of a report whose domain is not stated but inferred from ``source``."""

    copy: Copy
    source: str


def displaced(copies: Iterable[InferredCopy], trusted: Sequence[str] = EVIDENCE) -> Mapping[Key, Key]:
    """Of copies of one whole report that were filed under different domains, those that count nowhere, each with the copy that
    stands for it: an inferred domain never makes a second report (an upload has no header that could name it).
    """
    ranked = sorted(copies, key=lambda inferred: _rank_of_inferred(inferred, trusted))
    standing: list[Copy] = []
    originals: dict[Key, Key] = {}
    for inferred in ranked:
        copy = inferred.copy
        original = next((other for other in standing if _same_sender(copy, other, trusted)), None)
        if original is None or original.key[0] == copy.key[0]:
            standing.append(copy)
        else:
            originals[copy.key] = original.key
    return originals


def _rank_of_inferred(
    inferred: InferredCopy, trusted: Sequence[str]
) -> tuple[bool, int, tuple[bool, int, bool, dt.datetime, Key]]:
    return inferred.copy.trust not in trusted, _SOURCES.index(inferred.source), _rank(inferred.copy, trusted)


def _same_sender(copy: Copy, other: Copy, trusted: Sequence[str]) -> bool:
    """One voice; or the same claim, where one of them is not signed and not trusted: a stranger that signs a copy of what the
    operator loaded moves it to no other domain.
    """
    if copy.voice == other.voice:
        return True
    both_signed = bool(copy.signer and other.signer)
    both_trusted = copy.trust in trusted and other.trust in trusted
    return copy.claim == other.claim and not both_signed and not both_trusted
