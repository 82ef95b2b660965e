"""DKIM keys from DNS (RFC 6376 section 3.6.2): many names at once, within one time budget, with three outcomes each.

A batch of messages is worth one budget, however many of its senders' name servers are dead: what has no answer by then is
undetermined, never absent. Everything runs in the calling thread, so nothing is left behind when the process stops.
"""

import asyncio
import collections
import itertools
import re
import time
from collections.abc import Callable, Iterable, Sequence

import dns.asyncresolver
import dns.exception
import dns.inet
import dns.nameserver
import dns.resolver
import msgspec

from ingest.settings.settings import PREFIX, Address, SettingsError

# A batch that asks for more is no honest traffic: reports of one batch come from a few dozen domains.
MAX_NAMES = 1_000
# Each look-up under way has a socket of its own (a port of its own is what makes forged answers hard); the usual limit of
# descriptors is 1,024.
_AT_ONCE = 256
_MAX_CACHED = 10_000
_RESOLV_CONF = "/etc/resolv.conf"
# A key's TTL is obeyed between these, in seconds: one answer must last for a batch, and a revoked key not live for days.
_SHORTEST, _LONGEST = 60, 3_600
# A key that is missing may be published any minute. What nobody could answer is asked again a minute later
# (store.FIRST_RETRY); until then, one dead domain costs its time once.
_ABSENT, _UNDETERMINED = 60, 30
# Larger than any answer over UDP needs to be; servers and paths handle it (DNS flag day 2020).
_UDP_BYTES = 1232
_NAME = re.compile(r"(?=.{1,253}\Z)(?:[a-z0-9_-]{1,63}\.)+[a-z0-9_-]{1,63}\Z")


class KeyAnswer(msgspec.Struct, frozen=True):
    """What DNS says at one name. No ``records`` and no ``problem``: there is definitely no key.

    ``records`` has each TXT record with its strings joined (RFC 6376 section 3.6.2.2). ``problem`` says in words why
    nobody knows yet: ask again later.
    """

    records: tuple[bytes, ...] = ()
    problem: str = ""


class _Remembered(msgspec.Struct, frozen=True):
    """An answer until it expires, and how many seconds there were for it."""

    expires: float
    answer: KeyAnswer
    asked_for: float


def is_name(name: str) -> bool:
    """Whether DNS can be asked for ``name``: lower-case A-labels of at most 63, together at most 253 characters."""
    return _NAME.match(name) is not None


class Keys:
    """Looks up key records at ``nameservers``, or at the system's when there are none, and remembers them by their TTL.

    Raises SettingsError when a name server is no IP address. Not for use in several threads at the same time.
    """

    def __init__(
        self,
        nameservers: Sequence[Address] = (),
        *,
        clock: Callable[[], float] = time.monotonic,
        resolv_conf: str = _RESOLV_CONF,
    ) -> None:
        self._nameservers = [_nameserver(address) for address in nameservers]
        self._clock = clock
        self._resolv_conf = resolv_conf
        self._cache: collections.OrderedDict[str, _Remembered] = collections.OrderedDict()
        self._batch: dict[str, KeyAnswer] = {}

    def prefetch(self, names: Iterable[str], seconds: float) -> None:
        """Find an answer for every name, in at most ``seconds`` altogether; ``answer`` gives them until the next call. Without
        any time, only what is known.

        Names beyond ``MAX_NAMES`` that are not known already are undetermined, and so are those that nobody answered lately in
        as much time. Must not be called from a coroutine.
        """
        answers: dict[str, KeyAnswer] = {}
        unknown: list[str] = []
        for name in dict.fromkeys(names):
            answer = self._remembered(name, seconds) if is_name(name) else KeyAnswer()
            if answer is None:
                unknown.append(name)
            else:
                answers[name] = answer
        if unknown and seconds:
            unknown = _in_turns(unknown)
            answers |= dict.fromkeys(unknown[MAX_NAMES:], KeyAnswer(problem="too many look-ups in one batch"))
            answers |= self._ask(unknown[:MAX_NAMES], seconds)
        self._batch = answers

    def answer(self, name: str) -> KeyAnswer:
        """What is known about ``name``, without asking anybody; undetermined when it was not prefetched.

        The batch's own answers come first, and do not age: a message that took long to read costs the next one no look-up.
        """
        return self._batch.get(name) or self._remembered(name) or KeyAnswer(problem="it has not been asked for yet")

    def _remembered(self, name: str, seconds: float = 0) -> KeyAnswer | None:
        """The answer, unless it has expired, or is none and there are more ``seconds`` now than there were then."""
        known = self._cache.get(name)
        if known is None or known.expires <= self._clock() or (known.answer.problem and known.asked_for < seconds):
            return None
        self._cache.move_to_end(name)
        return known.answer

    def _remember(self, name: str, answer: KeyAnswer, lifetime: float, asked_for: float) -> None:
        self._cache[name] = _Remembered(self._clock() + lifetime, answer, asked_for)
        self._cache.move_to_end(name)
        if len(self._cache) > _MAX_CACHED:
            self._cache.popitem(last=False)

    def _ask(self, names: list[str], seconds: float) -> dict[str, KeyAnswer]:
        try:
            resolver = self._resolver(seconds)
        except (dns.exception.DNSException, OSError, ValueError) as error:
            # Our own fault (no /etc/resolv.conf in a container), so not remembered: the next batch may see it repaired.
            return dict.fromkeys(names, KeyAnswer(problem=f"the system's resolver is not configured ({error})"))
        key_answers = asyncio.run(_look_up_all(resolver, names, seconds))
        late = (_late(seconds), _UNDETERMINED)
        answers = {}
        for name in names:
            answer, lifetime = key_answers.get(name, late)
            self._remember(name, answer, lifetime, seconds)
            answers[name] = answer
        return answers

    def _resolver(self, seconds: float) -> dns.asyncresolver.Resolver:
        """A resolver that gives every name server two tries within the budget. The system's file is read anew: it changes."""
        resolver = dns.asyncresolver.Resolver(self._resolv_conf, configure=not self._nameservers)
        if self._nameservers:
            resolver.nameservers = self._nameservers
        resolver.lifetime = seconds
        resolver.timeout = seconds / (2 * len(resolver.nameservers))
        resolver.use_edns(0, 0, _UDP_BYTES)
        return resolver


def _nameserver(address: Address) -> dns.nameserver.Nameserver:
    if not dns.inet.is_address(address.host):
        raise SettingsError(
            f"{PREFIX}NAMESERVERS={address}: must be IP addresses, for example 192.0.2.53 or [2001:db8::53]:53"
        )
    return dns.nameserver.Do53Nameserver(address.host, address.port)


def _in_turns(names: list[str]) -> list[str]:
    """The names in an order in which domains take turns, so that a thousand names below one do not keep others waiting."""
    by_domain: dict[str, list[str]] = collections.defaultdict(list)
    for name in names:
        by_domain[".".join(name.split(".")[-2:])].append(name)
    return [name for turn in itertools.zip_longest(*by_domain.values()) for name in turn if name is not None]


async def _look_up_all(
    resolver: dns.asyncresolver.Resolver, names: list[str], seconds: float
) -> dict[str, tuple[KeyAnswer, float]]:
    """Answers, each with the seconds it may be remembered, to as many of the names as the time allows."""
    slots = asyncio.Semaphore(_AT_ONCE)
    key_answers: dict[str, tuple[KeyAnswer, float]] = {}

    async def look_up(name: str) -> None:
        async with slots:
            key_answers[name] = await _look_up(resolver, name)

    tasks = [asyncio.create_task(look_up(name)) for name in names]
    _, late = await asyncio.wait(tasks, timeout=seconds)
    for task in late:
        task.cancel()
    await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.result()  # a fault in this program must not pass for a silent name server
    return key_answers


async def _look_up(resolver: dns.asyncresolver.Resolver, name: str) -> tuple[KeyAnswer, float]:
    try:
        answer = await resolver.resolve(name + ".", "TXT")  # absolute: no search domain is added
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return KeyAnswer(), _ABSENT
    except dns.exception.Timeout:
        return _late(resolver.lifetime), _UNDETERMINED
    except dns.resolver.NoNameservers as error:
        return KeyAnswer(problem=_fault(error)), _UNDETERMINED
    except dns.exception.DNSException as error:
        return KeyAnswer(problem=f"DNS gives no usable answer ({type(error).__name__})"), _UNDETERMINED
    lifetime = min(max(answer.chaining_result.minimum_ttl, _SHORTEST), _LONGEST)
    return KeyAnswer(tuple(b"".join(record.strings) for record in answer)), lifetime


def _late(seconds: float) -> KeyAnswer:
    return KeyAnswer(problem=f"no answer from DNS within {seconds:g} s")


def _fault(error: dns.resolver.NoNameservers) -> str:
    """Why no server is left: the last one's reply code, or what went wrong in talking to it."""
    faults = [fault for _, _, _, fault, _ in error.kwargs.get("errors") or []]
    last = faults[-1] if faults else error
    if isinstance(last, str):
        return f"the name server answers with {last}"
    return f"the name server gives no usable answer ({type(last).__name__})"
