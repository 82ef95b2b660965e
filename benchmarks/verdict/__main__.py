"""The simulator: ``python -m benchmarks.verdict`` prints the table of docs/verdict.md; ``--picture`` draws its picture.

Ends with 1 when the verdict breaks its promise: at most 5 % false ready, fewer than any of the other rules, and fewer missed or
late alarms than any of them.
"""

import argparse
import collections
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from . import figures, picture, run
from .run import RULES, Outcome
from .worlds import DAYS, world

PROMISE = 0.05


def main() -> int:
    options = _options()
    found = list(_found(options))
    print(_mix(found, options))
    _print_table("", RULES, figures.table(found))
    rates = figures.false_ready_by_rate(found).items()
    by_rate = [
        (f"{rate * 100:g} %", [f"{share.value:.1%} of {share.of:,}" for share in shares]) for rate, shares in rates
    ]
    _print_table("true rate: due days called ready", RULES, by_rate)
    for enough, much in ((True, "enough"), (False, "too little")):
        why = figures.why_withheld(found, enough=enough).items()
        _print_table(
            f"why {RULES[0]} withheld ready, {much} to see", ["days"], [(name, [f"{count:,}"]) for name, count in why]
        )
    if options.picture:
        options.picture.write_text(picture.drawn(found), encoding="utf-8")
    broken = list(_broken(found))
    print(f"\nbroken promises: {'; '.join(broken) or 'none'}")
    return 1 if broken else 0


def _print_table(corner: str, heads: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> None:
    """As docs/verdict.md has it (Markdown)."""
    print(f"\n| {corner} | {' | '.join(heads)} |\n|---|{'---|' * len(heads)}")
    for name, cells in rows:
        print(f"| {name} | {' | '.join(cells)} |")


def _broken(found: Sequence[Outcome]) -> Iterator[str]:
    """What of the promise does not hold."""
    for name, error in (("false ready", figures.false_ready), ("missed or late alarms", figures.late_alarms)):
        ours, *others = (error(found, rule).value for rule in range(len(RULES)))
        if name == "false ready" and ours > PROMISE:
            yield f"{name}: {ours:.2%}, more than {PROMISE:.0%}"
        for rule, theirs in zip(RULES[1:], others, strict=True):
            if ours >= theirs:
                yield f"{name}: {ours:.2%}, not below the {theirs:.2%} of {rule}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verdict", description=__doc__)
    parser.add_argument("--worlds", type=int, default=2_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first world")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--step", type=int, default=5, help="judge every so many days (1: all of them, about five times as long)"
    )
    parser.add_argument("--strangers", action="store_true", help="only the worlds with signed strangers")
    parser.add_argument(
        "--listed", action="store_true", help="the operator has listed the honest signers (VERDICT_SIGNERS)"
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--picture", type=Path, help="write the picture (SVG) there")
    parser.add_argument(
        "--results", type=Path, help="keep each world's outcome there (JSON lines); worlds in it are not run again"
    )
    return parser.parse_args()


def _found(options: argparse.Namespace) -> Iterator[Outcome]:
    """Those kept from an earlier run, then the others."""
    kept: list[Outcome] = []
    if options.results and options.results.exists():
        kept = [msgspec.json.decode(line, type=Outcome) for line in options.results.read_bytes().splitlines()]
    yield from kept
    known = {one.number for one in kept}
    wanted = range(options.first, options.first + options.worlds)
    missing: Sequence[int] = [number for number in wanted if number not in known]
    if options.strangers:
        missing = [number for number in missing if world(options.seed, number).strangers]
    for one in run.outcomes(options.seed, missing, options.step, options.jobs, listed=options.listed):
        if options.results:
            with options.results.open("ab") as file:
                file.write(msgspec.json.encode(one) + b"\n")
        yield one


def _mix(found: Sequence[Outcome], options: argparse.Namespace) -> str:
    kinds = collections.Counter(one.kind for one in found)
    forged = sum(bool(one.forger) for one in found)
    strange = sum(bool(one.strangers) for one in found)
    judged = sum(len(one.days) for one in found)
    return (
        f"{len(found):,} worlds of {DAYS} days (seed {options.seed}): "
        + ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
        + f"; {forged} with a forger, {strange} with signed strangers. "
        f"{sum(one.reports for one in found):,} reports, {judged:,} verdicts: every {options.step} days, and daily where "
        "something begins."
    )


if __name__ == "__main__":
    sys.exit(main())
