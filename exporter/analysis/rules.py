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

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_network, summarize_address_range
from itertools import pairwise
from typing import NamedTuple

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


@dataclass(frozen=True, slots=True)
class Peer:
    """The other side: every address of a network, and its security groups where they are known.

    `anyone` stands for whoever there may be: some of them are in any group.
    """

    network: Network
    group_ids: frozenset[str] | None = None
    anyone: bool = False


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


@dataclass(frozen=True, slots=True)
class Decision:
    """What is decided over the packets of a question; `of` are the groups or the ACL that decide.

    `asked` has the question in words.
    """

    pieces: tuple[Piece, ...]
    of: tuple[str, ...]
    asked: str
    version: int

    @property
    def allowed(self) -> bool | None:
        """True when every packet passes, False when some does not, None when it cannot be told."""
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
        what = self._part(piece) if len(self.pieces) > 1 else self.asked
        return f"no rule of {' or '.join(self.of)} lets {what}"

    @property
    def resources(self) -> tuple[str, ...]:
        """The ids of the groups or ACL, and of the deciding rule where it has one."""
        piece = self.deciding
        rule = piece.by
        if isinstance(rule, SecurityGroupRule):
            return rule.group_id, rule.id
        return self.of

    def closed(self) -> tuple[tuple[int, int], ...]:
        """Return the spans of ports at which some address is denied, in order."""
        return merged((p.low, p.high) for p in self.pieces if p.allowed is False)

    def _part(self, piece: Piece) -> str:
        """The question about one piece alone."""
        words, _, _ = self.asked.rpartition(" ")
        return f"{words} {' '.join(networks(piece.first, piece.last, self.version))}"


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
    ids = tuple(sorted(set(group_ids)))
    key = ("groups", ids, egress, peer, protocol, port)
    known = around.decisions.get(key)
    if known is None:
        known = around.decisions[key] = _groups(around, ids, egress, peer, protocol, port)
    assert isinstance(known, Decision)
    return known


def _groups(
    around: Around, ids: tuple[str, ...], egress: bool, peer: Peer, protocol: int, port: int
) -> Decision:
    whole = span(peer.network)
    certain: list[tuple[int, int, SecurityGroupRule]] = []
    doubtful: list[tuple[SecurityGroupRule, str]] = []
    for rule in around.rules(ids):
        if rule.egress != egress or not _takes(rule, protocol, port):
            continue
        try:
            certain += [(*some, rule) for some in _matches(around, rule, peer)]
        except Unseen as doubt:
            doubtful.append((rule, str(doubt)))
    pieces = []
    for first, last in atoms(whole, [(low, high) for low, high, _ in certain]):
        by = next((r for low, high, r in certain if low <= first and last <= high), None)
        if by is not None:
            pieces.append(Piece(first, last, port, port, True, by))
        elif doubtful:
            pieces.append(Piece(first, last, port, port, None, *doubtful[0]))
        else:
            pieces.append(Piece(first, last, port, port, False))
    way = "out to" if egress else "in from"
    asked = f"{protocol_name(protocol)} {port} {way} {network_text(peer.network)}"
    return Decision(tuple(pieces), ids, asked, peer.network.version)


def _matches(
    around: Around, rule: SecurityGroupRule, peer: Peer
) -> Iterator[tuple[int, int]] | tuple[tuple[int, int], ...]:
    """Return the spans of the peer's addresses that a rule means; raises Unseen in doubt."""
    version = peer.network.version
    if rule.cidr is not None:
        return (span(rule.cidr),) if rule.cidr.version == version else ()
    if rule.prefix_list_id is not None:
        entries = around.prefix_list(rule.prefix_list_id)
        return (span(entry) for entry in entries if entry.version == version)
    if rule.peering_status and rule.peering_status.lower() != "active":
        return ()  # the peering connection has gone: the rule is stale and matches nobody
    whole = (span(peer.network),)
    if peer.anyone:
        return whole
    if peer.group_ids is None:
        raise Unseen(
            f"the groups of {network_text(peer.network)} are not known; {describe(rule, ())} may "
            "mean it"
        )
    return whole if rule.referenced_group_id in peer.group_ids else ()


def acl_passes(
    acl: NetworkAcl,
    *,
    egress: bool,
    peer: Network,
    protocol: int = TCP,
    ports: tuple[int, int],
) -> Decision:
    """Return which packets to a span of ports a network ACL lets in from a peer, or out to it."""
    entries = [
        entry
        for entry in _ordered(acl)
        if entry.egress == egress
        and entry.cidr.version == peer.version
        and entry.protocol in (str(_ANY), str(protocol))
    ]
    pieces: list[Piece] = []
    for first, last in atoms(span(peer), [span(entry.cidr) for entry in entries]):
        left = [ports]
        for entry in entries:
            low, high = span(entry.cidr)
            if not (low <= first and last <= high):
                continue
            a, b = _port_span(entry)
            rest = []
            for x, y in left:
                if max(a, x) <= min(b, y):
                    hit = max(a, x), min(b, y)
                    pieces.append(Piece(first, last, *hit, entry.allow, entry))
                    rest += [s for s in ((x, hit[0] - 1), (hit[1] + 1, y)) if s[0] <= s[1]]
                else:
                    rest.append((x, y))
            left = rest
            if not left:
                break
        pieces += [Piece(first, last, low, high, False) for low, high in left]
    way, to = ("out", "to") if egress else ("in", "from")
    asked = f"{protocol_name(protocol)} {port_text(*ports)} {way} {to} {network_text(peer)}"
    return Decision(tuple(pieces), (acl.id,), asked, peer.version)


@lru_cache(maxsize=4096)
def _ordered(acl: NetworkAcl) -> Sequence[NetworkAclEntry]:
    return sorted(acl.entries, key=lambda entry: entry.number)


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
    return NAMES.get(int(text), f"protocol {text}") if text.isdigit() else text


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
