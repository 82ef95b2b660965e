"""Who writes what is not so: forgers in a known reporter's name, and strangers who sign with domains of their own."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import numpy as np

from .documents import Written, detail, entry, moment, written_by
from .worlds import DAYS, Policy, Strangers, World

_FORGERS_NAME, _FORGERS_DOMAIN = "Google Inc.", "google.com"
_ELSEWHERE = ["version: STSv1", "mode: enforce", "mx: mx.forger.example", "max_age: 604800"]


def forgeries(world: World, rng: np.random.Generator) -> Iterator[Written]:
    """Every day: all is well, by thousands; or certificates have expired under another policy."""
    if not world.forger:
        return
    for day in range(int(rng.integers(0, 60)), DAYS):
        policy: dict[str, Any] = {"policy-type": "sts", "policy-domain": world.domain}
        if world.forger == "clean":
            quoted = world.policy_on(day)
            policy |= {"policy-string": quoted.lines} if quoted else {}
            entries = [entry(policy, 3_000, 0, [])]
        else:
            row = detail("certificate-expired", world.hosts[0].name, 50)
            entries = [entry(policy | {"policy-string": _ELSEWHERE}, 0, 50, [row])]
        text = _document(world, _FORGERS_NAME, _FORGERS_DOMAIN, day, entries)
        is_wrong = world.forger_door == "wrong"
        yield Written(text, moment((day + 1) * 24 + 9), "", "smtp" if is_wrong else world.forger_door, is_wrong)


def strangers(world: World, rng: np.random.Generator) -> Iterator[Written]:
    """A signed report of each stranger about every day of theirs, an hour after it."""
    they = world.strangers
    if they is None:
        return
    lies_from = they.first + they.patience
    for day in range(they.first, they.last):
        arrives = max(day, lies_from) if they.at_once else day
        for signer in they.signers:
            claimed = _claimed(world, they, day, rng)
            text = _document(world, f"Stranger {signer}", signer, day, [claimed])
            yield Written(text, moment((arrives + 1) * 24 + 1), signer)


def _claimed(world: World, they: Strangers, day: int, rng: np.random.Generator) -> Any:
    quoted = world.policy_on(day)
    policy: dict[str, Any] = {"policy-type": "sts", "policy-domain": world.domain}
    published = policy | ({"policy-string": quoted.lines} if quoted else {})
    sessions = 3_000 if they.claim == "clean" else int(rng.integers(5, 40))
    if they.claim == "clean" or day < they.first + they.patience:
        return entry(published, sessions, 0, [])
    if they.claim == "refused":
        return entry(published, 0, sessions, [detail("certificate-expired", world.hosts[0].name, sessions)])
    if they.claim == "absent":
        return entry({"policy-type": "no-policy-found", "policy-domain": world.domain}, sessions, 0, [])
    return entry(policy | {"policy-string": _lines(world, they.claim, quoted)}, sessions, 0, [])


def _lines(world: World, claim: str, quoted: Policy | None) -> list[str]:
    hosts = quoted.mx if quoted else tuple(host.name for host in world.hosts)
    if claim == "hosts":
        return Policy(0, quoted.mode if quoted else "testing", ("mx.stranger.example",)).lines
    return Policy(0, claim, () if claim == "none" else hosts).lines


def _document(world: World, organization: str, signer: str, day: int, entries: list[Any]) -> bytes:
    start = moment(day * 24)
    return written_by(world.domain, organization, signer, start, start + dt.timedelta(hours=23, minutes=59), entries)
