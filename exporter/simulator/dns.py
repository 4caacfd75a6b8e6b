"""DNS servers on loopback, UDP and TCP: one for the public view, one for each VPC's resolver.

A VPC's view is its own names before the public ones. Behaviours of a view: `refused`, `servfail`,
`silent` (no answer at all), `slow` (a second late), `lying` (every address is another's).
"""

from __future__ import annotations

import asyncio
import struct
import threading
from contextlib import AsyncExitStack, suppress
from ipaddress import ip_address
from typing import cast

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from exporter.simulator.state import PUBLIC, World

TTL = 60
# What an answer starts with that is the text of a TXT record.
TEXT = "TXT "
BEHAVIOURS = ("", "refused", "servfail", "silent", "slow", "lying")
_SLOW = 1.0
_LIES = {"A": "192.0.2.66", "AAAA": "2001:db8::66"}
_LONGEST_CHAIN = 8
_ATTEMPTS = 20


class DnsServers:
    """Answers from `world.names` in a thread of its own. A name may start with a wildcard."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._thread: threading.Thread | None = None
        self._failed: OSError | None = None
        # By view, the public one under "".
        self.ports: dict[str, int] = {}

    def start(self) -> None:
        """Begin; afterwards `ports` are known. Raises OSError where it cannot listen."""
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run()), name="dns", daemon=True
        )
        self._thread.start()
        self._ready.wait()
        if self._failed is not None:
            raise self._failed

    def stop(self) -> None:
        """End."""
        if self._loop is not None and self._task is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._task.cancel)
            self._thread.join(timeout=5)

    def answer(self, view: str, wire: bytes) -> bytes:
        """Return a view's answer to a query."""
        query = dns.message.from_wire(wire)
        response = dns.message.make_response(query, recursion_available=True)
        with self._world.lock:
            behaviour = self._world.dns_behaviours.get(view, "")
            if behaviour in ("refused", "servfail"):
                response.set_rcode(dns.rcode.from_text(behaviour))
                return response.to_wire()
            self._resolve(view, response, behaviour == "lying")
        return response.to_wire()

    def delay(self, view: str) -> float | None:
        """Return how late a view answers, in seconds; None when it never does."""
        behaviour = self._world.dns_behaviours.get(view, "")
        return {"silent": None, "slow": _SLOW}.get(behaviour, 0.0)

    def _resolve(self, view: str, response: dns.message.Message, lying: bool) -> None:
        """Fill in the answers, along the chain of CNAMEs."""
        question = response.question[0]
        kind = question.rdtype.name
        name = question.name.to_text(omit_final_dot=True).lower()
        for _ in range(_LONGEST_CHAIN):
            found = self._lookup(view, name)
            if found is None:
                if not response.answer:
                    response.set_rcode(dns.rcode.NXDOMAIN)
                return
            alias = next((a.removeprefix("CNAME ") for a in found if a.startswith("CNAME ")), "")
            if alias:
                response.answer.append(
                    dns.rrset.from_text(f"{name}.", TTL, "IN", "CNAME", f"{alias}.")
                )
                name = alias.lower()
                continue
            texts = [a.removeprefix(TEXT) for a in found if a.startswith(TEXT)]
            if kind == "TXT" and texts:
                quoted = [f'"{text}"' for text in texts]
                response.answer.append(dns.rrset.from_text(f"{name}.", TTL, "IN", kind, *quoted))
            version = {"A": 4, "AAAA": 6}.get(kind)
            addresses = [
                a for a in found if not a.startswith(TEXT) and ip_address(a).version == version
            ]
            if addresses:
                answers = [_LIES[kind]] if lying else addresses
                response.answer.append(dns.rrset.from_text(f"{name}.", TTL, "IN", kind, *answers))
            return

    def _lookup(self, view: str, name: str) -> list[str] | None:
        """Return a name's answers in a view; None for a name that does not exist there."""
        names = self._world.names
        views = [view] if view != PUBLIC else []
        if view == PUBLIC and self._world.one_resolver:
            views = [v for v in names if v != PUBLIC]
        for known in (names.get(v, {}) for v in (*views, PUBLIC)):
            found = known.get(name)
            if found is None:
                found = known.get("*." + name.partition(".")[2])
            if found is not None:
                return found or None
        return None

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        async with AsyncExitStack() as listening:
            try:
                for view in (PUBLIC, *self._world.vpc_ids()):
                    self.ports[view] = await self._listen(_View(self, view), listening)
            except OSError as error:
                self._failed = error
                return
            finally:
                self._ready.set()
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
        # Closed transports say goodbye in the loop's next turn.
        await asyncio.sleep(0)

    async def _listen(self, view: _View, listening: AsyncExitStack) -> int:
        """Listen on TCP and UDP; returns the port, free for both."""
        assert self._loop is not None
        for attempt in range(_ATTEMPTS):
            server = await asyncio.start_server(view.tcp, "127.0.0.1", 0)
            port: int = server.sockets[0].getsockname()[1]
            try:
                transport, _ = await self._loop.create_datagram_endpoint(
                    view.udp, local_addr=("127.0.0.1", port)
                )
            except OSError:
                # Somebody's UDP has the number that was free for TCP.
                server.close()
                if attempt == _ATTEMPTS - 1:
                    raise
                continue
            listening.callback(server.close)
            listening.callback(transport.close)
            return port
        raise AssertionError


class _View:
    """One view's server."""

    def __init__(self, servers: DnsServers, view: str) -> None:
        self._servers = servers
        self._view = view

    def udp(self) -> asyncio.DatagramProtocol:
        """Return what answers datagrams."""
        return _Udp(self._servers, self._view)

    async def tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer a query over TCP."""
        try:
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            wire = self._servers.answer(self._view, await reader.readexactly(length))
            delay = self._servers.delay(self._view)
            if delay is not None:
                await asyncio.sleep(delay)
                writer.write(struct.pack("!H", len(wire)) + wire)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client went away
        finally:
            writer.close()


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, servers: DnsServers, view: str) -> None:
        self._servers = servers
        self._view = view

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        delay = self._servers.delay(self._view)
        if delay is None:
            return
        wire = self._servers.answer(self._view, data)
        asyncio.get_running_loop().call_later(delay, self._transport.sendto, wire, addr)
