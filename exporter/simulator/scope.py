"""Where a builder builds: one account in one Region, with ids and addresses drawn from a seed."""

from __future__ import annotations

import random
from ipaddress import ip_network
from typing import Self

from exporter.simulator.state import HOME, Row, Where, World


class ScopeBuilder:
    """Adds to one account in one Region of the world."""

    def __init__(self, world: World, seed: int, where: Where = HOME) -> None:
        self.world = world
        self.where = where
        self._random = random.Random(seed)
        self._taken: dict[str, set[int]] = {}

    def at(self, account: str, region: str) -> Self:
        """Return a builder for another account and Region that draws from the same seed."""
        other = type(self)(self.world, 0, Where(account, region))
        other._random = self._random
        other._taken = self._taken
        return other

    def table(self, name: str) -> list[Row]:
        """Return a table of this account and Region."""
        return self.world.table(name, *self.where)

    def new_id(self, prefix: str) -> str:
        """Return an id that nothing has yet, such as vpc-0123456789abcdef0."""
        return f"{prefix}-{self._random.getrandbits(68):017x}"

    def zones(self, *zones: tuple[str, str]) -> None:
        """Declare the Availability Zones by the names and ids that they have in this account."""
        region = self.where.region
        self.table("AvailabilityZones").extend(
            {
                "State": "available",
                "OptInStatus": "opt-in-not-required",
                "RegionName": region,
                "ZoneName": name,
                "ZoneId": zone_id,
                "GroupName": f"{region}-zg-1",
                "NetworkBorderGroup": region,
                "ZoneType": "availability-zone",
                "Messages": [],
            }
            for name, zone_id in zones
        )

    def address_in(self, subnet_id: str, block: str) -> str:
        """Return an address of the block that nobody has; AWS keeps the first four and the last."""
        net = ip_network(block)
        taken = self._taken.setdefault(f"{subnet_id} {block}", set())
        while True:
            number = self._random.randrange(4, min(net.num_addresses, 2**32) - 1)
            if number not in taken:
                taken.add(number)
                return str(net[number])
