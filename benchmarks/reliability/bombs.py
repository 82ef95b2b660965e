"""Rows 4 and 5: each bomb by SMTP and HTTP costs bounded memory and time, and honest mail flows meanwhile.

First each bomb alone: processor time of doors and worker, and what became of it. Then all of them at the same time with
honest mail: peaks of memory, and how late the doors' event loop was (a probe inside it beats every 5 ms, see ``altered``).
"""

import array
import asyncio
import signal
import sys
import time
from collections.abc import Iterator, Sequence

from .altered import BEAT_SECONDS, PROBE
from .bomb_mails import BOMBS, MIB, Bomb
from .clients import BROKEN, HttpClient, Refused, SmtpClient
from .figures import Figures, milliseconds, options, percentile
from .ledger import Ledger, compare
from .load import Load
from .site import Site, cpu_seconds, forget_peak, peak_bytes, site

_DOOR_MIB, _WORKER_MIB = 256, 512
_HONEST_RATE = 30
_QUIET_SECONDS = 5
_LATE_SECONDS = 0.05
Octets = tuple[Bomb, str, bytes]


def octets(bombs: Sequence[Bomb]) -> Iterator[Octets]:
    """Every bomb by every door it fits."""
    for bomb in bombs:
        if bomb.mail:
            yield bomb, "smtp", bomb.mail()
        if bomb.body:
            yield bomb, "http", bomb.body()


async def throw(run: Site, door: str, data: bytes, source: str = "127.0.0.99") -> str:
    """Send a bomb; the code that answers it, or how the connection broke."""
    client: SmtpClient | HttpClient | None = None
    try:
        if door == "smtp":
            client = await SmtpClient.connect(run.smtp, source)
            await client.mail(data)
            return "250"
        client = await HttpClient.connect(run.http, source)
        await client.upload(data)
    except Refused as refused:
        return refused.code
    except BROKEN as broken:
        return type(broken).__name__
    finally:
        if client:
            client.reset()
    return "201"


def alone(figures: Figures, run: Site, bomb: Bomb, door: str, data: bytes, *, timed: bool) -> int:
    """One bomb and nothing else: processor time of both; the worker's peak is returned, in bytes."""
    pids = {part: process.pid for part, process in run.parts.items()}
    forget_peak(pids["work"])
    before = {part: cpu_seconds(pid) for part, pid in pids.items()}
    answer = asyncio.run(throw(run, door, data))
    time.sleep(0.3)  # an idle worker looks into the spool four times a second
    run.drain(60)
    if run.parts["work"].poll() is not None or run.parts["work"].pid != pids["work"]:
        figures.must(f"{bomb.name}, {door}", f"{answer} worker died", False, "no reader dies")
        return 0
    used = {part: cpu_seconds(pid) - before[part] for part, pid in pids.items()}
    peak = peak_bytes(pids["work"])
    summary = f"{answer} {used['receive']:.2f}+{used['work']:.2f} s"
    promise = f"at most {bomb.cpu:g} s of CPU (doors + worker); worker's peak {peak // MIB} MiB"
    holds = not timed or max(used.values()) <= bomb.cpu
    figures.must(f"{bomb.name}, {door}", summary, holds, promise)
    return peak


def together(figures: Figures, run: Site, thrown: Sequence[Octets], rounds: int, *, timed: bool) -> tuple[float, float]:
    """All bombs, four at a time, while honest mail flows; when that was."""
    ledger = Ledger()
    with Load(run, ledger, smtp=3, http=2, rate=_HONEST_RATE) as load:
        time.sleep(_QUIET_SECONDS)
        quiet = len(load.seconds)

        async def all_of_them() -> None:
            four = asyncio.Semaphore(4)

            async def throw_one(number: int, door: str, data: bytes) -> None:
                async with four:
                    await throw(run, door, data, f"127.0.0.{100 + number % 50}")

            await asyncio.gather(*(throw_one(n, door, data) for n, (_, door, data) in enumerate(thrown)))

        began = time.monotonic()
        for _ in range(rounds):
            asyncio.run(all_of_them())
        ended = time.monotonic()
        during = load.seconds[quiet:]
    run.drain(300)
    comparison = compare(ledger, run)
    figures.show("honest p99 before", milliseconds(percentile(load.seconds[:quiet], 0.99)))
    figures.show("honest p99 meanwhile", milliseconds(percentile(during, 0.99)))
    before, meanwhile = quiet / _QUIET_SECONDS, len(during) / (ended - began)
    figures.show("honest reports a second before", before)
    flows = meanwhile > (before / 2 if timed else 0)
    figures.must("honest reports a second meanwhile", meanwhile, flows, "at least half")
    figures.must("honest reports lost", comparison.lost, comparison.lost == 0, "none")
    return began, ended


class Beats:
    """What the probe in the doors' event loop has written down."""

    def __init__(self, written: bytes) -> None:
        values = array.array("d")
        values.frombytes(written)
        self._beats = list(zip(values[::3], values[1::3], values[2::3], strict=True))

    def late(self, began: float, ended: float) -> list[float]:
        """How late the beats were; a long stall counts for each beat that did not come (coordinated omission)."""
        collected: list[float] = []
        for at, seconds, _ in self._beats:
            if began <= at <= ended:
                while seconds > 0:
                    collected.append(seconds)
                    seconds -= BEAT_SECONDS
        return collected

    def busy(self, began: float, ended: float) -> list[float]:
        """Processor time of the loop's thread between two beats: what it would be late on a machine of its own."""
        return [used for at, _, used in self._beats if began <= at <= ended]


def loop_figures(figures: Figures, beats: Beats, quiet: float, began: float, ended: float, *, timed: bool) -> None:
    """How late the loop was without bombs and with them."""
    figures.show("event loop late, p99, honest mail alone", milliseconds(percentile(beats.late(quiet, began), 0.99)))
    late = beats.late(began, ended)
    p99 = percentile(late, 0.99)
    if timed:
        figures.must("event loop late, p99, under bombs", milliseconds(p99), p99 <= _LATE_SECONDS, "at most 50 ms")
    figures.show("event loop late, most, under bombs", milliseconds(max(late, default=0)))
    busy = beats.busy(began, ended)
    figures.show("event loop busy at once, p99, under bombs", milliseconds(percentile(busy, 0.99)))
    figures.show("event loop busy at once, most, under bombs", milliseconds(max(busy, default=0)))


def run(figures: Figures, *, bombs: Sequence[Bomb] = BOMBS, rounds: int, timed: bool = True) -> None:
    """``timed=False`` leaves out the promises that a busy machine breaks."""
    thrown = list(octets(bombs))
    with site() as target:
        probe = target.folder / "probe"
        target.environment[PROBE] = str(probe)
        target.start("receive", "probed")
        target.start("work")
        target.wait_for_smtp()
        asyncio.run(throw(target, "smtp", b"Subject: the first\r\n\r\n"))
        time.sleep(2)
        target.drain(30)
        peaks = [alone(figures, target, *each, timed=timed) for each in thrown]
        doors = target.parts["receive"].pid
        quiet = time.monotonic()
        began, ended = together(figures, target, thrown, rounds, timed=timed)
        if target.parts["work"].poll() is None:
            peaks.append(peak_bytes(target.parts["work"].pid))
        door = peak_bytes(doors) / MIB
        figures.must("memory of the doors, most, MiB", door, door <= _DOOR_MIB, f"at most {_DOOR_MIB}")
        worker = max(peaks) / MIB
        figures.must("memory of the worker, most, MiB", worker, worker <= _WORKER_MIB, f"at most {_WORKER_MIB}")
        figures.show("quarantined", str(target.quarantined()))
        target.end("receive", signal.SIGTERM)
        loop_figures(figures, Beats(probe.read_bytes()), quiet, began, ended, timed=timed)


def main() -> int:
    chosen = options(__doc__).parse_args()
    figures = Figures("bombs")
    run(figures, rounds=5 if chosen.long else 1)
    return figures.finish()


if __name__ == "__main__":
    sys.exit(main())
