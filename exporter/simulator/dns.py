"""A DNS server on loopback, UDP and TCP, for the world's names."""

from __future__ import annotations

import asyncio
import struct
import threading
from ipaddress import ip_address
from typing import cast

import dns.message
import dns.rcode
import dns.rrset

from exporter.simulator.world import World

TTL = 60


class DnsServer:
    """Answers from `world.names` in a thread of its own. A name may start with a wildcard."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._ready = threading.Event()
        self.port = 0

    def start(self) -> int:
        """Begin; returns the port on 127.0.0.1."""
        threading.Thread(target=lambda: asyncio.run(self._run()), name="dns", daemon=True).start()
        self._ready.wait()
        return self.port

    def answer(self, wire: bytes) -> bytes:
        """Return the answer to a query."""
        query = dns.message.from_wire(wire)
        response = dns.message.make_response(query, recursion_available=True)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        with self._world.lock:
            found = self._world.names.get(name)
            if found is None:
                found = self._world.names.get("*." + name.partition(".")[2])
        if found is None:
            response.set_rcode(dns.rcode.NXDOMAIN)
            return response.to_wire()
        version = {"A": 4, "AAAA": 6}.get(question.rdtype.name)
        addresses = [a for a in found if ip_address(a).version == version]
        if addresses:
            response.answer.append(
                dns.rrset.from_text(question.name, TTL, "IN", question.rdtype, *addresses)
            )
        return response.to_wire()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self._tcp, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        await loop.create_datagram_endpoint(lambda: _Udp(self), local_addr=("127.0.0.1", self.port))
        self._ready.set()
        await asyncio.Event().wait()

    async def _tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        wire = self.answer(await reader.readexactly(length))
        writer.write(struct.pack("!H", len(wire)) + wire)
        await writer.drain()
        writer.close()


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._transport.sendto(self._server.answer(data), addr)
