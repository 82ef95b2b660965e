"""What a power cut would leave, told from a process's system calls as strace writes them.

The model is the harshest that POSIX allows: a file's content is safe only when it has been synced since it was written,
its name only when the folder has been synced since the name appeared there.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

CALLS = (
    "openat,creat,write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg,fsync,fdatasync,ftruncate,"
    "rename,renameat,renameat2,link,linkat,unlink,unlinkat"
)
_WHOLE = re.compile(r"^(\d+) +(\w+)\((.*)\) += +(.*)$")
_BEGUN = re.compile(r"^(\d+) +(\w+)\((.*) <unfinished \.\.\.>$")
_RESUMED = re.compile(r"^(\d+) +<\.\.\. (\w+) resumed>(.*)\) += +(.*)$")
_DESCRIPTOR = re.compile(r"^\d+<(/[^>]*)>")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_WRITES = {"write", "writev", "pwrite64", "pwritev", "pwritev2", "ftruncate"}


class Call(msgspec.Struct, frozen=True):
    """One end of a system call: ``result`` is None where it begins."""

    process: str
    name: str
    arguments: str
    result: str | None


def strace(trace: Path) -> list[str]:
    """The command that runs another one under strace, whose process id stays that of the command itself (-D)."""
    return ["strace", "-D", "-f", "-y", "-s", "120", "-e", f"trace={CALLS}", "-e", "signal=none", "-o", str(trace)]


def calls(lines: Iterable[str]) -> Iterator[Call]:
    """Beginnings and ends, in the order in which they happened."""
    begun: dict[str, str] = {}
    for line in lines:
        if whole := _WHOLE.match(line):
            process, name, arguments, result = whole.groups()
            yield Call(process, name, arguments, None)
            yield Call(process, name, arguments, result)
        elif half := _BEGUN.match(line):
            process, name, arguments = half.groups()
            begun[process] = arguments
            yield Call(process, name, arguments, None)
        elif resumed := _RESUMED.match(line):
            process, name, more, result = resumed.groups()
            yield Call(process, name, begun.pop(process, "") + more, result)


class File(msgspec.Struct, eq=False):
    """A file: how often it was written, and up to which of these writes it is safe."""

    written: int = 0
    safe: int = 0


class Listing(msgspec.Struct, eq=False):
    """A folder's names when a sync of it began; ``turn`` counts the beginnings of all syncs."""

    turn: int = 0
    names: dict[str, File] = {}


class Disk:
    """Files and folders as programs see them, and as they would be after a power cut now."""

    def __init__(self, working_folder: Path) -> None:
        self._working_folder = working_folder
        self.seen: dict[Path, File] = {}
        self._safe_listings: dict[Path, Listing] = {}
        self._syncing: dict[str, tuple[File, int] | Listing] = {}
        self._turn = 0

    def follow(self, call: Call) -> None:
        """Take in one beginning or end of a call."""
        if call.name in ("fsync", "fdatasync"):
            self._sync(call)
        elif call.result is not None and not call.result.startswith("-1"):
            self._change(call)

    def survivors(self, folder: Path) -> set[str]:
        """Names in a folder that a power cut would leave there, with all that was written into them."""
        safe = self._safe_listings.get(folder, Listing())
        return {name for name, file in safe.names.items() if file.safe == file.written}

    def unsafe(self, suffix: str) -> bool:
        """Whether a file with such a name has been written and not synced since."""
        return any(file.safe != file.written for file in self._named(suffix))

    def safe_writes(self, suffix: str) -> int:
        """How many writes into files with such a name are safe."""
        return sum(file.safe for file in self._named(suffix))

    def _named(self, suffix: str) -> list[File]:
        return [file for path, file in self.seen.items() if path.name.endswith(suffix)]

    def _change(self, call: Call) -> None:
        paths = self._paths(call)
        if call.name in ("openat", "creat"):
            opened = _DESCRIPTOR.match(call.result or "")
            if opened:
                self.seen.setdefault(Path(opened[1]), File())
        elif call.name in _WRITES:
            written = _DESCRIPTOR.match(call.arguments)
            if written:
                self.seen.setdefault(Path(written[1]), File()).written += 1
        elif call.name.startswith("rename"):
            self.seen[paths[1]] = self.seen.pop(paths[0], File())
        elif call.name.startswith("link"):
            self.seen[paths[1]] = self.seen.get(paths[0], File())
        elif call.name.startswith("unlink"):
            self.seen.pop(paths[0], None)

    def _sync(self, call: Call) -> None:
        """What a sync makes safe is what had been done when it began; it is safe when the sync has ended.

        Syncs overlap. One that ends takes nothing back that another, which began later, has made safe already.
        """
        synced = _DESCRIPTOR.match(call.arguments)
        if not synced:
            return
        path = Path(synced[1])
        if call.result is None:
            self._syncing[call.process] = self._now(path)
            return
        then = self._syncing.pop(call.process)
        if call.result != "0":
            return
        if isinstance(then, Listing):
            if then.turn > self._safe_listings.get(path, Listing()).turn:
                self._safe_listings[path] = then
        else:
            file, written = then
            file.safe = max(file.safe, written)

    def _now(self, path: Path) -> tuple[File, int] | Listing:
        """What a sync that begins now would make safe: the writes into a file, or a folder's names."""
        self._turn += 1
        names = {other.name: file for other, file in self.seen.items() if other.parent == path}
        file = self.seen.get(path)
        return (file, file.written) if file and not names else Listing(self._turn, names)

    def _paths(self, call: Call) -> list[Path]:
        return [self._working_folder / text for text in _QUOTED.findall(call.arguments)]
