"""Two commands side by side: one after the other, round after round, so that both meet the same machine; ratios of medians."""

import os
import statistics
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.support import ROOT

# Peers live apart from the product, at the versions that docs/benchmarks.md names.
PEERS = ROOT / ".cache" / "bench" / "peers"
PARSEDMARC = "parsedmarc==11.1.0"
ROUNDS = 5


class Usage(NamedTuple):
    """What a command took: seconds of processor time of it and its children, seconds of wall."""

    cpu: float
    wall: float


def peer_python() -> Path:
    """The interpreter of the environment that has the peers; made when absent."""
    python = PEERS / "bin" / "python"
    if not python.exists():
        venv.create(PEERS, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", PARSEDMARC], check=True)
    return python


def usage(command: Sequence[str | Path], *good_codes: int, **environment: str) -> Usage:
    """Run a command to its end. Raises CalledProcessError for an exit code other than 0 and ``good_codes``."""
    before, began = os.times(), os.times().elapsed
    ended = subprocess.run(command, env=os.environ | environment, capture_output=True, check=False)
    after = os.times()
    if ended.returncode not in (0, *good_codes):
        sys.stderr.buffer.write(ended.stdout + ended.stderr)
        ended.check_returncode()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Usage(cpu, after.elapsed - began)


def printed_seconds(command: Sequence[str | Path]) -> float:
    """The number that a command prints: the processor time of what it measured in itself, without its start."""
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if ended.returncode:
        sys.stderr.write(ended.stdout + ended.stderr)
        ended.check_returncode()
    return float(ended.stdout.split()[-1])


def show(name: str, ours: Sequence[float], peers: Sequence[float], count: int, goal: float) -> bool:
    """A line: ours and the peer's number a second, their ratio beside the goal. Whether it is reached."""
    ratio = statistics.median(peer / our for our, peer in zip(ours, peers, strict=True))
    our, peer = count / statistics.median(ours), count / statistics.median(peers)
    reached = ratio >= goal
    verdict = "reached" if reached else "MISSED"
    sys.stdout.write(f"{name:44} {our:10,.0f} {peer:10,.0f} {ratio:8.2f}  goal {goal:g}: {verdict}\n")
    return reached


def head(title: str, ours: str, peer: str) -> None:
    """The title of a table, and how busy the machine was before it."""
    sys.stdout.write(f"{title} (load average {os.getloadavg()[0]:.2f})\n")
    sys.stdout.write(f"{'':44} {ours:>10} {peer:>10} {'ratio':>8}\n")
