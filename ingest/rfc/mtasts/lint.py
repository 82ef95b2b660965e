"""The linter: a policy file as bytes, the domain's MX hosts, and the change from the policy before it."""

import itertools
import re
from collections.abc import Iterator, Sequence

import msgspec

from ingest.rfc.faults import ERROR, NOTE, WARNING, Fault, quoted

from .ages import TESTING_MAX_AGE, WEEK, span
from .patterns import intended, match, normalised, why_not_covered
from .policy import MAX_BYTES, MAX_FAULTS, Policy, intended_mode, mx_key, parse
from .record import VERSION

_LONE_LF = re.compile(r"(?<!\r)\n")
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def lint(file: bytes, hosts: Sequence[str] = ()) -> Policy:
    """The policy in a file, with all its faults in the order of their lines, those of the whole file first.

    ``hosts`` are the names in the domain's MX records; without them nothing is said about which are covered. Never raises.
    No more than ``MAX_BYTES`` and a little is needed of a larger file.
    """
    text, faults = _decoded(file)
    policy = parse(text)
    faults += policy.faults
    if text.strip("\ufeff \t\r\n") and all(
        fault.code != "web-page" for fault in faults
    ):  # else it is none, and said so
        faults += [
            *_line_end_faults(text, len(file) > MAX_BYTES),
            *itertools.islice(_host_faults(policy, hosts), MAX_FAULTS),
        ]
    return msgspec.structs.replace(policy, faults=tuple(sorted(faults, key=lambda fault: fault.line)))


def change_faults(
    previous: Policy, policy: Policy, previous_id: str, policy_id: str, fresh_id: str, hosts: Sequence[str] = ()
) -> tuple[Fault, ...]:
    """What is wrong with the step from one published policy to the next; the ids are those of the TXT records ("" unknown).

    Senders look at the file again when the id is another, or when their copy of it ends (RFC 8461 sections 3.1 and 3.3).
    ``fresh_id`` is one that was never used, to suggest; ``hosts`` are those of ``lint``.
    """
    return (*_id_faults(previous, policy, previous_id, policy_id, fresh_id), *step_faults(previous, policy, hosts))


def step_faults(previous: Policy, policy: Policy, hosts: Sequence[str] = ()) -> tuple[Fault, ...]:
    """What is wrong with the step whatever the ids: what it changes at once, and what copies of the old policy do meanwhile."""
    before, after = intended_mode(previous.mode), intended_mode(policy.mode)
    faults = [] if after == "none" else list(_mx_change_faults(previous, policy, before, after, hosts))
    if after == "enforce" != before and policy.max_age is not None and policy.max_age > TESTING_MAX_AGE:
        text = (
            f"enforce with a max_age of {span(policy.max_age)} at once: should a fault show after the switch, senders that "
            "do not see a newer id go on refusing mail for so long (RFC 8461 section 3.2)"
        )
        repair = f"write max_age: {WEEK} (one week) for the switch, and raise it when reports have stayed clean"
        faults.append(Fault("max-age-switch", WARNING, text, repair))
    if previous.usable and previous.mode == "enforce" and policy.mode != "enforce":
        text = f"senders with the old copy go on enforcing {_until(previous)}, or until they see the new id"
        faults.append(Fault("enforce-cached", NOTE, text, "keep the MX hosts and their certificates right until then"))
    return tuple(faults)


def _mx_change_faults(
    previous: Policy, policy: Policy, before: str, after: str, hosts: Sequence[str]
) -> Iterator[Fault]:
    """Faults of changed mx lines, held against ``hosts``, the MX records; ``before`` and ``after`` are the modes meant."""
    old, new = _patterns(previous), _patterns(policy)
    if old != new and after == "enforce" != before:
        text = "mode and mx lines change in one step: no report has tested these mx lines, and enforce refuses mail at once"
        repair = "publish the new mx lines in mode testing, wait for clean reports, and change the mode then"
        yield Fault("mx-and-mode", WARNING, text, repair)
    elif old != new and before == "enforce" != after:
        text = f"mode and mx lines change in one step: senders with the old copy enforce the old mx lines {_until(previous)}"
        repair = "change the mode first, and leave the MX records as the old mx lines have them until then"
        yield Fault("mx-and-mode", WARNING, text, repair)
    harm = "refuse to deliver to" if after == "enforce" else "report as failed each session with"
    for pattern in itertools.islice((mx for mx in old if mx not in new and not match(new, mx)), MAX_FAULTS):
        covered = [host for host in hosts if match([pattern], host)]
        if covered and all(match(new, host) for host in covered):
            continue  # a wildcard gave way to full names
        text = f"the line mx: {quoted(pattern)} is gone"
        hold = f"keep hold of the name: senders with the old copy accept such a host {_until(previous)}"
        if hosts and not covered:
            text += ", and the MX records name no such host: right, once no resolver has older ones"
            yield Fault("mx-removed", NOTE, text, hold)
        else:
            text += f": senders {harm} such a host as long as an MX record, or a resolver's copy of one, names it"
            repair = f"take the host out of the MX records first, wait out their TTL, and remove the line then; {hold}"
            yield Fault("mx-removed", WARNING, text, repair)


def _patterns(policy: Policy) -> tuple[str, ...]:
    """The patterns that are meant, in the order of a name list: spelling and order make no change."""
    values = [*policy.mx, *(pattern for pattern, _ in policy.meant_mx)]
    return tuple(sorted({normalised(meant) for meant in map(intended, values) if meant}))


def _id_faults(previous: Policy, policy: Policy, previous_id: str, policy_id: str, fresh_id: str) -> Iterator[Fault]:
    changed = _meaning(previous) != _meaning(policy)
    known = bool(previous_id and policy_id)
    publish = f'publish "{VERSION}; id={fresh_id};" after the file'
    if changed and known and previous_id == policy_id:
        text = (
            f"the policy changed and the id is still {policy_id}: senders will not notice the change {_until(previous)}"
        )
        yield Fault("id-unchanged", ERROR, text, publish)
    elif changed and not known:
        text = "the policy changed; whether the id did cannot be seen without both TXT records"
        yield Fault("id-unknown", NOTE, text, publish)
    elif not changed and known and previous_id != policy_id:
        text = "the id changed and the policy says what it said before: senders fetch it once more, to no effect"
        yield Fault("id-changed-alone", NOTE, text, f"keep id={previous_id}, unless the file should have changed too")


def _meaning(policy: Policy) -> tuple[object, ...]:
    """What a sender makes of a policy: another order of lines or other line ends change nothing."""
    return policy.mode, mx_key(policy), policy.max_age, policy.usable


def _until(previous: Policy) -> str:
    if previous.usable and previous.max_age:
        return f"until their copy of the old one ends, up to {span(previous.max_age)} (max_age {previous.max_age})"
    return "until they look at the file again of their own accord"


def _decoded(file: bytes) -> tuple[str, list[Fault]]:
    if file.startswith(_UTF_16):
        problem, repair = "saved as UTF-16, which senders cannot read", "save the file as plain text (ASCII or UTF-8)"
        return file.decode("utf-16", "replace"), [Fault("encoding", ERROR, problem, repair)]
    try:
        return file.decode(), []
    except UnicodeDecodeError as error:
        if error.start >= MAX_BYTES:  # a character cut in two by whoever read no more than this
            return file.decode("utf-8", "replace"), []
        problem, line = "bytes that are no UTF-8", file.count(b"\n", 0, error.start) + 1
        repair = "save the file as plain text (ASCII or UTF-8)"
        return file.decode("utf-8", "replace"), [Fault("encoding", ERROR, problem, repair, line)]


def _line_end_faults(text: str, cut: bool) -> Iterator[Fault]:
    lone = _LONE_LF.search(text)
    if lone and "\r\n" in text:
        line = text.count("\n", 0, lone.start()) + 1
        problem = (
            "some lines end with CRLF and some with LF; each is legal, and one file with both was edited by accident"
        )
        yield Fault("mixed-line-ends", NOTE, problem, "end all lines alike", line)
    if not text.endswith(("\n", "\r")) and not cut:
        problem = "the last line has no line end; legal, and easily joined with a line that is added later"
        yield Fault("no-final-newline", NOTE, problem, "end the last line too", text.count("\n") + 1)


def _host_faults(policy: Policy, hosts: Sequence[str]) -> Iterator[Fault]:
    """MX hosts that no pattern covers, and patterns that cover none of them. Each pattern is taken as it is meant."""
    lines = [*zip(policy.mx, policy.mx_lines, strict=True), *policy.meant_mx]
    if not hosts or policy.mode == "none" or not lines:
        return
    patterns = [(intended(pattern), pattern, line) for pattern, line in lines]
    covering = [meant or pattern for meant, pattern, _ in patterns]
    harm = "refuse to deliver to it" if policy.mode.startswith("enforce") else "report its sessions as failed"
    for host in dict.fromkeys(map(normalised, hosts)):
        if not match(covering, host):
            text = f"no mx line covers the MX host {quoted(host)}{why_not_covered(covering, host)}: senders {harm}"
            yield Fault("mx-not-covered", ERROR, text, f"add mx: {quoted(host)}")
    for meant, pattern, line in patterns:
        if meant and not any(match([meant], host) for host in hosts):
            text = f"mx {quoted(pattern)} covers none of the MX hosts: out of date, or a slip of the pen"
            yield Fault("mx-stale", WARNING, text, "remove the line, unless you are about to add the host", line)
