"""``make fuzz``: every target in a process of its own, as many at a time as there are cores, and one table at the end.

Everything is written below .cache/fuzz. A finding's input stays there; ``python -m tests.fuzz.run --replay FILE`` runs it again.
"""

import argparse
import concurrent.futures
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.fuzz.worker import atheris_is_here
from tests.support import ROOT

PLACE = ROOT / ".cache" / "fuzz"
# Of 10,000 executions; fast targets get more. Measured without coverage: inflate 19 us, dialogue 2 ms.
SHARES = {
    "inflate": 2_000,
    "usual": 500,
    "records": 2_000,
    "mailbox": 1_250,
    "trace": 1_000,
    "dkim": 1_000,
    "policy": 600,
    "report": 500,
    "mail": 400,
    "upload": 300,
    "recognition": 250,
    "data": 150,
    "dialogue": 50,
}
# Large inputs find what costs time by the square; each takes as long as hundreds of small ones.
LARGE_ONE_IN = 1_000
DEFAULT_SECONDS = 4 * 3_600


class Job(NamedTuple):
    """One target under one engine; 0 is without bound."""

    target: str
    engine: str
    runs: int
    seconds: float

    @property
    def folder(self) -> Path:
        """Where its log, figures, corpus and findings are."""
        return PLACE / self.target / self.engine


class Outcome(NamedTuple):
    """What a job brought. ``coverage`` is atheris's number of edges, 0 without it."""

    job: Job
    executions: int
    seconds: float
    slowest: float
    coverage: int
    findings: list[Path]


def jobs(targets: Sequence[str], runs: int, seconds: float, processes: int) -> list[Job]:
    """The jobs for ``runs`` executions in all, or for ``seconds``; the longest first."""
    small = "atheris" if atheris_is_here() else "mutation"
    if runs:
        total = sum(SHARES[name] for name in targets)
        shares = {name: max(1, runs * SHARES[name] // total) for name in targets}
        small_jobs = [Job(name, small, share, 0) for name, share in shares.items()]
        return small_jobs + [Job(name, "large", max(1, share // LARGE_ONE_IN), 0) for name, share in shares.items()]
    each = max(2.0, seconds * processes / len(targets))
    small_jobs = [Job(name, small, 0, each * 0.9) for name in targets]
    return small_jobs + [Job(name, "large", 0, each * 0.1) for name in targets]


def run(job: Job) -> Outcome:
    """Run a job to its end."""
    job.folder.mkdir(parents=True, exist_ok=True)
    for old in [*job.folder.glob("figures.json"), *job.folder.glob("finding-*"), *job.folder.glob("libfuzzer-*")]:
        old.unlink()
    command = [
        sys.executable,
        "-m",
        "tests.fuzz.worker",
        job.target,
        job.engine,
        str(job.runs),
        str(job.seconds),
        str(job.folder),
    ]
    with (job.folder / "log").open("wb") as log:
        done = subprocess.run(
            command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False
        )
    text = (job.folder / "log").read_text(errors="replace")
    findings = sorted(job.folder.glob("finding-*")) or sorted(job.folder.glob("libfuzzer-*"))
    if done.returncode and not findings:  # the process died of its own: the log says why
        findings = [job.folder / "log"]
    figures = _figures(job)
    counted = re.findall(r"stat::number_of_executed_units:\s*(\d+)", text)
    took = re.findall(r"Done \d+ runs in (\d+) second", text)
    edges = re.findall(r" cov: (\d+) ", text)
    executions = max(int(counted[-1]) if counted else 0, int(figures["executions"]))
    seconds = float(took[-1]) if took else figures["seconds"]
    return Outcome(job, executions, seconds, figures["slowest"], int(edges[-1]) if edges else 0, findings)


def _figures(job: Job) -> dict[str, float]:
    path = job.folder / "figures.json"
    return json.loads(path.read_text()) if path.exists() else {"executions": 0, "seconds": 0.0, "slowest": 0.0}


def line(outcome: Outcome) -> str:
    """One row of the table."""
    rate = outcome.executions / outcome.seconds if outcome.seconds else 0
    findings = ", ".join(str(path.relative_to(ROOT)) for path in outcome.findings) or "none"
    edges = str(outcome.coverage or "-")
    name = f"{outcome.job.target:9} {outcome.job.engine:9}"
    return f"{name} {outcome.executions:>11,} {rate:>9,.0f} {edges:>9} {outcome.slowest:>9.3f}  {findings}"


def replay(path: Path) -> None:
    """Run one input again; its folder's name says which target it is for. Raises what it raises."""
    from tests.fuzz.targets import TARGETS
    from tests.fuzz.watch import Watch

    names = [part for part in path.resolve().parts if part in TARGETS]
    watch = Watch(TARGETS[names[-1]].run)
    watch(path.read_bytes())
    sys.stdout.write(f"{names[-1]}: nothing found, {watch.slowest:.3f} s\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """0, or 1 when something was found."""
    parser = argparse.ArgumentParser(prog="make fuzz")
    parser.add_argument("--runs", type=int, default=0, help="executions in all (default: as many as the time allows)")
    parser.add_argument("--seconds", type=float, default=DEFAULT_SECONDS, help="time in all, unless runs are given")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="at a time")
    parser.add_argument("--replay", type=Path, help="run one input again")
    parser.add_argument("targets", nargs="*", choices=[*SHARES, []], help="default: all")
    chosen = parser.parse_args(arguments)
    if chosen.replay:
        replay(chosen.replay)
        return 0
    planned = jobs(chosen.targets or list(SHARES), chosen.runs, chosen.seconds, chosen.processes)
    say = sys.stdout.write
    say(f"{'target':9} {'engine':9} {'executions':>11} {'per s':>9} {'coverage':>9} {'slowest s':>9}  findings\n")
    outcomes = []
    with concurrent.futures.ThreadPoolExecutor(chosen.processes) as pool:
        for future in concurrent.futures.as_completed([pool.submit(run, job) for job in planned]):
            outcomes.append(future.result())
            say(line(outcomes[-1]) + "\n")
            sys.stdout.flush()
    findings = sum(len(outcome.findings) for outcome in outcomes)
    say(f"{sum(outcome.executions for outcome in outcomes):,} executions, {findings} findings\n")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
