"""Row 11: a thousand slow connections (silent, dripping, looping, stalled) do not keep an honest sender waiting.

Nor do three thousand addresses with one idle connection each. The attackers are a process of its own with addresses of its own
in 127.0.0.0/8; whoever is sent away comes back at once, and of the three thousand after some seconds: five thousand new
connections a second would measure how fast this machine accepts, not who gets a place.
"""

import asyncio
import contextlib
import itertools
import multiprocessing
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from tests.certificates import write_certificate

from .clients import BROKEN, HttpClient, SmtpClient
from .figures import Figures, milliseconds, options, percentile
from .ledger import Ledger, judge
from .load import Load
from .site import descriptors, peak_bytes, site, until

_DRIP_SECONDS = 1.0
_COMES_BACK_AFTER = 0.5
_IDLE_COMES_BACK_AFTER = 5.0
_EACH_ADDRESS = 40
MIB = 1024 * 1024


async def _silent(client: SmtpClient | HttpClient) -> None:
    await client.reader.read()


async def _drip(client: SmtpClient | HttpClient) -> None:
    for letter in itertools.cycle(b"NOOP"):
        client.writer.write(bytes([letter]))
        await client.writer.drain()
        await asyncio.sleep(_DRIP_SECONDS)


async def _loop(client: SmtpClient) -> None:
    while True:
        await client.say("NOOP")
        await asyncio.sleep(_DRIP_SECONDS)


async def _drip_data(client: SmtpClient) -> None:
    await client.envelope()
    await _drip(client)


async def _stalled_tls(client: SmtpClient) -> None:
    await client.say("STARTTLS", "220")
    await client.reader.read()


async def _drip_header(client: HttpClient) -> None:
    client.writer.write(b"POST /v1/tlsrpt HTTP/1.1\r\nX: ")
    await _drip(client)


async def _drip_body(client: HttpClient) -> None:
    client.writer.write(b"POST /v1/tlsrpt HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
    await _drip(client)


_SMTP: tuple[Callable[[Any], Awaitable[None]], ...] = (_silent, _drip, _loop, _drip_data, _stalled_tls)
_HTTP: tuple[Callable[[Any], Awaitable[None]], ...] = (_silent, _drip_header, _drip_body)


async def _attacker(
    kind: type[SmtpClient] | type[HttpClient],
    behave: Callable[[Any], Awaitable[None]],
    address: tuple[str, int],
    source: str,
    comes_back_after: float,
) -> None:
    while True:
        with contextlib.suppress(*BROKEN):
            client = await kind.connect(address, source)
            try:
                await behave(client)
            finally:
                client.reset()
        await asyncio.sleep(comes_back_after)


async def _attack(smtp: tuple[str, int], http: tuple[str, int], count: int, each: int) -> None:
    idle = each == 1
    after = _IDLE_COMES_BACK_AFTER if idle else _COMES_BACK_AFTER
    async with asyncio.TaskGroup() as group:
        for number in range(count):
            address = 256 + number // each
            source = f"127.{1 + address // 65_536}.{address // 256 % 256}.{1 + address % 254}"
            if number % 5 == 4:
                behave = _silent if idle else _HTTP[number // 5 % len(_HTTP)]
                group.create_task(_attacker(HttpClient, behave, http, source, after))
            else:
                behave = _silent if idle else _SMTP[number // 5 % len(_SMTP)]
                group.create_task(_attacker(SmtpClient, behave, smtp, source, after))
            await asyncio.sleep(0.001)


def attack(smtp: tuple[str, int], http: tuple[str, int], count: int, each: int) -> None:
    """What the attacking process does, until it is ended: so many connections, ``each`` of them from one address."""
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (count + 256, max(count + 256, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    )
    asyncio.run(_attack(smtp, http, count, each))


def run(
    figures: Figures,
    *,
    connections: int,
    seconds: float,
    each: int = _EACH_ADDRESS,
    timed: bool = True,
    **settings: object,
) -> None:
    """Honest senders, each report with a new connection, before and during the attack. ``timed=False`` leaves out the promise
    that a busy machine breaks.
    """
    with site(**settings) as honest:
        certificate, key = write_certificate(honest.folder)
        honest.environment |= {"STARTTALLY_TLS_CERTIFICATE": str(certificate), "STARTTALLY_TLS_KEY": str(key)}
        honest.start_all()
        door = honest.parts["receive"].pid
        ledger = Ledger()
        with Load(honest, ledger, smtp=3, http=2, rate=40, reuse=False) as load:
            time.sleep(min(seconds, 10))
            before = list(load.seconds)
            attackers = multiprocessing.get_context("spawn").Process(
                target=attack, args=(honest.smtp, honest.http, connections, each)
            )
            attackers.start()
            try:
                # The doors' limits keep some of them out.
                there = 0.4 * min(connections, 2 * int(str(settings.get("max_connections", 500))))
                seen = [0]

                def look() -> bool:
                    seen.append(descriptors(door))
                    return max(seen) >= there

                until(look, 120, "the attackers are there")
                time.sleep(connections / 300)
                start = len(load.seconds)
                for _ in range(int(seconds / 0.25)):
                    time.sleep(0.25)
                    look()
                most = max(seen)
            finally:
                attackers.kill()
                attackers.join()
            during = load.seconds[start:]
        figures.show("slow connections", connections)
        figures.show("addresses that they come from", -(-connections // each))
        for name, taken in (("before", before), ("during", during)):
            figures.show(f"honest reports {name}", len(taken))
            figures.show(f"honest p50 {name}", milliseconds(percentile(taken, 0.5)))
        figures.show("honest p99 before", milliseconds(percentile(before, 0.99)))
        worst = percentile(during, 0.99)
        figures.must(
            "honest p99 during", milliseconds(worst), len(during) > 10 and (worst <= 1 or not timed), "at most 1 s"
        )
        figures.show("honest max during", milliseconds(max(during, default=0)))
        figures.show("honest attempts sent away", str(dict(load.refused)))
        figures.must("descriptors of the doors, most", most, most >= there, "the attackers are really there")
        peak = peak_bytes(door) / MIB
        figures.must("memory of the doors, most, MiB", peak, peak <= 256, "at most 256 MiB")
        exhausted = honest.logged("receive").count(b"Too many open files")
        figures.must("descriptors exhausted", exhausted, exhausted == 0, "never")
        honest.drain(60)
        judge(figures, ledger, honest)


def main() -> int:
    chosen = options(__doc__).parse_args()
    figures = Figures("slow_peers")
    run(figures, connections=1_000, seconds=60 if chosen.long else 10)
    many = Figures("slow_peers, each of an address of its own")
    run(many, connections=3_000, seconds=60 if chosen.long else 10, each=1)
    return figures.finish() or many.finish()


if __name__ == "__main__":
    sys.exit(main())
