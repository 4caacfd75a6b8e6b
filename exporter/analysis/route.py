"""Is there a way to the endpoint, and one back to the client?"""

from __future__ import annotations

from exporter.analysis import fixes, gateway, words
from exporter.analysis.case import EndpointCase
from exporter.analysis.clients import sighted
from exporter.analysis.judged import Judged, failed, passed, unknown, warned
from exporter.analysis.reach import Met, destination, meets, routes


def judge(case: EndpointCase) -> Judged:
    """Judge the route tables: of the clients and of the endpoint, or who leads to it."""
    if case.type == "Gateway":
        return gateway.route(case)
    if case.type == "GatewayLoadBalancer":
        return _firewall(case)
    return sighted(case, _judge(case))


def _judge(case: EndpointCase) -> Judged:
    families = {target.peer.version for target in case.targets}
    for network in case.expected.clients:
        if network.version not in families:
            return failed(
                f"The endpoint has no IPv{network.version} address, and {network} is configured as "
                "its client.",
                [case.endpoint.id],
                [f"its addresses: {' '.join(str(target.address) for target in case.targets)}"],
                f"Have the client use IPv{min(families)}, or make the endpoint dualstack, where "
                "the service is: in the console under VPC, Endpoints, Modify IP address type.",
            )
    found = meets(case, routes)
    blocked = [one for one in found if one.allowed is False and one.demand.client.ours]
    if blocked:
        return _failed(case, blocked)
    unclear = next((one for one in found if one.allowed is not True), None)
    if unclear is not None and unclear.hop is not None:
        who = words.client(unclear.demand.client)
        return unknown(
            f"Whether packets and replies of {who} find their way cannot be told: "
            f"{unclear.hop.by}.",
            unclear.hop.resources,
        )
    tables = sorted({case.around.table(i.subnet_id).id for i in case.interfaces})
    if found:
        return passed("Packets of the clients, and the replies to them, find their way.", tables)
    return passed("Within its VPC it is reached by the VPC's own routes.", tables)


def _failed(case: EndpointCase, blocked: list[Met]) -> Judged:
    first = blocked[0]
    hop = first.hop
    assert hop is not None
    who, more = words.client(first.demand.client), words.others(len(blocked) - 1)
    if hop.at == "client_route":
        summary = f"Packets of {who}{more} do not find the endpoint: {hop.by}."
        target = case.endpoint.id
    else:
        summary = f"Replies do not find {who}{more}: {hop.by}."
        target = who
    table = hop.resources[0]
    if hop.route is not None:
        fix = (
            f"Give the route {destination(hop.route)} of {table} a target that is there: in the "
            f"console under VPC, Route tables, {table}, Edit routes."
        )
    else:
        fix = (
            f"Add a route to {target} by the peering connection or transit gateway that joins the "
            f"two VPCs: in the console under VPC, Route tables, {table}, Edit routes."
        )
    seen = [text for one in blocked for text in words.records(one.demand.client, case.now, 1)]
    return failed(
        summary,
        dict.fromkeys(r for one in blocked[:5] if one.hop for r in one.hop.resources),
        [*words.several([one.hop.by for one in blocked if one.hop], 3), *words.several(seen, 3)],
        fix,
    )


def _firewall(case: EndpointCase) -> Judged:
    """Judge a Gateway Load Balancer endpoint: packets come only by a route to it.

    https://docs.aws.amazon.com/vpc/latest/privatelink/create-gateway-load-balancer-endpoint-service.html
    """
    endpoint = case.endpoint
    leading = [
        (table, route)
        for table in case.around.tables(endpoint.vpc_id)
        for route in table.routes
        if route.target == endpoint.id
    ]
    none = f"DescribeRouteTables: no route of {endpoint.vpc_id} has it as its target"
    to_it = (
        "Route what is to be inspected to it: in the console under VPC, Route tables, the table of "
        f"the clients' subnets, Edit routes, target {endpoint.id}."
    )
    if not leading and endpoint.requester_managed:
        # AWS Network Firewall makes its endpoints before anybody routes to them.
        return warned(
            f"No route of {endpoint.vpc_id} leads to {endpoint.id}, which another service made: it "
            "gets no packets, which may be meant while that is being set up.",
            [endpoint.id, endpoint.vpc_id],
            ["DescribeVpcEndpoints: RequesterManaged true", none],
            to_it,
        )
    if not leading:
        return failed(
            f"No route of {endpoint.vpc_id} leads to {endpoint.id}: it gets no packets.",
            [endpoint.id, endpoint.vpc_id],
            [none],
            to_it,
        )
    black = [(table, route) for table, route in leading if route.state.lower() == "blackhole"]
    if black:
        table, route = black[0]
        named = isinstance(route.destination, str)
        option = (
            "--destination-prefix-list-id"
            if named
            else "--destination-cidr-block"
            if getattr(route.destination, "version", 4) == 4
            else "--destination-ipv6-cidr-block"
        )
        return failed(
            f"The route {destination(route)} -> {endpoint.id} of {table.id} is a blackhole: its "
            "packets are dropped.",
            [table.id, endpoint.id],
            [f"{t.id}: {destination(r)} -> {r.target}, state {r.state}" for t, r in black],
            fixes.lines(
                [
                    fixes.ec2(
                        case.scope.region,
                        "replace-route",
                        "--route-table-id",
                        table.id,
                        option,
                        destination(route),
                        "--vpc-endpoint-id",
                        endpoint.id,
                        ids=[table.id, endpoint.id],
                    )
                ]
            ),
        )
    tables = sorted({table.id for table, _ in leading})
    return passed(f"{', '.join(tables)} lead{'s' * (len(tables) == 1)} to it.", tables)
