"""Connections from here: which address of an endpoint accepts, and with which certificate.

Only addresses of the inventory are dialled, never an answer of DNS; a name is sent as SNI and
looked up nowhere.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from exporter.dns import WILDCARD_LABEL, Pace
from exporter.handshake import LINGER, Certificate, certificate, leave, looking, read, trusting
from exporter.model import (
    NO_ANSWER,
    Address,
    Dial,
    DnsName,
    Endpoint,
    Inventory,
    Known,
    covers,
    is_aws_service,
    last_known,
    tcp_ports,
)

# For a TCP connection, and as long again for a handshake.
TIMEOUT = 3.0
# So many seconds over the time-out, and it was this process that was late.
LATE = 0.5
ATTEMPTS = 2
_HTTPS = 443
PARALLEL = 64
PER_SECOND = 100.0
# Types with interfaces that accept connections, and states in which they may.
_TYPES = frozenset({"Interface", "Resource", "ServiceNetwork"})
_STATES = frozenset({"available", "partial", "unknown"})
# What a connection that never left this host fails with: no descriptor, no memory, no port, no
# route, no such address family, a rule of this host's own.
_LOCAL = frozenset(
    [
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOBUFS,
        errno.ENOMEM,
        errno.EADDRNOTAVAIL,
        errno.EAGAIN,
        errno.ENETUNREACH,
        errno.ENETDOWN,
        errno.EAFNOSUPPORT,
        errno.EACCES,
        errno.EPERM,
    ]
)


@dataclass(frozen=True, slots=True)
class Call:
    """A connection to try; `name` is the SNI, `tls` whether a handshake is to follow.

    `aws` is whether the far end is AWS's own HTTPS: TLS, with a certificate of a public authority.
    """

    endpoint_id: str
    address: Address
    port: int
    name: DnsName | None
    tls: bool
    aws: bool

    @property
    def sni(self) -> str:
        """The name to send; a label stands in place of a star."""
        name = self.name.name if self.name else ""
        return name.replace("*", WILDCARD_LABEL, 1) if name.startswith("*.") else name


def calls(
    inventory: Inventory,
    reachable: Collection[str],
    ports: Callable[[Endpoint], Iterable[int]],
    tls_ports: Collection[int],
) -> tuple[Call, ...]:
    """Return the connections to try: to every address and port of the endpoints in these VPCs.

    An endpoint of which not every interface is listed yet has to wait: what is left out could not
    be told from what is not there.
    """
    if not isinstance(inventory.endpoints, Known) or not isinstance(inventory.interfaces, Known):
        return ()
    interfaces = inventory.interfaces.value
    found: list[Call] = []
    for endpoint in inventory.endpoints.value.values():
        if endpoint.vpc_id not in reachable or endpoint.type not in _TYPES:
            continue
        if endpoint.state not in _STATES or not interfaces.keys() >= set(endpoint.interface_ids):
            continue
        name, aws = _name(endpoint), is_aws_service(endpoint.service_name)
        addresses = [a for i in endpoint.interface_ids for a in interfaces[i].addresses]
        found += [
            Call(endpoint.id, address, port, name, port in tls_ports, aws and port == _HTTPS)
            for port in ports(endpoint)
            for address in addresses
        ]
    return tuple(found)


def listeners(inventories: Iterable[Inventory]) -> Mapping[str, tuple[int, ...]]:
    """Return the TCP ports of the listeners behind each service seen, by its name."""
    found: dict[str, tuple[int, ...]] = {}
    for inventory in inventories:
        for service in (last_known(inventory.services) or {}).values():
            parts = [inventory.listeners.get(arn) for arn in service.load_balancer_arns]
            found[service.service_name] = tuple(
                port
                for part in parts
                for port in tcp_ports((last_known(part) if part else None) or ())
            )
    return found


def _name(endpoint: Endpoint) -> DnsName | None:
    """The name that clients use: a private one, rather not a wildcard, else the regional one."""
    order = {"private": 0, "regional": 1, "zonal": 2}
    names = sorted(endpoint.dns_names, key=lambda n: (order[n.kind], n.name.startswith("*")))
    return names[0] if names else None


@dataclass(frozen=True, slots=True)
class _Reached:
    """What came of a TCP connection: the socket, or what the problem was and whose."""

    connected: socket.socket | None
    duration: float
    problem: str | None = None
    local: bool = False


@dataclass(slots=True)
class Dialer:
    """Tries connections, for all scopes together: never many at once, never many a second."""

    clock: Callable[[], float]
    timeout: float = TIMEOUT
    trust: ssl.SSLContext = field(default_factory=trusting)
    pace: Pace = field(default_factory=lambda: Pace(PER_SECOND))
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(PARALLEL))
    _any: ssl.SSLContext = field(default_factory=looking)

    async def run(self, wanted: Iterable[Call]) -> tuple[Dial, ...]:
        """Return what came of each connection, in the same order."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._dial(call)) for call in wanted]
        return tuple(task.result() for task in tasks)

    async def _dial(self, call: Call) -> Dial:
        async with self.slots:
            reached = await self._connect(call)
            problem, shown = None, None
            if reached.connected and call.tls:
                problem, shown = await self._shake(call, reached.connected)
            elif reached.connected:
                await leave(reached.connected)
        return Dial(
            call.endpoint_id,
            call.address,
            call.port,
            self.clock(),
            reached.duration,
            reached.problem,
            call.sni if call.tls else "",
            problem,
            shown.names if shown else (),
            shown.not_after if shown else None,
            reached.local,
        )

    async def _connect(self, call: Call) -> _Reached:
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if call.address.version == 6 else socket.AF_INET
        took = 0.0
        for _ in range(ATTEMPTS):
            await self.pace.wait()
            began = time.monotonic()
            trying: socket.socket | None = None
            try:
                trying = socket.socket(family, socket.SOCK_STREAM)
                trying.setblocking(False)
                async with asyncio.timeout(self.timeout):
                    await loop.sock_connect(trying, (str(call.address), call.port))
                return _Reached(trying, time.monotonic() - began)
            except BaseException as error:
                if trying:
                    trying.close()
                if not isinstance(error, OSError):
                    raise
                took = time.monotonic() - began
                if not isinstance(error, TimeoutError):
                    local = error.errno in _LOCAL
                    return _Reached(None, took, _words(error), local)
                if took <= self.timeout + LATE:
                    return _Reached(None, took, NO_ANSWER)
                # We were too busy to look: the answer may have been there in time.
        return _Reached(None, took, "this host was too busy to see an answer", local=True)

    async def _shake(
        self, call: Call, connected: socket.socket
    ) -> tuple[str | None, Certificate | None]:
        """Return what is wrong with TLS, where it is to be had, and the certificate."""
        untrusted = None
        began = time.monotonic()
        try:
            try:
                context = self.trust if call.aws else self._any
                der = await self._shown(call, connected, context)
            except ssl.SSLCertVerificationError as error:
                untrusted = f"not trusted by this host: {error.verify_message}"
                again = await self._connect(call)
                if again.connected is None:
                    return None, None  # it accepted a moment ago
                began = time.monotonic()
                der = await self._shown(call, again.connected, self._any)
        except (OSError, ValueError) as error:
            late = time.monotonic() - began > self.timeout + LATE + LINGER
            # Only of AWS it is known that TLS is spoken: others may wait, speak first or close.
            return (f"no TLS: {_words(error)}" if call.aws and not late else None), None
        try:
            shown = read(der)
        except ValueError as error:
            return f"a certificate that cannot be read: {error}", None
        return self._wrong(call, shown) or untrusted, shown

    async def _shown(self, call: Call, connected: socket.socket, context: ssl.SSLContext) -> bytes:
        try:
            async with asyncio.timeout(self.timeout):
                return await certificate(connected, context, call.sni)
        finally:
            await leave(connected)

    def _wrong(self, call: Call, shown: Certificate) -> str | None:
        now = self.clock()
        if shown.not_after <= now:
            return f"the certificate expired at {_moment(shown.not_after)}"
        if shown.not_before > now:
            return f"the certificate is not valid before {_moment(shown.not_before)}"
        # By the regional name nobody need ask: the certificate may well be for a name of the
        # provider's that is an alias of it.
        if call.name and call.name.kind == "private" and not covers(shown.names, call.sni):
            return f"the certificate is not for {call.sni}"
        return None


def _words(error: OSError | ValueError) -> str:
    if isinstance(error, TimeoutError) and error.errno is None:
        return NO_ANSWER
    if isinstance(error, ssl.SSLError):
        return (error.reason or "handshake failed").replace("_", " ").lower()
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()  # asyncio puts words of its own into the error
    return str(error)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
