"""Fuzzes one target in this process: ``python -m tests.fuzz.worker TARGET ENGINE RUNS SECONDS FOLDER``; 0 is without bound.

Engines: ``atheris`` (guided by coverage), ``mutation`` (the test suite's mutator), ``large`` (the same, with pieces repeated
up to 256 KiB, in the memory that the worker has). Writes figures to FOLDER/figures.json and a finding's input to
FOLDER/finding-*; exits with 1 after a finding.
"""

import hashlib
import importlib.util
import json
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from ingest.work.limited import limit_process
from tests.fuzz.mutation import Mutator
from tests.fuzz.watch import Watch

# What atheris watches: our code and the parsers behind it.
INSTRUMENTED = ["ingest", "dkim", "aiosmtpd", "email"]
MAX_BYTES = 8 * 1024
ATHERIS_MEGABYTES = 1_024


def atheris_is_here() -> bool:
    """Whether coverage can guide: there are wheels for CPython 3.11 to 3.13 on Linux."""
    return importlib.util.find_spec("atheris") is not None


class Recorder:
    """Figures and findings on disk."""

    def __init__(self, watch: Watch, folder: Path) -> None:
        self._watch = watch
        self._folder = folder
        self._began = time.monotonic()
        self._written = 0.0
        self._slowest = 0.0

    def run(self, data: bytes) -> None:
        """One execution; a finding is written before it is raised."""
        try:
            self._watch(data)
        except BaseException:
            path = self._folder / f"finding-{hashlib.sha256(data).hexdigest()[:16]}"
            path.write_bytes(data)
            self.write()
            raise
        # Atheris ends the process without a word, so the slowest input is written when it is met.
        if self._watch.slowest > self._slowest or (
            self._watch.executions % 256 == 0 and time.monotonic() - self._written > 5
        ):
            self.write()

    def write(self) -> None:
        """The figures so far."""
        self._written, self._slowest = time.monotonic(), self._watch.slowest
        figures = {
            "executions": self._watch.executions,
            "seconds": self._written - self._began,
            "slowest": self._watch.slowest,
        }
        (self._folder / "slowest-input").write_bytes(self._watch.slowest_input)
        (self._folder / "figures.json").write_text(json.dumps(figures))


def by_mutation(name: str, runs: int, seconds: float, folder: Path, *, large: bool) -> None:
    """Run the seeds, then mutated inputs: ``runs`` of them, or as many as ``seconds`` allow."""
    from tests.fuzz.targets import TARGETS

    target = TARGETS[name]
    if large:
        limit_process()
    recorder = Recorder(Watch(target.run), folder)
    mutator = Mutator(target.seeds, target.words, time.time_ns(), grow=large)
    for seed in target.seeds:
        target.run(seed)
    end = time.monotonic() + seconds if seconds else None
    done = 0
    while (not runs or done < runs) and (not end or time.monotonic() < end):
        recorder.run(mutator.next())
        done += 1
    recorder.write()


def by_atheris(name: str, runs: int, seconds: float, folder: Path) -> None:
    """Run under atheris, which ends the process. New inputs are kept in FOLDER/corpus for the next time."""
    import atheris

    with atheris.instrument_imports(include=INSTRUMENTED, enable_loader_override=False):
        from tests.fuzz.targets import TARGETS
    target = TARGETS[name]
    corpus, begin = folder / "corpus", folder / "seeds"
    for place in (corpus, begin):
        place.mkdir(exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (begin / str(number)).write_bytes(seed)
    for seed in target.seeds[:3]:  # what is loaded at first use is no cost of an input
        target.run(seed)
    recorder = Recorder(Watch(target.run), folder)
    (folder / "words").write_text("".join(_dictionary_line(word) for word in target.words))
    options = {
        "runs": runs or -1,
        "max_total_time": int(seconds),
        "max_len": MAX_BYTES,
        "rss_limit_mb": ATHERIS_MEGABYTES,
        "timeout": 60,
        "dict": folder / "words",
        "artifact_prefix": f"{folder}/libfuzzer-",
        "print_final_stats": 1,
    }
    atheris.Setup([name, *(f"-{key}={value}" for key, value in options.items()), str(corpus), str(begin)], recorder.run)
    atheris.Fuzz()


def _dictionary_line(word: bytes) -> str:
    return '"' + "".join(f"\\x{byte:02x}" for byte in word[:64]) + '"\n' if word else ""


def main(arguments: Sequence[str]) -> int:
    """0, or 1 after a finding. Atheris exits by itself, with 77 after one."""
    name, engine, runs, seconds, place = arguments
    folder = Path(place)
    try:
        if engine == "atheris":
            by_atheris(name, int(runs), float(seconds), folder)
        else:
            by_mutation(name, int(runs), float(seconds), folder, large=engine == "large")
    except BaseException:  # noqa: BLE001  atheris leaves by SystemExit, and a finding is whatever is raised
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
