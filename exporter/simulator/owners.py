"""Which endpoint a record is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from exporter.simulator.records import Record
from exporter.simulator.state import World


@dataclass(frozen=True, slots=True)
class Owners:
    """Whose is an interface, and an address in a VPC."""

    of_interface: Mapping[str, str]
    of_address: Mapping[tuple[str, str], str]

    @classmethod
    def of(cls, world: World) -> Owners:
        """Return the owners of what there is now."""
        of_interface = {
            i: row["VpcEndpointId"]
            for tables in world.tables.values()
            for row in tables.get("VpcEndpoints", ())
            for i in row["NetworkInterfaceIds"]
        }
        of_address = {
            (row["VpcId"], address): of_interface[row["NetworkInterfaceId"]]
            for tables in world.tables.values()
            for row in tables.get("NetworkInterfaces", ())
            if row["NetworkInterfaceId"] in of_interface
            for address in (
                *(a["PrivateIpAddress"] for a in row["PrivateIpAddresses"]),
                *(a["Ipv6Address"] for a in row["Ipv6Addresses"]),
            )
        }
        return cls(of_interface, of_address)

    def about(self, record: Record) -> tuple[str, tuple[str, ...]]:
        """Return the endpoint at whose interface the record is, or "", and the others in it."""
        own = self.of_interface.get(record.interface["NetworkInterfaceId"], "")
        vpc = record.interface["VpcId"]
        found = {self.of_address.get((vpc, a), "") for a in (record.source, record.target)}
        return own, tuple(sorted(found - {own, ""}))


# Where another flow log speaks for the interface.
NOBODY = Owners({}, {})
