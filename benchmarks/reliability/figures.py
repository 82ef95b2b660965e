"""What a run found: figures, and which promises they keep or break."""

import argparse
import signal
import sys
import time
from collections.abc import Sequence


class Figures:
    """Figures of one run, printed as they come. ``passed`` is false as soon as one promise is broken."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.lines: list[str] = []
        self.broken: list[str] = []
        self._began = time.monotonic()
        print(f"== {title}", flush=True)

    @property
    def passed(self) -> bool:
        """Whether every promise held."""
        return not self.broken

    def show(self, name: str, value: object) -> None:
        """A figure that decides nothing."""
        self._print(f"{name:<46} {_words(value):>14}")

    def must(self, name: str, value: object, holds: bool, promise: str) -> None:
        """A figure with the promise that it keeps or breaks."""
        line = f"{name:<46} {_words(value):>14}  {'PASS' if holds else 'FAIL'}  {promise}"
        self._print(line)
        if not holds:
            self.broken.append(line)

    def finish(self) -> int:
        """The exit code."""
        self.show("seconds", time.monotonic() - self._began)
        print(f"{'FAIL' if self.broken else 'PASS'}  {self.title}", flush=True)
        return 1 if self.broken else 0

    def _print(self, line: str) -> None:
        self.lines.append(line)
        print(line, flush=True)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that is no less than ``share`` of them; 0.0 without values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def milliseconds(seconds: float) -> str:
    """A duration as text."""
    return f"{seconds * 1000:.1f} ms"


def options(description: str | None) -> argparse.ArgumentParser:
    """The command line that all modules share. From here on SIGTERM ends the run as Ctrl-C does: no process is left behind."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--long", action="store_true", help="the counts that docs/reliability.md shows")
    parser.add_argument("--seed", type=int, default=1, help="for what happens at random")
    return parser


def _words(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,.2f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
