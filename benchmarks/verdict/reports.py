"""What a world's senders see and write: sessions drawn day by day, reports as JSON documents, and the truth beside them."""

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np

from . import visitors
from .documents import FIRST, Written, dane_entry, detail, document, entry, moment, rewritten
from .truth import GONE, REFUSED, UNFETCHED, Truth
from .worlds import DAYS, LISTED, Fault, Policy, Sender, World

Counts = np.ndarray[Any, np.dtype[np.int64]]
Shares = np.ndarray[Any, np.dtype[np.float64]]

# A sender that is not listed is a known voice from this day on.
_HEARD_FROM = 31
_MAIL_BEFORE_ARCHIVE_ENDS = 10  # days of overlap between archive and live mail


class _Group(msgspec.Struct):
    """A day's sessions of one sender under one policy (None: it found none); ``failed`` are (result type, host, sessions)."""

    policy: Policy | None
    successful: int = 0
    failed: list[tuple[str, str, int]] = []
    unfetched: int = 0

    @property
    def failures(self) -> int:
        return sum(count for *_, count in self.failed)


class _Report(msgspec.Struct):
    """What a report says: ``first`` and ``last`` are hours since the first day."""

    first: int
    last: int
    groups: list[_Group]


def life(seed: int, world: World) -> tuple[list[Written], Truth]:
    """All reports of a world in the order of arrival, and what was true."""
    active = _active(world, np.random.default_rng([seed, world.number, 1]))
    truth = Truth(world)
    written: list[Written] = []
    for number, sender in enumerate(world.senders):
        # A generator of its own: another policy changes nothing of what the others meet.
        rng = np.random.default_rng([seed, world.number, 10 + number])
        expected = _expected(world, sender)
        shares = [
            share[:, None] * _touches(fault, number, len(world.hosts))
            for fault, share in zip(world.faults, active, strict=True)
        ]
        sessions, failed = _draw(expected, shares, rng)
        truth.add(
            expected,
            shares,
            sum((count.sum(axis=1) for count in failed), np.zeros(DAYS, np.int64)),
            proves=sender.quotes_policy,
        )
        days = [
            _groups(world, number, day, sessions[day], [count[day] for count in failed], seed) for day in range(DAYS)
        ]
        for day, groups in enumerate(days):
            _remember(truth, day, groups)
        written += _sent(
            world, sender, _reports(sender, days, rng), truth, np.random.default_rng([seed, world.number, 30 + number])
        )
    written += visitors.forgeries(world, np.random.default_rng([seed, world.number, 4]))
    written += visitors.strangers(world, np.random.default_rng([seed, world.number, 3]))
    return sorted(written, key=lambda report: report.received_at), truth


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
    expected: Shares = sender.volume * week * weights * used
    return expected


def _touches(fault: Fault, sender: int, hosts: int) -> Shares:
    if fault.sender not in (None, sender):
        return np.zeros(hosts)
    return np.ones(hosts) if fault.host is None else np.eye(hosts)[fault.host]


def _draw(expected: Shares, shares: Sequence[Shares], rng: np.random.Generator) -> tuple[Counts, list[Counts]]:
    """Sessions, and those that each fault fails; both (days, hosts)."""
    sessions = rng.poisson(expected)
    left = sessions.copy()
    failed = []
    for share in shares:
        hit = rng.binomial(left, share)
        left = left - hit
        failed.append(hit)
    return sessions, failed


def _groups(world: World, number: int, day: int, sessions: Counts, failed: Sequence[Counts], seed: int) -> list[_Group]:
    """A sender's day, by the policies in its caches."""
    if not sessions.sum():
        return []
    sender = world.senders[number]
    ages = (sender.caches[day % len(sender.caches)],) if sender.takes_turns else sender.caches
    quoted = [world.cached(age, day) for age in ages]
    policies = list(dict.fromkeys(quoted))
    rng = np.random.default_rng([seed, world.number, 100 + number, day])
    weights = [quoted.count(policy) / len(quoted) for policy in policies]
    groups = []
    hosts, failing = sessions - sum(failed), list(failed)
    for place, policy in enumerate(policies):
        is_last = place == len(policies) - 1
        part = 1.0 if is_last else weights[place] / sum(weights[place:])
        mine = hosts if is_last else rng.binomial(hosts, part)
        lost = failing if is_last else [rng.binomial(count, part) for count in failing]
        hosts, failing = hosts - mine, [count - other for count, other in zip(failing, lost, strict=True)]
        if mine.sum() or any(count.sum() for count in lost):
            groups.append(_group(world, policy, mine, lost))
    _unfetch(world, number, day, groups, rng)
    return groups


def _group(world: World, policy: Policy | None, clean: Counts, failed: Sequence[Counts]) -> _Group:
    if policy is None:  # nothing is asked of a session, so nothing fails
        return _Group(None, int(clean.sum() + sum(count.sum() for count in failed)), [])
    rows = [
        (fault.result_type, world.hosts[host].name, int(count[host]))
        for fault, count in zip(world.faults, failed, strict=True)
        for host in map(int, np.flatnonzero(count))
    ]
    stale = [n for n, host in enumerate(world.hosts) if host.name not in policy.mx and clean[n]]
    rows += [("validation-failure", world.hosts[n].name, int(clean[n])) for n in stale]
    return _Group(policy, int(clean.sum() - sum(clean[n] for n in stale)), rows)


def _unfetch(world: World, number: int, day: int, groups: list[_Group], rng: np.random.Generator) -> None:
    """Sessions that could not fetch the policy: half of the senders while its host is down, a single one now and then."""
    group = next((group for group in groups if group.policy is not None and group.successful), None)
    if group is None:
        return
    down = world.policy_fault
    if down and down.first <= day < down.last and (number % 2 == 0 or len(world.senders) == 1):
        group.unfetched = int(rng.binomial(group.successful, down.share))
    elif rng.random() < world.fetch_errors:
        group.unfetched = max(1, int(rng.binomial(group.successful, rng.uniform(0, 0.05))))
    group.successful -= group.unfetched


def _remember(truth: Truth, day: int, groups: Sequence[_Group]) -> None:
    down = truth.world.policy_fault
    for group in groups:
        if group.policy is None:
            truth.without[day] += group.successful if truth.world.policies else 0
        elif group.policy.mode == "enforce":
            truth.turned_away[day] += group.failures
        if down and down.first <= day < down.last:
            truth.unfetched[day] += group.unfetched


def _reports(sender: Sender, days: Sequence[list[_Group]], rng: np.random.Generator) -> Iterator[_Report]:
    """A report for each day, hour or week with sessions."""
    if sender.rhythm == "week":
        for first in range(0, DAYS - 6, 7):
            yield _Report(first * 24, (first + 7) * 24, _merged(days[first : first + 7]))
        return
    for day, groups in enumerate(days):
        if sender.rhythm == "day":
            yield _Report(day * 24, (day + 1) * 24, groups)
            continue
        hours: list[list[_Group]] = [[] for _ in range(24)]
        for group in groups:
            for hour, count in enumerate(rng.multinomial(group.successful, [1 / 24] * 24)):
                if count:
                    hours[hour].append(_Group(group.policy, int(count), []))
            if group.failed or group.unfetched:
                hours[int(rng.integers(24))].append(_Group(group.policy, 0, group.failed, group.unfetched))
        for hour, of_hour in enumerate(hours):
            yield _Report(day * 24 + hour, day * 24 + hour + 1, _merged([of_hour]))


def _merged(parts: Sequence[Sequence[_Group]]) -> list[_Group]:
    """The groups of some days or hours, by policy."""
    merged: dict[Policy | None, _Group] = {}
    for group in (group for part in parts for group in part):
        total = merged.setdefault(group.policy, _Group(group.policy, 0, []))
        total.successful += group.successful
        total.unfetched += group.unfetched
        total.failed = [*total.failed, *group.failed]
    return list(merged.values())


def _sent(
    world: World, sender: Sender, reports: Iterator[_Report], truth: Truth, rng: np.random.Generator
) -> Iterator[Written]:
    """The reports on their way: lost, late, resent, rewritten, by both doors, in the archive."""
    for report in reports:
        draws = rng.random(4)
        if not report.groups or draws[0] < world.loss:
            continue
        entries = list(_entries(world, sender, report, rng))
        text = document(world.domain, sender, report.first, report.last, entries)
        hours = rng.uniform(*sender.delay) if sender.rhythm == "day" else rng.uniform(0.2, 2)
        received_at = moment(report.last + hours + (24 * rng.uniform(1, 5) if draws[1] < world.late else 0))
        is_mailed = report.first >= (world.archive - _MAIL_BEFORE_ARCHIVE_ENDS) * 24
        if is_mailed:
            yield Written(text, received_at, sender.signer)
            _tell(truth, sender, report, received_at)
            if sender.both_doors:
                yield Written(text, received_at + dt.timedelta(minutes=1), "", "https")
            if draws[2] < world.resent:
                yield Written(text, received_at + dt.timedelta(hours=rng.uniform(0.2, 72)), sender.signer)
        if report.first < world.archive * 24:
            yield Written(rewritten(text) if draws[3] < world.rewritten else text, received_at, "", "load")
        elif draws[3] < world.rewritten:
            door = str(rng.choice(["smtp", "https"]))
            signer = sender.signer if door == "smtp" else ""
            yield Written(rewritten(text), received_at + dt.timedelta(hours=rng.uniform(0.2, 48)), signer, door)


def _tell(truth: Truth, sender: Sender, report: _Report, received_at: dt.datetime) -> None:
    """What a report by a known voice tells of, and when."""
    day = (report.last - 1) // 24
    arrived = (received_at.date() - FIRST).days
    if sender.signer not in LISTED and not truth.world.archive and arrived < _HEARD_FROM:
        return
    for group in report.groups:
        if group.policy is None and truth.world.policies and sender.quotes_policy:
            truth.told.append((GONE, day, arrived))
        if group.policy and group.policy.mode == "enforce" and group.failed:
            truth.told.append((REFUSED, day, arrived))
        if group.unfetched:
            truth.told.append((UNFETCHED, day, arrived))


def _entries(world: World, sender: Sender, report: _Report, rng: np.random.Generator) -> Iterator[Any]:
    total = 0
    for group in report.groups:
        total += group.successful + group.failures + group.unfetched
        if group.policy is None:
            yield entry({"policy-type": "no-policy-found", "policy-domain": world.domain}, group.successful, 0, [])
            continue
        policy: dict[str, Any] = {"policy-type": "sts", "policy-domain": world.domain}
        if sender.quotes_policy:
            policy |= {"policy-string": group.policy.lines}
        if sender.mx_host_as_string:
            policy |= {"mx-host": group.policy.mx[0]}
        if group.successful or group.failures:
            yield entry(policy, group.successful, group.failures, _details(sender, group))
        if group.unfetched:
            row = {"result-type": "sts-policy-fetch-error", "failed-session-count": group.unfetched}
            unread = {"policy-type": "sts", "policy-domain": world.domain}
            yield entry(unread, 0, group.unfetched, [row])
    if sender.dane:
        yield dane_entry(world, total, report.first // 24, rng)


def _details(sender: Sender, group: _Group) -> list[Any]:
    if sender.details == "missing":
        return []
    rows = [detail(*row) for row in group.failed]
    if sender.details == "overlapping":
        rows += [row | {"result-type": "validation-failure"} for row in rows]
    return rows
