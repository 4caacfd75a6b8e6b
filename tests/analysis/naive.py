"""A second evaluator, for one packet at a time and obviously right: the first is held against it.

It takes no cuts and no caches, and shares nothing with the first but the nouns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_network

from exporter.model import (
    Address,
    Network,
    NetworkAcl,
    NetworkAclEntry,
    Route,
    RouteTable,
    SecurityGroupRule,
)

TCP_NAMES = {"tcp": 6, "udp": 17, "icmp": 1, "icmpv6": 58}


def group_lets(
    rules: Iterable[SecurityGroupRule],
    egress: bool,
    address: Address,
    groups: frozenset[str] | None,
    protocol: int,
    port: int,
    prefix_lists: Mapping[str, tuple[Network, ...] | None],
) -> bool | None:
    """Whether some rule lets one packet pass; None where that hangs on what is not known."""
    answers: list[bool | None] = []
    for rule in rules:
        if rule.egress is not egress:
            continue
        if rule.protocol != "-1":
            if TCP_NAMES.get(rule.protocol, rule.protocol) not in (protocol, str(protocol)):
                continue
            low, high = rule.from_port, rule.to_port
            if low is not None and high is not None and low != -1 and not low <= port <= high:
                continue
        if rule.cidr is not None:
            answers.append(address in rule.cidr)
        elif rule.prefix_list_id is not None:
            entries = prefix_lists[rule.prefix_list_id]
            answers.append(None if entries is None else any(address in e for e in entries))
        else:
            answers.append(None if groups is None else rule.referenced_group_id in groups)
    if True in answers:
        return True
    return None if None in answers else False


def acl_lets(acl: NetworkAcl, egress: bool, address: Address, protocol: int, port: int) -> bool:
    """Whether one packet passes: the lowest number that matches it says."""

    def matches(entry: NetworkAclEntry) -> bool:
        if entry.egress is not egress or address not in entry.cidr:
            return False
        if entry.protocol == "-1":
            return True
        if entry.protocol != str(protocol):
            return False
        if entry.from_port is None or entry.to_port is None:
            return True
        return entry.from_port <= port <= entry.to_port

    matching = [entry for entry in acl.entries if matches(entry)]
    return min(matching, key=lambda entry: entry.number).allow if matching else False


def next_hop(
    table: RouteTable, address: Address, prefix_lists: Mapping[str, tuple[Network, ...]]
) -> Route | None:
    """The route that one packet takes: the most specific one that has its address."""
    found: list[tuple[int, Route]] = []
    for route in table.routes:
        if isinstance(route.destination, str):
            networks = prefix_lists[route.destination]
        else:
            networks = (ip_network(route.destination),)
        found += [(n.prefixlen, route) for n in networks if address in n]
    return max(found, key=lambda item: item[0])[1] if found else None
