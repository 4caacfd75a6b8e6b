"""DNS probes: what each resolver answers for each name, held against the endpoint's addresses."""

from __future__ import annotations

import asyncio
import errno
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from ipaddress import ip_address

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.resolver

from exporter.aws.imds import Host
from exporter.config import Resolver, split_address
from exporter.model import (
    Address,
    DnsName,
    Endpoint,
    Interface,
    Inventory,
    Lookup,
    Part,
    ServiceDetail,
    Unavailable,
    is_public,
    last_known,
)

# A wildcard cannot be asked for: this stands in place of the star.
WILDCARD_LABEL = "privatelink-exporter-probe"
SYSTEM = "system"
AMAZON, AMAZON_V6 = "169.254.169.253", "fd00:ec2::253"
QUERY_TIMEOUT = 2.0
ATTEMPTS = 2
# The VPC's resolver takes 1,024 packets/s per interface, shared with IMDS and NTP: stay at half.
QUERIES_PER_SECOND = 500.0
PARALLEL = 64
ZONAL_EVERY = 300.0
# So many queries in a row without any answer, and a resolver counts as dead for this pass: the
# rest is not asked, or a large estate would take hours to find out.
DEAD_AFTER = PARALLEL

# So many seconds over the time-out, and it was this process that was late.
LATE = 0.5
# What a query that never left says: no descriptor, no memory, no route from here.
_LOCAL = frozenset(
    [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ENETUNREACH, errno.EACCES]
)

_RCODE_PROBLEMS = {"NXDOMAIN": "nxdomain", "REFUSED": "refused", "TIMEOUT": "timeout"}


@dataclass(frozen=True, slots=True)
class Server:
    """A resolver to ask: its label in metrics, its addresses.

    `vpcs` are those whose endpoints it is asked about, `private` those whose clients it answers, so
    that its answers for private names say something; None for all. `others` have resolvers of
    their own.
    """

    label: str
    addresses: tuple[tuple[str, int], ...]
    vpcs: frozenset[str] | None = None
    private: frozenset[str] | None = None
    others: frozenset[str] = frozenset()

    def concerns(self, vpc_ids: Set[str]) -> bool:
        """Whether it is asked about endpoints in one of the VPCs."""
        asked = vpc_ids - self.others if self.vpcs is None else vpc_ids & self.vpcs
        return bool(asked)

    def answers_for(self, endpoint: Endpoint, name: DnsName) -> bool:
        """Whether its answer for the name says what clients in the endpoint's VPC see."""
        vpc_id = endpoint.vpc_id
        if vpc_id in self.others or (self.vpcs is not None and vpc_id not in self.vpcs):
            return False
        if name.kind in ("regional", "zonal"):
            return True  # public records: every resolver gives the same
        # In the VPC such a name leads to the gateway endpoint, on purpose.
        on_purpose = name.kind == "private" and endpoint.private_dns_inbound_only
        return self.inside(vpc_id) and not on_purpose

    def inside(self, vpc_id: str) -> bool:
        """Whether it answers for clients in a VPC: what it says is what they see."""
        return self.private is None or vpc_id in self.private


def servers(configured: tuple[Resolver, ...], host: Host | None) -> tuple[Server, ...]:
    """Return the configured resolvers, and for the VPCs that have none the system's.

    The system's answers for the VPC that this host is in, and Amazon's own resolver is asked beside
    it: they differ where the system's is the cause. Of other VPCs the system's is asked for public
    names alone: a private name judged from outside its VPC would prove nothing. Raises
    dns.exception.DNSException or OSError when none is configured and the system has none.
    """
    found = [
        Server(r.address, (split_address(r.address),), vpcs, vpcs)
        for r in configured
        for vpcs in [frozenset(r.vpcs) or None]
    ]
    if any(server.vpcs is None for server in found):
        return tuple(found)
    covered = frozenset(vpc_id for resolver in configured for vpc_id in resolver.vpcs)
    try:
        system = dns.resolver.Resolver()
    except (dns.exception.DNSException, OSError):
        if found:
            return tuple(found)
        raise
    addresses = tuple((str(address), system.port) for address in system.nameservers)
    own = frozenset({host.vpc_id} if host else ()) - covered
    found.append(Server(SYSTEM, addresses, None, own, covered))
    if own and host and not any(_is_amazons(address, host) for address, _ in addresses):
        found.append(Server(AMAZON, ((AMAZON, 53),), own, own))
    return tuple(found)


def _is_amazons(address: str, host: Host) -> bool:
    """Whether a name server is the VPC's own resolver.

    https://docs.aws.amazon.com/vpc/latest/userguide/AmazonDNS-concepts.html : at the base of the
    VPC's first block plus two, and at two link-local addresses.
    """
    bases = {str(block.network_address + 2) for block in host.cidrs}
    return address in {AMAZON, AMAZON_V6, *bases}


@dataclass(slots=True)
class Pace:
    """At most so many queries a second, for all resolvers of this host together."""

    per_second: float = QUERIES_PER_SECOND
    _next: float = 0.0

    async def wait(self) -> None:
        """Return when the next query may be sent."""
        now = time.monotonic()
        self._next = max(now, self._next) + 1 / self.per_second
        delay = self._next - now
        if delay > 0.01:
            await asyncio.sleep(delay)


@dataclass(slots=True)
class Line:
    """The way to one resolver, for all scopes together: few sockets, and whether it answers."""

    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(PARALLEL))
    silent: int = 0

    @property
    def dead(self) -> bool:
        """Whether so many queries in a row had no answer that the rest is not worth asking."""
        return self.silent >= DEAD_AFTER


class Unreachable(OSError):  # noqa: N818  # reads as what it is
    """Raised when a query could not be sent from here: that says nothing of the resolver."""


@dataclass(frozen=True, slots=True)
class _Answer:
    rcode: str
    addresses: tuple[Address, ...]
    cnames: tuple[str, ...]
    ttl: int | None
    duration: float = 0.0


@dataclass(slots=True)
class Prober:
    """Asks one resolver for the names of one scope's endpoints, pass after pass.

    Zonal names that were right are asked for at every tenth pass, or after five minutes: there
    are many, and they hardly change.
    """

    server: Server
    pace: Pace
    clock: Callable[[], float]
    line: Line = field(default_factory=Line)
    # How many names the last pass did not ask for.
    unasked: int = 0
    _passes: int = 0
    _zonal: dict[tuple[str, str], Lookup] = field(default_factory=dict)

    async def run(self, inventory: Inventory) -> tuple[Lookup, ...]:
        """Return a lookup for each name that this resolver can be asked for.

        There is none for the names that it was not asked for because it answers nothing: `unasked`.
        Raises Unreachable, in a group, when queries cannot be sent from here.
        """
        zonal_too = self._passes % 10 == 0
        every = names = [
            (endpoint, name)
            for endpoint, name in names_of(inventory)
            if self.server.answers_for(endpoint, name)
        ]
        asked: list[Lookup] = []

        async def probe(endpoint: Endpoint, name: DnsName) -> None:
            kept = self._zonal.get((endpoint.id, name.name))
            expected = expected_addresses(endpoint, name, inventory.interfaces)
            if name.kind == "zonal" and kept and not zonal_too:
                fresh = self.clock() - kept.as_of < ZONAL_EVERY
                if fresh and not kept.problem and kept.expected == expected:
                    asked.append(kept)
                    return
            async with self.line.slots:
                if not self.line.dead:
                    asked.append(await self._lookup(endpoint, name, expected))

        if self.line.dead:
            self.line.silent = DEAD_AFTER - 1  # the first name tells whether it is back
            for endpoint, name in names[:1]:
                await probe(endpoint, name)
            names = names[1:]
        async with asyncio.TaskGroup() as probes:
            for endpoint, name in names:
                probes.create_task(probe(endpoint, name))
        order = {key: i for i, key in enumerate((e.id, n) for e, n in every)}
        lookups = sorted(asked, key=lambda x: order[x.endpoint_id, x.name])
        self.unasked = len(every) - len(lookups)
        self._zonal = {(x.endpoint_id, x.name.name): x for x in lookups if x.name.kind == "zonal"}
        self._passes += 1
        return tuple(lookups)

    async def _lookup(
        self,
        endpoint: Endpoint,
        name: DnsName,
        expected: tuple[Address, ...] | None,
    ) -> Lookup:
        required, optional = record_types(endpoint, name)
        answers = {kind: await self._ask(name.name, kind) for kind in (*required, *optional)}
        addresses = tuple(a for answer in answers.values() for a in answer.addresses)
        problem = judge([answers[kind] for kind in required], addresses, expected)
        ttls = [answer.ttl for answer in answers.values() if answer.ttl is not None]
        worst = next((a.rcode for a in answers.values() if a.rcode != "NOERROR"), "NOERROR")
        matches: bool | None = False
        if addresses:
            matches = None if expected is None else set(addresses) <= set(expected)
        return Lookup(
            endpoint_id=endpoint.id,
            name=name,
            resolver=self.server.label,
            rcode=worst,
            answers=addresses,
            expected=expected,
            cnames=tuple(dict.fromkeys(c for a in answers.values() for c in a.cnames)),
            ttl=min(ttls, default=None),
            duration=sum(answer.duration for answer in answers.values()),
            as_of=self.clock(),
            problem=problem,
            matches=matches,
            inside=self.server.inside(endpoint.vpc_id),
        )

    async def _ask(self, name: str, kind: str) -> _Answer:
        """Return the answer; "TIMEOUT" as its rcode when no address of the resolver gives one."""
        name = name.replace("*", WILDCARD_LABEL, 1) if name.startswith("*.") else name
        try:
            question = dns.message.make_query(name, kind)
        except dns.exception.DNSException:
            return _Answer("FORMERR", (), (), None)
        waited, late = 0.0, 0
        addresses = deque(self.server.addresses * ATTEMPTS)
        while addresses:
            address, port = addresses.popleft()
            await self.pace.wait()
            began = time.monotonic()
            try:
                response, _tcp = await dns.asyncquery.udp_with_fallback(
                    question,
                    address,
                    QUERY_TIMEOUT,
                    port,
                    ignore_unexpected=True,
                    ignore_errors=True,
                )
            except (dns.exception.DNSException, OSError, EOFError) as error:
                if isinstance(error, OSError) and error.errno in _LOCAL:
                    raise Unreachable(f"{address}: {error.strerror}") from None
                took = time.monotonic() - began
                if took > QUERY_TIMEOUT + LATE and late < ATTEMPTS:
                    # We were too busy to look: the answer may have been there in time.
                    late += 1
                    addresses.appendleft((address, port))
                    continue
                waited += took
                self.line.silent += 1
                continue
            self.line.silent = 0
            return replace(_answer(response), duration=waited + time.monotonic() - began)
        return _Answer("TIMEOUT", (), (), None, waited)


def _answer(response: dns.message.Message) -> _Answer:
    addresses: list[Address] = []
    cnames: list[str] = []
    ttls: list[int] = []
    for rrset in response.answer:
        ttls.append(rrset.ttl)
        for record in rrset:
            if rrset.rdtype == dns.rdatatype.CNAME:
                cnames.append(record.target.to_text(omit_final_dot=True))
            elif rrset.rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA):
                addresses.append(ip_address(record.address))
    ordered = sorted(addresses, key=lambda a: (a.version, int(a)))
    rcode = dns.rcode.to_text(response.rcode())
    return _Answer(rcode, tuple(ordered), tuple(cnames), min(ttls, default=None))


def names_of(inventory: Inventory) -> Iterator[tuple[Endpoint, DnsName]]:
    """Yield every name to ask for, with its endpoint.

    They are the endpoints' own, and where private DNS is off those that clients use for the service
    itself: a hosted zone, a resolver rule, may lead them to an endpoint all the same.
    """
    details: dict[str, list[ServiceDetail]] = {}
    for detail in (last_known(inventory.service_details) or {}).values():
        details.setdefault(detail.service_name, []).append(detail)
    for endpoint in (last_known(inventory.endpoints) or {}).values():
        if not endpoint.has_dns:
            continue
        own = {name.name: name for name in endpoint.dns_names}
        if not endpoint.private_dns_enabled:
            for detail in details.get(endpoint.service_name, ()):
                if endpoint.type in detail.types or not detail.types:
                    for text in detail.proven_names:
                        name = text.rstrip(".").lower()
                        own.setdefault(name, DnsName(name, "service"))
        for name_ in own.values():
            yield endpoint, name_


def record_types(endpoint: Endpoint, name: DnsName) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the record types that must be there, and those that may be.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DnsOptionsSpecification.html : with
    `service-defined`, private names have A only, the others A and, where they can, AAAA.
    """
    kind = endpoint.dns_record_ip_type or endpoint.ip_address_type
    if kind == "ipv6":
        return ("AAAA",), ()
    if kind == "dualstack":
        return ("A", "AAAA"), ()
    if kind == "service-defined" and name.kind in ("regional", "zonal"):
        return ("A",), ("AAAA",)
    return ("A",), ()


def expected_addresses(
    endpoint: Endpoint, name: DnsName, interfaces: Part[Mapping[str, Interface]]
) -> tuple[Address, ...] | None:
    """Return the addresses that a name may be answered with; None while they are unknown.

    A zonal name has its zone's interface; a zone in which the endpoint has none (names of a
    cross-Region endpoint may be the provider's) is not held against a single one.
    """
    if isinstance(interfaces, Unavailable):
        return None
    own = [interfaces.value.get(i) for i in endpoint.interface_ids]
    if not own or None in own:
        return None  # none listed yet: DescribeNetworkInterfaces lags behind
    known = [interface for interface in own if interface is not None]
    zonal = [interface for interface in known if name.zone and interface.zone == name.zone]
    return tuple(a for interface in zonal or known for a in interface.addresses)


def judge(
    required: Iterable[_Answer],
    addresses: tuple[Address, ...],
    expected: tuple[Address, ...] | None,
) -> str | None:
    """Return what is wrong with the answers to the required record types; None when nothing is."""
    for answer in required:
        if answer.rcode != "NOERROR":
            return _RCODE_PROBLEMS.get(answer.rcode, "servfail")
        if not answer.addresses:
            return "no_answer"
    if expected is None or set(addresses) <= set(expected):
        return None
    foreign = set(addresses) - set(expected)
    return "public_address" if any(map(is_public, foreign)) else "foreign_address"
