"""Why a verdict is what it is, as data: the code, the figures and the days; words for people are in ``verdict_words``. Pure."""

import datetime as dt
from collections.abc import Collection, Iterable

import msgspec

from .evidence import Entry, Evidence


class Reason(msgspec.Struct, frozen=True):
    """Why the verdict is what it is: a code, the figure behind it, the threshold it is held against (None: there is none).

    ``blocking`` reasons made the verdict; the others are worth knowing. ``names`` are hosts, organisations, result types or
    faults, ``voices`` whose evidence it is. ``of`` is the number of sessions that the figure is a part of. ``since`` and
    ``until`` are first and last day of it; an ``until`` after the day of the verdict is the last day on which it can still
    be so, or the day on which it is reached, None when nobody can tell.
    """

    code: str
    figure: float = 0
    threshold: float | None = None
    blocking: bool = True
    names: tuple[str, ...] = ()
    since: dt.date | None = None
    until: dt.date | None = None
    voices: tuple[str, ...] = ()
    of: float | None = None


class Missing(msgspec.Struct, frozen=True):
    """What the evidence lacks: ``have`` of ``need``; ``by`` is the day on which it will suffice at the present rate, None when
    no rate leads there.

    ``options`` are what makes it suffice without waiting, as options of ``override thresholds``: ``--reporters 1``.
    ``probe``: a probe of the MX hosts that finds all in order would do, too. ``since`` is the day that counting began.
    """

    code: str
    have: float
    need: float
    by: dt.date | None = None
    options: tuple[str, ...] = ()
    probe: bool = False
    since: dt.date | None = None


def remark(code: str, figure: float, *names: str, **more: object) -> Reason:
    """A reason that did not make the verdict."""
    return msgspec.structs.replace(Reason(code, figure, blocking=False, names=names), **more)


def told_by(evidence: Evidence, reason: Reason, entries: Collection[Entry]) -> Reason:
    """A reason with the voices, their names and the days of the failures that it rests on."""
    voices = tuple(sorted({entry.voice for entry in entries}))
    days = [entry.failed_on for entry in entries]
    names = organisations(evidence, voices)
    return msgspec.structs.replace(reason, names=names, since=min(days), until=max(days), voices=voices)


def organisations(evidence: Evidence, voices: Iterable[str]) -> tuple[str, ...]:
    """The names of voices, for people to read, in order."""
    return tuple(sorted({evidence.name_of(voice) for voice in voices}))
