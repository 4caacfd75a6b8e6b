"""Whose addresses are the organisation's own: every subnet that was listed, by its addresses."""

from __future__ import annotations

from exporter.model import Facts, Known, Network, Scope, Subnet, last_known


class Subnets:
    """All subnets that were listed, to be found by address; `incomplete` where some were not."""

    def __init__(self, facts: Facts) -> None:
        self.incomplete = False
        self._found: dict[tuple[int, int, int], list[tuple[Scope, Subnet]]] = {}
        for site in facts.sites:
            part = site.inventory.subnets
            self.incomplete |= not isinstance(part, Known)
            for subnet in (last_known(part) or {}).values():
                for cidr in subnet.cidrs:
                    key = cidr.version, cidr.prefixlen, int(cidr.network_address)
                    self._found.setdefault(key, []).append((site.scope, subnet))
        self._lengths = sorted({(version, length) for version, length, _ in self._found})

    def containing(self, network: Network) -> list[tuple[Scope, Subnet]]:
        """Return the subnets that have the whole network; a shared one once for each account."""
        found: list[tuple[Scope, Subnet]] = []
        for version, length in self._lengths:
            if version == network.version and length <= network.prefixlen:
                shift = network.max_prefixlen - length
                first = int(network.network_address) >> shift << shift
                found += self._found.get((version, length, first), ())
        return found
