"""A real name server for tests, on one loopback port by UDP and TCP, that answers from a dict and misbehaves on request."""

import contextlib
import socket
import socketserver
import struct
import threading
from collections.abc import Iterator, Mapping
from typing import Any, Self

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import msgspec

from ingest.settings.settings import Address

_CHAIN = 8


class Records(msgspec.Struct, frozen=True):
    """Records of one type, each in the notation of zone files. Asked for another type, the name has nothing (NOERROR)."""

    rdtype: str
    rdata: tuple[str, ...]
    ttl: int = 300


class Cname(msgspec.Struct, frozen=True):
    """An alias; its target is looked up in the same zone."""

    target: str
    ttl: int = 300


class Fails(msgspec.Struct, frozen=True):
    """An error reply: SERVFAIL, NXDOMAIN, REFUSED..."""

    rcode: str


class Silent(msgspec.Struct, frozen=True):
    """No reply at all."""


class Slow(msgspec.Struct, frozen=True):
    """``answer`` after ``seconds``."""

    seconds: float
    answer: Any


class Truncated(msgspec.Struct, frozen=True):
    """By UDP an empty reply that says "ask by TCP"; there, ``answer``."""

    answer: Any


SERVFAIL, NXDOMAIN, SILENT = Fails("SERVFAIL"), Fails("NXDOMAIN"), Silent()
# A name has one of the above, or several Records of different types.
Zone = Mapping[str, Any]


def txt(*texts: str | bytes, ttl: int = 300, size: int = 255) -> Records:
    """TXT records, each cut into strings of ``size`` bytes."""
    rdata = []
    for text in texts:
        data = text.encode() if isinstance(text, str) else text
        strings = [data[at : at + size] for at in range(0, len(data), size)] or [b""]
        rdata.append(" ".join('"' + "".join(f"\\{byte:03d}" for byte in string) + '"' for string in strings))
    return Records("TXT", tuple(rdata), ttl)


class NameServer:
    """Answers from ``zone`` (names in lower case, without a final dot) while the context lasts.

    What is not in the zone has the answer ``otherwise``. ``zone`` may be changed meanwhile. ``queries`` lists what was
    asked: (name, type, "udp" or "tcp").
    """

    def __init__(self, zone: Zone, otherwise: Any = NXDOMAIN) -> None:
        self.zone = zone
        self.otherwise = otherwise
        self.queries: list[tuple[str, str, str]] = []
        self.stopping = threading.Event()
        self._udp, self._tcp = _bound(self)
        self._threads = [
            threading.Thread(target=server.serve_forever, args=(0.05,)) for server in (self._udp, self._tcp)
        ]

    @property
    def address(self) -> Address:
        """For ``settings.nameservers``; as text, for STARTTALLY_NAMESERVERS."""
        return Address("127.0.0.1", self._udp.server_address[1])

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stopping.set()
        for server, thread in zip((self._udp, self._tcp), self._threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()

    def reply(self, wire: bytes, transport: str) -> bytes | None:
        """The reply to a query, None for silence."""
        query = dns.message.from_wire(wire)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        self.queries.append((name, dns.rdatatype.to_text(question.rdtype), transport))
        answer = self.zone.get(name, self.otherwise)
        if isinstance(answer, Slow):
            self.stopping.wait(answer.seconds)
            answer = answer.answer
        cut = isinstance(answer, Truncated) and transport == "udp"
        if isinstance(answer, Truncated):
            answer = answer.answer
        if self.stopping.is_set() or (isinstance(answer, Silent) and not cut):
            return None
        response = dns.message.make_response(query, recursion_available=True)
        if cut:
            response.flags |= dns.flags.TC
        else:
            self._fill(response, name, answer)
        return response.to_wire(max_size=65535)

    def _fill(self, response: dns.message.Message, name: str, answer: Any) -> None:
        asked = response.question[0].rdtype
        for _ in range(_CHAIN):
            if isinstance(answer, Fails):
                response.set_rcode(dns.rcode.from_text(answer.rcode))
                return
            if not isinstance(answer, Cname):
                break
            response.answer.append(dns.rrset.from_text(_absolute(name), answer.ttl, "IN", "CNAME", answer.target + "."))
            name = answer.target
            answer = self.zone.get(name, self.otherwise)
        for records in answer if isinstance(answer, list | tuple) else [answer]:
            if isinstance(records, Records) and dns.rdatatype.from_text(records.rdtype) == asked:
                response.answer.append(dns.rrset.from_text(_absolute(name), records.ttl, "IN", asked, *records.rdata))


class _Udp(socketserver.ThreadingUDPServer):
    max_packet_size = 65535
    request_queue_size = 1024


class _Tcp(socketserver.ThreadingTCPServer):
    request_queue_size = 1024


class _UdpHandler(socketserver.BaseRequestHandler):
    nameserver: NameServer

    def handle(self) -> None:
        wire, sock = self.request
        with contextlib.suppress(
            dns.exception.DNSException, OSError
        ):  # no query, or nobody waits for the reply any more
            reply = self.nameserver.reply(wire, "udp")
            if reply is not None:
                sock.sendto(reply, self.client_address)


class _TcpHandler(socketserver.StreamRequestHandler):
    nameserver: NameServer
    timeout = 10

    def handle(self) -> None:
        with contextlib.suppress(dns.exception.DNSException, OSError, struct.error):
            (length,) = struct.unpack("!H", self.rfile.read(2))
            reply = self.nameserver.reply(self.rfile.read(length), "tcp")
            if reply is None:
                self.nameserver.stopping.wait()  # silence is an open connection
            else:
                self.wfile.write(struct.pack("!H", len(reply)) + reply)


def _bound(nameserver: NameServer) -> tuple[_Udp, _Tcp]:
    """Servers on one port by both transports: UDP takes any free one, TCP must have the same."""
    udp_handler = type("UdpHandler", (_UdpHandler,), {"nameserver": nameserver})
    tcp_handler = type("TcpHandler", (_TcpHandler,), {"nameserver": nameserver})
    for _ in range(20):
        udp = _Udp(("127.0.0.1", 0), udp_handler)
        udp.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
        try:
            return udp, _Tcp(udp.server_address, tcp_handler)
        except OSError:
            udp.server_close()
    raise OSError("no loopback port is free by UDP and TCP")


def _absolute(name: str) -> dns.name.Name:
    return dns.name.from_text(name)


@contextlib.contextmanager
def unreachable() -> Iterator[Address]:
    """The address of a port where nobody listens, kept by a socket of another kind so that nobody begins to."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield Address("127.0.0.1", holder.getsockname()[1])
