"""The simulator: ``python -m benchmarks.verdict`` prints the tables of docs/verdict.md; ``--docs`` and ``--picture`` write them.

Ends with 1 when a goal of docs/verdict.md is not met.
"""

import argparse
import collections
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from . import figures, picture, run
from .lives import world
from .run import RULES, Outcome
from .worlds import DAYS

_BEGIN, _END = "<!-- simulation: begin -->\n", "<!-- simulation: end -->\n"


def main() -> int:
    options = _options()
    if options.show:
        return _show(*map(int, options.show.split(":")))
    outcomes = list(_outcomes(options))
    text = _text(outcomes, options)
    print(text)
    if options.failing:
        _print_failing(outcomes, options.failing)
    if options.docs:
        page = options.docs.read_text(encoding="utf-8")
        head, _, behind = page.partition(_BEGIN)
        _, _, tail = behind.partition(_END)
        options.docs.write_text(head + _BEGIN + text + _END + tail, encoding="utf-8")
    if options.picture:
        options.picture.write_text(picture.drawn(outcomes), encoding="utf-8")
    broken = [line.name for line in figures.table(outcomes) if not line.is_met]
    print(f"goals not met: {'; '.join(broken) or 'none'}")
    return 1 if broken else 0


def _text(outcomes: Sequence[Outcome], options: argparse.Namespace) -> str:
    lines = figures.table(outcomes)
    parts = [_mix(outcomes, options)]
    rows = [(line.name, [line.goal, *_cells(line, bold=True)]) for line in lines if line.goal]
    parts.append(_table("", ["goal", *RULES], rows))
    parts.append(_table("beside the goals", RULES, [(line.name, _cells(line)) for line in lines if not line.goal]))
    by_rate = [
        (f"{rate * 100:g} %", [f"{share.value:.1%} of {share.of:,}" for share in shares])
        for rate, shares in figures.false_ready_by_rate(outcomes).items()
    ]
    parts.append(_table("constant rate: days called ready", RULES, by_rate))
    for enough, much in ((True, "enough"), (False, "too little")):
        why = figures.why_withheld(outcomes, enough=enough).items()
        rows = [(name, [f"{count:,}"]) for name, count in why]
        parts.append(_table(f"why {RULES[0]} withheld ready, {much} to see", ["days"], rows))
    return "\n".join(parts)


def _cells(line: figures.Line, bold: bool = False) -> list[str]:
    cells = list(map(str, line.figures))
    if bold:
        cells[0] = f"**{cells[0]}**" + ("" if line.is_met else " (missed)")
    return cells


def _table(corner: str, heads: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> str:
    """As docs/verdict.md has it (Markdown)."""
    lines = [f"| {corner} | {' | '.join(heads)} |", f"|---|{'---|' * len(heads)}"]
    return "\n".join([*lines, *(f"| {name} | {' | '.join(cells)} |" for name, cells in rows)]) + "\n"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verdict", description=__doc__)
    parser.add_argument("--worlds", type=int, default=2_000, help="of each seed")
    parser.add_argument("--first", type=int, default=0, help="number of the first world")
    parser.add_argument("--seeds", default="1,2", help="with commas between them")
    parser.add_argument("--step", type=int, default=3, help="judge every so many days (1: all of them)")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--picture", type=Path, help="write the picture (SVG) there")
    parser.add_argument("--docs", type=Path, help="write the tables between the marks of this page")
    parser.add_argument("--failing", type=int, default=0, help="name so many worlds of each kind of failure")
    parser.add_argument("--show", metavar="SEED:NUMBER", help="nothing but one world, day by day")
    parser.add_argument(
        "--results", type=Path, help="keep each world's outcome there (JSON lines); worlds in it are not run again"
    )
    return parser.parse_args()


def _outcomes(options: argparse.Namespace) -> Iterator[Outcome]:
    """Those kept from an earlier run, then the others."""
    earlier: list[Outcome] = []
    if options.results and options.results.exists():
        earlier = [msgspec.json.decode(line, type=Outcome) for line in options.results.read_bytes().splitlines()]
    numbers = range(options.first, options.first + options.worlds)
    wanted = [(seed, number) for seed in map(int, options.seeds.split(",")) for number in numbers]
    known = {(outcome.seed, outcome.number): outcome for outcome in earlier if outcome.step == options.step}
    yield from (known[key] for key in wanted if key in known)
    missing = [key for key in wanted if key not in known]
    began, finished = time.monotonic(), 0
    for batch in run.outcomes(missing, options.step, options.jobs):
        yield from batch
        finished += len(batch)
        if options.results:
            with options.results.open("ab") as file:
                file.writelines(msgspec.json.encode(outcome) + b"\n" for outcome in batch)
        print(f"{finished} of {len(missing)} worlds, {time.monotonic() - began:.0f} s", file=sys.stderr)


def _mix(outcomes: Sequence[Outcome], options: argparse.Namespace) -> str:
    kinds = collections.Counter(outcome.kind for outcome in outcomes)
    forged = sum(bool(outcome.forger) for outcome in outcomes)
    strange = sum(bool(outcome.strangers) for outcome in outcomes)
    judged = sum(len(outcome.days) for outcome in outcomes)
    written = sum(outcome.reports for outcome in outcomes)
    advised = sum(outcome.switch == "advised" and outcome.switched is not None for outcome in outcomes)
    return (
        f"{len(outcomes):,} worlds of {DAYS} days (seeds {options.seeds}): "
        + ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
        + f"; {advised} switched on the verdict's advice; {forged} with a forger, {strange} with strangers. "
        f"{written:,} reports, {judged:,} verdicts: every {options.step} days, and daily where "
        "something begins or ends.\n"
    )


def _print_failing(outcomes: Sequence[Outcome], most: int) -> None:
    counts: collections.Counter[str] = collections.Counter()
    for why, outcome, days in figures.failing(outcomes):
        counts[why] += 1
        if counts[why] <= most:
            who = f", strangers: {outcome.strangers} x{outcome.domains}" if outcome.strangers else ""
            print(f"{why}: --show {outcome.seed}:{outcome.number} ({outcome.kind} {outcome.switch}{who}), days {days}")
    print("; ".join(f"{why}: {count} worlds" for why, count in counts.items()))


def _show(seed: int, number: int) -> int:
    """One world, every day: the truth, the verdict and its reasons."""
    (outcome,) = run.together(seed, [number], step=1)
    print(world(seed, number))
    for due in outcome.due:
        print(due)
    for day in outcome.days:
        moved = f" (without strangers: {day.without})" if day.without not in ("", day.verdict) else ""
        state = "quiet" if day.quiet else "trouble"
        print(
            f"{day.day:3} {day.mode:8} coming {day.begun:7.3%} {state:7} {day.verdict}: {', '.join(day.reasons)}{moved}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
