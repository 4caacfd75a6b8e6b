"""What one account and Region holds, from both ends of PrivateLink.

Calls of a pass: a page each of endpoints, own services, their connections, interfaces and flow
logs, and one for each target group. Configuration is asked for when it is old, or when an endpoint
or service is new or changed: a page each of the other listings; two calls for each VPC and load
balancer, one for each target group, prefix list in use and own service. Where an account and
Region has neither endpoints nor services that is three calls in all. Nothing is asked per endpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Any

from exporter.aws import endpoints as consumer
from exporter.aws import network
from exporter.aws import services as provider
from exporter.aws.listing import Pass, values
from exporter.config import Discovery
from exporter.model import (
    Connection,
    Details,
    EndpointService,
    Inventory,
    Listener,
    Listing,
    LoadBalancer,
    Network,
    Principal,
    Scope,
    Target,
    TargetGroup,
    VpcAttributes,
    last_known,
)

BUDGET = 60.0
EC2, ELB = "ec2", "elbv2"
# Endpoints of these types have what they reach in their service; of others it is an association.
_WITH_SERVICE = frozenset({"Interface", "Gateway", "GatewayLoadBalancer"})


def collect(
    client: Callable[[str], Any],
    scope: Scope,
    clock: Callable[[], float],
    previous: Inventory | None = None,
    discovery: Discovery | None = None,
    configuration_age: float = 0.0,
    budget: float = BUDGET,
) -> Inventory:
    """Return the inventory of the scope; `client` gives the client of a service.

    A call that fails makes its own part Unavailable, with what `previous` had last seen of it, and
    no other. Configuration that `previous` saw less than `configuration_age` seconds ago is not
    asked for again. After `budget` seconds no details are.
    """
    ask = Pass(client, clock, previous, configuration_age, budget)
    wanted = discovery or Discovery()
    endpoints = ask.listing(
        "endpoints",
        (EC2, "describe_vpc_endpoints", "VpcEndpoints"),
        lambda row: consumer.endpoint(row, scope),
        lambda e: wanted.wants(e.type, e.tags),
    )
    services = ask.listing(
        "services",
        (EC2, "describe_vpc_endpoint_service_configurations", "ServiceConfigurations"),
        lambda row: provider.service(row, scope),
        lambda s: any(wanted.wants(t, s.tags) for t in s.types or ("",)),
    )
    ask.relist = previous is not None and (
        last_known(endpoints) != last_known(previous.endpoints)
        or last_known(services) != last_known(previous.services)
    )
    own = {service.id for service in values(services)}
    connections, load_balancers, target_groups, target_health = _behind(ask, services, own)
    groups = [group.id for group in values(target_groups)]
    vpc_ids = {
        item.vpc_id
        for listed in (endpoints, load_balancers, target_groups)
        for item in values(listed)
        if item.vpc_id
    }
    guards = {
        group_id
        for listed in (endpoints, load_balancers)
        for item in values(listed)
        for group_id in item.security_group_ids
    }

    def around(
        name: str, operation: str, key: str, translate: Callable[[Any], Any], **parameters: Any
    ) -> Any:
        """List what is in the VPCs that matter here."""

        def within(item: Any) -> bool:
            # A group may belong to another VPC than what it guards.
            return getattr(item, "vpc_id", item.id) in vpc_ids or item.id in guards

        return ask.only_if(
            bool(vpc_ids),
            (endpoints, services, load_balancers, target_groups),
            lambda: ask.listing(
                name, (EC2, operation, key), translate, within, vpc_ids | guards, **parameters
            ),
        )

    security_groups = around(
        "security_groups", "describe_security_groups", "SecurityGroups", network.security_group
    )
    in_vpcs = last_known(security_groups)
    rules = ask.only_if(
        bool(vpc_ids),
        (security_groups,),
        lambda: ask.listing(
            "security_group_rules",
            (EC2, "describe_security_group_rules", "SecurityGroupRules"),
            network.security_group_rule,
            lambda rule: in_vpcs is None or rule.group_id in in_vpcs,
            (in_vpcs or {}).keys(),
        ),
    )
    tables = around("route_tables", "describe_route_tables", "RouteTables", network.route_table)
    vpcs = around("vpcs", "describe_vpcs", "Vpcs", network.vpc)
    used = {rule.prefix_list_id for rule in values(rules)} | {
        route.destination
        for table in values(tables)
        for route in table.routes
        if isinstance(route.destination, str)
    }
    prefix_list_ids = {i for i in used if i}
    names = {endpoint.service_name for endpoint in values(endpoints)}
    regions = {endpoint.service_region or scope.region for endpoint in values(endpoints)}

    def vpc_attributes(vpc_id: str) -> VpcAttributes:
        def attribute(name: str) -> bool:  # the API takes one a call
            answer = ask.ask(EC2, "describe_vpc_attribute", VpcId=vpc_id, Attribute=name)
            return bool(answer[name[:1].upper() + name[1:]]["Value"])

        return VpcAttributes(attribute("enableDnsSupport"), attribute("enableDnsHostnames"))

    def entries(prefix_list_id: str) -> tuple[Network, ...]:
        call = (EC2, "get_managed_prefix_list_entries", "Entries")
        rows = ask.rows(call, PrefixListId=prefix_list_id)
        return tuple(network.network(row["Cidr"]) for row in rows)

    def permissions(service_id: str) -> tuple[Principal, ...]:
        call = (EC2, "describe_vpc_endpoint_service_permissions", "AllowedPrincipals")
        return tuple(provider.principal(row) for row in ask.rows(call, ServiceId=service_id))

    def listeners(arn: str) -> tuple[Listener, ...]:
        rows = ask.rows((ELB, "describe_listeners", "Listeners"), LoadBalancerArn=arn)
        return tuple(provider.listener(row) for row in rows)

    def load_balancer_attributes(arn: str) -> dict[str, str]:
        answer = ask.ask(ELB, "describe_load_balancer_attributes", LoadBalancerArn=arn)
        return {row["Key"]: row["Value"] for row in answer["Attributes"]}

    def target_group_attributes(arn: str) -> dict[str, str]:
        answer = ask.ask(ELB, "describe_target_group_attributes", TargetGroupArn=arn)
        return {row["Key"]: row["Value"] for row in answer["Attributes"]}

    behind = [lb.id for lb in values(load_balancers)]
    return Inventory(
        scope=scope,
        kept_to=ask.kept_to,
        endpoints=endpoints,
        services=services,
        connections=connections,
        load_balancers=load_balancers,
        target_groups=target_groups,
        target_health=target_health,
        interfaces=around(
            "interfaces",
            "describe_network_interfaces",
            "NetworkInterfaces",
            network.interface,
            # Accounts can hide the interfaces of managed resources, endpoints among them.
            IncludeManagedResources=True,
        ),
        flow_logs=ask.only_if(
            bool(vpc_ids),
            (endpoints, services),
            lambda: ask.listing(
                "flow_logs", (EC2, "describe_flow_logs", "FlowLogs"), network.flow_log
            ),
        ),
        subnets=ask.listing("subnets", (EC2, "describe_subnets", "Subnets"), network.subnet),
        security_groups=security_groups,
        security_group_rules=rules,
        network_acls=around(
            "network_acls", "describe_network_acls", "NetworkAcls", network.network_acl
        ),
        route_tables=tables,
        vpcs=vpcs,
        prefix_lists=ask.only_if(
            bool(prefix_list_ids),
            (rules, tables),
            lambda: ask.listing(
                "prefix_lists",
                (EC2, "describe_managed_prefix_lists", "PrefixLists"),
                network.prefix_list,
                lambda prefix_list: prefix_list.id in prefix_list_ids,
                prefix_list_ids,
            ),
        ),
        service_details=ask.only_if(
            bool(names),
            (endpoints,),
            lambda: ask.listing(
                "service_details",
                (EC2, "describe_vpc_endpoint_services", "ServiceDetails"),
                consumer.service_detail,
                lambda detail: detail.service_name in names,
                names | regions,
                # Of services of other Regions AWS tells only who asks for these.
                **({"ServiceRegions": sorted(regions)} if regions != {scope.region} else {}),
            ),
        ),
        endpoint_associations=ask.only_if(
            any(endpoint.type not in _WITH_SERVICE for endpoint in values(endpoints)),
            (endpoints,),
            lambda: ask.listing(
                "endpoint_associations",
                (EC2, "describe_vpc_endpoint_associations", "VpcEndpointAssociations"),
                consumer.association,
            ),
        ),
        vpc_attributes=ask.details("vpc_attributes", [v.id for v in values(vpcs)], vpc_attributes),
        prefix_list_entries=ask.details("prefix_list_entries", prefix_list_ids, entries),
        service_permissions=ask.details("service_permissions", own, permissions),
        listeners=ask.details("listeners", behind, listeners),
        load_balancer_attributes=ask.details(
            "load_balancer_attributes", behind, load_balancer_attributes
        ),
        target_group_attributes=ask.details(
            "target_group_attributes", groups, target_group_attributes
        ),
    )


def _behind(
    ask: Pass, services: Listing[EndpointService], own: Set[str]
) -> tuple[
    Listing[Connection],
    Listing[LoadBalancer],
    Listing[TargetGroup],
    Details[tuple[Target, ...]],
]:
    """Return what is behind the services: connections, load balancers, target groups, health."""
    connections = ask.only_if(
        bool(own),
        (services,),
        lambda: ask.listing(
            "connections",
            (EC2, "describe_vpc_endpoint_connections", "VpcEndpointConnections"),
            provider.connection,
            lambda c: c.service_id in own,
            own,
        ),
    )
    arns = {arn for service in values(services) for arn in service.load_balancer_arns}
    load_balancers = ask.only_if(
        bool(arns),
        (services,),
        lambda: ask.listing(
            "load_balancers",
            (ELB, "describe_load_balancers", "LoadBalancers"),
            provider.load_balancer,
            lambda lb: lb.id in arns,
            arns,
        ),
    )

    def list_target_groups() -> Any:
        return ask.listing(
            "target_groups",
            (ELB, "describe_target_groups", "TargetGroups"),
            provider.target_group,
            lambda group: not arns.isdisjoint(group.load_balancer_arns),
            arns,
        )

    target_groups = ask.only_if(bool(arns), (services,), list_target_groups)

    def health(arn: str) -> tuple[Target, ...]:
        answer = ask.ask(ELB, "describe_target_health", TargetGroupArn=arn)
        return tuple(provider.target(row) for row in answer["TargetHealthDescriptions"])

    # What changes by itself goes before what may take long.
    groups = [group.id for group in values(target_groups)]
    target_health = ask.details("target_health", groups, health)
    if len(target_health) < len(groups):  # one has gone, and another may have come in its place
        ask.relist = True
        target_groups = list_target_groups()
        groups = [group.id for group in values(target_groups)]
        target_health = ask.details("target_health", groups, health)
    return connections, load_balancers, target_groups, target_health
