"""A world: one domain over 120 days, its MX hosts, senders, faults and policies, all from a seed. Nothing is written here."""

import msgspec
import numpy as np

DAYS = 120
# The mix: how many of 100 worlds are of each kind. docs/verdict.md says what each is.
MIX = {
    "clean": 25,
    "constant": 22,
    "edge": 4,
    "start-stop": 18,
    "enforce": 20,
    "policy-host": 4,
    "mx-change": 5,
    "no-policy": 2,
}
RATES = (0.0005, 0.002, 0.005, 0.01, 0.015, 0.02, 0.05, 0.2)
RESULT_TYPES = (
    *("starttls-not-supported", "certificate-host-mismatch", "certificate-expired", "certificate-not-trusted"),
    "validation-failure",
)
FORGER_SHARE, DANE_SHARE, ROLL_BACK_SHARE, TWIN_SHARE = 0.15, 0.15, 0.25, 0.08
# Strangers sign with domains of their own, so their reports are trusted like anybody's.
STRANGER_SHARE, STRANGER_SIGNERS = 0.15, ("stranger.example", "stranger.test")
_SENDERS = (0.09, 0.24, 0.25, 0.19, 0.1, 0.06, 0.04, 0.03)


class Sender(msgspec.Struct, frozen=True):
    """Who sends and reports. ``volume`` is sessions on a working day, ``delay`` the hours from a day's end to the mail."""

    organization: str
    signer: str
    volume: float
    weekend: float
    delay: tuple[float, float]
    cache_days: int
    dane: bool
    quotes_policy: bool
    details: str  # exact | overlapping | missing
    mx_host_as_string: bool
    ends_at_midnight: bool


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
    is well, by thousands), or a policy in another mode or with other hosts ("testing", "none", "enforce", "hosts"). The first
    ``patience`` days they quote the policy that is published; reports about these come ``at_once`` on their last day, or in time.
    """

    claim: str
    signers: tuple[str, ...]
    first: int
    last: int
    patience: int
    at_once: bool = False


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
    """Everything about a domain. ``rate`` is that of a constant world, ``policies`` are empty in one that has none."""

    number: int
    kind: str
    domain: str
    hosts: tuple[Host, ...]
    senders: tuple[Sender, ...]
    policies: tuple[Policy, ...]
    faults: tuple[Fault, ...] = ()
    dane_fault: Fault | None = None
    policy_fault: Fault | None = None
    loss: float = 0.0
    late: float = 0.0
    forger: str = ""  # "" | clean | alarming
    forger_door: str = "smtp"
    strangers: Strangers | None = None
    rate: float | None = None

    def policy_on(self, day: int) -> Policy | None:
        """The policy published on a day."""
        return max((one for one in self.policies if one.first <= day), key=lambda one: one.first, default=None)

    def mx_since(self, day: int) -> int:
        """Since when the set of mx patterns of that day is published."""
        now = self.policy_on(day)
        since = day
        for one in sorted(self.policies, key=lambda one: -one.first):
            if now is None or one.first > day:
                continue
            if one.mx != now.mx:
                break
            since = one.first
        return since


def world(seed: int, number: int) -> World:
    """The world of that number; the same seed gives the same one."""
    rng = np.random.default_rng([seed, number])
    kind = str(rng.choice(list(MIX), p=np.array(list(MIX.values())) / sum(MIX.values())))
    hosts = _hosts(rng)
    senders = _senders(rng)
    mx = tuple(host.name for host in hosts)
    plain = World(
        number=number,
        kind=kind,
        domain=f"w{number}.example",
        hosts=hosts,
        senders=senders,
        policies=(Policy(0, "testing", mx),),
        loss=float(rng.uniform(0, 0.1)),
        late=float(rng.choice([0.0, 0.01, 0.03, 0.08])),
        forger=str(rng.choice(["clean", "alarming"])) if rng.random() < FORGER_SHARE else "",
        forger_door=str(rng.choice(["smtp", "https"])),
        dane_fault=_dane_fault(rng) if rng.random() < DANE_SHARE else None,
    )
    lived = msgspec.structs.replace(plain, **_LIVES[kind](plain, rng))
    return msgspec.structs.replace(lived, strangers=_strangers(lived, np.random.default_rng([seed, number, 2])))


def _strangers(lived: World, rng: np.random.Generator) -> Strangers | None:
    """One in three is about false proof, by two of them. The others name another policy: where there is a fault under enforce,
    half of them in the days before it, so that it hides the fault.
    """
    if rng.random() >= STRANGER_SHARE:
        return None
    if rng.random() < 1 / 3:
        return Strangers("clean", STRANGER_SIGNERS, int(rng.integers(0, 40)), DAYS, 0)
    first, last = int(rng.integers(5, 90)), int(rng.choice([1, 5, DAYS], p=[0.3, 0.2, 0.5]))
    modes = {one.mode for one in lived.policies}
    claim = str(rng.choice(["testing", "none", "hosts", "enforce"]))
    if "enforce" in modes and lived.faults and rng.random() < 0.5:
        first = lived.faults[0].first - int(rng.integers(0, 10))
    if claim in modes and "enforce" not in modes:
        claim = "enforce"
    signers = STRANGER_SIGNERS[: int(rng.choice([1, 2], p=[0.7, 0.3]))]
    patience = int(rng.choice([0, 3, 20], p=[0.6, 0.15, 0.25]))
    begins = max(first - patience, 0)
    return Strangers(claim, signers, begins, min(first + last, DAYS), first - begins, bool(rng.random() < 0.5))


def _hosts(rng: np.random.Generator) -> tuple[Host, ...]:
    """One to four hosts; in a third of the worlds with several, the last is a backup that is hardly ever used."""
    count = int(rng.choice([1, 2, 3, 4], p=[0.4, 0.35, 0.15, 0.1]))
    weights = rng.dirichlet([2.0] * count)
    if count > 1 and rng.random() < 1 / 3:
        weights[-1] = rng.choice([0.0005, 0.002, 0.01])
        weights[:-1] *= (1 - weights[-1]) / weights[:-1].sum()
    return tuple(Host(f"mx{number + 1}.receiver.example", float(weight)) for number, weight in enumerate(weights))


def _senders(rng: np.random.Generator) -> tuple[Sender, ...]:
    count = 1 + int(rng.choice(len(_SENDERS), p=_SENDERS))
    known = [("Google Inc.", "google.com", (10.0, 12.0)), ("Microsoft Corporation", "microsoft.com", (19.0, 28.0))]
    others = [(f"Sender {n}", f"sender{n}.example", (1.0, float(rng.uniform(6, 30)))) for n in range(count)]
    chosen = [*known, *others][:count]
    if count > 2 and rng.random() < TWIN_SHARE:  # two organisations of one company: one signature, one voice
        chosen[-1] = (chosen[-1][0], chosen[-2][1], chosen[-1][2])
    return tuple(_sender(rng, *one) for one in chosen)


def _sender(rng: np.random.Generator, organization: str, signer: str, delay: tuple[float, float]) -> Sender:
    """Volumes are heavy-tailed: a median of 14 sessions a day, one in forty above 500."""
    microsoft = signer == "microsoft.com"
    return Sender(
        organization=organization,
        signer=signer,
        volume=float(np.clip(rng.lognormal(np.log(14), 1.8), 0.3, 5_000)),
        weekend=float(rng.uniform(0.2, 1.0)),
        delay=delay,
        cache_days=int(rng.choice([0, 1, 3, 7], p=[0.4, 0.4, 0.1, 0.1])),
        dane=microsoft or rng.random() < 0.15,
        quotes_policy=microsoft or rng.random() < 0.93,
        details=str(rng.choice(["exact", "overlapping", "missing"], p=[0.8, 0.1, 0.1])),
        mx_host_as_string=rng.random() < 0.2,
        ends_at_midnight=rng.random() < 0.2,
    )


def _dane_fault(rng: np.random.Generator) -> Fault:
    first = int(rng.integers(0, 80))
    return Fault("tlsa-invalid", float(rng.uniform(0.02, 1)), first, first + int(rng.integers(5, 60)))


def _clean(_plain: World, _rng: np.random.Generator) -> dict[str, object]:
    return {}


def _constant(plain: World, rng: np.random.Generator) -> dict[str, object]:
    """One rate from the first day to the last: evenly, or all of it at the busiest host, or all of it at one sender."""
    rate = float(rng.choice(RATES))
    volume = sum(one.volume for one in plain.senders)
    place = str(rng.choice(["everywhere", "host", "sender"], p=[0.6, 0.25, 0.15]))
    host = max(range(len(plain.hosts)), key=lambda n: plain.hosts[n].weight) if place == "host" else None
    sender = max(range(len(plain.senders)), key=lambda n: plain.senders[n].volume) if place == "sender" else None
    part = plain.hosts[host].weight if host is not None else 1.0
    part *= plain.senders[sender].volume / volume if sender is not None else 1.0
    fault = Fault(str(rng.choice(RESULT_TYPES)), min(1.0, rate / part), 0, DAYS, host, sender)
    return {"faults": (fault,), "rate": rate}


def _edge(plain: World, rng: np.random.Generator) -> dict[str, object]:
    """The worst for a rule that counts: just above the bound, and just enough sessions to be allowed to speak."""
    window = 14 * sum(one.volume * (5 + 2 * one.weekend) / 7 for one in plain.senders)
    scale = float(rng.uniform(310, 600)) / window
    senders = tuple(msgspec.structs.replace(one, volume=one.volume * scale) for one in plain.senders)
    fault = Fault(str(rng.choice(RESULT_TYPES)), float(rng.uniform(0.0101, 0.015)), 0, DAYS)
    return {"senders": senders, "faults": (fault,)}


def _fault(plain: World, rng: np.random.Generator, first: int, last: int) -> Fault:
    """A fault of any size: 0.05 % to all sessions of a host, of every host, or of one sender."""
    share = float(np.exp(rng.uniform(np.log(0.0005), 0.0))) if rng.random() < 0.7 else 1.0
    place = str(rng.choice(["host", "everywhere", "sender"], p=[0.6, 0.2, 0.2]))
    return Fault(
        result_type=str(rng.choice(RESULT_TYPES)),
        share=share,
        first=first,
        last=last,
        host=int(rng.integers(len(plain.hosts))) if place == "host" else None,
        sender=int(rng.integers(len(plain.senders))) if place == "sender" else None,
        steady=float(rng.choice([1.0, 0.3], p=[0.75, 0.25])),
    )


def _start_stop(plain: World, rng: np.random.Generator) -> dict[str, object]:
    first = int(rng.integers(5, 70))
    faults = [_fault(plain, rng, first, first + int(rng.integers(1, 25)))]
    if rng.random() < 0.4:
        again = int(rng.integers(faults[0].last, 110))
        faults.append(_fault(plain, rng, again, again + int(rng.integers(1, 15))))
    return {"faults": tuple(faults)}


def _enforce(plain: World, rng: np.random.Generator) -> dict[str, object]:
    """Testing, then enforce; in seven of ten a fault starts later, and some roll back after it."""
    switch = int(rng.integers(20, 45))
    mx = plain.policies[0].mx
    policies = [*plain.policies, Policy(switch, "enforce", mx)]
    if rng.random() >= 0.7:
        return {"policies": tuple(policies)}
    first = switch + int(rng.integers(20, 45))
    fault = _fault(plain, rng, first, first + int(rng.integers(2, 30)))
    if rng.random() < ROLL_BACK_SHARE:
        policies.append(Policy(min(fault.first + int(rng.integers(5, 15)), DAYS - 5), "testing", mx))
    return {"policies": tuple(policies), "faults": (fault,)}


def _policy_host(_plain: World, rng: np.random.Generator) -> dict[str, object]:
    first = int(rng.integers(20, 80))
    length = int(rng.integers(1, 20))
    return {"policy_fault": Fault("sts-policy-fetch-error", float(rng.uniform(0.02, 1)), first, first + length)}


def _mx_change(plain: World, rng: np.random.Generator) -> dict[str, object]:
    """A new host takes over from the first one; policy and MX change on the same day. Caches hold the old policy for days."""
    day = int(rng.integers(25, 70))
    old, *rest = plain.hosts
    new = Host("mx9.receiver.example", old.weight, day, DAYS)
    hosts = (Host(old.name, old.weight, 0, day), *rest, new)
    policy = Policy(day, "testing", tuple(host.name for host in (*rest, new)))
    faults = (_fault(plain, rng, 0, day),) if rng.random() < 0.5 else ()  # what the change was meant to repair
    return {"hosts": hosts, "policies": (*plain.policies, policy), "faults": faults}


def _no_policy(_plain: World, _rng: np.random.Generator) -> dict[str, object]:
    return {"policies": ()}


_LIVES = {
    "clean": _clean,
    "constant": _constant,
    "edge": _edge,
    "start-stop": _start_stop,
    "enforce": _enforce,
    "policy-host": _policy_host,
    "mx-change": _mx_change,
    "no-policy": _no_policy,
}
