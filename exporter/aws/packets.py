"""Which packets a rule means, in words, as requests have it: `tcp 443 from 10.0.0.0/8`."""

from __future__ import annotations

from exporter.aws.events import Folded, clean, listed, member

# https://www.iana.org/assignments/protocol-numbers/
_PROTOCOLS = {"1": "icmp", "6": "tcp", "17": "udp", "58": "icmpv6"}
_ANY = "-1"


def permission(value: Folded, direction: str) -> list[str]:
    """Return the rules that a permission of a security group stands for, one for each peer."""
    packets = _packets(
        member(value, "ipprotocol"), member(value, "fromport"), member(value, "toport")
    )
    peers = [clean(member(value, "cidrip", "cidripv4")), clean(member(value, "cidripv6"))]
    peers += [clean(member(row, "cidrip")) for row in listed(member(value, "ipranges"))]
    peers += [clean(member(row, "cidripv6")) for row in listed(member(value, "ipv6ranges"))]
    peers += [clean(member(row, "groupid", "groupname")) for row in listed(member(value, "groups"))]
    peers += [clean(member(row, "prefixlistid")) for row in listed(member(value, "prefixlistids"))]
    peers += [clean(member(value, "prefixlistid")), clean(member(value, "referencedgroupid"))]
    peers += [clean(member(member(value, "referencedgroupinfo"), "groupid"))]
    # An answer may name the same peer in two members.
    found = list(dict.fromkeys(filter(None, peers)))
    return [f"{packets} {direction} {peer}" for peer in found] or ([packets] if packets else [])


def rule_now(value: Folded) -> str:
    """Return what a rule of a security group has become."""
    return ", ".join(permission(value, "with"))


def entry(value: Folded) -> str:
    """Return an entry of a network ACL: `deny entry 90 inbound tcp 443 from 10.0.0.0/8`."""
    egress = member(value, "egress") is True or clean(member(value, "egress")).lower() == "true"
    ports = member(value, "portrange")
    protocol = member(value, "aclprotocol", "protocol")
    packets = _packets(protocol, member(ports, "from"), member(ports, "to"))
    network = clean(member(value, "cidrblock", "ipv6cidrblock"))
    parts = [
        clean(member(value, "ruleaction")),
        f"entry {clean(member(value, 'rulenumber'))}",
        "outbound" if egress else "inbound",
        packets,
        f"{'to' if egress else 'from'} {network}" if network else "",
    ]
    return " ".join(filter(None, parts))


def _packets(protocol: Folded, first: Folded, last: Folded) -> str:
    text = clean(protocol).lower()
    if text in (_ANY, "all"):
        return "all traffic"
    name = _PROTOCOLS.get(text, text if not text.isdigit() else f"protocol {text}")
    if name not in ("tcp", "udp"):
        return name
    low, high = clean(first), clean(last)
    if not low or low == "-1" or (low, high) == ("0", "65535"):
        return name
    return f"{name} {low}" if low == high or not high else f"{name} {low}-{high}"
