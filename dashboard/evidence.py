"""What a verdict is made from: one domain's trusted reports as plain data, the operator's word, and the thresholds.

Built by ``queries.evidence`` from the database, by tests from tables and by the simulator from its worlds. No SQL, no pandas.
"""

import datetime as dt
from collections.abc import Mapping

import msgspec

# As the MX host of an acceptance: failures that name none. No host name holds a blank.
NO_MX = "(none named)"


class Policy(msgspec.Struct, frozen=True):
    """An MTA-STS policy as senders quote it, or as the operator entered it. ``max_age`` is in seconds, None when unknown."""

    mode: str
    mx: tuple[str, ...]
    mx_digest: str
    max_age: int | None = None


class Failure(msgspec.Struct, frozen=True):
    """One failure detail of an entry. ``consequence`` is one of ``ingest.mtasts.enforcement``, None when nothing follows."""

    result_type: str
    mx_host: str
    sessions: int
    consequence: str | None
    reason_code: str = ""


class Entry(msgspec.Struct, frozen=True):
    """One policy entry of one trusted report. ``policy`` is None when the report quotes none that can be read.

    ``signer`` is the domain whose DKIM signature holds, "" for what the operator loaded unsigned. Counts are sessions;
    ``failed`` is None when the report has no total. ``unexplained`` are failures that no detail explains.
    """

    day: dt.date
    organization: str
    signer: str
    policy_type: str
    policy: Policy | None
    successful: int
    failed: int | None
    unexplained: int = 0
    failures: tuple[Failure, ...] = ()
    long_range: bool = False
    voice: str = ""

    @property
    def reporter(self) -> str:
        """Who speaks: the voice as it was resolved."""
        return self.voice or self.signer or self.organization.casefold()


class Sighting(msgspec.Struct, frozen=True):
    """A reporter quoted this policy in a report about this day, which arrived on the day ``came`` (UTC; None: in time)."""

    day: dt.date
    organization: str
    reporter: str
    policy: Policy
    came: dt.date | None = None


class ServedPolicy(msgspec.Struct, frozen=True):
    """A policy that senders have quoted at any time, and on which days first and last."""

    policy: Policy
    first_day: dt.date
    last_day: dt.date


class Acceptance(msgspec.Struct, frozen=True):
    """The operator's word that a cause needs no repair before the switch. An empty field stands for any; see NO_MX.

    ``since`` is the day it was given, ``until`` the last day it holds (None: until taken back).
    """

    since: dt.date
    until: dt.date | None = None
    result_type: str = ""
    mx_host: str = ""
    organization: str = ""

    def covers(self, on: dt.date, result_type: str, mx_host: str, organization: str) -> bool:
        """Whether it speaks, on the day ``on``, about a failure like this."""
        in_force = self.since <= on and (self.until is None or on <= self.until)
        return (
            in_force
            and self.result_type in ("", result_type)
            and self.mx_host in ("", mx_host or NO_MX)
            and self.organization in ("", organization)
        )


class Thresholds(msgspec.Struct, frozen=True):
    """How much evidence is enough (decision.md section 4). ``bound`` is a share of sessions, ``confidence`` one-sided.

    ``signers`` are the domains (with those below them) whose signatures can prove; empty: all.
    """

    window_days: int = 14
    late_days: int = 2
    reporters: int = 2
    bound: float = 0.01
    confidence: float = 0.95
    signers: tuple[str, ...] = ()

    def believes(self, signer: str) -> bool:
        """Whether reports with that signature prove anything. What is not signed was let in by the operator."""
        known = any(signer == name or signer.endswith(f".{name}") for name in self.signers)
        return known or not signer or not self.signers


class StatedPolicy(msgspec.Struct, frozen=True):
    """The current policy as a probe found it or the operator entered it on ``day``; it outranks what reports quote.

    ``faults`` says in words what makes senders ignore the policy or its record, empty when nothing does.
    """

    policy: Policy
    day: dt.date
    faults: tuple[str, ...] = ()


class Evidence(msgspec.Struct, frozen=True):
    """Everything known about a domain on the day ``on``: only what had arrived by the end of it.

    ``entries`` are those of the window and of the days after it; ``sightings`` go back further, to see when policies changed;
    ``reported`` has, for each organisation, the days it reported about in the last months. ``own_thresholds`` names those
    that are this domain's own; ``overtaken`` is a stated policy that senders have changed from since, and no longer counts.
    """

    domain: str
    on: dt.date
    entries: tuple[Entry, ...] = ()
    sightings: tuple[Sighting, ...] = ()
    served: tuple[ServedPolicy, ...] = ()
    reported: Mapping[str, tuple[dt.date, ...]] = {}
    acceptances: tuple[Acceptance, ...] = ()
    stated: StatedPolicy | None = None
    mx_hosts: tuple[str, ...] = ()
    thresholds: Thresholds = Thresholds()
    own_thresholds: tuple[str, ...] = ()
    overtaken: StatedPolicy | None = None
