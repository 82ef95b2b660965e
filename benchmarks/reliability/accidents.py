"""The loop that ends door, worker or both under load, again and again, and starts them anew."""

import random
import signal
import time
from collections.abc import Iterator

import msgspec

from .load import Load
from .site import PARTS, Site, until

# Most workers are killed after they have stored something, so that the spool empties over the cycles; some are killed in
# their first moments too. (SIGTERM in the first second of a Python process meets no handler yet.)
_SHARE_AT_ANY_TIME = {signal.SIGKILL: 0.2, signal.SIGTERM: 0.0}


class Ended(msgspec.Struct, frozen=True):
    """One process that was ended: which part, its exit code, how long it took."""

    part: str
    code: int
    seconds: float


def accidents(
    site: Site,
    load: Load,
    *,
    cycles: int,
    reports_each: int,
    signal_number: signal.Signals,
    seed: int,
    alteration: str = "",
) -> Iterator[Ended]:
    """In each cycle wait for ``reports_each`` acknowledgements and a moment at random, end a part or both, start it again.

    ``alteration`` is the doors'. Raises RuntimeError when a part has ended by itself.
    """
    choose = random.Random(seed)
    goal = 0
    since = dict.fromkeys(PARTS, 0)
    for _ in range(cycles):
        victims = choose.choice([("receive",), ("work",), ("receive", "work")])
        goal = len(load.ledger.acknowledged) + reports_each
        try:
            load.wait_for(goal)
        except TimeoutError as late:
            raise RuntimeError("".join(_last_words(site, part) for part in PARTS)) from late
        if "work" in victims and choose.random() >= _SHARE_AT_ANY_TIME[signal_number]:
            until(lambda: b"stored=" in site.logged("work", since["work"]), 60, "the worker stores something")
        time.sleep(choose.uniform(0, 0.3))
        for part in victims:
            if site.parts[part].poll() is not None:
                raise RuntimeError(f"ended by itself: {_last_words(site, part)}")
            yield Ended(part, *site.end(part, signal_number))
        for part in victims:
            since[part] = site.log(part).stat().st_size
            site.start(part, alteration if part == "receive" else "")


def _last_words(site: Site, part: str) -> str:
    return f"{part} (exit code {site.parts[part].poll()}):\n{site.logged(part)[-2000:].decode(errors='replace')}\n"
