"""What happens to a domain: eleven kinds of life, and who lies about it. docs/verdict.md says what each is."""

from typing import Any

import msgspec
import numpy as np

from . import worlds
from .worlds import DAYS, RATES, RESULT_TYPES, Fault, Host, Policy, Sender, Strangers, World

# The mix: how many of 100 worlds are of each kind.
MIX = {
    "clean": 10,
    "twenty-a-day": 6,
    "five-a-day": 5,
    "constant": 16,
    "edge": 4,
    "start-stop": 18,
    "switch": 25,
    "policy-host": 4,
    "vanish": 6,
    "mx-change": 5,
    "no-policy": 1,
}
CLAIMS = ("clean", "refused", "absent", "testing", "none", "enforce", "hosts")
# Domains of a stranger: half of them have one.
_DOMAINS = {1: 0.5, 2: 0.2, 3: 0.1, 4: 0.05, 5: 0.15}
_ROLL_BACK_SHARE, _ADVISED_SHARE = 0.2, 0.5


def world(seed: int, number: int) -> World:
    """The world of that number; the same seed gives the same one."""
    rng = np.random.default_rng([seed, number])
    kind = str(rng.choice(list(MIX), p=np.array(list(MIX.values())) / sum(MIX.values())))
    hosts = worlds.hosts(rng)
    plain = World(
        number=number,
        kind=kind,
        domain=f"w{number}.example",
        hosts=hosts,
        senders=worlds.senders(rng),
        policies=(Policy(0, "testing", tuple(host.name for host in hosts)),),
        loss=float(rng.choice([0.0, 0.01, 0.05, 0.1], p=[0.3, 0.3, 0.2, 0.2])),
        late=float(rng.choice([0.0, 0.01, 0.03, 0.08])),
        resent=float(rng.choice([0.0, 0.02, 0.1], p=[0.4, 0.4, 0.2])),
        rewritten=float(rng.choice([0.0, 0.02, 0.1], p=[0.5, 0.3, 0.2])),
        archive=int(rng.integers(20, 60)) if rng.random() < worlds.ARCHIVE_SHARE else 0,
        forger=str(rng.choice(["clean", "alarming"])) if rng.random() < worlds.FORGER_SHARE else "",
        forger_door=str(rng.choice(["smtp", "https", "wrong"])),
        dane_fault=_dane_fault(rng) if rng.random() < worlds.DANE_SHARE else None,
    )
    lived = msgspec.structs.replace(plain, **_LIVES[kind](plain, rng))
    return msgspec.structs.replace(lived, strangers=_strangers(lived, np.random.default_rng([seed, number, 2])))


def _strangers(lived: World, rng: np.random.Generator) -> Strangers | None:
    """One in five worlds. Most stay for less than 30 days; one in six for longer, which makes them known voices. Where there is a
    fault, half of them begin their lies in the days before it, so that it would be hidden.
    """
    if rng.random() >= worlds.STRANGER_SHARE:
        return None
    claim = str(rng.choice(CLAIMS))
    count = int(rng.choice(list(_DOMAINS), p=list(_DOMAINS.values())))
    signers = tuple(f"stranger{n + 1}.example" for n in range(count))
    first = int(rng.integers(5, 95))
    if lived.faults and rng.random() < 0.5:
        first = int(np.clip(lived.faults[0].first - int(rng.integers(0, 10)), 1, 100))
    is_long = rng.random() < 1 / 6
    patience = int(rng.choice([0, 3, 14], p=[0.5, 0.15, 0.35]))
    length = DAYS if is_long else int(rng.integers(1, 30 - patience))
    begins = max(first - patience, 0)
    return Strangers(claim, signers, begins, min(first + length, DAYS), first - begins, bool(rng.random() < 0.3))


def _dane_fault(rng: np.random.Generator) -> Fault:
    first = int(rng.integers(0, 80))
    return Fault("tlsa-invalid", float(rng.uniform(0.02, 1)), first, first + int(rng.integers(5, 60)))


def _clean(_plain: World, _rng: np.random.Generator) -> dict[str, object]:
    return {}


def _scaled(plain: World, sessions_of_14_days: float) -> tuple[Sender, ...]:
    """The same senders with so many sessions in 14 days."""
    window = 14 * sum(sender.volume * (5 + 2 * sender.weekend) / 7 for sender in plain.senders)
    return tuple(
        msgspec.structs.replace(sender, volume=sender.volume * sessions_of_14_days / window) for sender in plain.senders
    )


def _small(plain: World, rng: np.random.Generator, daily: int) -> dict[str, object]:
    """At least two senders that quote their policy, of much the same size: what is scarce is sessions."""
    pool = list(plain.senders)
    while len(pool) < 2:
        pool += worlds.senders(rng)
    names = [sender.signer for sender in pool]
    pool = [sender for n, sender in enumerate(pool) if names.index(sender.signer) == n][:3] or pool
    if len(pool) < 2:
        twin = msgspec.structs.replace(pool[0], organization="Sender 7", signer="sender7.example", rhythm="day")
        pool.append(twin)
    even = tuple(
        msgspec.structs.replace(sender, volume=float(rng.uniform(1, 3)), quotes_policy=True, rhythm="day")
        for sender in pool
    )
    return {"senders": _scaled(msgspec.structs.replace(plain, senders=even), 14.0 * daily)}


def _twenty(plain: World, rng: np.random.Generator) -> dict[str, object]:
    return _small(plain, rng, 20)


def _five(plain: World, rng: np.random.Generator) -> dict[str, object]:
    return _small(plain, rng, 5)


def _constant(plain: World, rng: np.random.Generator) -> dict[str, object]:
    """One rate from the first day to the last: evenly, or all of it at the busiest host, or all of it at one sender."""
    rate = float(rng.choice(RATES))
    volume = sum(sender.volume for sender in plain.senders)
    place = str(rng.choice(["everywhere", "host", "sender"], p=[0.6, 0.25, 0.15]))
    host = max(range(len(plain.hosts)), key=lambda n: plain.hosts[n].weight) if place == "host" else None
    sender = max(range(len(plain.senders)), key=lambda n: plain.senders[n].volume) if place == "sender" else None
    part = plain.hosts[host].weight if host is not None else 1.0
    part *= plain.senders[sender].volume / volume if sender is not None else 1.0
    fault = Fault(str(rng.choice(RESULT_TYPES)), min(1.0, rate / part), 0, DAYS, host, sender)
    return {"faults": (fault,), "rate": rate}


def _edge(plain: World, rng: np.random.Generator) -> dict[str, object]:
    """The worst for a rule that counts: just above the bound, and just enough sessions to be allowed to speak."""
    fault = Fault(str(rng.choice(RESULT_TYPES)), float(rng.uniform(0.0101, 0.015)), 0, DAYS)
    return {"senders": _scaled(plain, float(rng.uniform(310, 600))), "faults": (fault,)}


def _fault(plain: World, rng: np.random.Generator, first: int, last: int) -> Fault:
    """A fault of any size: 0.05 % to all sessions of a host, of every host, or of one sender."""
    share = float(np.exp(rng.uniform(np.log(0.0005), 0.0))) if rng.random() < 0.6 else 1.0
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
    """Faults that start, stop, flap and come again, all in testing."""
    first = int(rng.integers(5, 70))
    faults = [_fault(plain, rng, first, first + int(rng.integers(1, 25)))]
    if rng.random() < 0.4:
        again = int(rng.integers(faults[0].last, 110))
        faults.append(_fault(plain, rng, again, again + int(rng.integers(1, 15))))
    return {"faults": tuple(faults)}


def _switch(plain: World, rng: np.random.Generator) -> dict[str, object]:
    """Testing, then enforce: blindly on a day, or on the verdict's advice. Faults before the switch, repaired before it or (the
    blind) after it; faults after the switch; some roll back.
    """
    advised, day = bool(rng.random() < _ADVISED_SHARE), int(rng.integers(20, 60))
    before: tuple[Fault, ...] = ()
    if rng.random() < 0.4:
        first = int(rng.integers(1, day - 2))
        longest = day if advised or rng.random() < 0.6 else day + 20
        before = (_fault(plain, rng, first, int(rng.integers(first + 1, longest + 1))),)
    after: tuple[Fault, ...] = ()
    if rng.random() < 0.6:
        first = int(rng.integers(2, 40))
        after = (_fault(plain, rng, first, first + int(rng.integers(1, 30))),)
    roll_back = int(rng.integers(4, 50)) if rng.random() < _ROLL_BACK_SHARE else None
    told: dict[str, Any] = {
        "switch": "advised" if advised else "blind",
        "faults": before,
        "after": after,
        "roll_back": roll_back,
    }
    if advised:
        return told
    switched = msgspec.structs.replace(plain, **told).switched(day)
    return told | {"policies": switched.policies, "faults": switched.faults, "after": ()}


def _policy_host(_plain: World, rng: np.random.Generator) -> dict[str, object]:
    first = int(rng.integers(20, 80))
    length = int(rng.integers(1, 20))
    return {"policy_fault": Fault("sts-policy-fetch-error", float(rng.uniform(0.02, 1)), first, first + length)}


def _vanish(plain: World, rng: np.random.Generator) -> dict[str, object]:
    """Record or file go away and come back, in testing or under enforce; caches hold the policy for a while."""
    first = int(rng.integers(15, 95))
    gone = (first, first + int(rng.integers(1, 26)))
    if rng.random() < 0.5:
        return {"gone": gone}
    day = int(rng.integers(5, 40))
    return {"gone": gone, "policies": (*plain.policies, Policy(day, "enforce", plain.policies[0].mx))}


def _mx_change(plain: World, rng: np.random.Generator) -> dict[str, object]:
    """A new host takes over from the first one; policy and MX change on the same day. Caches hold the old policy for days."""
    day = int(rng.integers(25, 70))
    old, *others = plain.hosts
    new = Host("mx9.receiver.example", old.weight, day, DAYS)
    hosts = (Host(old.name, old.weight, 0, day), *others, new)
    policy = Policy(day, "testing", tuple(host.name for host in (*others, new)))
    faults = (_fault(plain, rng, 0, day),) if rng.random() < 0.5 else ()  # what the change was meant to repair
    return {"hosts": hosts, "policies": (*plain.policies, policy), "faults": faults}


def _no_policy(_plain: World, _rng: np.random.Generator) -> dict[str, object]:
    return {"policies": ()}


_LIVES = {
    "clean": _clean,
    "twenty-a-day": _twenty,
    "five-a-day": _five,
    "constant": _constant,
    "edge": _edge,
    "start-stop": _start_stop,
    "switch": _switch,
    "policy-host": _policy_host,
    "vanish": _vanish,
    "mx-change": _mx_change,
    "no-policy": _no_policy,
}
