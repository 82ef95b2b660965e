"""What a world's senders see and write: sessions drawn day by day, reports as JSON documents, and the truth beside them."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np

from .truth import Truth
from .worlds import DAYS, Fault, Policy, Sender, World

FIRST = dt.date(2026, 1, 5)  # a Monday
_FORGERS_NAME = "Google Inc."
_ELSEWHERE = ["version: STSv1", "mode: enforce", "mx: mx.forger.example", "max_age: 604800"]

Counts = np.ndarray[Any, np.dtype[np.int64]]
Shares = np.ndarray[Any, np.dtype[np.float64]]


class Written(msgspec.Struct, frozen=True):
    """A report as it arrives. ``signer`` is "" when nothing vouches for it; ``door`` is smtp or https."""

    document: bytes
    came: dt.datetime
    signer: str
    door: str = "smtp"


class _Seen(msgspec.Struct):
    """One sender's sessions, (days, hosts) each: all of them, the failed ones by fault, those a cached old policy refuses."""

    sessions: Counts
    failed: list[tuple[Fault, Counts]]
    stale: Counts
    unfetched: Counts  # days


def life(seed: int, world: World) -> tuple[list[Written], Truth]:
    """All reports of a world in the order of days, and what was true."""
    rng = np.random.default_rng([seed, world.number, 1])
    active = _active(world, rng)
    truth = Truth(world)
    written: list[Written] = []
    for number, sender in enumerate(world.senders):
        expected = _expected(world, sender)
        seen = _look(world, number, expected, active, rng)
        refused = sum(count for _, count in seen.failed)
        truth.add(expected, _refused_share(world, number, active), refused, proves=sender.quotes_policy)
        truth.add_turned_away(_turned_away(world, sender, refused, seen.stale))
        written += _reports(world, number, seen, rng)
    written += _forgeries(world, rng)
    written += _strangers(world, np.random.default_rng([seed, world.number, 3]))
    return sorted(written, key=lambda one: one.came), truth


def _active(world: World, rng: np.random.Generator) -> list[Shares]:
    """For each fault, its share on each day."""
    shares = []
    for fault in world.faults:
        days = np.arange(DAYS)
        shows = (days >= fault.first) & (days < fault.last) & (rng.random(DAYS) < fault.steady)
        if 0 <= fault.first < DAYS:
            shows[fault.first] = True
        shares.append(np.where(shows, fault.share, 0.0))
    return shares


def _expected(world: World, sender: Sender) -> Shares:
    """Sessions to be expected, (days, hosts)."""
    days = np.arange(DAYS)[:, None]
    weights = np.array([host.weight for host in world.hosts])
    used = np.array([[host.first <= day < host.last for host in world.hosts] for day in range(DAYS)])
    week = np.where(days % 7 >= 5, sender.weekend, 1.0)
    found: Shares = sender.volume * week * weights * used
    return found


def _turned_away(world: World, sender: Sender, refused: Counts | int, stale: Counts) -> Counts:
    """Sessions that the sender really refused, by day: those that failed while the policy in its cache said enforce."""
    enforces = [(quoted := _quoted(world, sender, day)) is not None and quoted.mode == "enforce" for day in range(DAYS)]
    found: Counts = (refused + stale).sum(axis=1) * np.array(enforces)
    return found


def _touches(fault: Fault, sender: int, hosts: int) -> Shares:
    if fault.sender not in (None, sender):
        return np.zeros(hosts)
    return np.ones(hosts) if fault.host is None else np.eye(hosts)[fault.host]


def _refused_share(world: World, sender: int, active: list[Shares]) -> Shares:
    """The chance that enforce refuses a session of that day and host."""
    passes = np.ones((DAYS, len(world.hosts)))
    for fault, share in zip(world.faults, active, strict=True):
        passes *= 1 - share[:, None] * _touches(fault, sender, len(world.hosts))
    return 1 - passes


def _look(world: World, number: int, expected: Shares, active: list[Shares], rng: np.random.Generator) -> _Seen:
    sessions = rng.poisson(expected)
    left = sessions.copy()
    failed = []
    for fault, share in zip(world.faults, active, strict=True):
        hit = rng.binomial(left, share[:, None] * _touches(fault, number, len(world.hosts)))
        left = left - hit
        failed.append((fault, hit))
    stale = np.zeros_like(left)
    for day in range(DAYS):
        quoted = _quoted(world, world.senders[number], day)
        if quoted is not None:
            outside = np.array([host.name not in quoted.mx for host in world.hosts])
            stale[day] = left[day] * outside
    unfetched = np.zeros(DAYS, np.int64)
    if (down := world.policy_fault) and (
        number % 2 == 0 or len(world.senders) == 1
    ):  # the others have it in their caches
        unfetched[down.first : down.last] = rng.binomial((left - stale).sum(axis=1), down.share)[down.first : down.last]
    return _Seen(sessions, failed, stale, unfetched)


def _quoted(world: World, sender: Sender, day: int) -> Policy | None:
    """The policy in the sender's cache: it may be some days old."""
    return world.policy_on(max(day - sender.cache_days, 0))


def _reports(world: World, number: int, seen: _Seen, rng: np.random.Generator) -> Iterator[Written]:
    sender = world.senders[number]
    for day in range(DAYS):
        lost, late = rng.random() < world.loss, rng.random() < world.late
        hours = rng.uniform(*sender.delay) + (24 * rng.uniform(1, 5) if late else 0)
        if lost or not seen.sessions[day].sum():
            continue
        policies = list(_entries(world, sender, seen, day, rng))
        came = dt.datetime.combine(FIRST, dt.time(), dt.UTC) + dt.timedelta(days=day + 1, hours=hours)
        yield Written(
            _document(world, sender.organization, day, policies, sender.ends_at_midnight), came, sender.signer
        )


def _entries(world: World, sender: Sender, seen: _Seen, day: int, rng: np.random.Generator) -> Iterator[Any]:
    quoted = _quoted(world, sender, day)
    total = int(seen.sessions[day].sum())
    if quoted is None:
        yield _entry({"policy-type": "no-policy-found", "policy-domain": world.domain}, total, 0, [])
        return
    unfetched = int(seen.unfetched[day])
    details = _details(world, sender, seen, day)
    failed = int(sum(count[day].sum() for _, count in seen.failed) + seen.stale[day].sum())
    policy: dict[str, Any] = {"policy-type": "sts", "policy-domain": world.domain}
    if sender.quotes_policy:
        policy |= {"policy-string": quoted.lines}
    if sender.mx_host_as_string:
        policy |= {"mx-host": quoted.mx[0]}
    if total > unfetched:
        yield _entry(policy, total - unfetched - failed, failed, details)
    if unfetched:
        row = {"result-type": "sts-policy-fetch-error", "failed-session-count": unfetched}
        yield _entry({"policy-type": "sts", "policy-domain": world.domain}, 0, unfetched, [row])
    if sender.dane:
        yield _dane_entry(world, total, day, rng)


def _dane_entry(world: World, total: int, day: int, rng: np.random.Generator) -> Any:
    """The same sessions once more, under the TLSA records (Microsoft, Halon)."""
    fault = world.dane_fault
    failed = int(rng.binomial(total, fault.share)) if fault and fault.first <= day < fault.last else 0
    policy = {"policy-type": "tlsa", "policy-string": ["3 1 1 ABCDEF"], "policy-domain": world.domain}
    rows = [_detail("tlsa-invalid", world.hosts[0].name, failed)] if failed else []
    return _entry(policy, total - failed, failed, rows)


def _details(world: World, sender: Sender, seen: _Seen, day: int) -> list[Any]:
    if sender.details == "missing":
        return []
    rows = [
        _detail(fault.result_type, world.hosts[host].name, int(count[day, host]))
        for fault, count in [*seen.failed, (_STALE, seen.stale)]
        for host in np.flatnonzero(count[day])
    ]
    if sender.details == "overlapping":
        rows += [row | {"result-type": "validation-failure"} for row in rows]
    return rows


_STALE = Fault("validation-failure", 1.0, 0, DAYS)


def _detail(result_type: str, host: str, sessions: int) -> dict[str, Any]:
    return {"result-type": result_type, "receiving-mx-hostname": host, "failed-session-count": sessions}


def _entry(policy: dict[str, Any], successful: int, failed: int, details: list[Any]) -> dict[str, Any]:
    summary = {"total-successful-session-count": successful, "total-failure-session-count": failed}
    return {"policy": policy, "summary": summary} | ({"failure-details": details} if details else {})


def _document(world: World, organization: str, day: int, policies: list[Any], ends_at_midnight: bool = False) -> bytes:
    start = FIRST + dt.timedelta(days=day)
    end = f"{start + dt.timedelta(days=1)}T00:00:00Z" if ends_at_midnight else f"{start}T23:59:59Z"
    return msgspec.json.encode(
        {
            "organization-name": organization,
            "date-range": {"start-datetime": f"{start}T00:00:00Z", "end-datetime": end},
            "contact-info": "tls-reports@sender.example",
            "report-id": f"{start}_{world.domain}_{organization}",
            "policies": policies,
        }
    )


def _forgeries(world: World, rng: np.random.Generator) -> Iterator[Written]:
    """Every day, in a known reporter's name: all is well, by thousands; or certificates have expired under another policy."""
    if not world.forger:
        return
    for day in range(int(rng.integers(0, 60)), DAYS):
        policy: dict[str, Any] = {"policy-type": "sts", "policy-domain": world.domain}
        if world.forger == "clean":
            quoted = world.policy_on(day)
            policy |= {"policy-string": quoted.lines} if quoted else {}
            entry = _entry(policy, 3_000, 0, [])
        else:
            row = _detail("certificate-expired", world.hosts[0].name, 50)
            entry = _entry(policy | {"policy-string": _ELSEWHERE}, 0, 50, [row])
        came = dt.datetime.combine(FIRST, dt.time(9), dt.UTC) + dt.timedelta(days=day + 1)
        yield Written(_document(world, _FORGERS_NAME, day, [entry]), came, "", world.forger_door)


def _strangers(world: World, rng: np.random.Generator) -> Iterator[Written]:
    """A signed report of each stranger about every day of theirs, an hour after it."""
    they = world.strangers
    if they is None:
        return
    for day in range(they.first, they.last):
        quoted = world.policy_on(day)
        lies_from = they.first + they.patience
        truthful = they.claim == "clean" or day < lies_from
        arrives = max(day, lies_from) if they.at_once else day
        lines = (quoted.lines if quoted else None) if truthful else _claimed(world, they.claim, quoted)
        policy: dict[str, Any] = {"policy-type": "sts", "policy-domain": world.domain}
        policy |= {"policy-string": lines} if lines else {}
        for signer in they.signers:
            sessions = 3_000 if they.claim == "clean" else int(rng.integers(5, 40))
            came = dt.datetime.combine(FIRST, dt.time(1), dt.UTC) + dt.timedelta(days=arrives + 1)
            yield Written(_document(world, f"Stranger {signer}", day, [_entry(policy, sessions, 0, [])]), came, signer)


def _claimed(world: World, claim: str, quoted: Policy | None) -> list[str]:
    hosts = tuple(host.name for host in world.hosts)
    if claim == "hosts":
        return Policy(0, quoted.mode if quoted else "testing", ("mx.stranger.example",)).lines
    return Policy(0, claim, () if claim == "none" else quoted.mx if quoted else hosts).lines
