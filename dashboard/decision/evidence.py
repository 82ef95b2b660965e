"""What a verdict is made from: one domain's trusted reports as plain data, the operator's word, and the thresholds.

Built by ``queries.evidence`` from the database, by tests from tables and by the simulator from its worlds. No SQL, no pandas.
Who speaks is a *voice* (docs/verdict.md): a registrable domain, or the folded name of an organisation. Whoever builds
evidence resolves voices; nothing here looks at names that a sender chose.
"""

import datetime as dt
from collections.abc import Collection, Mapping

import msgspec

# As the MX host of an acceptance: failures that name none. No host name holds a blank.
NO_MX = "(none named)"


class QuotedPolicy(msgspec.Struct, frozen=True):
    """An MTA-STS policy as senders quote it, or as the operator entered it. ``max_age`` is in seconds, None when unknown."""

    mode: str
    mx: tuple[str, ...]
    mx_digest: str
    max_age: int | None = None


class Failure(msgspec.Struct, frozen=True):
    """One failure detail of an entry. ``consequence`` is one of ``ingest.rfc.result_types``, None when nothing follows."""

    result_type: str
    mx_host: str
    sessions: int
    consequence: str | None
    reason_code: str = ""


class Entry(msgspec.Struct, frozen=True):
    """One policy entry of one trusted report. ``policy`` is None when the report quotes none that can be read.

    ``voice`` is who speaks, ``organization`` the name in the report, ``signer`` the domain whose DKIM signature holds ("" for
    what the operator loaded unsigned); ``report`` tells the entries of one report from those of others. Successes count on
    ``day``, failures on ``failure_day`` (None: the same), the last day of a range of more than 36 hours, which is marked
    ``long_range``. Counts are sessions; ``failed`` is None when the report has no total. ``unexplained`` are failures that no
    detail explains.
    """

    day: dt.date
    voice: str
    organization: str
    signer: str
    policy_type: str
    policy: QuotedPolicy | None
    successful: int
    failed: int | None
    unexplained: int = 0
    failures: tuple[Failure, ...] = ()
    long_range: bool = False
    report: str = ""
    failure_day: dt.date | None = None

    @property
    def failed_on(self) -> dt.date:
        """The day on which its failures count."""
        return self.failure_day or self.day


class Voice(msgspec.Struct, frozen=True):
    """Somebody who reports about the domain: ``name`` is its key, ``organization`` the name it uses (the newest).

    ``basis`` says why it is known: "listed", "operator", "loaded" or "heard"; "" for a newcomer. ``signer`` is the domain that
    signs for it, "" when nothing of it is signed.
    """

    name: str
    organization: str
    known: bool = True
    basis: str = ""
    signer: str = ""


class Sighting(msgspec.Struct, frozen=True):
    """A voice quoted this policy in a report about this day, which arrived on the day ``arrived`` (UTC; None: in time).

    ``voice`` is "" for what is known only from ``served``: which policy was quoted last, before the look-back.
    """

    day: dt.date
    voice: str
    policy: QuotedPolicy
    arrived: dt.date | None = None


class ServedPolicy(msgspec.Struct, frozen=True):
    """A policy that known voices have quoted at any time, and on which days first and last."""

    policy: QuotedPolicy
    first_day: dt.date
    last_day: dt.date


class Acceptance(msgspec.Struct, frozen=True):
    """The operator's word that a cause needs no repair before the switch. An empty field stands for any; see NO_MX.

    ``since`` is the day it was given, ``until`` the last day it holds (None: until withdrawn).
    """

    since: dt.date
    until: dt.date | None = None
    result_type: str = ""
    mx_host: str = ""
    voice: str = ""

    def covers(self, on: dt.date, result_type: str, mx_host: str, voice: str) -> bool:
        """Whether it speaks, on the day ``on``, about a failure like this."""
        in_force = self.since <= on and (self.until is None or on <= self.until)
        return in_force and _same_cause(self, result_type, mx_host) and self.voice in ("", voice)


class Repair(msgspec.Struct, frozen=True):
    """The operator's word, ``given`` on a day, that a cause was repaired on the day ``day``: failures up to it are over.

    An empty field stands for any; see NO_MX.
    """

    given: dt.date
    day: dt.date
    result_type: str = ""
    mx_host: str = ""

    def covers(self, on: dt.date, result_type: str, mx_host: str, failed_on: dt.date) -> bool:
        """Whether it speaks, on the day ``on``, about a failure like this of the day ``failed_on``."""
        return self.given <= on and failed_on <= self.day and _same_cause(self, result_type, mx_host)


def _same_cause(word: Acceptance | Repair, result_type: str, mx_host: str) -> bool:
    return word.result_type in ("", result_type) and word.mx_host in ("", mx_host or NO_MX)


class Thresholds(msgspec.Struct, frozen=True):
    """How much evidence is enough (docs/verdict.md). ``bound`` is a share of sessions, ``confidence`` one-sided.

    ``lookback_days`` is how far the window may reach back. ``signers`` are the domains that the setting VERDICT_SIGNERS
    lists: who builds evidence makes known voices of them, nothing here reads it.
    """

    window_days: int = 14
    late_days: int = 2
    reporters: int = 2
    bound: float = 0.01
    confidence: float = 0.95
    lookback_days: int = 90
    signers: tuple[str, ...] = ()


class StatedPolicy(msgspec.Struct, frozen=True):
    """The current policy as the operator entered it on ``day``; it outranks what reports quote.

    ``faults`` says in words what makes senders ignore the policy or its record, empty when nothing does.
    """

    policy: QuotedPolicy
    day: dt.date
    faults: tuple[str, ...] = ()


class ProbedHost(msgspec.Struct, frozen=True):
    """An MX host as a probe found it: all its public addresses ``reached``, and in words what is wrong ("": nothing)."""

    host: str
    reached: bool = True
    fault: str = ""


class Probe(msgspec.Struct, frozen=True):
    """What a probe of ``day`` found. ``policy`` is None when it could not be had or read.

    ``since`` is the first day on which probes found this policy; ``faults`` says in words what is wrong with record or file;
    ``port25_blocked``: the MX hosts could not be looked at from there.
    """

    day: dt.date
    record_ok: bool = True
    text_ok: bool = True
    policy: QuotedPolicy | None = None
    hosts: tuple[ProbedHost, ...] = ()
    faults: tuple[str, ...] = ()
    port25_blocked: bool = False
    since: dt.date | None = None


class Evidence(msgspec.Struct, frozen=True):
    """Everything known about a domain on the day ``on``: only what had arrived by the end of it.

    ``entries`` and ``sightings`` are those of all voices since ``first_day``, where the look-back ends (None: as many days
    back as the thresholds say); ``reported`` has, for each voice, the days it reported about in that time. A voice that is
    not in ``voices`` counts as known. ``believed`` and ``dismissed`` are voices about which the operator has given a word,
    with its day; ``aliases`` are names that belong to a voice. ``mx_hosts`` are the hosts of the domain's MX records by the
    operator's word. ``own_thresholds`` names those that are this domain's own; ``overtaken`` is a stated policy that senders
    have changed from since, and no longer counts.
    """

    domain: str
    on: dt.date
    entries: tuple[Entry, ...] = ()
    sightings: tuple[Sighting, ...] = ()
    served: tuple[ServedPolicy, ...] = ()
    reported: Mapping[str, tuple[dt.date, ...]] = {}
    voices: Mapping[str, Voice] = {}
    first_day: dt.date | None = None
    acceptances: tuple[Acceptance, ...] = ()
    repairs: tuple[Repair, ...] = ()
    believed: Mapping[str, dt.date] = {}
    dismissed: Mapping[str, dt.date] = {}
    aliases: Mapping[str, str] = {}
    stated: StatedPolicy | None = None
    probe: Probe | None = None
    mx_hosts: tuple[str, ...] = ()
    thresholds: Thresholds = Thresholds()
    own_thresholds: tuple[str, ...] = ()
    overtaken: StatedPolicy | None = None

    @property
    def begin(self) -> dt.date:
        """The first day of the look-back: what lasts since then may be older."""
        return self.first_day or self.on - dt.timedelta(days=self.thresholds.lookback_days + self.thresholds.late_days)

    def limited_to(self, voices: Collection[str]) -> "Evidence":
        """The evidence of these voices alone, and what was quoted last when nobody knows by whom."""
        return msgspec.structs.replace(
            self,
            entries=tuple(entry for entry in self.entries if entry.voice in voices),
            sightings=tuple(seen for seen in self.sightings if seen.voice in voices or not seen.voice),
            reported={voice: days for voice, days in self.reported.items() if voice in voices},
        )

    @property
    def speaking(self) -> frozenset[str]:
        """All voices that are heard in it."""
        reporting = {entry.voice for entry in self.entries} | {seen.voice for seen in self.sightings}
        return frozenset(reporting | set(self.reported)) - {""}

    @property
    def known(self) -> "Evidence":
        """The evidence of known voices alone: what the headline rests on."""
        return self.limited_to({voice for voice in self.speaking if self.is_known(voice)})

    def is_known(self, voice: str) -> bool:
        """Whether the headline rests on this voice; the operator's word about it comes first."""
        if voice in self.believed or voice in self.dismissed:
            return voice not in self.dismissed
        return voice not in self.voices or self.voices[voice].known

    def name_of(self, voice: str) -> str:
        """The organisation behind a voice, for people to read; the voice itself when it has named none."""
        known = self.voices.get(voice)
        return known.organization if known and known.organization else voice
