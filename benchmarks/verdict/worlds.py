"""A world: one domain over 120 days, its MX hosts, senders, faults and policies, all from a seed. Nothing is written here.

What happens to a domain is in ``lives``; this is what its life is made of.
"""

import msgspec
import numpy as np

DAYS = 120
RATES = (0.0005, 0.002, 0.005, 0.01, 0.015, 0.02, 0.05, 0.2)
RESULT_TYPES = (
    *("starttls-not-supported", "certificate-host-mismatch", "certificate-expired", "certificate-not-trusted"),
    "validation-failure",
)
FORGER_SHARE, STRANGER_SHARE, DANE_SHARE, ARCHIVE_SHARE = 0.12, 0.2, 0.12, 0.1
# Worlds without any reporter of the shipped list.
UNLISTED_SHARE = 0.15
LISTED = ("google.com", "microsoft.com")
# Caches of so many days keep a policy that is gone, for so many days.
_SLOW, _KEPT = 3, 7
# A sender-day in two hundred has a session or a few that could not fetch the policy.
FETCH_ERRORS = 0.005
_SENDERS = (0.1, 0.3, 0.27, 0.17, 0.08, 0.05, 0.03)
_TWIN_SHARE, _FLEET_SHARE, _BOTH_DOORS = 0.06, 0.12, 0.1
RHYTHMS = {"day": 0.95, "week": 0.03, "hour": 0.02}


class Sender(msgspec.Struct, frozen=True):
    """Who sends and reports. ``volume`` is sessions on a working day, ``delay`` the hours from a range's end to the mail.

    ``caches`` are the ages in days of the policies in its caches; a sender with several quotes two in turn during a change: by
    share of the sessions, or ``takes_turns``, one cache a day. ``rhythm`` is one of RHYTHMS. ``both_doors``: every report comes
    by HTTPS as well.
    """

    organization: str
    signer: str
    volume: float
    weekend: float
    delay: tuple[float, float]
    caches: tuple[int, ...]
    takes_turns: bool
    dane: bool
    quotes_policy: bool
    details: str  # exact | overlapping | missing
    mx_host_as_string: bool
    ends_at_midnight: bool
    rhythm: str = "day"
    both_doors: bool = False

    @property
    def is_listed(self) -> bool:
        """Whether it is a known voice from the first day."""
        return self.signer in LISTED


class Host(msgspec.Struct, frozen=True):
    """An MX host, its share of the sessions, and the days (first, last) on which senders use it."""

    name: str
    weight: float
    first: int = 0
    last: int = DAYS


class Fault(msgspec.Struct, frozen=True):
    """From day ``first`` to before ``last`` a ``share`` of the sessions fails; host or sender None: all. ``steady`` is the
    chance that it shows on a day (a node that comes and goes).
    """

    result_type: str
    share: float
    first: int
    last: int
    host: int | None = None
    sender: int | None = None
    steady: float = 1.0


class Strangers(msgspec.Struct, frozen=True):
    """``signers`` who report about every day from ``first`` to before ``last`` what is not so. What they ``claim``: "clean" (all
    is well, by thousands), "refused" (certificates have expired), "absent" (there is no policy), or a policy in another mode or
    with other hosts ("testing", "none", "enforce", "hosts"). The first ``patience`` days they report what is published and that
    all is well; reports about these come ``at_once`` on their last day, or in time.
    """

    claim: str
    signers: tuple[str, ...]
    first: int
    last: int
    patience: int
    at_once: bool = False

    @property
    def is_long(self) -> bool:
        """Whether they report for so long that they are heard, and known voices by the rules."""
        return self.last - self.first >= 30


class Policy(msgspec.Struct, frozen=True):
    """What is published from day ``first`` on."""

    first: int
    mode: str
    mx: tuple[str, ...]
    max_age: int = 604_800

    @property
    def lines(self) -> list[str]:
        """As senders quote it."""
        return [
            "version: STSv1",
            f"mode: {self.mode}",
            *(f"mx: {name}" for name in self.mx),
            f"max_age: {self.max_age}",
        ]


class World(msgspec.Struct, frozen=True):
    """Everything about a domain. ``rate`` is that of a constant world, ``policies`` are empty in one that has none.

    ``gone``: record or file are away from the first of these days to before the second. ``archive``: reports about the days
    before this one were loaded from files; mail is taken since ten days before it. ``switch``: "" never, "blind" on a day, or
    "advised", on the day after the first ``ready``; ``after`` are faults counted from the switch, ``roll_back`` the days from
    there to the roll-back.
    """

    number: int
    kind: str
    domain: str
    hosts: tuple[Host, ...]
    senders: tuple[Sender, ...]
    policies: tuple[Policy, ...]
    faults: tuple[Fault, ...] = ()
    dane_fault: Fault | None = None
    policy_fault: Fault | None = None
    gone: tuple[int, int] | None = None
    fetch_errors: float = FETCH_ERRORS
    loss: float = 0.0
    late: float = 0.0
    resent: float = 0.0
    rewritten: float = 0.0
    archive: int = 0
    forger: str = ""  # "" | clean | alarming
    forger_door: str = "smtp"  # smtp | https | wrong: signed by somebody, over something else
    strangers: Strangers | None = None
    rate: float | None = None
    switch: str = ""
    after: tuple[Fault, ...] = ()
    roll_back: int | None = None

    def policy_on(self, day: int) -> Policy | None:
        """The policy published on a day, whether or not it can be had."""
        return max(
            (policy for policy in self.policies if policy.first <= day), key=lambda policy: policy.first, default=None
        )

    def is_gone(self, day: int) -> bool:
        """Whether record or file are away."""
        return self.gone is not None and self.gone[0] <= day < self.gone[1]

    def cached(self, age: int, day: int) -> Policy | None:
        """The policy in a cache that is ``age`` days old; None when there is none to be had.

        Caches that are refreshed slowly keep what they have for a week (RFC 8461 section 3.3), the others drop it at once.
        """
        fetched = max(day - age, 0)
        if self.gone is None or not self.is_gone(fetched):
            return self.policy_on(fetched)
        before = self.gone[0] - 1
        return self.policy_on(before) if age >= _SLOW and day - before <= _KEPT else None

    def mx_since(self, day: int) -> int:
        """Since when the set of mx patterns of that day is published."""
        now = self.policy_on(day)
        since = day
        for policy in sorted(self.policies, key=lambda policy: -policy.first):
            if now is None or policy.first > day:
                continue
            if policy.mx != now.mx:
                break
            since = policy.first
        return since

    def switched(self, day: int) -> "World":
        """The same world with the switch to enforce on that day, and with what happens after it."""
        mx = self.policies[0].mx
        policies = [*self.policies, Policy(day, "enforce", mx)]
        if self.roll_back is not None and day + self.roll_back < DAYS - 5:
            policies.append(Policy(day + self.roll_back, "testing", mx))
        faults = [
            msgspec.structs.replace(fault, first=day + fault.first, last=min(day + fault.last, DAYS))
            for fault in self.after
            if day + fault.first < DAYS
        ]
        return msgspec.structs.replace(self, policies=tuple(policies), faults=(*self.faults, *faults), after=())


def hosts(rng: np.random.Generator) -> tuple[Host, ...]:
    """One to four hosts; in a third of the worlds with several, the last is a backup that is hardly ever used."""
    count = int(rng.choice([1, 2, 3, 4], p=[0.4, 0.35, 0.15, 0.1]))
    weights = rng.dirichlet([2.0] * count)
    if count > 1 and rng.random() < 1 / 3:
        weights[-1] = rng.choice([0.0005, 0.002, 0.01])
        weights[:-1] *= (1 - weights[-1]) / weights[:-1].sum()
    return tuple(Host(f"mx{number + 1}.receiver.example", float(weight)) for number, weight in enumerate(weights))


def senders(rng: np.random.Generator) -> tuple[Sender, ...]:
    """One to seven; in most worlds the first two are on the shipped list, in some none is."""
    count = 1 + int(rng.choice(len(_SENDERS), p=_SENDERS))
    known = [("Google Inc.", "google.com", (10.0, 12.0)), ("Microsoft Corporation", "microsoft.com", (19.0, 28.0))]
    others = [(f"Sender {n}", f"sender{n}.example", (1.0, float(rng.uniform(6, 30)))) for n in range(count)]
    chosen = [*known, *others][:count] if rng.random() >= UNLISTED_SHARE else others
    if count > 2 and rng.random() < _TWIN_SHARE:  # two organisations of one company: one signature, one voice
        chosen[-1] = (chosen[-1][0], chosen[-2][1], chosen[-1][2])
    return tuple(_sender(rng, *names) for names in chosen)


def _sender(rng: np.random.Generator, organization: str, signer: str, delay: tuple[float, float]) -> Sender:
    """Volumes are heavy-tailed: a median of 14 sessions a day, one in forty above 500."""
    microsoft, listed = signer == "microsoft.com", signer in LISTED
    volume = float(np.clip(rng.lognormal(np.log(14), 1.8), 0.3, 5_000))
    oldest = int(rng.choice([0, 1, 3, 7], p=[0.4, 0.4, 0.1, 0.1]))
    is_fleet = rng.random() < _FLEET_SHARE
    rhythm = str(rng.choice(list(RHYTHMS), p=list(RHYTHMS.values())))
    return Sender(
        organization=organization,
        signer=signer,
        volume=volume,
        weekend=float(rng.uniform(0.2, 1.0)),
        delay=delay,
        caches=(0, int(rng.integers(2, 9)), *([int(rng.integers(1, 5))] if rng.random() < 0.5 else []))
        if is_fleet
        else (oldest,),
        takes_turns=bool(rng.random() < 0.5),
        dane=microsoft or rng.random() < 0.15,
        quotes_policy=microsoft or rng.random() < 0.93,
        details=str(rng.choice(["exact", "overlapping", "missing"], p=[0.8, 0.1, 0.1])),
        mx_host_as_string=rng.random() < 0.2,
        ends_at_midnight=rng.random() < 0.2,
        rhythm="day" if listed or (rhythm == "hour" and volume > 100) else rhythm,
        both_doors=bool(rng.random() < _BOTH_DOORS),
    )
