"""The linter: a policy file as bytes, the domain's MX hosts, and the change from the policy before it."""

import itertools
import re
from collections.abc import Iterator, Sequence

import msgspec

from .ages import span
from .faults import ERROR, NOTE, WARNING, Fault, quoted
from .patterns import match, normalised, why_not_covered
from .policy import MAX_BYTES, MAX_FAULTS, Policy, mx_key, parse
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
    if policy.mode or policy.mx or policy.version:  # what holds none of them is no policy, and said to be none
        faults += [
            *_line_end_faults(text, len(file) > MAX_BYTES),
            *itertools.islice(_host_faults(policy, hosts), MAX_FAULTS),
        ]
    return msgspec.structs.replace(policy, faults=tuple(sorted(faults, key=lambda fault: fault.line)))


def change_faults(
    previous: Policy, policy: Policy, previous_id: str, policy_id: str, fresh_id: str
) -> tuple[Fault, ...]:
    """What is wrong with the step from one published policy to the next; the ids are those of the TXT records ("" unknown).

    Senders look at the file again when the id is another, or when their copy of it ends (RFC 8461 sections 3.1 and 3.3).
    ``fresh_id`` is one that was never used, to suggest.
    """
    found = list(_id_faults(previous, policy, previous_id, policy_id, fresh_id))
    if previous.usable and previous.mode == "enforce" and policy.mode != "enforce":
        text = f"senders with the old copy go on enforcing {_until(previous)}, or until they see the new id"
        found.append(Fault("enforce-cached", NOTE, text, "keep the MX hosts and their certificates right until then"))
    return tuple(found)


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
        said, repair = "saved as UTF-16, which senders cannot read", "save the file as plain text (ASCII or UTF-8)"
        return file.decode("utf-16", "replace"), [Fault("encoding", ERROR, said, repair)]
    try:
        return file.decode(), []
    except UnicodeDecodeError as error:
        if error.start >= MAX_BYTES:  # a character cut in two by whoever read no more than this
            return file.decode("utf-8", "replace"), []
        said, line = "bytes that are no UTF-8", file.count(b"\n", 0, error.start) + 1
        repair = "save the file as plain text (ASCII or UTF-8)"
        return file.decode("utf-8", "replace"), [Fault("encoding", ERROR, said, repair, line)]


def _line_end_faults(text: str, cut: bool) -> Iterator[Fault]:
    lone = _LONE_LF.search(text)
    if lone and "\r\n" in text:
        line = text.count("\n", 0, lone.start()) + 1
        said = "some lines end with CRLF and some with LF; each is legal, and one file with both was edited by accident"
        yield Fault("mixed-line-ends", NOTE, said, "end all lines alike", line)
    if not text.endswith(("\n", "\r")) and not cut:
        said = "the last line has no line end; legal, and easily joined with a line that is added later"
        yield Fault("no-final-newline", NOTE, said, "end the last line too", text.count("\n") + 1)


def _host_faults(policy: Policy, hosts: Sequence[str]) -> Iterator[Fault]:
    """MX hosts that no pattern covers, and patterns that cover none of them."""
    if not hosts or policy.mode == "none" or not policy.mx:
        return
    harm = "refuse to deliver to it" if policy.mode.startswith("enforce") else "report its sessions as failed"
    for host in dict.fromkeys(map(normalised, hosts)):
        if not match(policy.mx, host):
            text = f"no mx line covers the MX host {quoted(host)}{why_not_covered(policy.mx, host)}: senders {harm}"
            yield Fault("mx-not-covered", ERROR, text, f"add mx: {quoted(host)}")
    faulty = {fault.line for fault in policy.faults if fault.severity == ERROR}
    for pattern, line in zip(policy.mx, policy.mx_lines, strict=True):
        if line not in faulty and not any(match([pattern], host) for host in hosts):
            text = f"mx {quoted(pattern)} covers none of the MX hosts: out of date, or a slip of the pen"
            yield Fault("mx-stale", WARNING, text, "remove the line, unless you are about to add the host", line)
