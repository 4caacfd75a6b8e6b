"""Would the rules let packets pass? Security groups and network ACLs, as AWS evaluates them.

A question is about all packets of one protocol between this side and every address of a network,
to a span of ports. The answer is exact for each of them: it is cut into pieces in which one rule,
or the absence of one, decides.

- A security group is stateful and only allows: the union of the rules of all groups counts.
  https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html
- A network ACL is stateless: the lowest number that matches decides, and what none matches is
  denied. https://docs.aws.amazon.com/vpc/latest/userguide/nacl-rules.html
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_network,
    summarize_address_range,
)
from itertools import pairwise
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from exporter.analysis.around import Around
from exporter.analysis.judged import Unseen
from exporter.model import Address, Network, NetworkAcl, NetworkAclEntry, SecurityGroupRule

TCP, UDP = 6, 17
# A client's answers come back to one of these, whatever its system:
# https://docs.aws.amazon.com/vpc/latest/userguide/custom-network-acl.html#nacl-ephemeral-ports
EPHEMERAL = (1024, 65535)
EVERYONE = {4: ip_network("0.0.0.0/0"), 6: ip_network("::/0")}
ALL_PORTS = (0, 65535)
# https://www.iana.org/assignments/protocol-numbers/
NAMES = {1: "icmp", TCP: "tcp", UDP: "udp", 58: "icmpv6"}
_NUMBERS = {name: number for number, name in NAMES.items()}
_ANY = -1


@dataclass(frozen=True, slots=True, eq=False)
class Peer:
    """The other side: every address of a network, and its security groups where they are known.

    `anyone` stands for whoever there may be: some of them are in any group. One peer is like no
    other: what was decided over it is remembered by it.
    """

    version: int
    first: int
    last: int
    group_ids: frozenset[str] | None = None
    anyone: bool = False

    @classmethod
    def of(
        cls,
        who: Network | Address,
        group_ids: frozenset[str] | None = None,
        anyone: bool = False,
    ) -> Peer:
        """Return the peer that has one address, or every address of a network."""
        if isinstance(who, IPv4Address | IPv6Address):
            return cls(who.version, int(who), int(who), group_ids, anyone)
        return cls(who.version, *span(who), group_ids, anyone)

    @property
    def network(self) -> Network:
        """Its addresses."""
        length = (32 if self.version == 4 else 128) - (self.last - self.first).bit_length()
        kind = IPv4Network if self.version == 4 else IPv6Network
        return kind((self.first, length))


class Piece(NamedTuple):
    """Addresses `first` to `last` at ports `low` to `high`, for which `by` decides.

    `allowed` is None where it cannot be told, for the reason `why`; `by` is None where no rule
    matches.
    """

    first: int
    last: int
    low: int
    high: int
    allowed: bool | None
    by: SecurityGroupRule | NetworkAclEntry | None = None
    why: str = ""


@dataclass(slots=True)
class Decision:
    """What is decided over the packets of a question: `of` are the groups or the ACL that decide.

    The question: `egress` or not, the peer, the protocol, a span of ports.
    """

    pieces: Sequence[Piece]
    of: tuple[str, ...]
    egress: bool
    peer: Peer
    protocol: int
    ports: tuple[int, int]

    @property
    def allowed(self) -> bool | None:
        """True when every packet passes, False when some does not, None when it cannot be told."""
        if len(self.pieces) == 1:
            return self.pieces[0].allowed
        found = {piece.allowed for piece in self.pieces}
        return False if False in found else None if None in found else True

    @property
    def none(self) -> bool:
        """Whether no packet at all passes."""
        return all(piece.allowed is False for piece in self.pieces)

    @property
    def deciding(self) -> Piece:
        """The piece that decides: the first that is denied, else unknown, else the first."""
        for allowed in (False, None):
            for piece in self.pieces:
                if piece.allowed is allowed:
                    return piece
        return self.pieces[0]

    @property
    def by(self) -> str:
        """The deciding rule, or its absence, in words."""
        piece = self.deciding
        if piece.why:
            return piece.why
        if piece.by is not None:
            return describe(piece.by, self.of)
        way = "out to" if self.egress else "in from"
        what = f"{protocol_name(self.protocol)} {port_text(*self.ports)}"
        who = " ".join(networks(piece.first, piece.last, self.peer.version))
        return f"no rule of {' or '.join(self.of)} lets {what} {way} {who}"

    @property
    def resources(self) -> tuple[str, ...]:
        """The ids of the groups or ACL, and of the deciding rule where it has one."""
        rule = self.deciding.by
        if isinstance(rule, SecurityGroupRule):
            return rule.group_id, rule.id
        return self.of

    def closed(self) -> tuple[tuple[int, int], ...]:
        """Return the spans of ports at which some address is denied, in order."""
        return merged((p.low, p.high) for p in self.pieces if p.allowed is False)


T = TypeVar("T")


class Steps(Generic[T]):
    """What holds for each address of a family, in steps: the same from one start to the next."""

    __slots__ = ("_starts", "_values", "last")

    def __init__(
        self, version: int, spans: Iterable[tuple[int, int]], value: Callable[[int], T]
    ) -> None:
        """Cut where one of the spans begins or ends; `value` gives what holds at an address.

        It is asked for rising addresses.
        """
        whole = span(EVERYONE[version])
        self.last = whole[1]
        self._starts = [first for first, _ in atoms(whole, spans)]
        self._values = [value(first) for first in self._starts]

    def over(self, first: int, last: int) -> Iterator[tuple[int, int, T]]:
        """Yield the steps of a span of addresses, in order, cut to it."""
        starts = self._starts
        i = bisect_right(starts, first) - 1
        while i < len(starts) and starts[i] <= last:
            end = starts[i + 1] - 1 if i + 1 < len(starts) else self.last
            yield max(first, starts[i]), min(last, end), self._values[i]
            i += 1

    def at(self, address: int) -> T:
        """Return what holds at one address."""
        return self._values[bisect_right(self._starts, address) - 1]


class _Groups(NamedTuple):
    """The rules of some groups for a direction, protocol and port, ready to be asked.

    `steps` has the rule that lets an address in by network or prefix list; `references` are to
    groups, `doubts` lists that could not be read, with the reason.
    """

    steps: Steps[SecurityGroupRule | None]
    references: tuple[SecurityGroupRule, ...]
    doubts: tuple[tuple[SecurityGroupRule, str], ...]


def groups_admit(
    around: Around,
    group_ids: Iterable[str],
    *,
    egress: bool = False,
    peer: Peer,
    protocol: int = TCP,
    port: int,
) -> Decision:
    """Return whether security groups let packets to a port in from a peer, or out to it.

    Raises Unseen when the rules were not seen.
    """
    ids = tuple(group_ids)
    key = ids, egress, peer.version, protocol, port
    rules = around.memo.get(key)
    if rules is None:
        rules = around.memo[key] = _ready(around, *key)
    steps, references, doubts = rules
    lets: tuple[bool | None, SecurityGroupRule | None, str] = False, None, ""
    if references:
        lets = _member(references, peer)
    if lets[0] is False and doubts:
        lets = None, *doubts[0]
    pieces = [
        Piece(first, last, port, port, *((True, rule) if rule else lets))
        for first, last, rule in steps.over(peer.first, peer.last)
    ]
    return Decision(pieces, ids, egress, peer, protocol, (port, port))


def _ready(
    around: Around, ids: tuple[str, ...], egress: bool, version: int, protocol: int, port: int
) -> _Groups:
    certain: list[tuple[int, int, SecurityGroupRule]] = []
    references: list[SecurityGroupRule] = []
    doubts: list[tuple[SecurityGroupRule, str]] = []
    for rule in around.rules(ids):
        if rule.egress != egress or not _takes(rule, protocol, port):
            continue
        if rule.cidr is not None:
            certain += [(*span(rule.cidr), rule)] * (rule.cidr.version == version)
        elif rule.prefix_list_id is not None:
            try:
                entries = around.prefix_list(rule.prefix_list_id)
            except Unseen as why:
                doubts.append((rule, str(why)))
                continue
            certain += [(*span(entry), rule) for entry in entries if entry.version == version]
        elif rule.peering_status.lower() in ("", "active"):
            # Where the peering connection has gone the rule is stale and matches nobody.
            references.append(rule)

    # In order of address: of those that begin before, the one that reaches furthest.
    certain.sort(key=lambda one: one[0])
    reached = 0
    furthest: tuple[int, SecurityGroupRule] | None = None

    def match(address: int) -> SecurityGroupRule | None:
        nonlocal reached, furthest
        while reached < len(certain) and certain[reached][0] <= address:
            _, high, rule = certain[reached]
            furthest = (high, rule) if furthest is None or high > furthest[0] else furthest
            reached += 1
        return furthest[1] if furthest is not None and address <= furthest[0] else None

    steps = Steps(version, [(low, high) for low, high, _ in certain], match)
    return _Groups(steps, tuple(references), tuple(doubts))


def _member(
    references: Sequence[SecurityGroupRule], peer: Peer
) -> tuple[bool | None, SecurityGroupRule | None, str]:
    """Return whether a peer is in one of the groups that are referred to, and by which rule."""
    if peer.anyone:
        return True, references[0], ""
    if peer.group_ids is None:
        who = network_text(peer.network)
        why = f"the groups of {who} are not known; {describe(references[0], ())} may mean it"
        return None, references[0], why
    for rule in references:
        if rule.referenced_group_id in peer.group_ids:
            return True, rule, ""
    return False, None, ""


# Spans of ports with whether they pass, and the entry that says so.
_Spans: TypeAlias = tuple[tuple[int, int, bool, NetworkAclEntry | None], ...]


def acl_passes(
    around: Around,
    acl: NetworkAcl,
    *,
    egress: bool,
    peer: Peer,
    protocol: int = TCP,
    ports: tuple[int, int],
) -> Decision:
    """Return which packets to a span of ports a network ACL lets in from a peer, or out to it."""
    key = acl.id, egress, peer.version, protocol, ports
    steps = around.memo.get(key)
    if steps is None:
        steps = around.memo[key] = _acl_steps(acl, *key[1:])
    pieces = [
        Piece(first, last, *found)
        for first, last, spans in steps.over(peer.first, peer.last)
        for found in spans
    ]
    return Decision(pieces, (acl.id,), egress, peer, protocol, ports)


def _acl_steps(
    acl: NetworkAcl, egress: bool, version: int, protocol: int, ports: tuple[int, int]
) -> Steps[_Spans]:
    entries = [
        (*span(entry.cidr), entry)
        for entry in sorted(acl.entries, key=lambda entry: entry.number)
        if entry.egress == egress
        and entry.cidr.version == version
        and entry.protocol in (str(_ANY), str(protocol))
    ]

    def first_matches(address: int) -> _Spans:
        found: list[tuple[int, int, bool, NetworkAclEntry | None]] = []
        left = [ports]
        for low, high, entry in entries:
            if not low <= address <= high:
                continue
            a, b = _port_span(entry)
            rest = []
            for x, y in left:
                if max(a, x) > min(b, y):
                    rest.append((x, y))
                    continue
                found.append((max(a, x), min(b, y), entry.allow, entry))
                rest += [part for part in ((x, a - 1), (b + 1, y)) if part[0] <= part[1]]
            left = rest
        return *found, *((low, high, False, None) for low, high in left)

    return Steps(version, [(low, high) for low, high, _ in entries], first_matches)


def _port_span(entry: NetworkAclEntry) -> tuple[int, int]:
    if entry.protocol == str(_ANY) or entry.from_port is None or entry.to_port is None:
        return ALL_PORTS
    return entry.from_port, entry.to_port


def _takes(rule: SecurityGroupRule, protocol: int, port: int) -> bool:
    """Whether a rule is about a protocol and port; protocol -1 has no ports, -1 means all."""
    if rule.protocol == str(_ANY):
        return True
    if str(_NUMBERS.get(rule.protocol, rule.protocol)) != str(protocol):
        return False
    low, high = rule.from_port, rule.to_port
    return low in (None, _ANY) or low <= port <= (low if high is None else high)


@lru_cache(maxsize=65536)
def span(network: Network) -> tuple[int, int]:
    """Return the first and the last address of a network as numbers."""
    return int(network.network_address), int(network.broadcast_address)


def atoms(whole: tuple[int, int], spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the parts of a span, in order, that each of the others has wholly or not at all."""
    first, last = whole
    cuts = {first, last + 1}
    for low, high in spans:
        cuts |= {cut for cut in (low, high + 1) if first < cut <= last}
    ordered = sorted(cuts)
    for low, after in pairwise(ordered):
        yield low, after - 1


def merged(spans: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Return the spans in order, those that meet or overlap as one."""
    found: list[tuple[int, int]] = []
    for low, high in sorted(spans):
        if found and low <= found[-1][1] + 1:
            found[-1] = found[-1][0], max(found[-1][1], high)
        else:
            found.append((low, high))
    return tuple(found)


def networks(first: int, last: int, version: int) -> tuple[str, ...]:
    """Return a span of addresses as networks; a single one as an address, of many the first two."""
    kind = IPv4Address if version == 4 else IPv6Address
    found = [network_text(network) for network in summarize_address_range(kind(first), kind(last))]
    return (*found[:2], "…") if len(found) > 2 else tuple(found)


def network_text(network: Network) -> str:
    """Return a network as people write it: one of a single address without its prefix."""
    return str(network.network_address if network.num_addresses == 1 else network)


def host(address: Address) -> Network:
    """Return the network of one address."""
    return ip_network(address)


def describe(rule: SecurityGroupRule | NetworkAclEntry, of: Sequence[str]) -> str:
    """Return a rule in words, with its id or number and whose it is."""
    if isinstance(rule, NetworkAclEntry):
        number = "*" if rule.number >= 32767 else str(rule.number)
        way = "to" if rule.egress else "from"
        verb = "allows" if rule.allow else "denies"
        what = protocol_name(rule.protocol)
        if rule.protocol != str(_ANY):
            what += f" {port_text(*_port_span(rule))}"
        direction = "outbound" if rule.egress else "inbound"
        return f"{direction} rule {number} of {' '.join(of)} {verb} {what} {way} {rule.cidr}"
    way = "to" if rule.egress else "from"
    who = rule.cidr or rule.prefix_list_id or rule.referenced_group_id
    what = protocol_name(rule.protocol)
    if rule.protocol != str(_ANY) and rule.from_port not in (None, _ANY):
        what += f" {port_text(rule.from_port or 0, rule.to_port or rule.from_port or 0)}"
    return f"{rule.id} of {rule.group_id} ({what} {way} {who})"


def protocol_name(protocol: int | str) -> str:
    """Return a protocol as people write it: tcp, udp, all, or protocol 47."""
    text = str(protocol)
    if text == str(_ANY):
        return "all"
    if text in _NUMBERS:
        return text
    return NAMES.get(int(text), f"protocol {text}") if text.isdecimal() else text


def port_text(low: int, high: int) -> str:
    """Return a span of ports: 443, 1024-65535, all ports."""
    if (low, high) == ALL_PORTS:
        return "all ports"
    return str(low) if low == high else f"{low}-{high}"


__all__ = [
    "EPHEMERAL",
    "EVERYONE",
    "TCP",
    "UDP",
    "Decision",
    "Peer",
    "Piece",
    "acl_passes",
    "describe",
    "groups_admit",
    "host",
    "network_text",
    "networks",
    "port_text",
    "protocol_name",
]
