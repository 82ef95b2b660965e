"""Both doors, really listening, in a thread of their own."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator, Mapping

from ingest.doors.receiving import receive, run_loop
from ingest.monitoring.health import Check
from ingest.settings.settings import Address, Settings
from ingest.spool.maildir import Spool


@contextlib.contextmanager
def running_doors(settings: Settings, checks: Mapping[str, Check] | None = None) -> Iterator[dict[str, Address]]:
    """The addresses of the doors, by name (smtp, http); they are closed at the end, and a fault of theirs is raised here."""
    ready = threading.Event()
    collected: dict[str, Address] = {}
    controls: dict[str, object] = {}
    faults: list[BaseException] = []

    async def main() -> None:
        stop = asyncio.Event()
        controls.update(loop=asyncio.get_running_loop(), stop=stop)

        def note(addresses: dict[str, Address]) -> None:
            collected.update(addresses)
            ready.set()

        await receive(settings, Spool(settings.spool), stop, on_ready=note, checks=checks)

    def thread() -> None:
        try:
            run_loop(main())
        except BaseException as fault:  # noqa: BLE001
            faults.append(fault)
            ready.set()

    running = threading.Thread(target=thread)
    running.start()
    ready.wait(20)
    try:
        if faults:
            raise faults[0]
        yield collected
    finally:
        if not faults:
            controls["loop"].call_soon_threadsafe(controls["stop"].set)  # type: ignore[attr-defined]
        running.join(20)
    assert not running.is_alive()
    if faults:
        raise faults[0]


def spooled(settings: Settings) -> list[bytes]:
    """The messages in the spool, oldest first."""
    return [path.read_bytes() for path in sorted((settings.spool / "new").iterdir())]
