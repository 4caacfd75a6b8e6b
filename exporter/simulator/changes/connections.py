"""A provider's word on the connections to a service: accepted or rejected, on both sides.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AcceptVpcEndpointConnections.html
"""

from __future__ import annotations

from exporter.simulator.changes.outcome import (
    Outcome,
    named,
    nested,
    refused,
    refused_told,
)
from exporter.simulator.names import publish
from exporter.simulator.state import Row, Where, World
from exporter.simulator.wire import AwsError


def accept(world: World, where: Where, request: Row) -> Outcome:
    """Accept connections that wait for it, or were rejected."""
    return _decide(world, where, request, "Accept", ("pendingAcceptance", "rejected"), "available")


def reject(world: World, where: Where, request: Row) -> Outcome:
    """Reject connections, also those that were accepted."""
    return _decide(world, where, request, "Reject", ("pendingAcceptance", "available"), "rejected")


def _decide(
    world: World, where: Where, request: Row, verb: str, allowed: tuple[str, ...], state: str
) -> Outcome:
    service, ids = request["ServiceId"], request["VpcEndpointIds"]
    tables = world.tables.get(where, {})
    if all(row["ServiceId"] != service for row in tables.get("ServiceConfigurations", ())):
        raise AwsError(
            "InvalidVpcEndpointServiceId.NotFound",
            f"The VpcEndpointService Id '{service}' does not exist",
        )
    connections = {
        row["VpcEndpointId"]: row
        for row in tables.get("VpcEndpointConnections", ())
        if row["ServiceId"] == service
    }
    unsuccessful = []
    for name in ids:
        connection = connections.get(name)
        what = f"The VPC endpoint '{name}'"
        if connection is None:
            code, why = "InvalidVpcEndpointId.NotFound", "does not exist for this service"
            unsuccessful.append(refused(name, code, f"{what} {why}"))
        elif connection["VpcEndpointState"] not in allowed:
            why = f"{what} is not {' or '.join(allowed)}"
            unsuccessful.append(refused(name, "InvalidState", why))
        else:
            connection["VpcEndpointState"] = state
            _endpoint(world, name, state)
    told = nested(f"{verb}VpcEndpointConnections", unsuccessful=refused_told(unsuccessful))
    return Outcome({"Unsuccessful": unsuccessful}, told, named(VPCEndpointService=service))


def _endpoint(world: World, name: str, state: str) -> None:
    """Let the consumer's side follow: its rows, in each account that lists it, and its names."""
    for tables in world.tables.values():
        for row in tables.get("VpcEndpoints", ()):
            if row["VpcEndpointId"] == name:
                row["State"] = state
                publish(world, row)
